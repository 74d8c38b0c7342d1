/* A plugin that answers every query with one address: the octets after the mark in its data, which who runs it changes, so that it is another module. build.sh makes told.wasm of it. */
#include "ananas.h"

static volatile const uint8_t address[12] = {'A', 'D', 'D', 'R', 'E', 'S', 'S', ':', 192, 0, 2, 1};

ANANAS_QUERY(q, v) {
    const uint8_t is[4] = {address[8], address[9], address[10], address[11]};
    (void)q;
    ananas_address(v, 60, is, 1, 0, 0);
}
