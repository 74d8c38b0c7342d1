/* A plugin that asks a question of its own: for names that begin with ask it answers with the addresses of www.example, and for those that begin with many it asks until it is stopped.
 * build.sh makes asks.wasm of it. */
#include "ananas.h"

static _Alignas(8) uint8_t out[8192];

ANANAS_QUERY(q, v) {
    const uint8_t *name = ananas_name(q);
    if (ananas_equal(name, (const uint8_t *)"\4many", 5))
        while (ananas_resolve(ANANAS_NAME("\3www\7example"), ANANAS_A, out, sizeof out) > 0) {}
    if (!ananas_equal(name, (const uint8_t *)"\3ask", 4)) return;
    if (ananas_resolve(ANANAS_NAME("\3www\7example"), ANANAS_A, out, sizeof out) < 0) {
        ananas_refuse(v);
        return;
    }
    ananas_reader all = ananas_records((const ananas_answer *)out);
    ananas_record r;
    ananas_answer_with(v);
    while (ananas_next(&all, &r))
        if (r.section == ANANAS_IN_ANSWER && r.type == ANANAS_A) {
            r.name = name;
            r.name_len = q->name_len;
            ananas_put(v, &r);
        }
}
