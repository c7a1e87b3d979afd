/*
 * arena - memory that is freed all at once. A state's names, shapes, values and tables live in its arena, so that
 * nothing of it is freed twice or forgotten. Not safe for several threads at once.
 */
#ifndef H5CK_BASE_ARENA_H
#define H5CK_BASE_ARENA_H

#include <stddef.h>

typedef struct h5ck_arena {
    struct h5ck_arena_block *blocks;
} h5ck_arena;

/* All return NULL when out of memory. Blocks are aligned for any type and valid until h5ck_arena_free. */
void *h5ck_arena_alloc(h5ck_arena *arena, size_t size); /* not cleared; a size of 0 gives a unique address */
void *h5ck_arena_zalloc(h5ck_arena *arena, size_t count, size_t size); /* cleared; checks count * size */
void *h5ck_arena_memdup(h5ck_arena *arena, const void *data, size_t size);
char *h5ck_arena_strdup(h5ck_arena *arena, const char *s);
char *h5ck_arena_strndup(h5ck_arena *arena, const char *s, size_t n); /* adds the closing zero */

/* Frees all blocks; the arena is empty and usable again. */
void h5ck_arena_free(h5ck_arena *arena);

#endif
