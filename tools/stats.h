/*
 * stats - range, mean, deviation and histogram of a tensor of any size, in 1 MiB of memory.
 *
 * Two passes: the first counts and finds the range, the second takes the mean, the deviation and the histogram. NaN and
 * infinities are counted apart; everything else is over the finite elements. Complex numbers stand for their magnitude,
 * bools for 0 and 1. Sums run in blocks of 4,096 that are combined by Chan's update; elements beyond 1e150 or
 * below 1e-150 are scaled by a power of two first, so that no square overflows or vanishes.
 */
#ifndef H5CKPT_TOOLS_STATS_H
#define H5CKPT_TOOLS_STATS_H

#include <h5ckpt.h>

enum { STATS_BINS = 20 };

typedef struct stats {
    uint64_t count, finite, zeros, nan, posinf, neginf;
    double min, max, mean, std;   /* where finite > 0; std is the population's, as NumPy's */
    int64_t int_min, int_max;     /* exact, of signed integers */
    uint64_t uint_min, uint_max;  /* exact, of unsigned integers and bools */
    double edges[STATS_BINS + 1]; /* as numpy.histogram(a, bins=20) */
    uint64_t bins[STATS_BINS];
} stats;

int stats_take(const h5ckpt_tensor *tensor, stats *s, h5ckpt_error **err);

/* The smallest and largest as text (num.h's forms), exact for integers, in the tensor's own precision. */
void stats_range_text(const h5ckpt_tensor *tensor, const stats *s, int json, char *min, char *max);

#endif
