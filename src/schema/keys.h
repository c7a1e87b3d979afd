/*
 * keys - the schema's language as a table: each key with its kind, the member that holds its value, and whether it must
 * be there.
 *
 * bind.c fills a schema by it, precompile.c prints one as C, a test compares two. To give the schema a new key is to add
 * a row in keys.c, a member in schema.h, and a line in docs/schema.md.
 */
#ifndef H5CK_SCHEMA_KEYS_H
#define H5CK_SCHEMA_KEYS_H

#include <stdbool.h>
#include <stddef.h>

typedef enum h5ck_key_kind {
    H5CK_KEY_TEXT,   /* const char *; NULL where it is not there */
    H5CK_KEY_TEXTS,  /* const char *const *, and its count */
    H5CK_KEY_FLAG,   /* bool */
    H5CK_KEY_NUMBER, /* double, and a bool that says it is there */
    H5CK_KEY_WHOLE,  /* uint64_t, and a bool that says it is there */
    H5CK_KEY_WHOLES, /* const uint64_t *, and its count */
    H5CK_KEY_AXES,   /* h5ck_axes: true or false, or a list */
    H5CK_KEY_DTYPE,  /* h5ckpt_dtype, by name */
    H5CK_KEY_TYPE,   /* h5ck_field_type, by name */
    H5CK_KEY_MEANS,  /* h5ck_meaning, by name */
    H5CK_KEY_MAP,    /* members of the same struct, under a heading */
    H5CK_KEY_LIST    /* an array of structs, and its count */
} h5ck_key_kind;

/* The form of a text. */
typedef struct h5ck_form {
    bool (*good)(const char *text);
    const char *expected;
} h5ck_form;

typedef struct h5ck_key {
    const char *name;
    h5ck_key_kind kind;
    bool required;
    size_t offset; /* of the member */
    const char *member;
    size_t beside; /* of the count or flag that belongs to it */
    const char *beside_member;
    const h5ck_form *form;         /* of TEXT and TEXTS */
    const struct h5ck_keys *table; /* of MAP and LIST */
} h5ck_key;

typedef struct h5ck_keys {
    const char *what;
    const h5ck_key *keys;
    size_t count;
    size_t size;      /* of a LIST's element; 0: a MAP, whose keys another schema may have set */
    const char *type; /* a LIST's element in C */
    size_t most;      /* elements of a LIST */
} h5ck_keys;

enum { H5CK_KEYS_MOST = 16 }; /* in one table */

/* What a key's member of the struct at `from` holds, of whatever type the pointer is: a text, texts, a list's array. */
const void *h5ck_key_pointer(const h5ck_key *k, const void *from);

/* Any other member, or what is beside one. */
#define H5CK_KEY_GET(type, from, offset) (*(type const *)(const void *)((const char *)(from) + (offset)))

/* The whole of it: what fills an h5ck_schema, and what fills one that is name rules alone. The first key is its name. */
extern const h5ck_keys h5ck_schema_keys, h5ck_names_keys;

#endif
