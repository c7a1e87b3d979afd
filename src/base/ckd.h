/* ckd - checked arithmetic. Sizes that come from a file go through here and nowhere else.
 * Each returns true when the result does not fit; *r is then unspecified. */
#ifndef H5CK_BASE_CKD_H
#define H5CK_BASE_CKD_H

#include <stdbool.h>
#include <stdint.h>

static inline bool h5ck_ckd_add(uint64_t a, uint64_t b, uint64_t *r)
{
    *r = a + b;
    return a > UINT64_MAX - b;
}

static inline bool h5ck_ckd_mul(uint64_t a, uint64_t b, uint64_t *r)
{
    *r = a * b;
    return b != 0 && a > UINT64_MAX / b;
}

#endif
