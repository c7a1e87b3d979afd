/* stats - see stats.h. */
#include "stats.h"

#include "num.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB = 1 << 20, BLOCK = 4096 };

typedef struct pass {
    h5ckpt_dtype dtype;
    num_kind kind;
    stats *s;
    double scale; /* a power of two; 1 nearly always */
    double scaled_edges[STATS_BINS + 1], bins_per_unit;
    uint64_t seen;       /* finite elements so far */
    double mean, m2;     /* of them, scaled */
    double block[BLOCK]; /* the elements as doubles */
} pass;

typedef void visit(pass *p, const unsigned char *raw, size_t n);

/* Reads the tensor in slabs and hands them on in blocks. */
static int each_block(const h5ckpt_tensor *tensor, pass *p, visit *take, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(tensor);
    size_t size = h5ckpt_dtype_size(info->dtype); /* a power of two, at most 16: slabs hold whole elements */
    int rc = H5CKPT_OK;
    unsigned char *slab = malloc(SLAB);
    if (!slab)
        return H5CKPT_SYSTEM;
    for (uint64_t at = 0; at < info->nbytes && rc == H5CKPT_OK;) {
        size_t length = info->nbytes - at < SLAB ? (size_t)(info->nbytes - at) : SLAB;
        rc = h5ckpt_tensor_read(tensor, at, slab, length, err);
        for (size_t done = 0; rc == H5CKPT_OK && done < length; done += BLOCK * size) {
            size_t n = (length - done) / size;
            n = n < BLOCK ? n : BLOCK;
            num_doubles(info->dtype, slab + done, n, p->block);
            take(p, slab + done, n);
        }
        at += length;
    }
    free(slab);
    return rc;
}

/* ---- First pass: counts and range ---- */

static void take_integers(pass *p, const unsigned char *raw, size_t n)
{
    stats *s = p->s;
    size_t size = h5ckpt_dtype_size(p->dtype);
    for (size_t i = 0; i < n; i++) {
        int64_t v = num_integer(p->dtype, raw + size * i);
        uint64_t u = (uint64_t)v;
        s->zeros += v == 0;
        s->int_min = v < s->int_min ? v : s->int_min;
        s->int_max = v > s->int_max ? v : s->int_max;
        s->uint_min = u < s->uint_min ? u : s->uint_min;
        s->uint_max = u > s->uint_max ? u : s->uint_max;
    }
    s->finite += n;
}

static void take_floats(pass *p, const unsigned char *raw, size_t n)
{
    stats *s = p->s;
    double min = s->min, max = s->max;
    (void)raw;
    for (size_t i = 0; i < n; i++) {
        double x = p->block[i];
        if (!isfinite(x)) {
            s->nan += isnan(x) != 0;
            s->posinf += x > 0;
            s->neginf += x < 0;
            continue;
        }
        s->finite++;
        s->zeros += x == 0;
        min = x < min ? x : min;
        max = x > max ? x : max;
    }
    s->min = min;
    s->max = max;
}

static void begin(pass *p)
{
    stats *s = p->s;
    s->min = DBL_MAX;
    s->max = -DBL_MAX;
    s->int_min = INT64_MAX;
    s->int_max = INT64_MIN;
    s->uint_min = UINT64_MAX;
    s->uint_max = 0;
    p->scale = 1;
}

static void finish_range(pass *p)
{
    stats *s = p->s;
    if (p->kind == NUM_INT) {
        s->min = (double)s->int_min;
        s->max = (double)s->int_max;
    } else if (p->kind != NUM_FLOAT && p->kind != NUM_COMPLEX) {
        s->min = (double)s->uint_min;
        s->max = (double)s->uint_max;
    }
    double largest = fmax(fabs(s->min), fabs(s->max));
    if (largest > 1e150)
        p->scale = ldexp(1, -600);
    else if (largest > 0 && largest < 1e-150)
        p->scale = ldexp(1, 600);
}

/* ---- Second pass: mean, deviation, histogram ---- */

static void set_edges(pass *p)
{
    double low = p->s->min * p->scale, high = p->s->max * p->scale;
    if (low == high) { /* NumPy's choice, but never too narrow to be seen beside a large value */
        double half = fmax(0.5 * p->scale, fabs(low) * 1e-6);
        low -= half;
        high += half;
    }
    for (int i = 0; i <= STATS_BINS; i++) {
        p->scaled_edges[i] = low + (high - low) * i / STATS_BINS;
        p->s->edges[i] = p->scaled_edges[i] / p->scale;
    }
    p->scaled_edges[STATS_BINS] = high;
    p->bins_per_unit = STATS_BINS / (high - low);
    p->s->edges[STATS_BINS] = high / p->scale;
}

static int bin_of(const pass *p, double x)
{
    const double *edges = p->scaled_edges;
    int i = (int)((x - edges[0]) * p->bins_per_unit);
    i = i < 0 ? 0 : i >= STATS_BINS ? STATS_BINS - 1 : i;
    if (x < edges[i] && i > 0) /* the product may have rounded across an edge */
        return i - 1;
    if (x >= edges[i + 1] && i < STATS_BINS - 1)
        return i + 1;
    return i;
}

/* Chan's update: joins the mean and the sum of squared differences of two sets. */
static void join(pass *p, uint64_t n, double mean, double m2)
{
    double have = (double)p->seen, more = (double)n;
    double delta = mean - p->mean;
    p->mean += delta * (more / (have + more));
    p->m2 += m2 + delta * delta * (have * more / (have + more));
    p->seen += n;
}

static void take_moments(pass *p, const unsigned char *raw, size_t n)
{
    double sum = 0, m2 = 0;
    size_t finite = 0;
    (void)raw;
    for (size_t i = 0; i < n; i++) {
        double x = p->block[i] * p->scale;
        if (!isfinite(x))
            continue;
        p->block[finite++] = x;
        sum += x;
        p->s->bins[bin_of(p, x)]++;
    }
    if (finite == 0)
        return;
    double mean = sum / (double)finite;
    for (size_t i = 0; i < finite; i++)
        m2 += (p->block[i] - mean) * (p->block[i] - mean);
    join(p, finite, mean, m2);
}

int stats_take(const h5ckpt_tensor *tensor, stats *s, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(tensor);
    pass p = {.dtype = info->dtype, .kind = num_kind_of(info->dtype), .s = s};
    memset(s, 0, sizeof *s);
    size_t size = h5ckpt_dtype_size(info->dtype);
    s->count = size ? info->nbytes / size : 0;
    begin(&p);
    bool floats = p.kind == NUM_FLOAT || p.kind == NUM_COMPLEX;
    int rc = each_block(tensor, &p, floats ? take_floats : take_integers, err);
    if (rc != H5CKPT_OK || s->finite == 0)
        return rc;
    finish_range(&p);
    set_edges(&p);
    rc = each_block(tensor, &p, take_moments, err);
    s->mean = p.mean / p.scale;
    s->std = sqrt(p.m2 / (double)(p.seen ? p.seen : 1)) / p.scale;
    return rc;
}

void stats_range_text(const h5ckpt_tensor *tensor, const stats *s, int json, char *min, char *max)
{
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(tensor);
    num_kind kind = num_kind_of(info->dtype);
    if (s->finite == 0) {
        strcpy(min, json ? "null" : "-");
        strcpy(max, min);
    } else if (kind == NUM_INT) {
        snprintf(min, NUM_TEXT, "%" PRId64, s->int_min);
        snprintf(max, NUM_TEXT, "%" PRId64, s->int_max);
    } else if (kind == NUM_UINT || kind == NUM_BOOL) {
        snprintf(min, NUM_TEXT, "%" PRIu64, s->uint_min);
        snprintf(max, NUM_TEXT, "%" PRIu64, s->uint_max);
    } else {
        h5ckpt_dtype of = kind == NUM_COMPLEX ? H5CKPT_DTYPE_FLOAT64 : info->dtype;
        num_float_text(of, s->min, json ? NUM_JSON : NUM_PLAIN, min);
        num_float_text(of, s->max, json ? NUM_JSON : NUM_PLAIN, max);
    }
}
