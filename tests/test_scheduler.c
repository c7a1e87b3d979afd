/*
 * test_scheduler.c - learning-rate state across frameworks, with the dictionaries that the real ones save
 * (tests/fixtures/schedulers/): read, written as its own, written as another's, and through HDF5.
 */
#include "schema/scheduler.h"

#include "model/value.h"
#include "parse/pickle.h"
#include "test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static h5ck_arena arena;
static const h5ck_schema *schema;

static const char *const frameworks[] = {"paddle-1.x", "paddle", "torch", "keras"};

static int begin(void)
{
    return schema ? 0 : h5ck_schema_builtin(NULL, &schema, NULL);
}

/* name -> state, of one framework. */
static const h5ckpt_value *fixture(const char *framework)
{
    char name[80];
    size_t len;
    h5ckpt_error *err = NULL;
    h5ckpt_value *states = h5ck_arena_zalloc(&arena, 1, sizeof *states);
    snprintf(name, sizeof name, "schedulers/%s.pickle", framework);
    unsigned char *data = test_read(test_fixture(name), &len);
    CU_ASSERT_EQUAL_FATAL(h5ck_pickle_read(data, len, NULL, &arena, states, &err), H5CKPT_OK);
    test_expect_none(&err);
    free(data);
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    return states;
}

static const h5ckpt_object *decay_of(const char *framework, const char *name)
{
    h5ckpt_value object;
    const h5ckpt_value *state = h5ckpt_value_get(fixture(framework), name);
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    CU_ASSERT_EQUAL_FATAL(h5ck_scheduler_read(schema, framework, state, &arena, &object, NULL), H5CKPT_OK);
    return object.as.object;
}

/* Asserts what `decay` becomes for a framework, as text: "{last_epoch: 3, last_lr: 0.05}", and how many fields that
 * leaves. */
static void expect(const char *framework, const h5ckpt_object *decay, const char *expected, size_t expected_lost)
{
    h5ckpt_value dict;
    size_t lost, used = 1;
    char text[400] = "{";
    CU_ASSERT_EQUAL_FATAL(h5ck_scheduler_write(schema, framework, decay, &arena, &dict, &lost, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(dict.type, H5CKPT_DICT);
    for (size_t i = 0; i < dict.count; i++) {
        const h5ckpt_value *v = &dict.as.fields[i].value;
        const char *left = v->type == H5CKPT_LIST ? "[" : "", *right = v->type == H5CKPT_LIST ? "]" : "";
        if (v->type == H5CKPT_LIST) {
            CU_ASSERT_EQUAL_FATAL(v->count, 1);
            v = v->as.items;
        }
        CU_ASSERT_TRUE_FATAL(v->type == H5CKPT_INT || v->type == H5CKPT_FLOAT);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s: %s", i ? ", " : "",
                                 dict.as.fields[i].key.as.str, left);
        used += v->type == H5CKPT_INT ? (size_t)snprintf(text + used, sizeof text - used, "%d", (int)v->as.i)
                                      : (size_t)snprintf(text + used, sizeof text - used, "%.9gf", v->as.f);
        used += (size_t)snprintf(text + used, sizeof text - used, "%s", right);
    }
    snprintf(text + used, sizeof text - used, "}");
    CU_ASSERT_STRING_EQUAL(text, expected);
    if (strcmp(text, expected) != 0)
        printf("\n    found    %s\n    expected %s\n", text, expected);
    CU_ASSERT_EQUAL(lost, expected_lost);
}

/* ---- A framework's own ---- */

/* Every state of every framework: an object of the schema's class that passes as a decay, and the same fields again. */
static void keeps_every_field_of_its_own(void)
{
    size_t states_seen = 0;
    for (size_t i = 0; i < sizeof frameworks / sizeof *frameworks; i++) {
        const h5ckpt_value *states = fixture(frameworks[i]);
        for (size_t k = 0; k < states->count; k++, states_seen++) {
            const h5ckpt_value *state = &states->as.fields[k].value;
            h5ckpt_value object, dict;
            size_t lost = 1;
            CU_ASSERT_EQUAL(h5ck_scheduler_read(schema, frameworks[i], state, &arena, &object, NULL), H5CKPT_OK);
            CU_ASSERT_EQUAL_FATAL(object.type, H5CKPT_OBJECT);
            CU_ASSERT_EQUAL(h5ck_schema_check_object((void *)(uintptr_t)schema, object.as.object, NULL), H5CKPT_OK);
            CU_ASSERT_EQUAL(h5ck_scheduler_write(schema, frameworks[i], object.as.object, &arena, &dict, &lost, NULL),
                            H5CKPT_OK);
            CU_ASSERT_TRUE(h5ck_value_equal(state, &dict));
            CU_ASSERT_EQUAL(lost, 0);
        }
    }
    CU_ASSERT_EQUAL(states_seen, 11 + 17 + 17 + 6);
    h5ck_arena_free(&arena);
}

static void names_the_class_that_stands_for_each(void)
{
    static const char *const classes[][3] = {
        {"paddle-1.x", "paddle.fluid.dygraph.learning_rate_scheduler", "LearningRateDecay"},
        {"paddle", "paddle.optimizer.lr", "LRScheduler"},
        {"torch", "torch.optim.lr_scheduler", "LRScheduler"},
        {"keras", "keras.optimizers.schedules", "LearningRateSchedule"}};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        const h5ckpt_object *o = decay_of(classes[i][0], i < 2 ? "NoamDecay" : i == 2 ? "StepLR" : "CosineDecay");
        CU_ASSERT_STRING_EQUAL(o->module, classes[i][1]);
        CU_ASSERT_STRING_EQUAL(o->class_name, classes[i][2]);
    }
    h5ck_arena_free(&arena);
}

/* ---- One's as another's ---- */

/* The step of the next update has one meaning, whatever it is called. */
static void carries_step_and_rate(void)
{
    const h5ckpt_object *paddle = decay_of("paddle", "PiecewiseDecay"), *torch = decay_of("torch", "StepLR"),
                        *keras = decay_of("keras", "CosineDecay"), *old = decay_of("paddle-1.x", "NoamDecay"),
                        *epochs = decay_of("paddle-1.x", "StepDecay");
    expect("torch", paddle, "{last_epoch: 3, _last_lr: [0.05f]}", 0);
    expect("keras", paddle, "{iterations: 3, learning_rate: 0.05f}", 0);
    expect("paddle-1.x", paddle, "{step_num: 3}", 1);
    expect("paddle", torch, "{last_epoch: 3, last_lr: 0.01f}", 6);
    expect("keras", torch, "{iterations: 3, learning_rate: 0.01f, initial_learning_rate: 0.1f}", 5);
    expect("paddle-1.x", torch, "{step_num: 3}", 7);
    expect("paddle", keras, "{last_epoch: 3, last_lr: 0.0793892667f}", 6);
    expect("torch", keras, "{last_epoch: 3, _last_lr: [0.0793892667f]}", 6);
    expect("paddle", old, "{last_epoch: 4}", 0); /* its rate is not in it */
    expect("torch", old, "{last_epoch: 4}", 0);
    expect("paddle", epochs, "{last_epoch: 3, last_lr: 0.0100000007f}", 0); /* a NumPy float32 */
    h5ck_arena_free(&arena);
}

/* Two groups of parameters with two rates have no one rate; with the same, they have. */
static void takes_one_rate_for_groups_that_agree_only(void)
{
    expect("paddle", decay_of("torch", "StepLR of two groups"), "{last_epoch: 3}", 7);
    expect("paddle", decay_of("torch", "StepLR of two equal groups"), "{last_epoch: 3, last_lr: 0.01f}", 6);
    h5ck_arena_free(&arena);
}

/* A chain has no step of its own, only those in it have: none is made up. */
static void makes_up_no_step(void)
{
    const h5ckpt_object *chain = decay_of("torch", "ChainedScheduler");
    expect("paddle", chain, "{last_lr: 0.0243f}", 1);
    h5ckpt_value dict;
    size_t lost;
    CU_ASSERT_EQUAL(h5ck_scheduler_write(schema, "paddle", chain, &arena, &dict, &lost, NULL), H5CKPT_OK);
    CU_ASSERT_STRING_EQUAL(h5ck_scheduler_lacks(schema, "paddle", &dict), "last_epoch");
    h5ck_arena_free(&arena);
}

/* A Paddle 1.x decay object has a formula, which gives the rate: as Paddle 1.8.5 computes it (in float32:
 * 0.1 * exp(-0.5 * 3 / 10)). */
static void takes_a_decays_rate_from_its_formula(void)
{
    const h5ckpt_field fields[] = {
        {h5ck_value_str("step_num"), h5ck_value_int(3)},      {h5ck_value_str("step_size"), h5ck_value_int(1)},
        {h5ck_value_str("dtype"), h5ck_value_str("float32")}, {h5ck_value_str("learning_rate"), h5ck_value_float(0.1)},
        {h5ck_value_str("decay_steps"), h5ck_value_int(10)},  {h5ck_value_str("decay_rate"), h5ck_value_float(0.5)},
        {h5ck_value_str("staircase"), h5ck_value_bool(false)}};
    const char *module = "paddle.fluid.dygraph.learning_rate_scheduler";
    const h5ckpt_object decay = {module, "NaturalExpDecay", 7, fields}, mine = {"my.schedules", "Mine", 3, fields};
    CU_ASSERT_EQUAL_FATAL(begin(), 0);
    expect("paddle", &decay, "{last_epoch: 3, last_lr: 0.0860707983f}", 6);
    expect("torch", &decay, "{last_epoch: 3, _last_lr: [0.0860707983f]}", 6);
    expect("paddle-1.x", &decay, "{step_num: 3}", 6);
    expect("keras", &decay, "{iterations: 3, learning_rate: 0.0860707983f, initial_learning_rate: 0.1f}", 5);
    expect("paddle", &mine, "{last_epoch: 3}", 2); /* a user's own: every decay's step_num, and no formula */
    h5ck_arena_free(&arena);
}

static void says_what_a_framework_needs(void)
{
    const h5ckpt_value *old = h5ckpt_value_get(fixture("paddle-1.x"), "NoamDecay"),
                       *new = h5ckpt_value_get(fixture("paddle"), "NoamDecay");
    CU_ASSERT_STRING_EQUAL(h5ck_scheduler_lacks(schema, "paddle", old), "last_epoch");
    CU_ASSERT_STRING_EQUAL(h5ck_scheduler_lacks(schema, "paddle-1.x", new), "step_num");
    CU_ASSERT_PTR_NULL(h5ck_scheduler_lacks(schema, "paddle-1.x", old));
    CU_ASSERT_PTR_NULL(h5ck_scheduler_lacks(schema, "paddle", new));
    h5ck_arena_free(&arena);
}

/* ---- Refusals ---- */

static void refuses_what_is_no_state(void)
{
    const h5ckpt_value number = h5ck_value_int(3), list = {.type = H5CKPT_LIST};
    const h5ckpt_field by_number = {h5ck_value_int(1), h5ck_value_int(2)};
    const h5ckpt_value numbered = {.type = H5CKPT_DICT, .count = 1, .as.fields = &by_number};
    h5ckpt_value out;
    h5ckpt_error *err = NULL;
    size_t lost;
    const h5ckpt_object *o = decay_of("paddle", "NoamDecay");
    CU_ASSERT_EQUAL(h5ck_scheduler_read(schema, "torch", &number, &arena, &out, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected a scheduler's state, a dictionary, found int");
    CU_ASSERT_EQUAL(h5ck_scheduler_read(schema, "torch", &list, &arena, &out, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "found list");
    CU_ASSERT_EQUAL(h5ck_scheduler_read(schema, "torch", &numbered, &arena, &out, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected text as the keys of a scheduler's state, found int");
    CU_ASSERT_EQUAL(h5ck_scheduler_read(schema, "caffe", &numbered, &arena, &out, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "a scheduler of the framework 'caffe', found 'paddle'");
    CU_ASSERT_EQUAL(h5ck_scheduler_write(schema, "caffe", o, &arena, &out, &lost, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "'caffe'");
    h5ck_arena_free(&arena);
}

/* ---- Through HDF5 ---- */

/* All states as decays of one checkpoint; it comes back from HDF5 with every value and type. */
static void comes_back_from_hdf5(void)
{
    const char *path = test_tmp("schedulers.h5");
    h5ckpt_state *state = h5ckpt_state_new(), *back;
    h5ckpt_error *err = NULL;
    char name[120];
    CU_ASSERT_PTR_NOT_NULL_FATAL(state);
    for (size_t i = 0; i < sizeof frameworks / sizeof *frameworks; i++) {
        const h5ckpt_value *states = fixture(frameworks[i]);
        for (size_t k = 0; k < states->count; k++) {
            h5ckpt_value object;
            snprintf(name, sizeof name, "%s %s", frameworks[i], states->as.fields[k].key.as.str);
            CU_ASSERT_EQUAL(
                h5ck_scheduler_read(schema, frameworks[i], &states->as.fields[k].value, &arena, &object, NULL),
                H5CKPT_OK);
            CU_ASSERT_EQUAL(h5ckpt_state_add_decay(state, name, &object, &err), H5CKPT_OK);
            test_expect_none(&err);
        }
    }
    CU_ASSERT_EQUAL(h5ckpt_state_write(state, path, NULL, &err), H5CKPT_OK);
    test_expect_none(&err);
    back = h5ckpt_state_open(path, NULL, &err);
    CU_ASSERT_PTR_NOT_NULL_FATAL(back);
    const h5ckpt_decays *all = h5ckpt_state_decays(back);
    CU_ASSERT_EQUAL(h5ckpt_decays_count(all), h5ckpt_decays_count(h5ckpt_state_decays(state)));
    for (size_t i = 0; i < h5ckpt_decays_count(all); i++) {
        const h5ckpt_decay_info *found = h5ckpt_decay_get_info(h5ckpt_decays_at(all, i)),
                                *made = h5ckpt_decay_get_info(h5ckpt_decays_at(h5ckpt_state_decays(state), i));
        CU_ASSERT_STRING_EQUAL(found->name, made->name);
        CU_ASSERT_TRUE(h5ck_value_equal(found->value, made->value));
    }
    const h5ckpt_decay_info *step = h5ckpt_decay_get_info(h5ckpt_decays_get(all, "torch StepLR"));
    CU_ASSERT_STRING_EQUAL(step->framework, "torch");
    CU_ASSERT_STRING_EQUAL(step->doc, "state of a PyTorch scheduler");
    CU_ASSERT_EQUAL(step->has_rates, 0);
    CU_ASSERT_EQUAL(step->step->as.i, 3);
    CU_ASSERT_EQUAL(step->rate->as.items[0].as.f, 0.010000000000000002);
    h5ckpt_state_free(back);
    h5ckpt_state_free(state);
    h5ck_arena_free(&arena);
}

int main(void)
{
    static const test_case cases[] = {
        {"keeps every field of its own", keeps_every_field_of_its_own},
        {"names the class that stands for each", names_the_class_that_stands_for_each},
        {"carries step and rate", carries_step_and_rate},
        {"takes one rate for groups that agree only", takes_one_rate_for_groups_that_agree_only},
        {"makes up no step", makes_up_no_step},
        {"takes a decay's rate from its formula", takes_a_decays_rate_from_its_formula},
        {"says what a framework needs", says_what_a_framework_needs},
        {"refuses what is no state", refuses_what_is_no_state},
        {"comes back from HDF5", comes_back_from_hdf5},
        {NULL, NULL}};
    return test_run("scheduler", cases);
}
