/* A plugin that does harm where the first label of a name says so, and else lets queries go on. build.sh makes hostile.wasm of it. */
#include "ananas.h"

#define is(q, label) (ananas_name(q)[0] == sizeof label - 1 && ananas_equal(ananas_name(q) + 1, (const uint8_t *)label, sizeof label - 1))

static volatile uint32_t sink;

/* The address is used after the call, so that it is no tail call. */
static __attribute__((noinline)) uint32_t deeper(volatile uint32_t *above) {
    volatile uint32_t here[64];
    here[0] = *above + 1;
    if (here[0] == 0) return 0; /* after 2^32 of them */
    return deeper(here) + here[0];
}

ANANAS_START() {
    char value[8];
    if (ananas_setting("start", 5, value, sizeof value) == 7) /* forever */
        for (;;) sink++;
    return 0;
}

ANANAS_QUERY(q, v) {
    if (is(q, "loop"))
        for (;;) sink++;
    if (is(q, "spin")) /* without a load or a store */
        for (;;) __asm__ volatile("");
    if (is(q, "grow"))
        for (;;) sink = (uint32_t)__builtin_wasm_memory_grow(0, 1);
    if (is(q, "grab"))
        for (;;) sink = (uint32_t)__builtin_wasm_memory_grow(0, 65535);
    if (is(q, "fill"))
        for (;;) __builtin_memset((void *)65536, (int)sink++, 32768);
    if (is(q, "recurse")) {
        volatile uint32_t here = 0;
        sink = deeper(&here);
    }
    if (is(q, "flood")) {
        char value[8];
        for (;;) sink = (uint32_t)ananas_setting("start", 5, value, sizeof value);
    }
    if (is(q, "wild")) sink = *(volatile uint32_t *)0xfffffff0u;
    if (is(q, "wildhost")) /* the host says no, 50 times, to addresses that are not in this memory; then it traps */
        for (uint32_t i = 0;; i++)
            if (i == 50 || ananas_setting((void *)(0xffffff00u + i), 0x7fffffff, (void *)0xfffffff0u, 0xffffffffu) != ANANAS_BOUNDS) __builtin_trap();
    if (is(q, "trap")) __builtin_trap();
    if (is(q, "long")) {
        v->action = ANANAS_RECORDS;
        v->data_len = 0xfffffff0u;
    }
}
