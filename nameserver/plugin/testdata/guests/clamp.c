/* A plugin of phase answer: it lets no record of the answer section live longer than ten seconds, leaves out addresses in 10.0.0.0/8, fails for names that begin with trap, and denies those that begin with deny, for an hour. What was
 * made here it leaves as it is.
 * build.sh makes clamp.wasm of it. */
#define ANANAS_BUFFER 73728
#include "ananas.h"

ANANAS_ANSWER(a, v) {
    const ananas_query *q = ananas_asked(a);
    if (ananas_equal(ananas_name(q), (const uint8_t *)"\4trap", 5)) __builtin_trap();
    if (ananas_equal(ananas_name(q), (const uint8_t *)"\4deny", 5)) {
        ananas_nodata(v, 3600);
        return;
    }
    if (a->flags & ANANAS_MADE) return;
    const uint8_t *at = (const uint8_t *)q + a->query_len;
    uint8_t *to = ananas_data(v);
    uint32_t n = 0;
    int changed = 0;
    for (int i = 0; i < a->counts[0]; i++) {
        const uint8_t *from = at;
        while (*at) at += *at + 1;
        at++;
        uint32_t head = (uint32_t)(at - from);
        uint32_t ttl = (uint32_t)at[4] << 24 | (uint32_t)at[5] << 16 | (uint32_t)at[6] << 8 | at[7];
        int isA = at[0] == 0 && at[1] == 1;
        uint32_t size = 10 + ((uint32_t)at[8] << 8 | at[9]);
        if (isA && at[10] == 10) {
            changed = 1;
        } else {
            ananas_copy(to + n, from, head + size);
            if (ttl > 10) {
                static const uint8_t ten[] = {0, 0, 0, 10};
                ananas_copy(to + n + head + 4, ten, 4);
                changed = 1;
            }
            n += head + size;
        }
        at += size;
    }
    if (!changed) return;
    v->action = ANANAS_RECORDS;
    v->ttl = 10;
    v->data_len = n;
}
