/* Addresses and prefixes as people write them in settings. Behind ananas.h. */
#ifndef ADDRESS_H
#define ADDRESS_H

/* Words of a setting. */
typedef struct {
    const char *at, *end;
} words;

/* What a character is between words: 1 a blank, 2 the end of a line. A start has fuel for some 30 KB of words, and this is asked of each character. */
static const uint8_t between[256] = {[' '] = 1, [','] = 1, ['\t'] = 1, ['\r'] = 1, ['\n'] = 2, [';'] = 2};

static inline int kind(const char *c) { return between[(uint8_t)*c]; }

/* The next word of this line, and its length; 0 at the end of the line. Lines end with line ends or semicolons. */
static inline size_t next_word(words *w, const char **word) {
    const char *at = w->at, *end = w->end;
    while (at < end && kind(at) == 1) at++;
    *word = at;
    while (at < end && !kind(at)) at++;
    w->at = at;
    return (size_t)(at - *word);
}

/* Goes on to the next line; 0 if there is none. */
static inline int next_line(words *w) { return w->at < w->end && w->at++; }

/* Reads four numbers with dots between them. */
static inline int read_four(const char *text, size_t len, uint8_t *out) {
    uint32_t number = 0, digits = 0, fields = 0;
    for (size_t i = 0; i <= len; i++) {
        char c = i < len ? text[i] : '.';
        if (c == '.') {
            if (!digits || number > 255 || fields == 4) return 0;
            out[fields++] = (uint8_t)number;
            number = digits = 0;
        } else {
            if (c < '0' || c > '9' || digits == 3 || (digits && !number)) return 0;
            number = number * 10 + (uint32_t)(c - '0');
            digits++;
        }
    }
    return fields == 4;
}

static inline int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Reads an address of IPv6 (RFC 4291 section 2.2), without a zone. */
static inline int read_sixteen(const char *text, size_t len, uint8_t *out) {
    uint8_t behind[16] = {0};
    uint32_t n = 0, gap = 17; /* octets that are read, and where :: stands among them */
    size_t i = 0;
    if (len >= 2 && text[0] == ':' && text[1] == ':') {
        gap = 0;
        i = 2;
    }
    while (i < len) {
        size_t end = i;
        while (end < len && text[end] != ':' && text[end] != '.') end++;
        if (end < len && text[end] == '.') {
            if (n > 12 || !read_four(text + i, len - i, behind + n)) return 0;
            n += 4;
            i = len;
            break;
        }
        if (end == i || end - i > 4 || n > 14) return 0;
        uint32_t value = 0;
        for (; i < end; i++) {
            int digit = hex(text[i]);
            if (digit < 0) return 0;
            value = value << 4 | (uint32_t)digit;
        }
        behind[n++] = (uint8_t)(value >> 8);
        behind[n++] = (uint8_t)value;
        if (i == len) break;
        if (++i == len) return 0; /* one colon at the end */
        if (text[i] == ':') {
            if (gap < 17) return 0;
            gap = n;
            i++;
        }
    }
    if (gap == 17 ? n != 16 : n > 14) return 0;
    if (gap == 17) gap = n;
    __builtin_memset(out, 0, 16);
    ananas_copy(out, behind, gap);
    ananas_copy(out + 16 - (n - gap), behind + gap, n - gap);
    return 1;
}

/* Reads an address, and returns how many octets it has: 4, 16, or 0 if it is none. */
static inline uint8_t read_address(const char *text, size_t len, uint8_t *out) {
    if (read_four(text, len, out)) return 4;
    return read_sixteen(text, len, out) ? 16 : 0;
}

typedef struct {
    uint8_t address[16], size, bits;
} prefix;

/* Tells whether an address of so many octets is in a prefix. */
static inline int prefix_has(const prefix *p, const uint8_t *address, size_t size) {
    uint32_t whole = p->bits / 8, rest = p->bits % 8;
    if (p->size != size || !ananas_equal(p->address, address, whole)) return 0;
    return !rest || !((p->address[whole] ^ address[whole]) >> (8 - rest));
}

/* Reads a prefix, or an address as that of all its bits. 0: it is none, or has bits behind its length. */
static inline int read_prefix(const char *text, size_t len, prefix *p) {
    size_t slash = 0;
    while (slash < len && text[slash] != '/') slash++;
    p->size = read_address(text, slash, p->address);
    if (!p->size) return 0;
    uint32_t bits = 8u * p->size;
    if (slash < len) {
        uint32_t n = 0;
        if (len - slash < 2 || len - slash > 4) return 0;
        for (size_t i = slash + 1; i < len; i++) {
            if (text[i] < '0' || text[i] > '9') return 0;
            n = n * 10 + (uint32_t)(text[i] - '0');
        }
        if (n > bits) return 0;
        bits = n;
    }
    p->bits = (uint8_t)bits;
    for (uint32_t i = bits; i < 8u * p->size; i++)
        if (p->address[i / 8] >> (7 - i % 8) & 1) return 0;
    return 1;
}

#endif
