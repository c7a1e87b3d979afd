/* builtin - the texts of schema/x.yaml (each), made into schema_builtin.c by schema/embed.awk. */
#ifndef H5CK_SCHEMA_BUILTIN_H
#define H5CK_SCHEMA_BUILTIN_H

#include <stddef.h>

typedef struct h5ck_schema_builtin_row {
    const char *name; /* "paddle" */
    const char *text; /* closed by a zero */
    size_t size;      /* without it */
} h5ck_schema_builtin_row;

extern const h5ck_schema_builtin_row h5ck_schema_builtins[]; /* ended by a NULL name */

#endif
