/* MODULE_NAME: names of its zones do not exist. */
#include "ananas.h"

ANANAS_ZONES(zones, 4096, 128 << 10);

ANANAS_START() {
    static char list[64 << 10]; /* the largest that settings may be */
    int32_t n = ananas_setting(ANANAS_TEXT("zones"), list, sizeof list);
    int32_t wrong = n < 0 ? 0 : ananas_add_list(&zones, list, (size_t)n);
    return ananas_wrong_at(ANANAS_TEXT("zones: not a name, or one too many: word "), wrong, wrong);
}

ANANAS_QUERY(q, v) {
    if (!ananas_covers(&zones, ananas_name(q), q->name_len)) return;
    ananas_nxdomain(v, 60);
    ananas_why(v, 15, ANANAS_TEXT("blocked by MODULE_NAME"));
}
