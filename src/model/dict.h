/*
 * dict - an ordered dictionary from names to pointers: order of insertion, look-up in constant time.
 * Its hash has a seed of its own, so that no file can choose names that collide; the order does not depend on it.
 * Keys are borrowed (they live in the values). The table is malloc'd; free it with h5ck_dict_free.
 */
#ifndef H5CK_MODEL_DICT_H
#define H5CK_MODEL_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct h5ck_dict_entry {
    const char *key;
    void *value;
    uint64_t hash;
} h5ck_dict_entry;

typedef struct h5ck_dict {
    h5ck_dict_entry *entries; /* in order */
    size_t count, room;
    uint32_t *slots; /* open addressing: index + 1 into entries, 0 is free */
    size_t slot_count;
    uint64_t seed; /* of the hash */
} h5ck_dict;

typedef enum h5ck_dict_result { H5CK_DICT_ADDED, H5CK_DICT_EXISTS, H5CK_DICT_NOMEM } h5ck_dict_result;

h5ck_dict_result h5ck_dict_add(h5ck_dict *d, const char *key, void *value);
/* Gives a key a new value, whether it is there or not; a key that is there stays at its place. */
bool h5ck_dict_set(h5ck_dict *d, const char *key, void *value); /* false when out of memory */
void *h5ck_dict_get(const h5ck_dict *d, const char *key);       /* NULL where it is not */
void h5ck_dict_free(h5ck_dict *d);

#endif
