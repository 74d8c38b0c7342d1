/* A plugin that does what the first label of a name says. build.sh makes acts.wasm of it. */
#include "ananas.h"

static int calls, all;

#define is(q, label) is_label(q, label, sizeof label - 1)

static int is_label(const ananas_query *q, const char *label, size_t n) {
    return ananas_name(q)[0] == n && ananas_equal(ananas_name(q) + 1, (const uint8_t *)label, n);
}

static const uint8_t four[4] = {192, 0, 2, 1};
static const uint8_t sixteen[16] = {0x20, 1, 0xd, 0xb8, [15] = 1};

ANANAS_START() {
    char value[8];
    all = ananas_setting("all", 3, value, sizeof value) == 3;
    return ananas_setting("refuse", 6, value, sizeof value) == 3 ? 1 : 0;
}

ANANAS_QUERY(q, v) {
    calls++;
    if (all) ananas_nxdomain(v, 60);
    if (is(q, "nxdomain")) ananas_nxdomain(v, 60);
    if (is(q, "nodata")) ananas_nodata(v, 60);
    if (is(q, "why")) {
        ananas_why(v, 15, "it is said so", 13);
        ananas_nxdomain(v, 60);
    }
    if (is(q, "address")) ananas_address(v, 30, four, 1, sixteen, 1);
    if (is(q, "zone")) { /* the SOA record of what is above the name, which keeps a denial for 30 seconds */
        static const uint8_t soa[22] = {[21] = 30};
        ananas_record r = {.name = ananas_name(q) + 5, .name_len = q->name_len - 5u, .type = ANANAS_SOA, .ttl = 60, .data = soa, .data_len = sizeof soa};
        ananas_nxdomain(v, 0);
        ananas_put(v, &r);
    }
    if (is(q, "refuse")) v->action = ANANAS_REFUSE;
    if (is(q, "drop")) v->action = ANANAS_DROP;
    if (is(q, "rewrite")) ananas_rewrite(v, 300, ANANAS_NAME("\3www\7example"));
    if (is(q, "self")) ananas_rewrite(v, 300, ananas_name(q), q->name_len);
    if (is(q, "bypass")) v->flags = ANANAS_NO_CACHE;
    if (is(q, "trap")) __builtin_trap();
    if (is(q, "loop"))
        for (;;) __asm__ volatile("");
    if (is(q, "action")) v->action = 99;
    if (is(q, "long")) {
        v->action = ANANAS_NXDOMAIN;
        v->data_len = 7;
    }
    if (is(q, "client") && q->family == 4 && q->bits == 32 && q->client[3] == 2) ananas_nxdomain(v, 60);
    if (is(q, "prefix") && q->family == 4 && q->bits == 24 && q->client[3] == 0) ananas_nxdomain(v, 60);
    if (is(q, "nobody") && q->family == 0) ananas_nxdomain(v, 60);
    if (is(q, "calls") && calls % 2 == 0) ananas_nxdomain(v, 60);
    if (is(q, "group")) ananas_group(v, "inside", 6);
    if (is(q, "unknown")) ananas_group(v, "nowhere", 7);
    if (is(q, "some") && q->family == 4 && q->client[2] == 2) ananas_group(v, "inside", 6);
    if (is(q, "tagged") && (!q->family || q->client[2] == 2)) ananas_tag(v, "guest", 5);
    if (is(q, "tenant") && q->tenant_len) ananas_group(v, (const char *)ananas_tenant(q), q->tenant_len);
    if (is(q, "setting")) {
        char value[8];
        if (ananas_setting("color", 5, value, sizeof value) == 3 && value[0] == 'r') ananas_nxdomain(v, 60);
    }
    if (is(q, "record") || is(q, "badrecord")) { /* two A records, the second of three octets if it is to be bad */
        uint8_t *data = ananas_data(v);
        uint32_t n = 0;
        for (uint8_t i = 0; i < 2; i++) {
            uint8_t size = i && is(q, "badrecord") ? 3 : 4;
            ananas_copy(data + n, ananas_name(q), q->name_len);
            n += q->name_len;
            static const uint8_t head[] = {0, 1, 0, 1, 0, 0, 0, 60, 0};
            ananas_copy(data + n, head, sizeof head);
            n += sizeof head;
            const uint8_t rest[] = {size, 192, 0, 2, 7 + i};
            ananas_copy(data + n, rest, size + 1);
            n += size + 1;
        }
        v->action = ANANAS_RECORDS;
        v->data_len = n;
    }
}
