/* A plugin that says what the letters of the first label ask for, one after the other, and logs the label each time that it is called. build.sh makes says.wasm of it.
 * n NXDOMAIN, e NODATA, z NXDOMAIN with an SOA record, a an IPv4 address, b addresses of both kinds, s an IPv6 address, r two A records, c a CNAME record, m none, f REFUSED, d drop, w another name, v a name that is an alias of
 * back.example, x an extended error, y a tag, u not from the cache, t a trap, q no verdict. All else is to go on. */
#include "ananas.h"

static const uint8_t four[8] = {192, 0, 2, 1, 192, 0, 2, 2};
static const uint8_t sixteen[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};

static void put(const ananas_query *q, ananas_verdict *v, uint16_t type, const uint8_t *data, uint16_t size) {
    ananas_record r = {.name = ananas_name(q), .name_len = q->name_len, .type = type, .ttl = 60, .data = data, .data_len = size};
    ananas_put(v, &r);
}

ANANAS_QUERY(q, v) {
    const uint8_t *name = ananas_name(q);
    ananas_log(ANANAS_INFO, name + 1, name[0]);
    for (size_t i = 1; i <= name[0]; i++) /* what stands before the data */
        switch (name[i]) {
        case 'x': ananas_why(v, 15, "it is said so", 13); break;
        case 'y': ananas_tag(v, "tagged", 6); break;
        case 'u': ananas_no_cache(v); break;
        case 't': __builtin_trap();
        case 'q': v->action = 99; return;
        }
    for (size_t i = 1; i <= name[0]; i++)
        switch (name[i]) {
        case 'n': ananas_nxdomain(v, 60); return;
        case 'e': ananas_nodata(v, 60); return;
        case 'z': {
            static const uint8_t soa[22] = {[21] = 30};
            ananas_nxdomain(v, 0);
            ananas_record r = {.name = name + 1 + name[0], .name_len = q->name_len - 1u - name[0], .type = ANANAS_SOA, .ttl = 60, .data = soa, .data_len = sizeof soa};
            ananas_put(v, &r);
            return;
        }
        case 'a': ananas_address(v, 30, four, 2, 0, 0); return;
        case 'b': ananas_address(v, 30, four, 1, sixteen, 1); return;
        case 's': ananas_address(v, 30, 0, 0, sixteen, 1); return;
        case 'r':
            ananas_answer_with(v);
            put(q, v, ANANAS_A, four, 4);
            put(q, v, ANANAS_A, four + 4, 4);
            return;
        case 'c':
            ananas_answer_with(v);
            put(q, v, 5, ANANAS_NAME("\3www\7example"));
            return;
        case 'm': ananas_answer_with(v); return;
        case 'f': ananas_refuse(v); return;
        case 'd': ananas_drop(v); return;
        case 'w': ananas_rewrite(v, 300, ANANAS_NAME("\3www\7example")); return;
        case 'v': ananas_rewrite(v, 300, ANANAS_NAME("\4back\7example")); return;
        }
}
