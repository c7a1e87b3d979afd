/*
 * h5_cache.c - unpacked chunks that are not read through yet.
 *
 * Whoever reads a tensor goes forward in slabs, and a chunk's elements lie in several of them: rows of a tile, or the
 * end of one slab and the start of the next. So a chunk of which a part was read stays until the rest was read, too,
 * and then goes at once; what is never read through goes when there is no more room, the one used longest ago first.
 * Two threads that want one chunk unpack it once: the second waits.
 *
 * Room is for 64 MiB, and whatever is in use beyond that: a chunk a thread.
 */
#include "hdf5/h5_cache.h"

#include <pthread.h>
#include <stdlib.h>

enum { ROOM = 64 << 20, BUCKETS = 4096, IDLE = 8 };

struct h5ck_hdf5_cache {
    pthread_mutex_t lock;
    pthread_cond_t filled;
    h5ck_hdf5_cached *buckets[BUCKETS];
    h5ck_hdf5_cached *oldest, *newest; /* of those that nobody uses */
    size_t bytes;
    h5ck_hdf5_tools *idle[IDLE];
    size_t idle_count;
};

h5ck_hdf5_cache *h5ck_hdf5_cache_new(void)
{
    h5ck_hdf5_cache *c = calloc(1, sizeof *c);
    if (c) {
        pthread_mutex_init(&c->lock, NULL);
        pthread_cond_init(&c->filled, NULL);
    }
    return c;
}

static void chunk_free(h5ck_hdf5_cached *chunk)
{
    free(chunk->data);
    free(chunk);
}

void h5ck_hdf5_cache_free(h5ck_hdf5_cache *c)
{
    if (!c)
        return;
    for (h5ck_hdf5_cached *chunk = c->oldest, *next; chunk; chunk = next) {
        next = chunk->newer;
        chunk_free(chunk);
    }
    while (c->idle_count)
        h5ck_hdf5_tools_free(c->idle[--c->idle_count]);
    pthread_cond_destroy(&c->filled);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- Tools ---- */

h5ck_hdf5_tools *h5ck_hdf5_cache_tools(h5ck_hdf5_cache *c)
{
    h5ck_hdf5_tools *tools = NULL;
    pthread_mutex_lock(&c->lock);
    if (c->idle_count)
        tools = c->idle[--c->idle_count];
    pthread_mutex_unlock(&c->lock);
    return tools ? tools : h5ck_hdf5_tools_new();
}

void h5ck_hdf5_cache_tools_done(h5ck_hdf5_cache *c, h5ck_hdf5_tools *tools)
{
    pthread_mutex_lock(&c->lock);
    if (c->idle_count < IDLE) {
        c->idle[c->idle_count++] = tools;
        tools = NULL;
    }
    pthread_mutex_unlock(&c->lock);
    h5ck_hdf5_tools_free(tools);
}

/* ---- Chunks; all with the lock held ---- */

static h5ck_hdf5_cached **bucket_of(h5ck_hdf5_cache *c, const void *owner, uint64_t index)
{
    uint64_t h = (index ^ (uintptr_t)owner >> 4) * 0x9e3779b97f4a7c15u;
    return &c->buckets[h >> 52];
}

static void unlist(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk)
{
    *(chunk->older ? &chunk->older->newer : &c->oldest) = chunk->newer;
    *(chunk->newer ? &chunk->newer->older : &c->newest) = chunk->older;
    chunk->older = chunk->newer = NULL;
}

static void list_newest(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk)
{
    chunk->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = chunk;
    c->newest = chunk;
}

/* Not to be found any more. */
static void forget(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk)
{
    h5ck_hdf5_cached **at = bucket_of(c, chunk->owner, chunk->index);
    while (*at != chunk)
        at = &(*at)->next;
    *at = chunk->next;
    c->bytes -= chunk->size;
}

static void make_room(h5ck_hdf5_cache *c, size_t size)
{
    while (c->oldest && c->bytes + size > ROOM) {
        h5ck_hdf5_cached *chunk = c->oldest;
        unlist(c, chunk);
        forget(c, chunk);
        chunk_free(chunk);
    }
}

static h5ck_hdf5_cached *add(h5ck_hdf5_cache *c, const void *owner, uint64_t index, size_t size, uint64_t unread)
{
    make_room(c, size);
    h5ck_hdf5_cached *chunk = calloc(1, sizeof *chunk), **bucket = bucket_of(c, owner, index);
    if (!chunk || !(chunk->data = malloc(size))) {
        free(chunk);
        return NULL;
    }
    chunk->owner = owner;
    chunk->index = index;
    chunk->size = size;
    chunk->unread = unread;
    chunk->users = 1;
    chunk->next = *bucket;
    *bucket = chunk;
    c->bytes += size;
    return chunk;
}

static void let_go(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk)
{
    if (--chunk->users)
        return;
    if (chunk->failed) { /* forgotten already */
        chunk_free(chunk);
    } else if (chunk->unread == 0) {
        forget(c, chunk);
        chunk_free(chunk);
    } else {
        list_newest(c, chunk);
    }
}

/* Waits until it is filled; false where that failed: the next who asks tries again, and learns why. */
static bool use(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk)
{
    if (chunk->users++ == 0)
        unlist(c, chunk);
    while (!chunk->ready && !chunk->failed)
        pthread_cond_wait(&c->filled, &c->lock);
    if (!chunk->failed)
        return true;
    let_go(c, chunk);
    return false;
}

h5ck_hdf5_cached *h5ck_hdf5_cache_get(h5ck_hdf5_cache *c, const void *owner, uint64_t index, size_t size,
                                      uint64_t unread)
{
    h5ck_hdf5_cached *chunk;
    pthread_mutex_lock(&c->lock);
    do {
        chunk = *bucket_of(c, owner, index);
        while (chunk && (chunk->owner != owner || chunk->index != index))
            chunk = chunk->next;
    } while (chunk && !use(c, chunk));
    if (!chunk)
        chunk = add(c, owner, index, size, unread);
    pthread_mutex_unlock(&c->lock);
    return chunk;
}

void h5ck_hdf5_cache_filled(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk, bool ok)
{
    pthread_mutex_lock(&c->lock);
    chunk->ready = ok;
    chunk->failed = !ok;
    if (!ok)
        forget(c, chunk);
    pthread_cond_broadcast(&c->filled);
    pthread_mutex_unlock(&c->lock);
}

void h5ck_hdf5_cache_release(h5ck_hdf5_cache *c, h5ck_hdf5_cached *chunk, size_t read)
{
    pthread_mutex_lock(&c->lock);
    chunk->unread -= read < chunk->unread ? read : chunk->unread;
    let_go(c, chunk);
    pthread_mutex_unlock(&c->lock);
}
