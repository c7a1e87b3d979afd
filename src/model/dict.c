/* dict.c - entries in order, and a table of their indices by hash (FNV-1a with a seed, linear probing, at most half
 * full). */
#include "model/dict.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t hash_of(const h5ck_dict *d, const char *key)
{
    uint64_t h = 0xcbf29ce484222325u ^ d->seed;
    for (const unsigned char *p = (const unsigned char *)key; *p; p++)
        h = (h ^ *p) * 0x100000001b3u;
    return h ^ (h >> 32);
}

/* The slot of `key`, or the free slot where it would go. */
static uint32_t *slot_of(const h5ck_dict *d, const char *key, uint64_t hash)
{
    for (size_t i = hash & (d->slot_count - 1);; i = (i + 1) & (d->slot_count - 1)) {
        uint32_t *slot = &d->slots[i];
        if (*slot == 0)
            return slot;
        const h5ck_dict_entry *e = &d->entries[*slot - 1];
        if (e->hash == hash && strcmp(e->key, key) == 0)
            return slot;
    }
}

/* What nobody knows who made a file: where the table came to lie, and when. Mixed as by splitmix64. */
static uint64_t new_seed(const void *table)
{
    struct timespec t = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &t);
    uint64_t z = (uint64_t)(uintptr_t)table + ((uint64_t)t.tv_nsec << 32) + (uint64_t)t.tv_sec;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static bool grow(h5ck_dict *d)
{
    size_t slot_count = d->slot_count ? d->slot_count * 2 : 16, room = slot_count / 2;
    if (slot_count > UINT32_MAX / 2)
        return false;
    h5ck_dict_entry *entries = realloc(d->entries, room * sizeof *entries);
    if (!entries)
        return false;
    d->entries = entries;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return false;
    if (!d->slots)
        d->seed = new_seed(slots);
    free(d->slots);
    d->slots = slots;
    d->slot_count = slot_count;
    d->room = room;
    for (size_t i = 0; i < d->count; i++)
        *slot_of(d, entries[i].key, entries[i].hash) = (uint32_t)i + 1;
    return true;
}

h5ck_dict_result h5ck_dict_add(h5ck_dict *d, const char *key, void *value)
{
    if (d->count == d->room && !grow(d))
        return H5CK_DICT_NOMEM;
    uint64_t hash = hash_of(d, key);
    uint32_t *slot = slot_of(d, key, hash);
    if (*slot)
        return H5CK_DICT_EXISTS;
    d->entries[d->count] = (h5ck_dict_entry){key, value, hash};
    *slot = (uint32_t)++d->count;
    return H5CK_DICT_ADDED;
}

bool h5ck_dict_set(h5ck_dict *d, const char *key, void *value)
{
    uint32_t slot = d->count ? *slot_of(d, key, hash_of(d, key)) : 0;
    if (slot == 0)
        return h5ck_dict_add(d, key, value) == H5CK_DICT_ADDED;
    d->entries[slot - 1].value = value;
    return true;
}

void *h5ck_dict_get(const h5ck_dict *d, const char *key)
{
    if (d->count == 0)
        return NULL;
    uint32_t slot = *slot_of(d, key, hash_of(d, key));
    return slot ? d->entries[slot - 1].value : NULL;
}

void h5ck_dict_free(h5ck_dict *d)
{
    free(d->entries);
    free(d->slots);
    *d = (h5ck_dict){0};
}
