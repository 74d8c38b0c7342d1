/* ananas.h: plugins of Ananas in C. One header, no library. docs/module-abi.md says what it does, octet for octet; this is version 1.
 *
 * A plugin of phase query has this function, and nothing else that it must have:
 *
 *     ANANAS_QUERY(q, v) {
 *         if (ananas_within(ananas_name(q), q->name_len, ANANAS_NAME("\7example\3com"))) ananas_nxdomain(v, 60);
 *     }
 *
 * One of phase answer has ANANAS_ANSWER(a, v) in its place, or beside it. ANANAS_START() { ... } runs once for each instance, to read settings; what it returns is 0, or the module is not used.
 */
#ifndef ANANAS_H
#define ANANAS_H

#include <stddef.h>
#include <stdint.h>

#define ANANAS_EXPORT(name) __attribute__((export_name(name)))
#define ANANAS_IMPORT(name) __attribute__((import_module("ananas"), import_name(name)))

/* Functions of the host. All but ananas_setting need a capability in the manifest, and its grant. */
ANANAS_IMPORT("setting") int32_t ananas_setting(const void *key, size_t key_len, void *out, size_t room);
ANANAS_IMPORT("data_open") int32_t ananas_data_open(const void *name, size_t name_len);
ANANAS_IMPORT("data_find") int32_t ananas_data_find(int32_t data, int32_t how, const void *key, size_t key_len);
ANANAS_IMPORT("log") int32_t ananas_log(int32_t level, const void *text, size_t text_len);
ANANAS_IMPORT("counter") int32_t ananas_counter(const void *name, size_t name_len);
ANANAS_IMPORT("count") int32_t ananas_count(int32_t counter, int64_t n);
ANANAS_IMPORT("now") int64_t ananas_now(void);
ANANAS_IMPORT("random") int32_t ananas_random(void *out, size_t len);

enum { ANANAS_ABSENT = -1, ANANAS_BOUNDS = -2, ANANAS_ROOM = -3, ANANAS_DENIED = -4, ANANAS_LIMIT = -5, ANANAS_FAILED = -6, ANANAS_MALFORMED = -7 };

enum { ANANAS_EXACT, ANANAS_SUFFIX, ANANAS_PREFIX };

/* What is asked. */
typedef struct __attribute__((may_alias)) {
    uint16_t head;
    uint8_t transport, flags;
    uint16_t type, class_;
    uint8_t family, bits; /* of the client's address: 4 or 6, and how much of it is shown */
    uint16_t name_len, tenant_len, reserved;
    uint8_t client[16];
    uint8_t reserved2[8];
} ananas_query;

enum { ANANAS_RD = 1, ANANAS_CD = 2, ANANAS_AD = 4, ANANAS_DO = 8 };
enum { ANANAS_A = 1, ANANAS_CNAME = 5, ANANAS_SOA = 6, ANANAS_AAAA = 28, ANANAS_HTTPS = 65 };

/* The name in wire form (labels with their lengths), in small letters. */
static inline const uint8_t *ananas_name(const ananas_query *q) { return (const uint8_t *)q + q->head; }

/* What is about to be answered. */
typedef struct __attribute__((may_alias)) {
    uint16_t head, rcode;
    uint8_t security, flags;
    uint16_t query_len, counts[3], reserved;
    uint32_t records_len, reserved2;
} ananas_answer;

static inline const ananas_query *ananas_asked(const ananas_answer *a) { return (const ananas_query *)((const uint8_t *)a + a->head); }

/* A verdict: one that nothing is said in lets the query go on. */
typedef struct __attribute__((may_alias)) {
    uint16_t head;
    uint8_t action, flags;
    uint16_t ede; /* the code, and 1; 0: none */
    uint16_t text_len;
    uint32_t ttl;
    uint16_t group_len, tag_len;
    uint32_t data_len, reserved;
    uint8_t rest[]; /* text, group, tag, data: in this order */
} ananas_verdict;

enum { ANANAS_GO_ON, ANANAS_RECORDS, ANANAS_NXDOMAIN, ANANAS_NODATA, ANANAS_ADDRESS, ANANAS_REFUSE, ANANAS_DROP, ANANAS_REWRITE };
enum { ANANAS_NO_CACHE = 1 };

static inline void ananas_copy(void *to, const void *from, size_t n) { __builtin_memcpy(to, from, n); }

static inline int ananas_equal(const uint8_t *a, const uint8_t *b, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i]) return 0;
    return 1;
}

/* A literal as a name: ANANAS_NAME("\7example\3com") is two arguments, and has the root behind it. */
#define ANANAS_NAME(literal) (const uint8_t *)(literal), sizeof(literal)

/* Tells whether a name is zone, or below it. */
static inline int ananas_within(const uint8_t *name, size_t len, const uint8_t *zone, size_t zone_len) {
    while (len > zone_len) {
        size_t label = (size_t)name[0] + 1;
        if (label > len) return 0;
        name += label;
        len -= label;
    }
    return len == zone_len && ananas_equal(name, zone, len);
}

static inline void ananas_nxdomain(ananas_verdict *v, uint32_t ttl) { v->action = ANANAS_NXDOMAIN; v->ttl = ttl; }
static inline void ananas_nodata(ananas_verdict *v, uint32_t ttl) { v->action = ANANAS_NODATA; v->ttl = ttl; }

/* The extended error that says why (RFC 8914): 15 is blocked, 16 censored, 17 filtered. Call it before what has data. */
static inline void ananas_why(ananas_verdict *v, uint16_t code, const char *text, size_t len) {
    if (len > 1024) len = 1024;
    v->ede = (uint16_t)(code + 1);
    v->text_len = (uint16_t)len;
    ananas_copy(v->rest, text, len);
}

static inline uint8_t *ananas_data(ananas_verdict *v) { return v->rest + v->text_len + v->group_len + v->tag_len; }

/* These addresses in place of what there is: n4 of 4 octets, and n6 of 16. */
static inline void ananas_address(ananas_verdict *v, uint32_t ttl, const uint8_t *four, uint8_t n4, const uint8_t *sixteen, uint8_t n6) {
    v->action = ANANAS_ADDRESS;
    v->ttl = ttl;
    uint8_t *data = ananas_data(v);
    data[0] = n4;
    data[1] = n6;
    if (n4) ananas_copy(data + 2, four, 4 * (size_t)n4);
    if (n6) ananas_copy(data + 2 + 4 * (size_t)n4, sixteen, 16 * (size_t)n6);
    v->data_len = 2 + 4 * (uint32_t)n4 + 16 * (uint32_t)n6;
}

/* What another name has, behind an alias to it. */
static inline void ananas_rewrite(ananas_verdict *v, uint32_t ttl, const uint8_t *name, size_t len) {
    v->action = ANANAS_REWRITE;
    v->ttl = ttl;
    ananas_copy(ananas_data(v), name, len);
    v->data_len = (uint32_t)len;
}

/* The buffer. A module of phase answer defines ANANAS_BUFFER as 73728 before it includes this. */
#ifndef ANANAS_BUFFER
#define ANANAS_BUFFER 4096
#endif

static _Alignas(8) uint8_t ananas_buffer_[ANANAS_BUFFER], ananas_verdict_[ANANAS_BUFFER];

ANANAS_EXPORT("ananas_buffer") void *ananas_give_buffer(int32_t size) { return size <= (int32_t)sizeof ananas_buffer_ ? ananas_buffer_ : 0; }

/* The verdict, written where the record was. */
static inline int32_t ananas_return(void) {
    ananas_verdict *v = (ananas_verdict *)ananas_verdict_;
    if (!v->action && !v->flags && !v->tag_len) return 0;
    size_t n = sizeof *v + v->text_len + v->group_len + v->tag_len + v->data_len;
    if (n > sizeof ananas_buffer_) return ANANAS_ROOM;
    ananas_copy(ananas_buffer_, v, n);
    return (int32_t)n;
}

static inline ananas_verdict *ananas_fresh(void) {
    ananas_verdict *v = (ananas_verdict *)ananas_verdict_;
    __builtin_memset(v, 0, sizeof *v);
    v->head = sizeof *v;
    return v;
}

#define ANANAS_PHASE_(name, record, r, v)                                          \
    static void ananas_on_##name(const record *r, ananas_verdict *v);              \
    ANANAS_EXPORT("ananas_" #name) int32_t ananas_run_##name(int32_t len) {        \
        (void)len;                                                                 \
        ananas_on_##name((const record *)ananas_buffer_, ananas_fresh());          \
        return ananas_return();                                                    \
    }                                                                              \
    static void ananas_on_##name(const record *r, ananas_verdict *v)

#define ANANAS_QUERY(q, v) ANANAS_PHASE_(query, ananas_query, q, v)
#define ANANAS_ANSWER(a, v) ANANAS_PHASE_(answer, ananas_answer, a, v)
#define ANANAS_START() ANANAS_EXPORT("ananas_start") int32_t ananas_on_start(void)

#endif
