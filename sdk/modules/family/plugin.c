/* family: names of lists are answered with no address, as 1.1.1.2 and 1.1.1.3 do, or as a list that is a response policy zone says. */
#include "../../c/ananas.h"

ANANAS_ZONES(allowed, 1024, 16 << 10);

/* The lists, in the order of looking. The tests are names that Cloudflare's resolvers block, for who wants to see that it works. */
static struct {
    const char *name;
    size_t name_len;
    const uint8_t *test;
    size_t test_len;
    int32_t data; /* its handle, or below 0: it was not granted */
} lists[] = {
    {ANANAS_TEXT("custom"), 0, 0, 0},
    {ANANAS_TEXT("malware"), ANANAS_NAME("\7malware\14testcategory\3com"), 0},
    {ANANAS_TEXT("adult"), ANANAS_NAME("\6nudity\14testcategory\3com"), 0},
};

enum { LISTS = sizeof lists / sizeof lists[0] };

static uint16_t code = 16;

/* What ananas_start returns: 1000 that code is none of 15, 16, 17; 2000 that the allow list is too long; below that, which of its names is none. */
ANANAS_START() {
    static char text[16 << 10];
    for (int i = 0; i < LISTS; i++) lists[i].data = ananas_data_open(lists[i].name, lists[i].name_len);
    int32_t n = ananas_setting(ANANAS_TEXT("code"), text, sizeof text);
    if (n != ANANAS_ABSENT) {
        if (n != 2 || text[0] != '1' || text[1] < '5' || text[1] > '7') return ananas_wrong(ANANAS_TEXT("code: neither 15, 16 nor 17"), 1000);
        code = (uint16_t)(10 + text[1] - '0');
    }
    n = ananas_setting(ANANAS_TEXT("allow"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("allow: longer than 16384 octets"), 2000);
    n = n < 0 ? 0 : ananas_add_list(&allowed, text, (size_t)n);
    return ananas_wrong_at(ANANAS_TEXT("allow: not a name, or one too many: word "), n, n);
}

ANANAS_QUERY(q, v) {
    static const uint8_t none[16]; /* 0.0.0.0, and :: */
    const uint8_t *name = ananas_name(q);
    for (int i = 0; i < LISTS; i++) {
        if (lists[i].data < 0) continue;
        int test = lists[i].test_len && ananas_within(name, q->name_len, lists[i].test, lists[i].test_len);
        int32_t found = ananas_data_find(lists[i].data, ANANAS_SUFFIX, name, q->name_len);
        if (!test && found < 0) continue;
        /* TCP alone: a verdict can not say it, and who comes back over TCP is to have the answer that there is. */
        if (found == ANANAS_RPZ_PASSTHRU || found == ANANAS_RPZ_TCP_ONLY) return;
        if (ananas_covers(&allowed, name, q->name_len)) return; /* asked last: few names get here */
        switch (found) {
        case ANANAS_RPZ_NXDOMAIN: ananas_nxdomain(v, 60); break;
        case ANANAS_RPZ_NODATA: ananas_nodata(v, 60); break;
        case ANANAS_RPZ_DROP: ananas_drop(v); break;
        default: ananas_address(v, 60, none, 1, none, 1); /* ANANAS_RPZ_LOCAL too: the list does not have its records */
        }
        if (found != ANANAS_RPZ_DROP) ananas_why(v, code, ANANAS_TEXT(""));
        ananas_tag(v, lists[i].name, lists[i].name_len);
        return;
    }
}
