/* A plugin of phase log: it counts what was answered, and logs the first label and the response code of each. build.sh makes tally.wasm of it. */
#define ANANAS_BUFFER 73728
#include "ananas.h"

static int32_t all = -1;

ANANAS_START() {
    all = ananas_counter(ANANAS_TEXT("all"));
    return all < 0;
}

ANANAS_LOG(l) {
    const ananas_query *q = ananas_line_asked(l);
    const uint8_t *name = ananas_name(q);
    char text[80];
    size_t n = name[0];
    ananas_copy(text, name + 1, n);
    text[n++] = ' ';
    text[n++] = (char)('0' + l->rcode);
    text[n++] = l->flags & ANANAS_BLOCKED ? 'b' : '-';
    text[n++] = l->flags & ANANAS_CACHED ? 'c' : '-';
    text[n++] = q->family == 4 && q->bits == 24 ? '4' : '-';
    ananas_log(ANANAS_INFO, text, n);
    ananas_count(all, 1);
}
