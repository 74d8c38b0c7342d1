/* A plugin of phase answer that says another thing every second time: none of an answer's records, or all. It is declared pure by whoever wants to see that found out. build.sh makes flips.wasm of it. */
#define ANANAS_BUFFER 73728
#include "ananas.h"

static int calls;

ANANAS_ANSWER(a, v) {
    (void)a;
    if (calls++ % 2) ananas_nodata(v, 60);
}
