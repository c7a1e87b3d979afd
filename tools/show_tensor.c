/* show_tensor - see show.h: description, statistics, histogram, values. */
#include "cli.h"
#include "json.h"
#include "layout.h"
#include "num.h"
#include "show.h"
#include "stats.h"
#include "term.h"
#include "units.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { BAR = 40, JSON_VALUES = 10, NAME_COLUMN = 40, LOD_SHOWN = 8 };

static void put_label(const char *text)
{
    printf("  %-9s", text);
}

/* ---- In full ---- */

static void print_lod(const h5ckpt_tensor_info *t)
{
    for (size_t i = 0; i < t->lod_levels; i++) {
        const h5ckpt_lod_level *level = &t->lod[i];
        put_label(i ? "" : "lod");
        putchar('[');
        for (size_t k = 0; k < level->count && k < LOD_SHOWN; k++)
            printf("%s%" PRIu64, k ? ", " : "", level->offsets[k]);
        if (level->count > LOD_SHOWN)
            printf(", ... %zu offsets", level->count);
        puts("]");
    }
}

static void print_description(const h5ckpt_tensor_info *t)
{
    char bytes[UNITS_TEXT];
    term_set(TERM_BOLD);
    term_put(stdout, t->name);
    term_set(TERM_PLAIN);
    putchar('\n');
    put_label("dtype");
    puts(h5ckpt_dtype_name(t->dtype));
    put_label("shape");
    units_shape(stdout, t->rank, t->shape);
    uint64_t elements = units_elements(t->rank, t->shape);
    printf("  %" PRIu64 " element%s\n", elements, elements == 1 ? "" : "s");
    units_bytes(t->nbytes, bytes);
    put_label("size");
    fputs(bytes, stdout);
    if (t->nbytes >= 1024)
        printf(" (%" PRIu64 " bytes)", t->nbytes);
    putchar('\n');
    print_lod(t);
}

static void print_count(const char *name, uint64_t n, bool alarm)
{
    put_label(name);
    if (alarm && n > 0)
        term_set(TERM_ALARM);
    printf("%" PRIu64, n);
    if (alarm && n > 0)
        term_set(TERM_PLAIN);
    putchar('\n');
}

static void print_stats(const h5ckpt_tensor *tensor, const stats *s)
{
    char min[NUM_TEXT], max[NUM_TEXT];
    num_kind kind = num_kind_of(h5ckpt_tensor_get_info(tensor)->dtype);
    stats_range_text(tensor, s, 0, min, max);
    put_label("min");
    puts(min);
    put_label("max");
    puts(max);
    if (s->finite > 0) {
        put_label("mean");
        printf("%.8g\n", s->mean);
        put_label("std");
        printf("%.8g\n", s->std);
    }
    print_count("zeros", s->zeros, false);
    if (kind == NUM_FLOAT || kind == NUM_COMPLEX) {
        print_count("NaN", s->nan, true);
        print_count("+Inf", s->posinf, true);
        print_count("-Inf", s->neginf, true);
    }
}

/* A bar of `share` of BAR cells; on a UTF-8 terminal to an eighth of a cell. A bin that is not empty shows. */
static void print_bar(double share)
{
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89"};
    bool blocks = term_is_utf8_tty(stdout);
    unsigned n = (unsigned)(share * BAR * 8 + 0.5);
    if (n == 0 && share > 0)
        n = 1;
    if (!blocks)
        n = n < 8 && n > 0 ? 8 : (n + 4) / 8 * 8;
    for (unsigned i = 0; i < n / 8; i++)
        fputs(blocks ? "\xe2\x96\x88" : "#", stdout);
    fputs(eighths[n % 8], stdout);
}

static void print_histogram(const stats *s)
{
    uint64_t most = 1;
    for (int i = 0; i < STATS_BINS; i++)
        most = s->bins[i] > most ? s->bins[i] : most;
    puts("  histogram");
    for (int i = 0; i < STATS_BINS; i++) {
        printf("  %12.5g %12" PRIu64, s->edges[i], s->bins[i]);
        if (s->bins[i] > 0)
            fputs("  ", stdout);
        print_bar((double)s->bins[i] / (double)most);
        putchar('\n');
    }
    printf("  %12.5g\n", s->edges[STATS_BINS]);
}

int show_tensor(const h5ckpt_tensor *tensor)
{
    stats s;
    h5ckpt_error *err = NULL;
    int rc = stats_take(tensor, &s, &err);
    if (rc != H5CKPT_OK)
        return cli_fail(rc, err);
    print_description(h5ckpt_tensor_get_info(tensor));
    print_stats(tensor, &s);
    if (s.finite > 0)
        print_histogram(&s);
    puts("  values");
    rc = layout_print(tensor, 2, &err);
    return rc == H5CKPT_OK ? rc : cli_fail(rc, err);
}

/* ---- JSON ---- */

static void json_stats(const h5ckpt_tensor *tensor, const stats *s)
{
    char min[NUM_TEXT], max[NUM_TEXT], mean[NUM_TEXT] = "null", std[NUM_TEXT] = "null";
    stats_range_text(tensor, s, 1, min, max);
    if (s->finite > 0) {
        num_double_text(s->mean, NUM_JSON, mean);
        num_double_text(s->std, NUM_JSON, std);
    }
    printf(", \"min\": %s, \"max\": %s, \"mean\": %s, \"std\": %s", min, max, mean, std);
    printf(", \"zeros\": %" PRIu64 ", \"nan\": %" PRIu64 ", \"posinf\": %" PRIu64 ", \"neginf\": %" PRIu64, s->zeros,
           s->nan, s->posinf, s->neginf);
}

static void json_histogram(const stats *s)
{
    if (s->finite == 0) {
        fputs(", \"histogram\": null", stdout);
        return;
    }
    fputs(", \"histogram\": {\"edges\": [", stdout);
    for (int i = 0; i <= STATS_BINS; i++) {
        char edge[NUM_TEXT];
        num_double_text(s->edges[i], NUM_JSON, edge);
        printf("%s%s", i ? ", " : "", edge);
    }
    fputs("], \"counts\": [", stdout);
    for (int i = 0; i < STATS_BINS; i++)
        printf("%s%" PRIu64, i ? ", " : "", s->bins[i]);
    fputs("]}", stdout);
}

int show_tensor_json(const h5ckpt_tensor *tensor, const char *before)
{
    stats s;
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(tensor);
    int rc = stats_take(tensor, &s, &err);
    if (rc != H5CKPT_OK)
        return cli_fail(rc, err);
    printf("%s{\"name\": ", before);
    json_string(t->name);
    printf(", \"dtype\": \"%s\", \"shape\": ", h5ckpt_dtype_name(t->dtype));
    units_shape(stdout, t->rank, t->shape);
    printf(", \"nbytes\": %" PRIu64, t->nbytes);
    json_stats(tensor, &s);
    json_histogram(&s);
    fputs(", \"values\": ", stdout);
    rc = layout_json(tensor, JSON_VALUES, &err);
    putchar('}');
    return rc == H5CKPT_OK ? rc : cli_fail(rc, err);
}

/* ---- A line ---- */

size_t show_name_width(const h5ckpt_tensors *tensors)
{
    size_t width = strlen("optimizer state");
    for (size_t i = 0; i < h5ckpt_tensors_count(tensors); i++) {
        size_t n = term_put(NULL, h5ckpt_tensor_get_info(h5ckpt_tensors_at(tensors, i))->name);
        n = n < NAME_COLUMN ? n : NAME_COLUMN;
        width = n > width ? n : width;
    }
    return width;
}

void show_tensor_heading(const char *title, size_t name_width)
{
    term_set(TERM_BOLD);
    printf("%-*s  %-13s %12s %12s %12s %12s  shape", (int)name_width, title, "dtype", "min", "max", "mean", "std");
    term_set(TERM_PLAIN);
    putchar('\n');
}

/* Integers in full where they fit the column. */
static void print_range(const h5ckpt_tensor *tensor, const stats *s)
{
    char min[NUM_TEXT], max[NUM_TEXT];
    num_kind kind = num_kind_of(h5ckpt_tensor_get_info(tensor)->dtype);
    stats_range_text(tensor, s, 0, min, max);
    if (kind == NUM_FLOAT || kind == NUM_COMPLEX || strlen(min) > 12)
        snprintf(min, sizeof min, "%.5g", s->min);
    if (kind == NUM_FLOAT || kind == NUM_COMPLEX || strlen(max) > 12)
        snprintf(max, sizeof max, "%.5g", s->max);
    printf("%12s %12s %12.5g %12.5g  ", min, max, s->mean, s->std);
}

static void print_alarm(uint64_t n, const char *what)
{
    if (n == 0)
        return;
    term_set(TERM_ALARM);
    printf("  %" PRIu64 " %s", n, what);
    term_set(TERM_PLAIN);
}

int show_tensor_line(const h5ckpt_tensor *tensor, size_t name_width)
{
    stats s;
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(tensor);
    int rc = stats_take(tensor, &s, &err);
    if (rc != H5CKPT_OK)
        return cli_fail(rc, err);
    size_t width = term_put(stdout, t->name);
    units_pad(stdout, (width < name_width ? name_width - width : 0) + 2);
    printf("%-13s ", h5ckpt_dtype_name(t->dtype));
    if (s.finite > 0)
        print_range(tensor, &s);
    else
        printf("%12s %12s %12s %12s  ", "-", "-", "-", "-");
    units_shape(stdout, t->rank, t->shape);
    print_alarm(s.nan, "NaN");
    print_alarm(s.posinf, "+Inf");
    print_alarm(s.neginf, "-Inf");
    putchar('\n');
    return H5CKPT_OK;
}
