/*
 * test_exchange - every format against every other. It walks the table of formats, so a new one is tested by being there:
 * what its row says it holds must come back from it, and a checkpoint that goes from one format to another by way of a third
 * must be what it was.
 */
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A state that has everything ---- */

static const float weight[6] = {0.5F, -1.0F, 2.0F, 3.25F, -0.0F, 1e-30F}, bias[3] = {1, 2, 3};
static const float moment[6] = {6, 5, 4, 3, 2, 1};
static const int64_t steps[2] = {7, -7};
static const uint16_t half[4] = {0x3c00, 0xbc00, 0x0001, 0x7bff};
static const uint64_t shape_2_3[] = {2, 3}, shape_3[] = {3}, shape_2[] = {2}, shape_4_1[] = {4, 1};

typedef struct given {
    bool optimizer;
    h5ckpt_tensor_info info;
    const void *data;
} given;

/* In the order of their names, for one format has no other. */
static const given tensors[] = {
    {false, {.name = "bias", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = shape_3}, bias},
    {false, {.name = "half", .dtype = H5CKPT_DTYPE_FLOAT16, .rank = 2, .shape = shape_4_1}, half},
    {false, {.name = "steps", .dtype = H5CKPT_DTYPE_INT64, .rank = 1, .shape = shape_2}, steps},
    {false, {.name = "weight", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape_2_3}, weight},
    {true, {.name = "weight_moment1_0", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape_2_3}, moment},
};
enum { TENSORS = sizeof tensors / sizeof *tensors };

static h5ckpt_field field(const char *key, h5ckpt_value value)
{
    return (h5ckpt_field){.key = {.type = H5CKPT_STR, .count = strlen(key), .as.str = key}, .value = value};
}

static int add_decay(h5ckpt_state *state, h5ckpt_error **err)
{
    const h5ckpt_value one = {.type = H5CKPT_INT, .as.i = 1}, rate = {.type = H5CKPT_FLOAT, .as.f = 0.1};
    const h5ckpt_field fields[] = {
        field("step_num", (h5ckpt_value){.type = H5CKPT_INT, .as.i = 25}),
        field("step_size", one),
        field("dtype", (h5ckpt_value){.type = H5CKPT_STR, .count = 7, .as.str = "float32"}),
        field("learning_rate", rate),
        field("decay_steps", (h5ckpt_value){.type = H5CKPT_INT, .as.i = 10}),
        field("decay_rate", (h5ckpt_value){.type = H5CKPT_FLOAT, .as.f = 0.5}),
        field("staircase", (h5ckpt_value){.type = H5CKPT_BOOL, .as.i = 1}),
    };
    const h5ckpt_object object = {.class_name = "NaturalExpDecay", .count = 7, .fields = fields};
    return h5ckpt_state_add_decay(state, "None", &(h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &object}, err);
}

/* With `all`: optimizer state, a decay, metadata; without: as many parameters as the format takes. */
static h5ckpt_state *make_state(bool all, size_t parameters)
{
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_new();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < TENSORS; i++)
        if (tensors[i].optimizer ? all : i < parameters)
            rc = h5ckpt_state_add_tensor(state, tensors[i].optimizer, &tensors[i].info, tensors[i].data, &err);
    if (rc == 0 && all)
        rc = add_decay(state, &err);
    if (rc == 0 && all)
        rc = h5ckpt_state_set_metadata(state, "author", "nobody in particular", &err);
    test_expect_none(&err);
    return state;
}

/* ---- Comparing ---- */

static void expect_tensor(const h5ckpt_tensors *dict, const given *g, const char *route)
{
    h5ckpt_error *err = NULL;
    const h5ckpt_tensor *t = h5ckpt_tensors_get(dict, g->info.name);
    if (!t) {
        fprintf(stderr, "%s: no %s\n", route, g->info.name);
        CU_FAIL("a tensor is missing");
        return;
    }
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(t);
    const void *data = h5ckpt_tensor_data(t, &err);
    test_expect_none(&err);
    bool same = info->dtype == g->info.dtype && info->rank == g->info.rank &&
                memcmp(info->shape, g->info.shape, info->rank * sizeof *info->shape) == 0 && data &&
                memcmp(data, g->data, (size_t)info->nbytes) == 0;
    if (!same)
        fprintf(stderr, "%s: %s differs\n", route, g->info.name);
    CU_ASSERT(same);
}

static void expect_parameters(const h5ckpt_state *state, size_t count, const char *route)
{
    for (size_t i = 0; i < count; i++)
        expect_tensor(h5ckpt_state_parameters(state), &tensors[i], route);
    if (h5ckpt_tensors_count(h5ckpt_state_parameters(state)) != count)
        fprintf(stderr, "%s: %zu parameters\n", route, h5ckpt_tensors_count(h5ckpt_state_parameters(state)));
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(state)), count);
}

static h5ckpt_state *open_state(const char *path, const char *format)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.from = format;
    h5ckpt_state *state = h5ckpt_state_open(path, &o, &err);
    if (err)
        fprintf(stderr, "%s\n", err->message);
    test_expect_none(&err);
    return state;
}

static void write_state(const h5ckpt_state *state, const char *path, const char *format)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.to = format;
    o.no_sync = 1;
    h5ckpt_state_write(state, path, &o, &err);
    test_expect_none(&err);
}

static void convert(const char *from, const char *to, const char *format)
{
    h5ckpt_error *err = NULL;
    h5ckpt_options o = H5CKPT_OPTIONS_INIT;
    o.to = format;
    o.no_sync = 1;
    h5ckpt_convert(from, to, &o, &err);
    test_expect_none(&err);
}

static const char *path_for(const char *stem, const h5ckpt_format_info *f)
{
    char name[256];
    snprintf(name, sizeof name, "%s%s", stem, f->suffix ? f->suffix : "");
    return test_tmp(name);
}

/* One file, one array: it takes a single parameter. */
static size_t parameters_for(const h5ckpt_format_info *f)
{
    return strcmp(f->name, "npy") == 0 ? 1 : TENSORS - 1;
}

/* ---- Cases ---- */

static void gives_back_what_its_row_says(void)
{
    for (size_t i = 0; h5ckpt_format_at(i); i++) {
        const h5ckpt_format_info *f = h5ckpt_format_at(i);
        if (!f->writes || !f->reads)
            continue;
        char stem[64];
        if (parameters_for(f) == 1) /* an array that is alone has its file's name */
            snprintf(stem, sizeof stem, "%s", tensors[0].info.name);
        else
            snprintf(stem, sizeof stem, "row-%s", f->name);
        const char *path = path_for(stem, f);
        bool all = f->holds_optimizer_state || f->holds_decays || f->holds_metadata;
        h5ckpt_state *state = make_state(all, parameters_for(f));
        write_state(state, path, f->name);
        h5ckpt_state_free(state);
        if (!(state = open_state(path, NULL)))
            continue;
        CU_ASSERT_STRING_EQUAL(h5ckpt_state_format(state), f->name); /* by content, with its own suffix */
        if (f->holds_optimizer_state) {
            expect_parameters(state, parameters_for(f), f->name);
            expect_tensor(h5ckpt_state_optimizer_state(state), &tensors[TENSORS - 1], f->name);
        } else {
            for (size_t t = 0; t < parameters_for(f); t++)
                expect_tensor(h5ckpt_state_parameters(state), &tensors[t], f->name);
        }
        if (f->holds_metadata) {
            const h5ckpt_value *author = h5ckpt_value_get(h5ckpt_state_metadata(state), "author");
            if (!author)
                fprintf(stderr, "%s: no metadata\n", f->name);
            CU_ASSERT(author && strcmp(author->as.str, "nobody in particular") == 0);
        }
        if (f->holds_decays && h5ckpt_decays_count(h5ckpt_state_decays(state)) != 1)
            fprintf(stderr, "%s: no decay\n", f->name);
        if (f->holds_decays)
            CU_ASSERT_EQUAL(h5ckpt_decays_count(h5ckpt_state_decays(state)), 1);
        h5ckpt_state_free(state);
    }
}

/* From `from` to `to`, and on to `from` again. */
static void go_there_and_back(const h5ckpt_format_info *from, const h5ckpt_format_info *to)
{
    char stem[160], route[64];
    size_t count = parameters_for(from) < parameters_for(to) ? parameters_for(from) : parameters_for(to);
    snprintf(route, sizeof route, "%s > %s", from->name, to->name);
    snprintf(stem, sizeof stem, "from-%s-%s", from->name, to->name);
    const char *first = path_for(stem, from);
    h5ckpt_state *state = make_state(false, count);
    write_state(state, first, from->name);
    h5ckpt_state_free(state);
    snprintf(stem, sizeof stem, "via-%s-%s", from->name, to->name);
    const char *second = path_for(stem, to);
    convert(first, second, to->name);
    snprintf(stem, sizeof stem, "back-%s-%s", from->name, to->name);
    const char *third = path_for(stem, from);
    convert(second, third, from->name);
    const char *paths[] = {second, third};
    for (size_t i = 0; i < 2; i++) {
        if (!(state = open_state(paths[i], NULL)))
            continue;
        for (size_t t = 0; t < count && count > 1; t++) /* a single array is named by its file */
            expect_tensor(h5ckpt_state_parameters(state), &tensors[t], route);
        if (h5ckpt_tensors_count(h5ckpt_state_parameters(state)) != count)
            fprintf(stderr, "%s: expected %zu parameters\n", route, count);
        CU_ASSERT_EQUAL(h5ckpt_tensors_count(h5ckpt_state_parameters(state)), count);
        h5ckpt_state_free(state);
    }
}

static void goes_from_any_to_any(void)
{
    size_t pairs = 0;
    for (size_t i = 0; h5ckpt_format_at(i); i++)
        for (size_t j = 0; h5ckpt_format_at(j); j++)
            if (h5ckpt_format_at(i)->writes && h5ckpt_format_at(j)->writes) {
                go_there_and_back(h5ckpt_format_at(i), h5ckpt_format_at(j));
                pairs++;
            }
    CU_ASSERT(pairs >= 4);
}

int main(void)
{
    static const test_case cases[] = {{"each format gives back what its row says", gives_back_what_its_row_says},
                                      {"from any format to any other and back", goes_from_any_to_any},
                                      {NULL, NULL}};
    return test_run("exchange", cases);
}
