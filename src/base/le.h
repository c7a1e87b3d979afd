/* le - little-endian numbers at any address. */
#ifndef H5CK_BASE_LE_H
#define H5CK_BASE_LE_H

#include <stdint.h>
#include <string.h>

static inline uint64_t h5ck_le_get(const void *from, unsigned bytes)
{
    const unsigned char *p = from;
    uint64_t v = 0;
    for (unsigned i = 0; i < bytes; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static inline void h5ck_le_put(void *to, uint64_t v, unsigned bytes)
{
    unsigned char *p = to;
    for (unsigned i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

/* The IEEE 754 double of 8 bytes, and back. C11 hosts that h5ckpt supports have IEEE doubles (checked by configure). */
static inline double h5ck_f64_from_bits(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static inline uint64_t h5ck_f64_to_bits(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits;
}

#endif
