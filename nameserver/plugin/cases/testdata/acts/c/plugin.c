/* See cases.txt. */
#define ANANAS_BUFFER 73728
#include "ananas.h"

static int32_t list, counter, histogram;
static _Alignas(8) uint8_t reply[66000];
static int red;

ANANAS_START() {
    char value[8];
    if (ananas_setting(ANANAS_TEXT("refuse"), value, sizeof value) >= 0) return 7;
    red = ananas_setting(ANANAS_TEXT("color"), value, sizeof value) == 3 && value[0] == 'r';
    list = ananas_data_open(ANANAS_TEXT("list"));
    counter = ananas_counter(ANANAS_TEXT("asked"));
    histogram = ananas_histogram(ANANAS_TEXT("took"));
    return list < 0 || counter < 0 || histogram < 0;
}

static int is(const ananas_query *q, const char *label, size_t n) {
    const uint8_t *name = ananas_name(q);
    return name[0] == n && ananas_equal(name + 1, (const uint8_t *)label, n);
}

static int host_works(void) {
    uint8_t drawn[16] = {0};
    int zeros = 0;
    if (ananas_count(counter, 1) || ananas_observe(histogram, 5000000000) || ananas_log(ANANAS_INFO, ANANAS_TEXT("asked")) || ananas_random(drawn, sizeof drawn)) return 0;
    for (size_t i = 0; i < sizeof drawn; i++) zeros += !drawn[i];
    return zeros < 8 && ananas_now() == 1767225600000000000;
}

static void resolve(const ananas_query *q, ananas_verdict *v, const uint8_t *name, size_t len) {
    int32_t n = ananas_resolve(name, len, ANANAS_A, reply, sizeof reply);
    if (n < 0) {
        ananas_nodata(v, (uint32_t)-n);
        return;
    }
    ananas_reader all = ananas_records((const ananas_answer *)reply);
    ananas_record r;
    ananas_answer_with(v);
    while (ananas_next(&all, &r)) {
        r.name = ananas_name(q);
        r.name_len = q->name_len;
        ananas_put(v, &r);
    }
}

ANANAS_QUERY(q, v) {
    static const uint8_t four[] = {192, 0, 2, 1}, sixteen[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};
    if (is(q, ANANAS_TEXT("nxdomain"))) ananas_nxdomain(v, 60);
    if (is(q, ANANAS_TEXT("nodata"))) ananas_nodata(v, 61);
    if (is(q, ANANAS_TEXT("why"))) {
        ananas_why(v, 15, ANANAS_TEXT("it is said so"));
        ananas_nxdomain(v, 60);
        ananas_tag(v, ANANAS_TEXT("seen"));
    }
    if (is(q, ANANAS_TEXT("address"))) {
        ananas_address(v, 30, four, 1, sixteen, 1);
        ananas_tag(v, ANANAS_TEXT("addresses"));
    }
    if (is(q, ANANAS_TEXT("refuse"))) ananas_refuse(v);
    if (is(q, ANANAS_TEXT("drop"))) ananas_drop(v);
    if (is(q, ANANAS_TEXT("rewrite"))) ananas_rewrite(v, 300, ANANAS_NAME("\3www\7example"));
    if (is(q, ANANAS_TEXT("nocache"))) ananas_no_cache(v);
    if (is(q, ANANAS_TEXT("group"))) ananas_group(v, ANANAS_TEXT("filtered"));
    if (is(q, ANANAS_TEXT("all"))) { /* the parts in another order than that in which they stand */
        ananas_rewrite(v, 300, ANANAS_NAME("\3www\7example"));
        ananas_tag(v, ANANAS_TEXT("seen"));
        ananas_group(v, ANANAS_TEXT("filtered"));
        ananas_why(v, 17, ANANAS_TEXT("elsewhere"));
    }
    if (is(q, ANANAS_TEXT("tenant")) && q->tenant_len == 6 && ananas_equal(ananas_tenant(q), (const uint8_t *)"office", 6)) ananas_nodata(v, 1);
    if (is(q, ANANAS_TEXT("tag"))) ananas_tag(v, ANANAS_TEXT("seen"));
    if (is(q, ANANAS_TEXT("records"))) {
        uint8_t data[] = {192, 0, 2, 7};
        ananas_record r = {.name = ananas_name(q), .name_len = q->name_len, .type = ANANAS_A, .ttl = 60, .data = data, .data_len = 4};
        ananas_answer_with(v);
        ananas_put(v, &r);
        data[3] = 8;
        ananas_put(v, &r);
    }
    if (is(q, ANANAS_TEXT("zone")) || is(q, ANANAS_TEXT("outside"))) {
        static const uint8_t soa[22] = {[21] = 30}; /* two names that are the root, and five numbers */
        ananas_record r = {.name = ananas_name(q) + 5, .name_len = q->name_len - 5u, .type = ANANAS_SOA, .ttl = 60, .data = soa, .data_len = sizeof soa};
        if (is(q, ANANAS_TEXT("outside"))) r.name = (const uint8_t *)"\3www", r.name_len = 5;
        ananas_nxdomain(v, 0);
        ananas_put(v, &r);
    }
    if (is(q, ANANAS_TEXT("type")) && q->type == ANANAS_TXT) ananas_nodata(v, 1);
    if (is(q, ANANAS_TEXT("flags")) && q->flags == (ANANAS_RD | ANANAS_CD | ANANAS_AD | ANANAS_DO) && q->transport == 1) ananas_nodata(v, 1);
    if (is(q, ANANAS_TEXT("client")) && q->family == 4 && q->bits == 32 && q->client[3] == 9) ananas_nodata(v, 1);
    if (is(q, ANANAS_TEXT("client")) && q->family == 6 && q->bits == 128 && q->client[15] == 9) ananas_nodata(v, 2);
    if (is(q, ANANAS_TEXT("setting")) && red) ananas_nodata(v, 1);
    if (is(q, ANANAS_TEXT("data")) && ananas_data_find(list, ANANAS_SUFFIX, ananas_name(q), q->name_len) >= 0) ananas_nxdomain(v, 1);
    if (is(q, ANANAS_TEXT("host")) && host_works()) ananas_nodata(v, 1);
    if (is(q, ANANAS_TEXT("resolve"))) resolve(q, v, ANANAS_NAME("\3www\7example"));
    if (is(q, ANANAS_TEXT("noname"))) resolve(q, v, (const uint8_t *)"\77x", 2);
    if (is(q, ANANAS_TEXT("trap"))) __builtin_trap();
    while (is(q, ANANAS_TEXT("loop"))) __asm__ volatile("" ::: "memory");
}

ANANAS_ANSWER(a, v) {
    ananas_reader all = ananas_records(a);
    ananas_record r;
    if (a->rcode == 3 && ananas_asked(a)->type == ANANAS_A) ananas_nodata(v, 9);
    if (a->rcode == 3 || a->flags & ANANAS_MADE || (a->security == ANANAS_SECURE && a->flags & ANANAS_CACHED)) return;
    ananas_answer_with(v);
    while (ananas_next(&all, &r)) {
        if (r.section != ANANAS_IN_ANSWER || r.type == ANANAS_TXT) continue;
        if (r.ttl > 10) r.ttl = 10;
        ananas_put(v, &r);
    }
}

ANANAS_LOG(l) {
    const ananas_query *q = ananas_line_asked(l);
    int right = is(q, ANANAS_TEXT("logged")) && q->type == ANANAS_TXT && l->rcode == 3 && l->flags == (ANANAS_CACHED | ANANAS_STALE | ANANAS_BLOCKED) && l->time == 1767225600000000001 && l->took == 1500;
    if (!right) { /* a call may ask the host 64 times, and sees 32 lines */
        ananas_count(counter, 1);
        ananas_observe(histogram, l->took);
    }
    if (right) ananas_log(ANANAS_INFO, ananas_line_tags(l), l->tags_len);
    else if (l->took == 0) ananas_log(ANANAS_ERROR, ANANAS_TEXT("another line"));
}
