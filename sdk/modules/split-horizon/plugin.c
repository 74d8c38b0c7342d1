/* split-horizon: names have the addresses of the view that the client's network is in. */
#include "../../c/ananas.h"
#include "../address.h"

enum { VIEWS = 16, NETWORKS = 64, NAMES = 400, ADDRESSES = 2048, SLOTS = 1024, TEXT = 20 << 10, NONE = 0xffff };

static struct {
    prefix prefix;
    uint8_t view;
} networks[NETWORKS];

/* A name in a view, with its addresses: those of 4 octets, then those of 16. */
static struct {
    uint16_t name, next; /* where it is in names, and the entry with the same name in another view, or NONE */
    uint16_t addresses;
    uint8_t name_len, view, n4, n6, wild;
} entries[NAMES];

static uint16_t slots[SLOTS]; /* by hash: an entry and 1, the first of its name */
static uint8_t names[TEXT], addresses[16 * ADDRESSES];
static uint32_t views, networks_n, entries_n, names_used, addresses_used, deepest, ttl = 60;
static struct {
    char name[32];
    size_t len;
} view[VIEWS];

static uint16_t *slot(uint32_t h, const uint8_t *name, size_t len) {
    for (uint32_t i = h ^ h >> 15;; i++) {
        uint16_t *s = &slots[i & (SLOTS - 1)];
        if (!*s || (entries[*s - 1].name_len == len && ananas_equal(names + entries[*s - 1].name, name, len))) return s;
    }
}

/* Adds a name in a view, and its addresses from the rest of the line. 0: there is no room, or a word is no address. */
static int add(uint8_t at, int wild, const uint8_t *name, size_t len, words *line) {
    uint8_t labels[127];
    uint32_t h = 2166136261u, n = ananas_labels(name, labels);
    for (uint32_t i = n; i--;) h = ananas_hash(h, name + labels[i]);
    if (entries_n == NAMES || names_used + len > sizeof names) return 0;
    uint16_t *s = slot(h, name, len);
    uint32_t e = entries_n++;
    entries[e].name = (uint16_t)names_used;
    entries[e].name_len = (uint8_t)len;
    entries[e].next = *s ? (uint16_t)(*s - 1) : NONE;
    entries[e].addresses = (uint16_t)addresses_used;
    entries[e].view = at;
    entries[e].wild = (uint8_t)wild;
    ananas_copy(names + names_used, name, len);
    names_used += len;
    *s = (uint16_t)(e + 1);
    if (deepest < n) deepest = n;
    uint8_t six[32][16], address[16];
    const char *word;
    for (size_t size; (size = next_word(line, &word));) {
        uint8_t octets = read_address(word, size, address);
        if (octets == 4 && entries[e].n4 < 32 && addresses_used + 4 <= sizeof addresses) {
            ananas_copy(addresses + addresses_used, address, 4);
            addresses_used += 4;
            entries[e].n4++;
        } else if (octets == 16 && entries[e].n6 < 32) {
            ananas_copy(six[entries[e].n6++], address, 16);
        } else {
            return 0;
        }
    }
    if (addresses_used + 16u * entries[e].n6 > sizeof addresses) return 0;
    ananas_copy(addresses + addresses_used, six, 16u * entries[e].n6);
    addresses_used += 16u * entries[e].n6;
    return 1;
}

/* Reads "NAME PREFIX..." lines. 0, or which line is wrong. */
static int32_t read_views(const char *text, size_t len) {
    words line = {text, text + len};
    int32_t n = 0;
    do {
        const char *word;
        size_t size = next_word(&line, &word);
        n++;
        if (!size) continue;
        if (views == VIEWS || size > sizeof view[0].name) return n;
        ananas_copy(view[views].name, word, size);
        view[views].len = size;
        while ((size = next_word(&line, &word))) {
            if (networks_n == NETWORKS || !read_prefix(word, size, &networks[networks_n].prefix)) return n;
            networks[networks_n++].view = (uint8_t)views;
        }
        views++;
    } while (next_line(&line));
    return 0;
}

/* Reads the lines of a view, "NAME ADDRESS...". 0, or which line is wrong. */
static int32_t read_names(uint8_t at, const char *text, size_t len) {
    words line = {text, text + len};
    int32_t n = 0;
    do {
        uint8_t name[256];
        const char *word;
        size_t size = next_word(&line, &word);
        n++;
        if (!size) continue;
        int wild = size > 2 && word[0] == '*' && word[1] == '.';
        size = ananas_parse(word + 2 * wild, size - 2u * (size_t)wild, name);
        if (!size || !add(at, wild, name, size, &line)) return n;
    } while (next_line(&line));
    return 0;
}

static int32_t wrong_ttl(void) { return ananas_wrong(ANANAS_TEXT("ttl: no number up to 86400"), 1); }

/* Says which line of a view is wrong; 999 is that all of it is too long. */
static void wrong_view(uint32_t i, int32_t wrong) {
    static const char lines[] = ": not a name with its addresses, or too many: line ", room[] = ": longer than 20480 octets";
    char why[sizeof view[0].name + sizeof lines];
    ananas_copy(why, view[i].name, view[i].len);
    if (wrong == 999) {
        ananas_copy(why + view[i].len, room, sizeof room - 1);
        ananas_complain(why, view[i].len + sizeof room - 1);
        return;
    }
    ananas_copy(why + view[i].len, lines, sizeof lines - 1);
    ananas_wrong_at(why, view[i].len + sizeof lines - 1, wrong, wrong);
}

/* What ananas_start returns: 1 that ttl is no number up to 86400; 1000 and a line of views; 1000 times a view's place and 1000, and a line of that view. Of a setting that is too long the line is 999. */
ANANAS_START() {
    static char text[TEXT];
    int32_t n = ananas_setting(ANANAS_TEXT("ttl"), text, sizeof text), wrong;
    if (n != ANANAS_ABSENT) {
        ttl = 0;
        if (n < 1 || n > 5) return wrong_ttl();
        for (int32_t i = 0; i < n; i++) {
            if (text[i] < '0' || text[i] > '9') return wrong_ttl();
            ttl = ttl * 10 + (uint32_t)(text[i] - '0');
        }
        if (ttl > 86400) return wrong_ttl();
    }
    n = ananas_setting(ANANAS_TEXT("views"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("views: longer than 20480 octets"), 1999);
    wrong = n < 0 ? 0 : read_views(text, (size_t)n);
    if (wrong) return ananas_wrong_at(ANANAS_TEXT("views: no prefix behind a name, or too many: line "), wrong, 1000 + wrong);
    for (uint32_t i = 0; i < views; i++) {
        int32_t base = 2000 + 1000 * (int32_t)i;
        n = ananas_setting(view[i].name, view[i].len, text, sizeof text);
        if (n == ANANAS_ROOM) return wrong_view(i, 999), base + 999;
        wrong = n < 0 ? 0 : read_names((uint8_t)i, text, (size_t)n);
        if (wrong) return wrong_view(i, wrong), base + wrong;
    }
    return 0;
}

ANANAS_QUERY(q, v) {
    uint32_t in = 0; /* the views that the client is in */
    for (uint32_t i = 0; i < networks_n; i++)
        if (prefix_has(&networks[i].prefix, q->client, q->family == 4 ? 4 : q->family == 6 ? 16 : 0)) in |= 1u << networks[i].view;
    if (!in) return;
    const uint8_t *name = ananas_name(q);
    uint8_t at[127];
    uint32_t h = 2166136261u, labels = ananas_labels(name, at), best = NONE;
    for (uint32_t depth = 1; depth <= labels && depth <= deepest; depth++) {
        const uint8_t *here = name + at[labels - depth];
        h = ananas_hash(h, here);
        for (uint32_t e = *slot(h, here, q->name_len - (size_t)at[labels - depth]) - 1u; e < NONE; e = entries[e].next) {
            if (!(in >> entries[e].view & 1) || entries[e].wild == (depth == labels)) continue; /* a wildcard is for what is below it, and a name for itself */
            if (best == NONE || entries[e].view <= entries[best].view) best = e;             /* the first view, and there the name itself, or the next wildcard above it */
        }
    }
    if (best == NONE) return;
    const uint8_t *four = addresses + entries[best].addresses;
    ananas_address(v, ttl, four, entries[best].n4, four + 4 * entries[best].n4, entries[best].n6);
    ananas_tag(v, view[entries[best].view].name, view[entries[best].view].len);
}
