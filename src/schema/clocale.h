/*
 * clocale - the C locale for the calling thread, for a few lines: numbers and regular expressions mean the same
 * whatever locale the host program has set.
 */
#ifndef H5CK_SCHEMA_CLOCALE_H
#define H5CK_SCHEMA_CLOCALE_H

#include <locale.h>
#include <stdbool.h>

typedef struct h5ck_clocale {
    locale_t c, before;
} h5ck_clocale;

/* False when out of memory; then nothing is to be undone. */
static inline bool h5ck_clocale_enter(h5ck_clocale *l)
{
    l->c = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!l->c)
        return false;
    l->before = uselocale(l->c);
    return true;
}

static inline void h5ck_clocale_leave(h5ck_clocale *l)
{
    uselocale(l->before);
    freelocale(l->c);
}

#endif
