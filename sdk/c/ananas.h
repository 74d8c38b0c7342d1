/* ananas.h: plugins of Ananas in C. One header, no library. docs/module-abi.md says what it does, octet for octet; this is version 1.
 *
 * A plugin of phase query has this function, and nothing else that it must have:
 *
 *     ANANAS_QUERY(q, v) {
 *         if (ananas_within(ananas_name(q), q->name_len, ANANAS_NAME("\7example\3com"))) ananas_nxdomain(v, 60);
 *     }
 *
 * One of phase answer has ANANAS_ANSWER(a, v) in its place, or beside it, and says which records are to stay:
 *
 *     #define ANANAS_BUFFER 73728
 *     ...
 *     ANANAS_ANSWER(a, v) {
 *         ananas_reader all = ananas_records(a);
 *         ananas_record r;
 *         ananas_answer_with(v);
 *         while (ananas_next(&all, &r))
 *             if (r.section == ANANAS_IN_ANSWER && r.type != ANANAS_TXT) ananas_put(v, &r);
 *     }
 *
 * One of phase log has ANANAS_LOG(l), which is called for each line of a batch, and the same buffer.
 *
 * ANANAS_START() { ... } runs once for each instance, to read settings; what it returns is 0, or the module is not used. ananas_wrong says why.
 */
#ifndef ANANAS_H
#define ANANAS_H

#include <stddef.h>
#include <stdint.h>

#define ANANAS_EXPORT(name) __attribute__((export_name(name)))
#define ANANAS_IMPORT(name) __attribute__((import_module("ananas"), import_name(name)))

/* Functions of the host. All but ananas_setting and ananas_complain need a capability in the manifest, and its grant. */
ANANAS_IMPORT("setting") int32_t ananas_setting(const void *key, size_t key_len, void *out, size_t room);
ANANAS_IMPORT("complain") int32_t ananas_complain(const void *why, size_t why_len); /* in ANANAS_START: what is shown with the error */
ANANAS_IMPORT("data_open") int32_t ananas_data_open(const void *name, size_t name_len);
ANANAS_IMPORT("data_find") int32_t ananas_data_find(int32_t data, int32_t how, const void *key, size_t key_len);
ANANAS_IMPORT("log") int32_t ananas_log(int32_t level, const void *text, size_t text_len);
ANANAS_IMPORT("counter") int32_t ananas_counter(const void *name, size_t name_len);
ANANAS_IMPORT("count") int32_t ananas_count(int32_t counter, int64_t n);
ANANAS_IMPORT("histogram") int32_t ananas_histogram(const void *name, size_t name_len);
ANANAS_IMPORT("observe") int32_t ananas_observe(int32_t histogram, int64_t value); /* 0 or more, in a unit of the plugin's own */
ANANAS_IMPORT("resolve") int32_t ananas_resolve(const void *name, size_t name_len, uint16_t type, void *out, size_t room); /* an ananas_answer */
ANANAS_IMPORT("now") int64_t ananas_now(void);
ANANAS_IMPORT("random") int32_t ananas_random(void *out, size_t len);

enum { ANANAS_DEBUG, ANANAS_INFO, ANANAS_WARNING, ANANAS_ERROR };

/* A literal as text: ANANAS_TEXT("zones") is two arguments. */
#define ANANAS_TEXT(literal) (literal), sizeof(literal) - 1

enum { ANANAS_ABSENT = -1, ANANAS_BOUNDS = -2, ANANAS_ROOM = -3, ANANAS_DENIED = -4, ANANAS_LIMIT = -5, ANANAS_FAILED = -6, ANANAS_MALFORMED = -7 };

enum { ANANAS_EXACT, ANANAS_SUFFIX, ANANAS_PREFIX };

/* What ananas_data_find returns of a list that is a response policy zone: what the zone wants done. Local is an answer of the zone's own; the list does not have its records. */
enum { ANANAS_RPZ_NXDOMAIN = 1, ANANAS_RPZ_NODATA, ANANAS_RPZ_PASSTHRU, ANANAS_RPZ_DROP, ANANAS_RPZ_TCP_ONLY, ANANAS_RPZ_LOCAL };

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
enum { ANANAS_A = 1, ANANAS_CNAME = 5, ANANAS_SOA = 6, ANANAS_TXT = 16, ANANAS_AAAA = 28, ANANAS_HTTPS = 65 };

/* The name in wire form (labels with their lengths), in small letters. */
static inline const uint8_t *ananas_name(const ananas_query *q) { return (const uint8_t *)q + q->head; }

/* The tag of the client's tenant, of tenant_len octets. */
static inline const uint8_t *ananas_tenant(const ananas_query *q) { return ananas_name(q) + q->name_len; }

/* What is about to be answered. */
typedef struct __attribute__((may_alias)) {
    uint16_t head, rcode;
    uint8_t security, flags;
    uint16_t query_len, counts[3], reserved;
    uint32_t records_len, reserved2;
} ananas_answer;

enum { ANANAS_INDETERMINATE, ANANAS_INSECURE, ANANAS_SECURE };
enum { ANANAS_CACHED = 1, ANANAS_STALE = 2, ANANAS_MADE = 4 }; /* here: by a module of phase query, or since the name is a special one */
enum { ANANAS_IN_ANSWER, ANANAS_IN_AUTHORITY, ANANAS_IN_ADDITIONAL };

static inline const ananas_query *ananas_asked(const ananas_answer *a) { return (const ananas_query *)((const uint8_t *)a + a->head); }

/* A record: its names are whole, in wire form. What it points to is valid until the function returns. */
typedef struct {
    const uint8_t *name, *data;
    size_t name_len, data_len;
    uint32_t ttl; /* seconds */
    uint16_t type;
    uint8_t section;
} ananas_record;

/* Where a reader of records is. */
typedef struct {
    const uint8_t *at, *end;
    uint16_t left[3];
} ananas_reader;

static inline ananas_reader ananas_records(const ananas_answer *a) {
    const uint8_t *at = (const uint8_t *)a + a->head + a->query_len;
    return (ananas_reader){at, at + a->records_len, {a->counts[0], a->counts[1], a->counts[2]}};
}

static inline uint32_t ananas_be_(const uint8_t *b, int n) {
    uint32_t v = 0;
    while (n--) v = v << 8 | *b++;
    return v;
}

/* Reads the next record; 0 behind the last, and where what is left is none. */
static inline int ananas_next(ananas_reader *all, ananas_record *r) {
    r->section = 0;
    while (r->section < 3 && !all->left[r->section]) r->section++;
    if (r->section == 3) return 0;
    all->left[r->section]--;
    const uint8_t *b = all->at;
    r->name = b;
    while (b < all->end && *b) b += *b + 1;
    if (b >= all->end || all->end - ++b < 10) return 0;
    r->name_len = (size_t)(b - r->name);
    r->type = (uint16_t)ananas_be_(b, 2);
    r->ttl = ananas_be_(b + 4, 4);
    r->data_len = ananas_be_(b + 8, 2);
    r->data = b + 10;
    if (r->data_len > (size_t)(all->end - r->data)) return 0;
    all->at = r->data + r->data_len;
    return 1;
}

/* What was answered, of a batch. */
typedef struct __attribute__((may_alias)) {
    uint16_t head, rcode;
    uint8_t flags, reserved[3];
    int64_t time;   /* nanoseconds since 1970 */
    uint32_t took;  /* microseconds */
    uint16_t query_len, tags_len;
    uint8_t reserved2[8];
} ananas_line;

enum { ANANAS_BLOCKED = 4 }; /* beside ANANAS_CACHED and ANANAS_STALE */

static inline const ananas_query *ananas_line_asked(const ananas_line *l) { return (const ananas_query *)((const uint8_t *)l + l->head); }

/* The tags that modules gave it, with a comma between them: tags_len octets. */
static inline const uint8_t *ananas_line_tags(const ananas_line *l) { return (const uint8_t *)l + l->head + l->query_len; }

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

/* The buffer. A module of phase answer defines ANANAS_BUFFER as 73728 before it includes this. */
#ifndef ANANAS_BUFFER
#define ANANAS_BUFFER 4096
#endif

/* How much of a verdict the text, the group, the tag and the data may have together. */
#define ANANAS_REST_ (ANANAS_BUFFER - sizeof(ananas_verdict))

static inline uint8_t *ananas_data(ananas_verdict *v) { return v->rest + v->text_len + v->group_len + v->tag_len; }

static inline void ananas_act_(ananas_verdict *v, uint8_t action, uint32_t ttl) {
    v->action = action;
    v->ttl = ttl;
    v->data_len = 0;
}

/* What becomes of a query. The TTL is that of what the node makes, in seconds. */
static inline void ananas_go_on(ananas_verdict *v) { ananas_act_(v, ANANAS_GO_ON, 0); }
static inline void ananas_nxdomain(ananas_verdict *v, uint32_t ttl) { ananas_act_(v, ANANAS_NXDOMAIN, ttl); }
static inline void ananas_nodata(ananas_verdict *v, uint32_t ttl) { ananas_act_(v, ANANAS_NODATA, ttl); }
static inline void ananas_refuse(ananas_verdict *v) { ananas_act_(v, ANANAS_REFUSE, 0); }
static inline void ananas_drop(ananas_verdict *v) { ananas_act_(v, ANANAS_DROP, 0); }

/* Makes a part of what is behind the head so long, and moves the parts behind it. 0: there is no room. */
static inline int ananas_part_(ananas_verdict *v, uint8_t *part, uint16_t *len, size_t n) {
    size_t used = (size_t)(ananas_data(v) - v->rest) + v->data_len;
    uint8_t *behind = part + *len;
    if (used - *len + n > ANANAS_REST_) return 0;
    __builtin_memmove(part + n, behind, (size_t)(v->rest + used - behind));
    *len = (uint16_t)n;
    return 1;
}

/* The extended error that says why (RFC 8914): 15 is blocked, 16 censored, 17 filtered. */
static inline void ananas_why(ananas_verdict *v, uint16_t code, const char *text, size_t len) {
    v->ede = (uint16_t)(code + 1);
    if (len > 1024) len = 1024;
    if (ananas_part_(v, v->rest, &v->text_len, len)) ananas_copy(v->rest, text, len);
}

/* The group of servers that is to resolve the query, if it goes on or is rewritten: one of the node's settings. Phase query. */
static inline void ananas_group(ananas_verdict *v, const char *name, size_t len) {
    uint8_t *at = v->rest + v->text_len;
    if (len > 63) len = 63;
    if (ananas_part_(v, at, &v->group_len, len)) ananas_copy(at, name, len);
}

/* A word for views and logs. */
static inline void ananas_tag(ananas_verdict *v, const char *text, size_t len) {
    uint8_t *at = v->rest + v->text_len + v->group_len;
    if (len > 63) len = 63;
    if (ananas_part_(v, at, &v->tag_len, len)) ananas_copy(at, text, len);
}

/* Neither what is cached nor what would be kept is used for this query. */
static inline void ananas_no_cache(ananas_verdict *v) { v->flags |= ANANAS_NO_CACHE; }

/* These addresses in place of what there is: n4 of 4 octets, and n6 of 16, up to 32 of each. */
static inline void ananas_address(ananas_verdict *v, uint32_t ttl, const uint8_t *four, uint8_t n4, const uint8_t *sixteen, uint8_t n6) {
    ananas_act_(v, ANANAS_ADDRESS, ttl);
    if (n4 > 32) n4 = 32;
    if (n6 > 32) n6 = 32;
    uint8_t *data = ananas_data(v);
    data[0] = n4;
    data[1] = n6;
    if (n4) ananas_copy(data + 2, four, 4 * (size_t)n4);
    if (n6) ananas_copy(data + 2 + 4 * (size_t)n4, sixteen, 16 * (size_t)n6);
    v->data_len = 2 + 4 * (uint32_t)n4 + 16 * (uint32_t)n6;
}

/* What another name has, behind an alias to it. Phase query. */
static inline void ananas_rewrite(ananas_verdict *v, uint32_t ttl, const uint8_t *name, size_t len) {
    ananas_act_(v, ANANAS_REWRITE, ttl);
    if (len > 255) len = 255;
    ananas_copy(ananas_data(v), name, len);
    v->data_len = (uint32_t)len;
}

/* The records that are put from now on are the answer; at phase answer they stand in place of all that there are. */
static inline void ananas_answer_with(ananas_verdict *v) { ananas_act_(v, ANANAS_RECORDS, 0); }

/* Puts a record. 0: there is no room for it. Behind NXDOMAIN and NODATA: the SOA record of the zone, which is shown, and has the denial kept, in place of the node's. */
static inline int ananas_put(ananas_verdict *v, const ananas_record *r) {
    uint8_t *to = ananas_data(v) + v->data_len;
    if (r->data_len > 65535 || (size_t)(to - v->rest) + r->name_len + 10 + r->data_len > ANANAS_REST_) return 0;
    const uint8_t head[10] = {(uint8_t)(r->type >> 8), (uint8_t)r->type, 0, 1, (uint8_t)(r->ttl >> 24), (uint8_t)(r->ttl >> 16), (uint8_t)(r->ttl >> 8), (uint8_t)r->ttl,
                              (uint8_t)(r->data_len >> 8), (uint8_t)r->data_len};
    ananas_copy(to, r->name, r->name_len);
    ananas_copy(to + r->name_len, head, 10);
    ananas_copy(to + r->name_len + 10, r->data, r->data_len);
    v->data_len += (uint32_t)(r->name_len + 10 + r->data_len);
    return 1;
}

static _Alignas(8) uint8_t ananas_buffer_[ANANAS_BUFFER], ananas_verdict_[ANANAS_BUFFER];

ANANAS_EXPORT("ananas_buffer") void *ananas_give_buffer(int32_t size) { return size <= (int32_t)sizeof ananas_buffer_ ? ananas_buffer_ : 0; }

/* The verdict, written where the record was. */
static inline int32_t ananas_return(void) {
    ananas_verdict *v = (ananas_verdict *)ananas_verdict_;
    if (!v->action && !v->flags && !v->ede && !v->tag_len && !v->group_len) return 0;
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
/* A module of phase log: what it does with one line, l. */
#define ANANAS_LOG(l)                                                                             \
    static void ananas_on_line(const ananas_line *l);                                             \
    ANANAS_EXPORT("ananas_log") int32_t ananas_run_log(int32_t len) {                             \
        static _Alignas(8) uint8_t line[1024]; /* in the buffer it lies anywhere */               \
        const ananas_line *one = (const ananas_line *)line;                                       \
        const uint8_t *at = ananas_buffer_ + 4, *end = ananas_buffer_ + len;                      \
        while (end - at >= 4) {                                                                   \
            uint32_t n;                                                                           \
            ananas_copy(&n, at, 4);                                                               \
            at += 4;                                                                              \
            if (n > (size_t)(end - at)) break;                                                    \
            if (n >= sizeof *one && n <= sizeof line) {                                           \
                ananas_copy(line, at, n);                                                         \
                if ((size_t)one->head + one->query_len + one->tags_len <= n) ananas_on_line(one); \
            }                                                                                     \
            at += n;                                                                              \
        }                                                                                         \
        return 0;                                                                                 \
    }                                                                                             \
    static void ananas_on_line(const ananas_line *l)

#define ANANAS_START() ANANAS_EXPORT("ananas_start") int32_t ananas_on_start(void)

/* Reads a name as people write it, small letters or large, with or without the dot at the end, and without backslashes. Returns its octets in out, which has 255; 0 if it is none. */
static inline size_t ananas_parse(const char *text, size_t len, uint8_t *out) {
    if (len && text[len - 1] == '.') len--;
    if (!len || len > 253) return 0;
    size_t label = 0; /* where its length goes */
    for (size_t i = 0; i <= len; i++) {
        uint8_t c = i < len ? (uint8_t)text[i] : '.';
        if (c == '.') {
            size_t n = i - label;
            if (n == 0 || n > 63) return 0;
            out[label] = (uint8_t)n;
            label = i + 1;
        } else if (c <= ' ' || c > '~' || c == '\\') {
            return 0;
        } else {
            out[i + 1] = c >= 'A' && c <= 'Z' ? c + 32 : c;
        }
    }
    out[label] = 0;
    return label + 1;
}

/* A set of zones: a hash table over names that lie one behind the other. ANANAS_ZONES(z, 4096, 65536) is one of up to 4,095 zones in 64 KiB; the first number is a power of two. */
typedef struct {
    uint32_t *slots, size;
    uint8_t *names;
    size_t room, used;
    uint32_t count, deepest; /* how many there are, and the most labels of one */
} ananas_zones;

#define ANANAS_ZONES(z, slots, octets)            \
    static uint32_t z##_slots_[2 * (slots)];      \
    static uint8_t z##_names_[octets];            \
    static ananas_zones z = {z##_slots_, 2 * (slots), z##_names_, octets, 0, 0, 0}

/* Writes where the labels of a name begin, and returns how many there are: 127 at most. */
static inline uint32_t ananas_labels(const uint8_t *name, uint8_t *at) {
    uint32_t n = 0;
    for (uint32_t i = 0; name[i] && n < 127; i += name[i] + 1u) at[n++] = (uint8_t)i;
    return n;
}

/* Hashes a label behind those to its right, so that all that is above a name is hashed in one go over it: FNV-1a. It begins with 2166136261. */
static inline uint32_t ananas_hash(uint32_t h, const uint8_t *label) {
    for (uint32_t i = 0, n = label[0]; i <= n; i++) h = (h ^ label[i]) * 16777619u;
    return h;
}

static inline uint32_t *ananas_slot_(const ananas_zones *z, uint32_t h, const uint8_t *name, size_t len) {
    for (uint32_t i = h ^ h >> 15;; i++) { /* its upper bits folded in */
        uint32_t *s = &z->slots[i & (z->size - 1)];
        const uint8_t *there = z->names + *s; /* the length, then the name; 0 is an empty slot */
        if (!*s || (there[-1] == len && ananas_equal(there, name, len))) return s;
    }
}

/* Adds a zone; 0: there is no room for it. */
static inline int ananas_add(ananas_zones *z, const uint8_t *name, size_t len) {
    uint8_t at[127];
    uint32_t h = 2166136261u, labels = ananas_labels(name, at);
    for (uint32_t i = labels; i--;) h = ananas_hash(h, name + at[i]);
    uint32_t *s = ananas_slot_(z, h, name, len);
    if (*s) return 1;
    if (z->count + 1 >= z->size / 2 || z->used + 1 + len > z->room) return 0;
    z->names[z->used] = (uint8_t)len;
    ananas_copy(z->names + z->used + 1, name, len);
    *s = (uint32_t)z->used + 1;
    z->used += 1 + len;
    z->count++;
    if (z->deepest < labels) z->deepest = labels;
    return 1;
}

/* Tells whether a name is one of the zones, or below one. */
static inline int ananas_covers(const ananas_zones *z, const uint8_t *name, size_t len) {
    uint8_t at[127];
    uint32_t h = 2166136261u, labels = ananas_labels(name, at);
    for (uint32_t depth = 1; depth <= labels && depth <= z->deepest; depth++) {
        uint32_t from = at[labels - depth];
        h = ananas_hash(h, name + from);
        if (*ananas_slot_(z, h, name + from, len - from)) return 1;
    }
    return 0;
}

/* Adds the zones of a list as people write it: names with blanks, commas or line ends between them. Returns 0, or which of them, from 1, is no name or has no room. */
static inline int32_t ananas_add_list(ananas_zones *z, const char *text, size_t len) {
    uint8_t name[256];
    int32_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t from = i;
        while (i < len && (uint8_t)text[i] > ' ' && text[i] != ',') i++;
        if (i > from) {
            n++;
            size_t name_len = ananas_parse(text + from, i - from, name);
            if (!name_len || !ananas_add(z, name, name_len)) return n;
        }
        i++;
    }
    return 0;
}

/* What ANANAS_START returns, and why: "return ananas_wrong(ANANAS_TEXT("code: neither 15 nor 16"), 1);". 0 is no error, and nothing is said. */
static inline int32_t ananas_wrong(const char *why, size_t why_len, int32_t n) {
    if (n) ananas_complain(why, why_len);
    return n;
}

/* The same with a number behind it, as of the word that is wrong: "return ananas_wrong_at(ANANAS_TEXT("zones: not a name: word "), n, n);". */
static inline int32_t ananas_wrong_at(const char *why, size_t why_len, int32_t at, int32_t n) {
    char text[160], digits[10];
    size_t len = 0, k = 0;
    if (!n) return 0;
    for (uint32_t rest = (uint32_t)at; rest || !k; rest /= 10) digits[k++] = (char)('0' + rest % 10);
    while (len < why_len && len < sizeof text - sizeof digits) {
        text[len] = why[len];
        len++;
    }
    while (k) text[len++] = digits[--k];
    ananas_complain(text, len);
    return n;
}

#endif
