/* A plugin that asks a data set for each query, whatever it holds: what a list of blocked names costs. build.sh makes listed.wasm of it. */
#include "ananas.h"

static int32_t list = -1;

ANANAS_START() {
    list = ananas_data_open("bad", 3);
    return list < 0;
}

ANANAS_QUERY(q, v) {
    if (ananas_data_find(list, ANANAS_SUFFIX, ananas_name(q), q->name_len) >= 0) ananas_nxdomain(v, 60);
}
