/*
 * builtin - the schemas and name rules that h5ckpt brings along, schema/x.yaml and schema/names/x.yaml each: its text, made
 * into schema_builtin.c by schema/embed.awk, and what that says, made into schema_compiled.c by precompile.c.
 */
#ifndef H5CK_SCHEMA_BUILTIN_H
#define H5CK_SCHEMA_BUILTIN_H

#include "schema/schema.h"

#include <stddef.h>

typedef struct h5ck_schema_builtin_row {
    h5ckpt_schema_info info; /* name: "paddle", of the file schema/paddle.yaml */
    const char *text;        /* closed by a zero */
    size_t size;             /* without it */
} h5ck_schema_builtin_row;

extern const h5ck_schema_builtin_row h5ck_schema_builtins[]; /* ended by one without a name */

extern const h5ck_schema
    *const h5ck_schema_compiled[]; /* ended by a NULL; only that where precompile.c could not run */

#endif
