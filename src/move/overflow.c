/*
 * overflow.c - a bit for each element, in pages that are made where the first of them overflows. Most tensors need none;
 * one that overflows all over costs a 16th of its new size.
 */
#include "move/overflow.h"

#include "base/err.h"
#include "move/cast.h"

#include <pthread.h>
#include <stdlib.h>

enum { PAGE = 1 << 15 }; /* elements */

struct h5ck_overflow {
    pthread_mutex_t lock;
    uint64_t elements, count;
    unsigned char **pages; /* NULL until the first is found */
};

static size_t page_count(const h5ck_overflow *o)
{
    return (size_t)(o->elements / PAGE + 1);
}

h5ck_overflow *h5ck_overflow_new(uint64_t elements)
{
    h5ck_overflow *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->elements = elements;
    if (pthread_mutex_init(&o->lock, NULL) == 0)
        return o;
    free(o);
    return NULL;
}

void h5ck_overflow_free(h5ck_overflow *o)
{
    if (!o)
        return;
    for (size_t i = 0; o->pages && i < page_count(o); i++)
        free(o->pages[i]);
    free(o->pages);
    pthread_mutex_destroy(&o->lock);
    free(o);
}

/* Under the lock. False when out of memory. */
static bool mark(h5ck_overflow *o, uint64_t element)
{
    size_t page = (size_t)(element / PAGE), at = (size_t)(element % PAGE);
    if (!o->pages && !(o->pages = calloc(page_count(o), sizeof *o->pages)))
        return false;
    if (!o->pages[page] && !(o->pages[page] = calloc(1, PAGE / 8)))
        return false;
    unsigned char *byte = &o->pages[page][at / 8], bit = (unsigned char)(1u << at % 8);
    o->count += !(*byte & bit);
    *byte |= bit;
    return true;
}

int h5ck_overflow_find(h5ck_overflow *o, uint64_t first, const h5ck_dtype *from, const void *in, const h5ck_dtype *to,
                       size_t count, h5ckpt_error **err)
{
    const unsigned char *source = in;
    unsigned char one[16];
    bool good = true;
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; good && i < count; i++)
        if (h5ck_cast_exact(from, source + i * from->size, to, one, 1) == 0)
            good = mark(o, first + i);
    pthread_mutex_unlock(&o->lock);
    return good ? 0 : h5ck_fail_nomem(err);
}

uint64_t h5ck_overflow_count(h5ck_overflow *o)
{
    pthread_mutex_lock(&o->lock);
    uint64_t count = o->count;
    pthread_mutex_unlock(&o->lock);
    return count;
}
