/*
 * draft - a schema while it is being read: what schema.c, bind.c and check.c share, and nobody else.
 *
 *     YAML text --schema.c--> nodes --bind.c--> h5ck_schema --check.c--> a schema that makes sense
 *
 * Nodes and marks live in the draft's own arena and go with it; the schema and all it points to belong to its owner.
 */
#ifndef H5CK_SCHEMA_DRAFT_H
#define H5CK_SCHEMA_DRAFT_H

#include "base/arena.h"
#include "schema/schema.h"

typedef enum h5ck_node_kind { H5CK_NODE_TEXT, H5CK_NODE_LIST, H5CK_NODE_MAP } h5ck_node_kind;

/* One YAML value. A map's children are its keys and values, in turns. */
typedef struct h5ck_node {
    h5ck_node_kind kind;
    bool plain; /* of a text: written without quotes, so that ~ means nothing and true means true */
    const char *text;
    size_t length;
    size_t line, column; /* counted from 1; columns are characters */
    size_t count;        /* children */
    struct h5ck_node *first, *last, *next;
} h5ck_node;

/* Where a text of the schema was written: for what only shows when all is read. */
typedef struct h5ck_mark {
    const char *text;
    const char *path;
    const h5ck_node *node;
    struct h5ck_mark *next;
} h5ck_mark;

/* A schema that was read from a text, in one piece with its memory. */
typedef struct h5ck_schema_owner {
    h5ck_schema schema;
    h5ck_arena arena;
} h5ck_schema_owner;

typedef struct h5ck_draft {
    h5ck_schema *schema; /* the owner's */
    h5ck_arena arena;
    const char *path; /* of the file that is being bound, for messages */
    bool extending;   /* an earlier schema has set all required keys */
    h5ck_mark *marks;
    h5ckpt_error **err;
} h5ck_draft;

/* Reports "path:line:column: expected ..., found ...", and returns H5CKPT_USAGE. `found` NULL: what the node holds. */
int h5ck_draft_wrong(h5ck_draft *d, const h5ck_node *node, const char *found, const char *expected, ...)
    H5CK_PRINTF(4, 5);
/* The same, at the place where a text of the schema was written. */
int h5ck_draft_wrong_text(h5ck_draft *d, const char *text, const char *found, const char *expected, ...)
    H5CK_PRINTF(4, 5);

/* Fills d->schema from the root of one file; what it does not name stays as it is. */
int h5ck_draft_bind(h5ck_draft *d, const h5ck_node *root);

/* What can only be said when all is bound: merges what replaces something, completes the classes, checks the rules,
 * and that names do not get in each other's way. */
int h5ck_draft_finish(h5ck_draft *d);

#endif
