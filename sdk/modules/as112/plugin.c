/* as112: the zones of AS112 (RFC 7534 section 3.5, RFC 7535 section 3.4) are answered as its nodes do. */
#include "../../c/ananas.h"

enum { WEEK = 604800, NS = 2, DS = 43, ANY = 255 };

/* What a zone says of itself. */
typedef struct {
    const uint8_t *soa; /* its two names */
    size_t soa_len;
    struct {
        const uint8_t *name;
        size_t len;
    } ns[2];
} says;

static const says direct = {ANANAS_NAME("\10prisoner\4iana\3org\0\12hostmaster\14root-servers\3org"), {{ANANAS_NAME("\13blackhole-1\4iana\3org")}, {ANANAS_NAME("\13blackhole-2\4iana\3org")}}};
static const says dname = {ANANAS_NAME("\11blackhole\5as112\4arpa\0\3noc\3dns\5icann\3org"), {{ANANAS_NAME("\11blackhole\5as112\4arpa")}}};

static const struct {
    const uint8_t *name;
    size_t len;
    const says *says;
    int hostname; /* it tells which node this is, if a setting does */
} zones[] = {
    {ANANAS_NAME("\00210\7in-addr\4arpa"), &direct, 0},
    {ANANAS_NAME("\003168\003192\7in-addr\4arpa"), &direct, 0},
    {ANANAS_NAME("\003254\003169\7in-addr\4arpa"), &direct, 0},
    {ANANAS_NAME("\5empty\5as112\4arpa"), &dname, 0},
    {ANANAS_NAME("\10hostname\5as112\3net"), &direct, 1},
    {ANANAS_NAME("\10hostname\5as112\4arpa"), &dname, 1},
};

static uint8_t hostname[1024]; /* TXT records' data, each of one string */
static size_t hostname_len;

/* What ananas_start returns: 1 that hostname is longer than 1,000 octets, 2 that one of its texts is longer than 255. */
ANANAS_START() {
    static char text[1000];
    int32_t n = ananas_setting(ANANAS_TEXT("hostname"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("hostname: longer than 1000 octets"), 1);
    for (int32_t from = 0, i = 0; i <= n; i++) {
        if (i < n && text[i] != ';' && text[i] != '\n') continue;
        while (from < i && text[from] == ' ') from++;
        if (i - from > 255) return ananas_wrong(ANANAS_TEXT("hostname: one of its texts is longer than 255 octets"), 2);
        if (i > from) {
            hostname[hostname_len] = (uint8_t)(i - from);
            ananas_copy(hostname + hostname_len + 1, text + from, (size_t)(i - from));
            hostname_len += (size_t)(i - from) + 1;
        }
        from = i + 1;
    }
    return 0;
}

/* Tells whether a name is in 16.172.in-addr.arpa to 31.172.in-addr.arpa, and where that zone begins. */
static const uint8_t *within172(const uint8_t *name, size_t len, size_t *zone_len) {
    static const uint8_t above[] = "\003172\7in-addr\4arpa";
    const uint8_t *label = 0;
    while (len > sizeof above) {
        label = name;
        name += label[0] + 1u;
        len -= label[0] + 1u;
    }
    if (len != sizeof above || !label || label[0] != 2 || !ananas_equal(name, above, len)) return 0;
    int number = (label[1] - '0') * 10 + label[2] - '0';
    *zone_len = 3 + len;
    return label[1] >= '1' && label[1] <= '3' && label[2] >= '0' && label[2] <= '9' && number >= 16 && number <= 31 ? label : 0;
}

static void put_soa(ananas_verdict *v, const uint8_t *zone, size_t len, const says *z) {
    static const uint8_t numbers[20] = {0, 0, 0, 1, 0, 9, 0x3a, 0x80, 0, 0, 0, 60, 0, 9, 0x3a, 0x80, 0, 9, 0x3a, 0x80}; /* 1, a week, a minute, a week, a week */
    uint8_t data[96];
    ananas_copy(data, z->soa, z->soa_len);
    ananas_copy(data + z->soa_len, numbers, sizeof numbers);
    ananas_record r = {.name = zone, .name_len = len, .type = ANANAS_SOA, .ttl = WEEK, .data = data, .data_len = z->soa_len + sizeof numbers};
    ananas_put(v, &r);
}

static void answer(const ananas_query *q, ananas_verdict *v, const uint8_t *zone, size_t len, const says *z, int has_hostname) {
    int apex = q->name_len == len;
    if (apex && q->type == DS) return; /* that is the parent's to say */
    if (!apex) {
        ananas_nxdomain(v, 0);
        put_soa(v, zone, len, z);
        return;
    }
    ananas_record r = {.name = zone, .name_len = len, .ttl = WEEK};
    ananas_answer_with(v);
    if (q->type == ANANAS_SOA || q->type == ANY) put_soa(v, zone, len, z);
    for (int i = 0; i < 2 && z->ns[i].len && (q->type == NS || q->type == ANY); i++) {
        r.type = NS;
        r.data = z->ns[i].name;
        r.data_len = z->ns[i].len;
        ananas_put(v, &r);
    }
    for (size_t i = 0; has_hostname && i < hostname_len && (q->type == ANANAS_TXT || q->type == ANY); i += r.data_len) {
        r.type = ANANAS_TXT;
        r.data = hostname + i;
        r.data_len = hostname[i] + 1u;
        ananas_put(v, &r);
    }
    if (v->data_len) return;
    ananas_nodata(v, 0);
    put_soa(v, zone, len, z);
}

ANANAS_QUERY(q, v) {
    const uint8_t *name = ananas_name(q);
    size_t len;
    for (size_t i = 0; i < sizeof zones / sizeof zones[0]; i++) {
        if (zones[i].hostname && !hostname_len) continue;
        if (ananas_within(name, q->name_len, zones[i].name, zones[i].len)) {
            answer(q, v, zones[i].name, zones[i].len, zones[i].says, zones[i].hostname);
            return;
        }
    }
    const uint8_t *zone = within172(name, q->name_len, &len);
    if (zone) answer(q, v, zone, len, &direct, 0);
}
