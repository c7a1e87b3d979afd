/* arena.c - a list of blocks, the newest first; each piece is cut from the newest that has room. */
#include "base/arena.h"

#include "base/ckd.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct h5ck_arena_block {
    struct h5ck_arena_block *next;
    size_t used, size;
    alignas(max_align_t) unsigned char data[];
} block;

enum { FIRST_BLOCK = 1024, LARGEST_BLOCK = 1 << 20, ALIGNMENT = alignof(max_align_t) };

static block *new_block(h5ck_arena *arena, size_t need)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
    if (size > LARGEST_BLOCK)
        size = LARGEST_BLOCK;
    if (size < need)
        size = need;
    if (size > SIZE_MAX - sizeof(block))
        return NULL;
    block *b = malloc(sizeof(block) + size);
    if (!b)
        return NULL;
    b->used = 0;
    b->size = size;
    /* A block made for one large piece goes second, so that the room left in the first is not lost. */
    if (arena->blocks && need > LARGEST_BLOCK / 2) {
        b->next = arena->blocks->next;
        arena->blocks->next = b;
    } else {
        b->next = arena->blocks;
        arena->blocks = b;
    }
    return b;
}

void *h5ck_arena_alloc(h5ck_arena *arena, size_t size)
{
    size_t need = size ? size : 1;
    if (need > SIZE_MAX - ALIGNMENT)
        return NULL;
    need = (need + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
    block *b = arena->blocks;
    if (!b || b->size - b->used < need)
        b = new_block(arena, need);
    if (!b)
        return NULL;
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

void *h5ck_arena_zalloc(h5ck_arena *arena, size_t count, size_t size)
{
    uint64_t bytes;
    if (h5ck_ckd_mul(count, size, &bytes) || bytes > SIZE_MAX)
        return NULL;
    void *p = h5ck_arena_alloc(arena, (size_t)bytes);
    return p ? memset(p, 0, (size_t)bytes) : NULL;
}

void *h5ck_arena_memdup(h5ck_arena *arena, const void *data, size_t size)
{
    void *p = h5ck_arena_alloc(arena, size);
    if (p && size)
        memcpy(p, data, size);
    return p;
}

char *h5ck_arena_strndup(h5ck_arena *arena, const char *s, size_t n)
{
    char *p = n < SIZE_MAX ? h5ck_arena_alloc(arena, n + 1) : NULL;
    if (!p)
        return NULL;
    if (n)
        memcpy(p, s, n);
    p[n] = 0;
    return p;
}

char *h5ck_arena_strdup(h5ck_arena *arena, const char *s)
{
    return h5ck_arena_strndup(arena, s, strlen(s));
}

void h5ck_arena_free(h5ck_arena *arena)
{
    while (arena->blocks) {
        block *next = arena->blocks->next;
        free(arena->blocks);
        arena->blocks = next;
    }
}
