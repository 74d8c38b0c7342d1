/* safesearch: search engines are asked at the hosts by which they enforce their filter. */
#include "../../c/ananas.h"

enum { GOOGLE, YOUTUBE, BING, DUCKDUCKGO, BRAVE, ECOSIA, PIXABAY, YANDEX, ENGINES };

static const struct {
    const char *text;
    size_t len;
} names[ENGINES] = {{ANANAS_TEXT("google")}, {ANANAS_TEXT("youtube")}, {ANANAS_TEXT("bing")}, {ANANAS_TEXT("duckduckgo")}, {ANANAS_TEXT("brave")}, {ANANAS_TEXT("ecosia")}, {ANANAS_TEXT("pixabay")}, {ANANAS_TEXT("yandex")}};

typedef struct {
    const uint8_t *name;
    size_t len;
} host;

static host enforced[ENGINES] = {
    [GOOGLE] = {ANANAS_NAME("\17forcesafesearch\6google\3com")},
    [YOUTUBE] = {ANANAS_NAME("\20restrictmoderate\7youtube\3com")},
    [BING] = {ANANAS_NAME("\6strict\4bing\3com")},
    [DUCKDUCKGO] = {ANANAS_NAME("\4safe\12duckduckgo\3com")},
    [BRAVE] = {ANANAS_NAME("\11forcesafe\6search\5brave\3com")},
    [ECOSIA] = {ANANAS_NAME("\22strict-safe-search\6ecosia\3org")},
    [PIXABAY] = {ANANAS_NAME("\12safesearch\7pixabay\3com")},
    [YANDEX] = {ANANAS_NAME("\14familysearch\6yandex\2ru")},
};

/* Hosts, each by its whole name. Google's and Yandex's have a rule. */
static const struct {
    int engine;
    host host;
} hosts[] = {
    {YOUTUBE, {ANANAS_NAME("\3www\7youtube\3com")}},
    {YOUTUBE, {ANANAS_NAME("\1m\7youtube\3com")}},
    {YOUTUBE, {ANANAS_NAME("\10youtubei\12googleapis\3com")}},
    {YOUTUBE, {ANANAS_NAME("\7youtube\12googleapis\3com")}},
    {YOUTUBE, {ANANAS_NAME("\3www\20youtube-nocookie\3com")}},
    {BING, {ANANAS_NAME("\3www\4bing\3com")}},
    {BING, {ANANAS_NAME("\4bing\3com")}},
    {BING, {ANANAS_NAME("\14edgeservices\4bing\3com")}},
    {DUCKDUCKGO, {ANANAS_NAME("\12duckduckgo\3com")}},
    {DUCKDUCKGO, {ANANAS_NAME("\3www\12duckduckgo\3com")}},
    {DUCKDUCKGO, {ANANAS_NAME("\5start\12duckduckgo\3com")}},
    {BRAVE, {ANANAS_NAME("\6search\5brave\3com")}},
    {ECOSIA, {ANANAS_NAME("\3www\6ecosia\3org")}},
    {PIXABAY, {ANANAS_NAME("\7pixabay\3com")}},
    {YANDEX, {ANANAS_NAME("\2ya\2ru")}},
    {YANDEX, {ANANAS_NAME("\3www\2ya\2ru")}},
};

static int off[ENGINES];

/* Tells whether a name is one of a brand: perhaps www, the brand, and com, a country (two letters), com and a country, or co and a country. Google's list of its domains (google.com/supported_domains) has cat beside those. */
static int brand(const uint8_t *name, size_t len, const uint8_t *brand, size_t brand_len) {
    if (len > 4 && ananas_equal(name, (const uint8_t *)"\3www", 4)) name += 4, len -= 4;
    if (len <= brand_len || !ananas_equal(name, brand, brand_len)) return 0;
    name += brand_len;
    len -= brand_len;
    if (len == 5) return ananas_equal(name, (const uint8_t *)"\3com", 5) || ananas_equal(name, (const uint8_t *)"\3cat", 5);
    if (len == 4) return name[0] == 2;
    if (len == 8) return name[4] == 2 && ananas_equal(name, (const uint8_t *)"\3com", 4);
    return len == 7 && name[3] == 2 && ananas_equal(name, (const uint8_t *)"\2co", 3);
}

/* Which engine a name belongs to; ENGINES: none. */
static int engine(const uint8_t *name, size_t len) {
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++)
        if (hosts[i].host.len == len && ananas_equal(hosts[i].host.name, name, len)) return hosts[i].engine;
    if (brand(name, len, (const uint8_t *)"\6google", 7)) return GOOGLE;
    return brand(name, len, (const uint8_t *)"\6yandex", 7) ? YANDEX : ENGINES;
}

static int is(const char *text, size_t len, const char *word, size_t word_len) { return len == word_len && ananas_equal((const uint8_t *)text, (const uint8_t *)word, len); }

/* What ananas_start returns: 1000 that youtube is neither strict, moderate nor off; 2000 that off is too long; below that, which word of off is no engine. */
ANANAS_START() {
    char text[256];
    int32_t n = ananas_setting(ANANAS_TEXT("youtube"), text, sizeof text);
    if (n != ANANAS_ABSENT) {
        size_t len = n < 0 ? 0 : (size_t)n;
        off[YOUTUBE] = is(text, len, ANANAS_TEXT("off"));
        if (is(text, len, ANANAS_TEXT("strict"))) {
            enforced[YOUTUBE] = (host){ANANAS_NAME("\10restrict\7youtube\3com")};
        } else if (!off[YOUTUBE] && !is(text, len, ANANAS_TEXT("moderate"))) {
            return ananas_wrong(ANANAS_TEXT("youtube: neither strict, moderate nor off"), 1000);
        }
    }
    n = ananas_setting(ANANAS_TEXT("off"), text, sizeof text);
    if (n == ANANAS_ROOM) return ananas_wrong(ANANAS_TEXT("off: longer than 256 octets"), 2000);
    int32_t word = 0;
    for (int32_t i = 0; i < n;) {
        int32_t from = i, k = 0;
        while (i < n && text[i] != ' ' && text[i] != ',') i++;
        if (i > from) {
            word++;
            while (k < ENGINES && !is(text + from, (size_t)(i - from), names[k].text, names[k].len)) k++;
            if (k == ENGINES) return ananas_wrong_at(ANANAS_TEXT("off: not an engine: word "), word, word);
            off[k] = 1;
        }
        i++;
    }
    return 0;
}

ANANAS_QUERY(q, v) {
    /* Mail and the like goes where it went: an alias would be one for all types. */
    if (q->type != ANANAS_A && q->type != ANANAS_AAAA && q->type != ANANAS_HTTPS) return;
    int e = engine(ananas_name(q), q->name_len);
    if (e < ENGINES && !off[e]) ananas_rewrite(v, 300, enforced[e].name, enforced[e].len);
}
