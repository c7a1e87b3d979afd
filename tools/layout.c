/*
 * layout - see layout.h.
 *
 * A tensor of more than SUMMARY elements shows `edge` items at both ends of each axis: 3 as NumPy does, fewer where
 * the corners of many axes would still be more than MOST, and where even one is too many (an axis doubles the number)
 * the first and last few elements on one line. So the output is bounded whatever the shape. Where elements are left
 * out, long decimals are rounded to 5 digits, so that a row fits a line; where all are shown they are exact.
 */
#include "layout.h"

#include "num.h"
#include "term.h"
#include "units.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUMMARY = 100, MOST = 256, LINE = 80, EDGE = 3, MAX_RANK = 64 };

typedef struct layout {
    const h5ckpt_tensor *tensor;
    h5ckpt_dtype dtype;
    size_t size; /* bytes an element */
    size_t rank;
    uint64_t shape[MAX_RANK], stride[MAX_RANK]; /* stride in elements */
    uint64_t edge;                              /* 0: everything */
    unsigned indent;
    char (*texts)[NUM_TEXT]; /* in the order of printing */
    size_t count, width;
} layout;

static bool is_cut(const layout *l, size_t axis)
{
    return l->edge > 0 && l->shape[axis] > 2 * l->edge;
}

/* How many elements are shown. */
static uint64_t shown(const layout *l)
{
    uint64_t n = 1;
    for (size_t i = 0; i < l->rank && n <= MOST; i++)
        n *= is_cut(l, i) ? 2 * l->edge : l->shape[i];
    return n;
}

static void choose_edge(layout *l, uint64_t elements)
{
    l->edge = 0;
    if (elements <= SUMMARY)
        return;
    for (l->edge = EDGE; l->edge > 1 && shown(l) > MOST;)
        l->edge--;
    if (shown(l) == elements) /* short axes: nothing is left out */
        l->edge = 0;
    if (shown(l) > MOST) { /* as one long axis */
        l->rank = 1;
        l->shape[0] = elements;
        l->stride[0] = 1;
        l->edge = EDGE;
    }
}

/* ---- Reading ---- */

static int read_run(layout *l, uint64_t first, uint64_t n, h5ckpt_error **err)
{
    unsigned char raw[SUMMARY * 16];
    int rc = h5ckpt_tensor_read(l->tensor, first * l->size, raw, (size_t)n * l->size, err);
    for (size_t i = 0; rc == H5CKPT_OK && i < n; i++) {
        char *text = l->texts[l->count++];
        num_text(l->dtype, raw + i * l->size, NUM_PLAIN, text);
        if (l->edge && strlen(text) > 7 && num_kind_of(l->dtype) == NUM_FLOAT)
            snprintf(text, NUM_TEXT, "%.5g", strtod(text, NULL));
        l->width = strlen(text) > l->width ? strlen(text) : l->width;
    }
    return rc;
}

static int read_axis(layout *l, size_t axis, uint64_t base, h5ckpt_error **err)
{
    int rc = H5CKPT_OK;
    uint64_t n = l->shape[axis];
    bool cut = is_cut(l, axis);
    if (axis + 1 == l->rank) {
        rc = read_run(l, base, cut ? l->edge : n, err);
        return cut && rc == H5CKPT_OK ? read_run(l, base + n - l->edge, l->edge, err) : rc;
    }
    for (uint64_t i = 0; i < n && rc == H5CKPT_OK; i++) {
        if (cut && i == l->edge)
            i = n - l->edge;
        rc = read_axis(l, axis + 1, base + i * l->stride[axis], err);
    }
    return rc;
}

/* ---- Printing ---- */

static void new_line(const layout *l, size_t depth)
{
    putchar('\n');
    units_pad(stdout, l->indent + depth);
}

/* The elements of one row, broken before LINE. */
static void print_row(const layout *l, size_t axis, size_t *next)
{
    uint64_t n = l->shape[axis];
    bool cut = is_cut(l, axis);
    size_t start = l->indent + axis + 1, column = start;
    uint64_t items = cut ? 2 * l->edge + 1 : n;
    putchar('[');
    for (uint64_t i = 0; i < items; i++) {
        bool dots = cut && i == l->edge;
        const char *text = dots ? "..." : l->texts[(*next)++];
        size_t width = dots ? 3 : l->width;
        if (i && column + 1 + width > LINE) {
            new_line(l, axis + 1);
            column = start;
        } else if (i) {
            putchar(' ');
            column++;
        }
        units_pad(stdout, width - strlen(text));
        fputs(text, stdout);
        column += width;
    }
    putchar(']');
}

static void print_axis(const layout *l, size_t axis, size_t *next)
{
    uint64_t n = l->shape[axis];
    bool cut = is_cut(l, axis);
    if (axis + 1 == l->rank) {
        print_row(l, axis, next);
        return;
    }
    putchar('[');
    for (uint64_t i = 0; i < n; i++) {
        if (i) {
            for (size_t k = axis + 2; k < l->rank; k++) /* an empty line between blocks, as NumPy */
                putchar('\n');
            new_line(l, axis + 1);
        }
        if (cut && i == l->edge) {
            fputs("...", stdout);
            i = n - l->edge - 1;
            continue;
        }
        print_axis(l, axis + 1, next);
    }
    putchar(']');
}

int layout_print(const h5ckpt_tensor *tensor, unsigned indent, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(tensor);
    layout l = {.tensor = tensor, .dtype = info->dtype, .size = h5ckpt_dtype_size(info->dtype), .indent = indent};
    uint64_t elements = units_elements(info->rank, info->shape);
    units_pad(stdout, indent);
    if (elements == 0 || l.size == 0 || info->rank > MAX_RANK) {
        puts("[]");
        return H5CKPT_OK;
    }
    l.rank = info->rank;
    uint64_t stride = 1;
    for (size_t i = l.rank; i-- > 0; stride *= info->shape[i]) {
        l.shape[i] = info->shape[i];
        l.stride[i] = stride;
    }
    choose_edge(&l, elements);
    l.texts = calloc(MOST, sizeof *l.texts);
    if (!l.texts)
        return H5CKPT_SYSTEM;
    int rc = l.rank == 0 ? read_run(&l, 0, 1, err) : read_axis(&l, 0, 0, err);
    size_t next = 0;
    if (rc == H5CKPT_OK && l.rank == 0)
        fputs(l.texts[0], stdout);
    else if (rc == H5CKPT_OK)
        print_axis(&l, 0, &next);
    putchar('\n');
    free(l.texts);
    return rc;
}

int layout_json(const h5ckpt_tensor *tensor, size_t limit, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(tensor);
    size_t size = h5ckpt_dtype_size(info->dtype);
    uint64_t elements = size ? info->nbytes / size : 0;
    size_t n = elements < limit ? (size_t)elements : limit;
    char text[NUM_TEXT];
    unsigned char *raw = malloc(n * size + 1);
    if (!raw)
        return H5CKPT_SYSTEM;
    int rc = n ? h5ckpt_tensor_read(tensor, 0, raw, n * size, err) : H5CKPT_OK;
    putchar('[');
    for (size_t i = 0; rc == H5CKPT_OK && i < n; i++) {
        num_text(info->dtype, raw + i * size, NUM_JSON, text);
        printf("%s%s", i ? ", " : "", text);
    }
    putchar(']');
    free(raw);
    return rc;
}
