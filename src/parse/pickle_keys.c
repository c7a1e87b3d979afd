/*
 * pickle_keys.c - repeated keys of a dict.
 *
 * Keys are sorted, so that a hostile dict costs n log n and no hash can be attacked. What is equal is equal in Python:
 * 1, 1.0 and True are one key; so are Python 2's 'a' and u'a', in ASCII; NaN equals nothing. Integers beyond 64 bits
 * and floats of that size are kept apart, even where Python would find them equal: it does so itself when it reads the
 * dict.
 */
#include "parse/pickle_graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number as an int64 where it is one. */
static bool as_int(const h5ckpt_value *v, int64_t *i)
{
    if (v->type == H5CKPT_BOOL || v->type == H5CKPT_INT) {
        *i = v->as.i;
        return true;
    }
    if (v->type != H5CKPT_FLOAT || !(v->as.f >= -0x1p63 && v->as.f < 0x1p63) || v->as.f != floor(v->as.f))
        return false;
    *i = (int64_t)v->as.f;
    return true;
}

/* Keys of different ranks differ. */
static int rank_of(const h5ckpt_value *v)
{
    int64_t i;
    return as_int(v, &i) ? (int)H5CKPT_INT : (int)v->type;
}

static int order(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_bytes(const void *a, size_t a_len, const void *b, size_t b_len)
{
    size_t n = a_len < b_len ? a_len : b_len;
    int c = n ? memcmp(a, b, n) : 0;
    return c ? c : order(a_len, b_len);
}

static bool is_ascii(const h5ckpt_value *v)
{
    for (size_t i = 0; i < v->count; i++)
        if (v->as.bytes[i] >= 0x80)
            return false;
    return true;
}

static int compare(const h5ckpt_value *a, const h5ckpt_value *b)
{
    int64_t x, y;
    int c = order((uint64_t)rank_of(a), (uint64_t)rank_of(b));
    if (c)
        return c;
    if (as_int(a, &x) && as_int(b, &y))
        return x < y ? -1 : x > y;
    switch (a->type) {
    case H5CKPT_FLOAT:
        if (a->as.f < b->as.f || a->as.f > b->as.f || a->as.f == b->as.f)
            return a->as.f < b->as.f ? -1 : a->as.f > b->as.f;
        /* One is NaN, and equals only itself. NaNs stand behind the others, in the order of their addresses. */
        c = order(isnan(a->as.f) != 0, isnan(b->as.f) != 0);
        return c ? c : order((uintptr_t)a, (uintptr_t)b);
    case H5CKPT_STR:
    case H5CKPT_BYTES:
        c = compare_bytes(a->as.bytes, a->count, b->as.bytes, b->count);
        return c || !a->python2 == !b->python2 || is_ascii(a) ? c : order(a->python2 != 0, b->python2 != 0);
    case H5CKPT_BIGINT:
        return compare_bytes(a->as.bytes, a->count, b->as.bytes, b->count);
    case H5CKPT_TUPLE: /* no deeper than a value is */
        for (size_t i = 0; i < a->count && i < b->count; i++)
            if ((c = compare(&a->as.items[i], &b->as.items[i])) != 0)
                return c;
        return order(a->count, b->count);
    case H5CKPT_ARRAY:
        c = order((uint64_t)a->as.array->dtype, (uint64_t)b->as.array->dtype);
        return c ? c : compare_bytes(a->as.array->data, a->as.array->nbytes, b->as.array->data, b->as.array->nbytes);
    default:
        return 0; /* None */
    }
}

/* Merges the sorted runs [0, half) and [half, n) of `from` into `to`; of equal keys the earlier field comes first. */
static void merge(const h5ckpt_field *fields, const uint32_t *from, size_t half, size_t n, uint32_t *to)
{
    size_t a = 0, b = half;
    for (size_t i = 0; i < n; i++) {
        bool second = a == half || (b < n && compare(&fields[from[b]].key, &fields[from[a]].key) < 0);
        to[i] = second ? from[b++] : from[a++];
    }
}

/* Sorts the numbers of the fields by key; returns which of the two arrays holds them. */
static uint32_t *sort(const h5ckpt_field *fields, size_t n, uint32_t *sorted, uint32_t *spare)
{
    for (size_t i = 0; i < n; i++)
        sorted[i] = (uint32_t)i;
    for (size_t run = 1; run < n; run *= 2) {
        for (size_t i = 0; i < n; i += 2 * run) {
            size_t length = n - i < 2 * run ? n - i : 2 * run;
            merge(fields, sorted + i, length < run ? length : run, length, spare + i);
        }
        uint32_t *swap = sorted;
        sorted = spare;
        spare = swap;
    }
    return sorted;
}

int h5ck_pickle_unique(h5ckpt_field *fields, size_t *count, h5ckpt_error **err)
{
    size_t n = *count, kept = 0;
    if (n < 2)
        return 0;
    uint32_t *memory = malloc(2 * n * sizeof *memory); /* n is at most H5CK_PICKLE_NODES */
    bool *gone = calloc(n, sizeof *gone);
    if (!memory || !gone) {
        free(memory);
        free(gone);
        return h5ck_fail_nomem(err);
    }
    const uint32_t *sorted = sort(fields, n, memory, memory + n);
    for (size_t i = 1, first = 0; i < n; i++) {
        if (compare(&fields[sorted[first]].key, &fields[sorted[i]].key) == 0) {
            fields[sorted[first]].value = fields[sorted[i]].value;
            gone[sorted[i]] = true;
        } else {
            first = i;
        }
    }
    for (size_t i = 0; i < n; i++)
        if (!gone[i])
            fields[kept++] = fields[i];
    *count = kept;
    free(memory);
    free(gone);
    return 0;
}
