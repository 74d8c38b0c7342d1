/* Complains at its start, as its setting says, and tries to later. */
#include "../../../../sdk/c/ananas.h"

ANANAS_START() {
    static char value[8], line[300];
    int32_t n = ananas_setting("how", 3, value, sizeof value);
    if (n < 0) return 0;
    if (value[0] == 't') { /* traps */
        ananas_complain(ANANAS_TEXT("it is too late"));
        __builtin_trap();
    }
    if (value[0] == 'l') { /* a long line */
        for (size_t i = 0; i < sizeof line; i++) line[i] = 'x';
        ananas_complain(line, sizeof line);
        return 2;
    }
    for (int32_t i = 1; i <= 7; i++) ananas_wrong_at(ANANAS_TEXT("line "), i, 1);
    return ananas_wrong(ANANAS_TEXT("not a \"word\""), 3);
}

ANANAS_QUERY(q, v) {
    if (ananas_complain(ANANAS_TEXT("nobody hears it")) == ANANAS_DENIED) ananas_nxdomain(v, 60);
    (void)q;
}
