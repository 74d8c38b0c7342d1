/* A plugin with metrics of its own: the first label of a name says what is done with them, and the TTL of NODATA what the host said, without its sign. build.sh makes measures.wasm of it. */
#include "ananas.h"

static int32_t counter, histogram;

ANANAS_START() {
    counter = ananas_counter(ANANAS_TEXT("asked"));
    histogram = ananas_histogram(ANANAS_TEXT("length"));
    return counter < 0 || histogram < 0;
}

static int is(const ananas_query *q, const char *label, size_t n) { return ananas_name(q)[0] == n && ananas_equal(ananas_name(q) + 1, (const uint8_t *)label, n); }

/* Opens metrics with names of two digits until the host has no more; how many there were. */
static int32_t fill(int32_t (*open)(const void *, size_t)) {
    for (int32_t n = 0;; n++) {
        char name[2] = {(char)('0' + n / 10), (char)('0' + n % 10)};
        int32_t got = open(name, sizeof name);
        if (got == ANANAS_LIMIT) return n;
        if (got < 0) return 1000 - got;
    }
}

ANANAS_QUERY(q, v) {
    static char long_name[65];
    int32_t got = -1000;
    __builtin_memset(long_name, 'x', sizeof long_name);
    if (is(q, ANANAS_TEXT("count"))) got = ananas_count(counter, 2);
    if (is(q, ANANAS_TEXT("observe"))) got = ananas_observe(histogram, q->name_len);
    if (is(q, ANANAS_TEXT("most"))) got = ananas_observe(histogram, 0x7fffffffffffffff);
    if (is(q, ANANAS_TEXT("again"))) got = ananas_histogram(ANANAS_TEXT("length")) - histogram;
    if (is(q, ANANAS_TEXT("below"))) got = ananas_observe(histogram, -1);
    if (is(q, ANANAS_TEXT("crossed"))) got = ananas_observe(counter, 1);
    if (is(q, ANANAS_TEXT("swapped"))) got = ananas_count(histogram, 1);
    if (is(q, ANANAS_TEXT("nobody"))) got = ananas_observe(histogram + 1, 1);
    if (is(q, ANANAS_TEXT("minus"))) got = ananas_observe(-1, 1);
    if (is(q, ANANAS_TEXT("unnamed"))) got = ananas_histogram("", 0);
    if (is(q, ANANAS_TEXT("named"))) got = ananas_histogram(long_name, sizeof long_name);
    if (is(q, ANANAS_TEXT("wild"))) got = ananas_histogram((const void *)0xfffffff0u, 64);
    if (is(q, ANANAS_TEXT("histograms"))) got = -fill(ananas_histogram);
    if (is(q, ANANAS_TEXT("counters"))) got = -fill(ananas_counter);
    ananas_nodata(v, (uint32_t)-got);
}
