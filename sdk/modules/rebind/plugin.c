/* rebind: names of the world have no addresses of this network. Else a web page could have its own name lead to a printer or a router of who looks at it (DNS rebinding). */
#define ANANAS_BUFFER 73728
#include "../../c/ananas.h"
#include "../address.h"

enum { SVCB = 64, ANY = 255, PREFIXES = 32 };

/* What a call may do, in steps of at most some 28 units of fuel, of which it has 50,000: a label of an owner and 16 copied octets are one, a parameter and a prefix that is compared two, a hint six, a record eight. An answer that needs more is
 * not let through: else its owner could make it so long that it is not looked at. An address at a name of three labels takes 12 steps, so there may be 125. */
enum { MOST = 1500 };

ANANAS_ZONES(allowed, 1024, 16 << 10);
static prefix private[PREFIXES], public[PREFIXES];
static uint32_t private_n, public_n;
static int block;
static uint32_t steps;

static int32_t read_prefixes(const char *text, size_t len, prefix *to, uint32_t *n) {
    words line = {text, text + len};
    int32_t word = 0;
    const char *at;
    do {
        for (size_t size; (size = next_word(&line, &at)); (*n)++) {
            word++;
            if (*n == PREFIXES || !read_prefix(at, size, &to[*n])) return word;
        }
    } while (next_line(&line));
    return 0;
}

/* What ananas_start returns: 1 that do is neither strip nor block; 1000, 2000, 3000 and a number: which word of allow, private, public is wrong, 999 that the setting is too long. */
ANANAS_START() {
    static char text[16 << 10];
    /* Names that are nobody's on the Internet (RFC 6761, RFC 8375, and ICANN's resolution of 2024 on internal). */
    ananas_add_list(&allowed, ANANAS_TEXT("localhost home.arpa internal"));
    int32_t n = ananas_setting(ANANAS_TEXT("do"), text, sizeof text), wrong;
    if (n != ANANAS_ABSENT) {
        block = n == 5 && ananas_equal((const uint8_t *)text, (const uint8_t *)"block", 5);
        if (!block && !(n == 5 && ananas_equal((const uint8_t *)text, (const uint8_t *)"strip", 5))) return ananas_wrong(ANANAS_TEXT("do: neither strip nor block"), 1);
    }
    n = ananas_setting(ANANAS_TEXT("allow"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("allow: longer than 16384 octets"), 1999);
    wrong = n < 0 ? 0 : ananas_add_list(&allowed, text, (size_t)n);
    if (wrong) return ananas_wrong_at(ANANAS_TEXT("allow: not a name, or one too many: word "), wrong, 1000 + wrong);
    n = ananas_setting(ANANAS_TEXT("private"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("private: longer than 16384 octets"), 2999);
    wrong = n < 0 ? 0 : read_prefixes(text, (size_t)n, private, &private_n);
    if (wrong) return ananas_wrong_at(ANANAS_TEXT("private: not a prefix, or one too many: word "), wrong, 2000 + wrong);
    n = ananas_setting(ANANAS_TEXT("public"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("public: longer than 16384 octets"), 3999);
    wrong = n < 0 ? 0 : read_prefixes(text, (size_t)n, public, &public_n);
    return wrong ? ananas_wrong_at(ANANAS_TEXT("public: not a prefix, or one too many: word "), wrong, 3000 + wrong) : 0;
}

/* Prefixes that no other network's name may have (RFC 6890 and its registry): this network, private use, shared, loopback, link-local, benchmarks, multicast, reserved. 192.0.0.0/24 is not among them, for ipv4only.arpa
 * (RFC 7050), nor are the prefixes of documentation. */
static int private_four(const uint8_t *a) {
    switch (a[0]) {
    case 0:
    case 10:
    case 127: return 1;
    case 100: return (a[1] & 0xc0) == 64;
    case 169: return a[1] == 254;
    case 172: return (a[1] & 0xf0) == 16;
    case 192: return a[1] == 168;
    case 198: return (a[1] & 0xfe) == 18;
    }
    return a[0] >= 224;
}

static int zeros(const uint8_t *a, int n) {
    while (n--)
        if (a[n]) return 0;
    return 1;
}

static int listed(const prefix *list, uint32_t n, const uint8_t *a, size_t size) {
    steps += 2 * n;
    for (uint32_t i = 0; i < n; i++)
        if (prefix_has(&list[i], a, size)) return 1;
    return 0;
}

/* The address of IPv4 that one of IPv6 stands for; 0: none. */
static const uint8_t *within(const uint8_t *a) {
    static const uint8_t nat64[12] = {0, 0x64, 0xff, 0x9b};
    if (zeros(a, 8)) {
        if (zeros(a + 8, 4) || (zeros(a + 8, 2) && a[10] == 0xff && a[11] == 0xff)) return a + 12;   /* ::/96 with :: and ::1, and ::ffff:0:0/96 (mapped) */
        if (a[8] == 0xff && a[9] == 0xff && zeros(a + 10, 2)) return a + 12;                         /* ::ffff:0:0:0/96 (RFC 2765) */
    }
    if (ananas_equal(a, nat64, 12)) return a + 12;                                                   /* 64:ff9b::/96 (RFC 6052) */
    return a[0] == 0x20 && a[1] == 2 ? a + 2 : 0;                                                    /* 2002::/16 (6to4) */
}

/* Tells whether an address of 4 or 16 octets is of this network. */
static int is_private(const uint8_t *a, size_t size) {
    if (listed(public, public_n, a, size)) return 0;
    if (listed(private, private_n, a, size)) return 1;
    if (size == 4) return private_four(a);
    const uint8_t *four = within(a);
    if (four) return !listed(public, public_n, four, 4) && (listed(private, private_n, four, 4) || private_four(four));
    if (a[0] == 0xfc || a[0] == 0xfd || a[0] == 0xff) return 1;             /* fc00::/7, ff00::/8 */
    if (a[0] == 0xfe) return a[1] >= 0x80;                                  /* fe80::/10, fec0::/10 */
    if (a[0] == 1 && zeros(a + 1, 7)) return 1;                             /* 100::/64 (RFC 6666) */
    return a[0] == 0 && a[1] == 0x64 && a[2] == 0xff && a[3] == 0x9b && a[4] == 0 && a[5] == 1; /* 64:ff9b:1::/48 (RFC 8215) */
}

/* Tells whether the hints of an SVCB or HTTPS record (RFC 9460 section 7.3) have a private address. */
static int hints(const uint8_t *data, size_t len) {
    size_t i = 2;
    while (i < len && data[i]) i += data[i] + 1u, steps++;
    for (i++; i + 4 <= len && steps < MOST;) {
        uint32_t key = ananas_be_(data + i, 2), size = ananas_be_(data + i + 2, 2), each = key == 4 ? 4 : 16;
        i += 4;
        steps += 2;
        if (i + size > len) return 0;
        for (uint32_t k = 0; (key == 4 || key == 6) && k + each <= size && steps < MOST; k += each) {
            steps += 6;
            if (is_private(data + i + k, each)) return 1;
        }
        i += size;
    }
    return 0;
}

static int private_record(const ananas_record *r) {
    if (r->type == ANANAS_A && r->data_len == 4) return is_private(r->data, 4);
    if (r->type == ANANAS_AAAA && r->data_len == 16) return is_private(r->data, 16);
    return (r->type == ANANAS_HTTPS || r->type == SVCB) && hints(r->data, r->data_len);
}

/* ananas_next, in steps. */
static int next(ananas_reader *all, ananas_record *r) {
    const uint8_t *name = all->at;
    if (all->left[0] + all->left[1] + all->left[2] == 0) return 0;
    while (*name && steps < MOST) name += *name + 1, steps++;
    if (steps >= MOST) return 0;
    int there = ananas_next(all, r);
    steps += 8 + (uint32_t)(r->name_len + r->data_len) / 16;
    return there && steps < MOST;
}

ANANAS_ANSWER(a, v) {
    const ananas_query *q = ananas_asked(a);
    /* What this node's own modules say is the operator's word. Others than these types are no addresses for a browser. */
    if (a->flags & ANANAS_MADE) return;
    if (q->type != ANANAS_A && q->type != ANANAS_AAAA && q->type != ANANAS_HTTPS && q->type != SVCB && q->type != ANY) return;
    /* The name that was asked for decides, not the one that an alias leads to: the page has that name. */
    if (ananas_covers(&allowed, ananas_name(q), q->name_len)) return;
    ananas_reader all = ananas_records(a);
    ananas_record r;
    uint32_t kept = 0, out = 0;
    steps = 0;
    ananas_answer_with(v);
    while (next(&all, &r)) {
        if (private_record(&r)) {
            out++;
            if (block) break;
        } else if (r.section == ANANAS_IN_ANSWER) {
            kept++;
            ananas_put(v, &r);
        }
    }
    if (steps >= MOST) {
        ananas_nodata(v, 60);
        ananas_why(v, 15, ANANAS_TEXT("more records than rebind looks at"));
        return;
    }
    if (!out) {
        ananas_go_on(v);
        return;
    }
    if (block || !kept) ananas_nodata(v, 60);
    ananas_why(v, 15, ANANAS_TEXT("a private address for a public name"));
}
