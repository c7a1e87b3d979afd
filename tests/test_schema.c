/*
 * test_schema.c - schemas: the built-in one, a user's own, every way to be wrong (with its place), the decay rule, and
 * the name rules with their casts.
 */
#include "schema/schema.h"

#include "base/buf.h"
#include "base/le.h"
#include "model/value.h"
#include "move/cast.h"
#include "move/digest.h"
#include "move/move.h"
#include "schema/builtin.h"
#include "schema/keys.h"
#include "schema/rate.h"
#include "test.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MODULE "paddle.fluid.dygraph.learning_rate_scheduler"
#define OWN    "schema: mine\nextends: paddle\n" /* two lines */

/* ---- Helpers ---- */

static int load_text(const char *yaml, size_t length, const h5ck_schema **s, h5ckpt_error **err)
{
    const char *path = test_tmp("s.yaml");
    test_write(path, yaml, length);
    return h5ck_schema_load(path, s, err);
}

static const h5ck_schema *good(const char *yaml)
{
    const h5ck_schema *s = NULL;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(load_text(yaml, strlen(yaml), &s, &err), H5CKPT_OK);
    test_expect_none(&err);
    return s;
}

/* Asserts the whole message: the file's path, then `expected`; or where that ends in '*', the message's begin (the rest
 * is libyaml's or the C library's wording). */
static void wrong_bytes(const char *yaml, size_t length, const char *expected)
{
    const h5ck_schema *s = NULL;
    h5ckpt_error *err = NULL;
    char message[600];
    snprintf(message, sizeof message, "%s:%s", test_tmp("s.yaml"), expected);
    CU_ASSERT_EQUAL(load_text(yaml, length, &s, &err), H5CKPT_USAGE);
    CU_ASSERT_PTR_NULL(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(err);
    CU_ASSERT_EQUAL(err->code, H5CKPT_USAGE);
    size_t n = strlen(message);
    bool begin = n > 0 && message[n - 1] == '*';
    if (begin ? strncmp(err->message, message, n - 1) != 0 : strcmp(err->message, message) != 0) {
        printf("\n    found    %s\n    expected %s\n", err->message, message);
        CU_FAIL("a message differs");
    }
    h5ckpt_error_free(err);
    h5ck_schema_free(s);
}

static void wrong(const char *yaml, const char *expected)
{
    wrong_bytes(yaml, strlen(yaml), expected);
}

/* ---- The built-in schema ---- */

static void holds_what_paddle_writes(void)
{
    const h5ck_schema *s;
    CU_ASSERT_EQUAL_FATAL(h5ck_schema_builtin(NULL, &s, NULL), H5CKPT_OK);
    CU_ASSERT_STRING_EQUAL(s->name, "paddle");
    CU_ASSERT_PTR_NULL(s->extends);
    CU_ASSERT_STRING_EQUAL(s->dir_decays, "optimizers");
    CU_ASSERT_STRING_EQUAL(s->dir_separator, "/");
    CU_ASSERT_STRING_EQUAL(s->h5_separator, "/");
    CU_ASSERT_STRING_EQUAL(s->h5_parameters, "parameters");
    CU_ASSERT_STRING_EQUAL(s->h5_optimizers, "optimizers");
    CU_ASSERT_STRING_EQUAL(s->h5_optimizer_state, "optimizer_state");
    CU_ASSERT_STRING_EQUAL(s->at_version, "h5ckpt_version");
    CU_ASSERT_STRING_EQUAL(s->at_schema, "h5ckpt_schema");
    CU_ASSERT_STRING_EQUAL(s->at_class, "class");
    CU_ASSERT_STRING_EQUAL(s->at_module, "module");
    CU_ASSERT_STRING_EQUAL(s->at_python, "python");
    CU_ASSERT_STRING_EQUAL(s->at_fields, "fields");
    CU_ASSERT_STRING_EQUAL(s->at_type_suffix, ":type");
    CU_ASSERT_STRING_EQUAL(s->at_name, "name");
    CU_ASSERT_STRING_EQUAL(s->at_order, "order");
    CU_ASSERT_STRING_EQUAL(s->at_lod, "lod_");
    CU_ASSERT_STRING_EQUAL(s->at_digest, "digest");
    CU_ASSERT_STRING_EQUAL(s->at_source_size, "source_size");
    CU_ASSERT_STRING_EQUAL(s->at_source_mtime, "source_mtime");
    CU_ASSERT_TRUE(h5ck_patterns_match(&s->dir_ignore, ".hidden"));
    CU_ASSERT_FALSE(h5ck_patterns_match(&s->dir_ignore, "w.hidden"));
    CU_ASSERT_TRUE(h5ck_patterns_match(&s->dir_skip, "__model__"));
    CU_ASSERT_EQUAL(s->module_count, 1);
    CU_ASSERT_STRING_EQUAL(s->modules[0], MODULE);
    CU_ASSERT_EQUAL(s->rule_count, 0);
    h5ck_schema_free(s);
}

/* Every class of Paddle 1.5 to 1.8 that can be pickled, its fields in the order of the object's __dict__, each with a
 * line of documentation, and a formula. */
static void lists_every_decay_class(void)
{
    static const char *const classes[][9] = {
        {"PiecewiseDecay", "boundaries", "values", "vars"},
        {"NaturalExpDecay", "learning_rate", "decay_steps", "decay_rate", "staircase"},
        {"ExponentialDecay", "learning_rate", "decay_steps", "decay_rate", "staircase"},
        {"InverseTimeDecay", "learning_rate", "decay_steps", "decay_rate", "staircase"},
        {"PolynomialDecay", "learning_rate", "decay_steps", "end_learning_rate", "power", "cycle"},
        {"CosineDecay", "learning_rate", "step_each_epoch", "epochs"},
        {"NoamDecay", "learning_rate", "d_model", "warmup_steps"},
        {"LinearLrWarmup", "learning_rate", "warmup_steps", "lr_ratio_before_warmup"}};
    static const char *const base[] = {"step_num", "step_size", "dtype"};
    const h5ck_schema *s;
    CU_ASSERT_EQUAL_FATAL(h5ck_schema_builtin("paddle", &s, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(s->class_count, sizeof classes / sizeof *classes);
    CU_ASSERT_EQUAL(s->base_count, 3);
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        const h5ck_class *c = h5ck_schema_class(s, MODULE, classes[i][0]);
        CU_ASSERT_PTR_NOT_NULL_FATAL(c);
        CU_ASSERT_TRUE(c->doc && *c->doc);
        CU_ASSERT_TRUE(h5ck_rate_known(c->formula));
        for (size_t f = 0; f < c->count; f++) {
            const char *name = f < 3 ? base[f] : classes[i][f - 2];
            CU_ASSERT_PTR_NOT_NULL_FATAL(name);
            CU_ASSERT_STRING_EQUAL(c->fields[f].name, name);
            CU_ASSERT_STRING_EQUAL(c->fields[f].parameter, name);
            CU_ASSERT_TRUE(c->fields[f].doc && *c->fields[f].doc);
            CU_ASSERT_PTR_EQUAL(h5ck_class_field(c, name), &c->fields[f]);
        }
        CU_ASSERT_PTR_NULL(classes[i][c->count - 2]);
    }
    CU_ASSERT_PTR_NULL(h5ck_schema_class(s, "mine", "NoamDecay"));
    CU_ASSERT_PTR_NULL(h5ck_class_field(h5ck_schema_class(s, MODULE, "NoamDecay"), "epochs"));
    CU_ASSERT_PTR_NULL(h5ck_class_field(NULL, "epochs"));
    const h5ck_field_spec *f = h5ck_class_field(h5ck_schema_class(s, MODULE, "NoamDecay"), "learning_rate");
    CU_ASSERT_TRUE(f->optional && f->has_default && f->default_number == 1);
    f = h5ck_class_field(h5ck_schema_class(s, MODULE, "LinearLrWarmup"), "learning_rate");
    CU_ASSERT_EQUAL(f->type, H5CK_FIELD_RATE);
    CU_ASSERT_STRING_EQUAL(h5ck_field_type_name(f->type), "rate");
    h5ck_schema_free(s);
}

static void builds_the_file_in_as_it_is(void)
{
    size_t length;
    const h5ck_schema *s;
    const char *path = test_fixture("../../schema/paddle.yaml");
    unsigned char *file = test_read(path, &length);
    CU_ASSERT_EQUAL_FATAL(strlen(h5ck_schema_builtin_text(NULL)), length);
    CU_ASSERT_EQUAL(h5ck_schema_builtins[0].size, length);
    CU_ASSERT_EQUAL(memcmp(h5ck_schema_builtin_text("paddle"), file, length), 0);
    CU_ASSERT_PTR_NULL(h5ck_schema_builtin_text("torch"));
    free(file);
    CU_ASSERT_EQUAL_FATAL(h5ck_schema_load(path, &s, NULL), H5CKPT_OK);
    CU_ASSERT_STRING_EQUAL(s->name, "paddle");
    h5ck_schema_free(s);
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void expect_same_members(const h5ck_keys *t, const void *a, const void *b);

static void expect_same_lists(const h5ck_key *k, const void *a, const void *b)
{
    const char *one = h5ck_key_pointer(k, a), *other = h5ck_key_pointer(k, b);
    size_t count = H5CK_KEY_GET(size_t, a, k->beside);
    CU_ASSERT_EQUAL_FATAL(count, H5CK_KEY_GET(size_t, b, k->beside));
    for (size_t i = 0; i < count; i++)
        if (k->kind == H5CK_KEY_LIST)
            expect_same_members(k->table, one + i * k->table->size, other + i * k->table->size);
        else if (k->kind == H5CK_KEY_WHOLES)
            CU_ASSERT_EQUAL_FATAL(((const uint64_t *)(const void *)one)[i], ((const uint64_t *)(const void *)other)[i])
        else
            CU_ASSERT_STRING_EQUAL(((const char *const *)(const void *)one)[i],
                                   ((const char *const *)(const void *)other)[i]);
}

static void expect_same_members(const h5ck_keys *t, const void *a, const void *b)
{
    for (const h5ck_key *k = t->keys; k < t->keys + t->count; k++)
        switch (k->kind) {
        case H5CK_KEY_TEXT:
            CU_ASSERT_TRUE(same_text(h5ck_key_pointer(k, a), h5ck_key_pointer(k, b)));
            break;
        case H5CK_KEY_FLAG:
            CU_ASSERT_EQUAL(H5CK_KEY_GET(bool, a, k->offset), H5CK_KEY_GET(bool, b, k->offset));
            break;
        case H5CK_KEY_NUMBER:
            CU_ASSERT_EQUAL(H5CK_KEY_GET(bool, a, k->beside), H5CK_KEY_GET(bool, b, k->beside));
            CU_ASSERT_EQUAL(H5CK_KEY_GET(double, a, k->offset), H5CK_KEY_GET(double, b, k->offset));
            break;
        case H5CK_KEY_DTYPE:
            CU_ASSERT_EQUAL(H5CK_KEY_GET(h5ckpt_dtype, a, k->offset), H5CK_KEY_GET(h5ckpt_dtype, b, k->offset));
            break;
        case H5CK_KEY_TYPE:
            CU_ASSERT_EQUAL(H5CK_KEY_GET(h5ck_field_type, a, k->offset), H5CK_KEY_GET(h5ck_field_type, b, k->offset));
            break;
        case H5CK_KEY_MEANS:
            CU_ASSERT_EQUAL(H5CK_KEY_GET(h5ck_meaning, a, k->offset), H5CK_KEY_GET(h5ck_meaning, b, k->offset));
            break;
        case H5CK_KEY_MAP:
            expect_same_members(k->table, a, b);
            break;
        case H5CK_KEY_WHOLE:
            CU_ASSERT_EQUAL(H5CK_KEY_GET(bool, a, k->beside), H5CK_KEY_GET(bool, b, k->beside));
            CU_ASSERT_EQUAL(H5CK_KEY_GET(uint64_t, a, k->offset), H5CK_KEY_GET(uint64_t, b, k->offset));
            break;
        case H5CK_KEY_AXES: {
            const h5ck_axes one = H5CK_KEY_GET(h5ck_axes, a, k->offset), other = H5CK_KEY_GET(h5ck_axes, b, k->offset);
            CU_ASSERT_EQUAL(one.reverse, other.reverse);
            CU_ASSERT_EQUAL_FATAL(one.count, other.count);
            CU_ASSERT_EQUAL(memcmp(one.at, other.at, one.count), 0);
            break;
        }
        case H5CK_KEY_TEXTS:
        case H5CK_KEY_WHOLES:
        case H5CK_KEY_LIST:
            expect_same_lists(k, a, b);
            break;
        }
}

/* What precompile.c printed is what each file means, key by key. */
static void compiles_what_the_files_say(void)
{
    const h5ck_schema *compiled, *parsed;
    const h5ckpt_schema_info *info;
    size_t schemas = 0, names = 0;
    CU_ASSERT_EQUAL(h5ck_schema_compiled[0] != NULL, *H5CK_TEST_PRECOMPILE != 0);
    for (size_t i = 0; (info = h5ck_schema_builtin_at(i)); i++) {
        char path[100];
        snprintf(path, sizeof path, "../../schema/%s%s.yaml", info->is_names ? "names/" : "", info->name);
        CU_ASSERT_EQUAL_FATAL(h5ck_schema_load_any(test_fixture(path), &parsed, NULL), H5CKPT_OK);
        CU_ASSERT_EQUAL_FATAL(info->is_names ? h5ck_names_load(info->name, &compiled, NULL)
                                             : h5ck_schema_builtin(info->name, &compiled, NULL),
                              H5CKPT_OK);
        expect_same_members(info->is_names ? &h5ck_names_keys : &h5ck_schema_keys, compiled, parsed);
        CU_ASSERT_EQUAL(compiled->is_names, info->is_names);
        CU_ASSERT_EQUAL(parsed->is_names, info->is_names);
        CU_ASSERT_TRUE(info->doc && same_text(parsed->doc, info->doc)); /* embed.awk reads it from the text, too */
        *(info->is_names ? &names : &schemas) += 1;
        h5ck_schema_free(parsed);
        h5ck_schema_free(compiled);
    }
    CU_ASSERT_TRUE(schemas >= 1 && names >= 3);
}

/* One constant for all, which freeing leaves alone. */
static void shares_the_builtin(void)
{
    const h5ck_schema *one, *other;
    CU_ASSERT_EQUAL_FATAL(h5ck_schema_builtin(NULL, &one, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL_FATAL(h5ck_schema_builtin("paddle", &other, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(one == other, *H5CK_TEST_PRECOMPILE != 0);
    h5ck_schema_free(one);
    CU_ASSERT_STRING_EQUAL(other->classes[7].fields[5].name, "lr_ratio_before_warmup");
    h5ck_schema_free(other);
}

static void refuses_an_unknown_builtin(void)
{
    const h5ck_schema *s;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_schema_builtin("torch", &s, &err), H5CKPT_USAGE);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_USAGE, "expected the name of a built-in schema (paddle");
}

/* ---- A schema of one's own ---- */

/* The worked example of docs/schema.md. */
static const char my_yaml[] = "# my.yaml\n"
                              "schema: mine\n"
                              "extends: paddle\n"
                              "\n"
                              "save_directory:\n"
                              "  ignore: [\"*.tmp\", \"*~\"]\n"
                              "hdf5:\n"
                              "  separator: \".\"\n"
                              "  groups: {parameters: weights}\n"
                              "  attributes: {class: python_class, lod: level_}\n"
                              "decays:\n"
                              "  classes:\n"
                              "    - class: HalfLife\n"
                              "      module: my.schedules\n"
                              "      doc: \"halves the rate every half_life steps\"\n"
                              "      formula: exponential\n"
                              "      fields:\n"
                              "        - {name: rate, type: float, parameter: learning_rate, doc: \"rate at step 0\"}\n"
                              "        - {name: half_life, type: int, unit: steps, parameter: decay_steps}\n"
                              "        - {name: factor, type: float, parameter: decay_rate, default: 0.5}\n"
                              "rules:\n"
                              "  - {match: '^encoder[.](.*)[.]kernel$', rename: 'enc/\\1.w_0', transpose: true}\n"
                              "  - {match: '_moment[12]$', drop: true}\n"
                              "  - {match: '[.]bias$', rename: '.b_0', cast: float32}\n";

static void extends_the_builtin(void)
{
    const h5ck_schema *s = good(my_yaml);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(s->name, "mine");
    CU_ASSERT_STRING_EQUAL(s->extends, "paddle");
    CU_ASSERT_STRING_EQUAL(s->h5_separator, ".");
    CU_ASSERT_STRING_EQUAL(s->dir_separator, "/");
    CU_ASSERT_STRING_EQUAL(s->h5_parameters, "weights");
    CU_ASSERT_STRING_EQUAL(s->h5_optimizers, "optimizers");
    CU_ASSERT_STRING_EQUAL(s->at_class, "python_class");
    CU_ASSERT_STRING_EQUAL(s->at_module, "module");
    CU_ASSERT_STRING_EQUAL(s->at_lod, "level_");
    CU_ASSERT_EQUAL(s->dir_ignore.count, 3); /* patterns add */
    CU_ASSERT_TRUE(h5ck_patterns_match(&s->dir_ignore, ".x"));
    CU_ASSERT_TRUE(h5ck_patterns_match(&s->dir_ignore, "a.tmp"));
    CU_ASSERT_EQUAL(s->class_count, 9);
    CU_ASSERT_EQUAL(s->rule_count, 3);
    CU_ASSERT_EQUAL(s->rules[2].cast, H5CKPT_DTYPE_FLOAT32);
    const h5ck_class *c = h5ck_schema_class(s, "my.schedules", "HalfLife");
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->count, 6); /* the base's three, then its own */
    CU_ASSERT_STRING_EQUAL(c->fields[0].name, "step_num");
    CU_ASSERT_STRING_EQUAL(c->fields[4].parameter, "decay_steps");
    h5ck_schema_free(s);
}

/* The new class has rates: by its own field names, and by the default of a field that the object lacks. */
static void computes_rates_of_a_class_of_ones_own(void)
{
    const h5ck_schema *s = good(my_yaml);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    const h5ckpt_field fields[] = {{h5ck_value_str("step_num"), h5ck_value_int(0)},
                                   {h5ck_value_str("step_size"), h5ck_value_int(10)},
                                   {h5ck_value_str("dtype"), h5ck_value_str("float32")},
                                   {h5ck_value_str("rate"), h5ck_value_float(4)},
                                   {h5ck_value_str("half_life"), h5ck_value_int(10)}};
    const h5ckpt_object o = {"my.schedules", "HalfLife", 5, fields};
    double rates[3] = {0};
    CU_ASSERT_EQUAL(h5ck_rate_next(s, &o, NULL, 3, rates, NULL), H5CKPT_OK);
    CU_ASSERT_TRUE(rates[0] == 4 && rates[1] == 2 && rates[2] == 1);
    h5ck_schema_free(s);
}

static void replaces_a_class_and_a_base_field_of_the_same_name(void)
{
    const h5ck_schema *s =
        good(OWN "decays:\n  modules: [my.decays]\n"
                 "  base: [{name: dtype, type: any}, {name: note, type: str}]\n"
                 "  classes: [{class: NoamDecay, fields: [{name: peak, type: float}]}, {class: New}]\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->module_count, 2);
    CU_ASSERT_EQUAL(s->base_count, 4);
    CU_ASSERT_EQUAL(s->base[2].type, H5CK_FIELD_ANY);
    CU_ASSERT_EQUAL(s->class_count, 9);
    const h5ck_class *c = h5ck_schema_class(s, MODULE, "NoamDecay");
    CU_ASSERT_PTR_EQUAL(c, &s->classes[6]); /* in its old place */
    CU_ASSERT_EQUAL(c->count, 5);
    CU_ASSERT_PTR_NULL(c->formula);
    CU_ASSERT_STRING_EQUAL(c->fields[4].name, "peak");
    c = h5ck_schema_class(s, MODULE, "New"); /* no module: the first */
    CU_ASSERT_PTR_NOT_NULL_FATAL(c);
    CU_ASSERT_EQUAL(c->count, 4);
    CU_ASSERT_EQUAL(h5ck_schema_class(s, MODULE, "CosineDecay")->count, 7);
    h5ck_schema_free(s);
}

/* A host program's locale must not turn 0.25 into 0 (checked where the system has such a locale). */
static void reads_numbers_in_any_locale(void)
{
    const char *yaml = OWN "decays: {classes: [{class: A, fields: [{name: x, type: number, default: 2.5e-1}]}]}\n";
    const char *locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "C"};
    for (size_t i = 0; i < 3; i++) {
        if (!setlocale(LC_ALL, locales[i]))
            continue;
        const h5ck_schema *s = good(yaml);
        CU_ASSERT_PTR_NOT_NULL_FATAL(s);
        CU_ASSERT_EQUAL(h5ck_schema_class(s, MODULE, "A")->fields[3].default_number, 0.25);
        h5ck_schema_free(s);
    }
    setlocale(LC_ALL, "C");
}

/* ---- Wrong ones. Each row: a schema, and the whole message behind the path. ---- */

static const struct {
    const char *yaml, *message;
} wrongs[] = {
    /* YAML */
    {"", "1:1: expected a schema, found an empty file"},
    {"# nothing\n", "1:1: expected a schema, found an empty file"},
    {"schema: [mine\n", "2:1: expected valid YAML, *"},
    {"schema: \"mine\n", "2:1: expected valid YAML, *"},
    {OWN "hdf5: {separator: \"\\q\"}\n", "3:20: expected valid YAML, *"},
    {OWN "\thdf5: x\n", "3:1: expected valid YAML, *"},
    {"a: b: c\n", "1:5: expected valid YAML, *"},
    {OWN "---\nschema: again\n", "3:1: expected the end of the file, found a second document"},
    {"schema: &a mine\nextends: *a\n", "1:9: expected values written out, found an anchor"},
    {"schema: mine\nextends: *a\n", "2:10: expected values written out, found an alias"},
    {"schema: !!str mine\n", "1:9: expected values without tags, found a tag"},
    {OWN "rules: [[[[[[[[[[[[[[[[[[x]]]]]]]]]]]]]]]]]]\n", "3:23: expected values at most 16 deep, found a deeper one"},
    {OWN "hdf5: {separator: \"a\\0b\"}\n", "3:19: expected a text without zero bytes, found one"},
    /* kinds */
    {"- schema\n", "1:1: expected a mapping for the schema, found a list"},
    {"mine\n", "1:1: expected a mapping for the schema, found 'mine'"},
    {OWN "hdf5: yes\n", "3:7: expected a mapping for hdf5, found 'yes'"},
    {OWN "hdf5: [a]\n", "3:7: expected a mapping for hdf5, found a list"},
    {OWN "hdf5:\n  separator: [\"/\"]\n", "4:14: expected a separator of at most 16 bytes, found a list"},
    {OWN "hdf5:\n  separator: {a: b}\n", "4:14: expected a separator of at most 16 bytes, found a mapping"},
    {OWN "hdf5:\n  separator:\n", "4:13: expected a separator of at most 16 bytes, found nothing"},
    {OWN "hdf5:\n  separator: ~\n", "4:14: expected a separator of at most 16 bytes, found '~'"},
    {OWN "save_directory: {ignore: \".*\"}\n", "3:26: expected a list for 'ignore', found '.*'"},
    {OWN "save_directory: {ignore: [\".*\", [a]]}\n", "3:33: expected a text that is not empty, found a list"},
    {OWN "save_directory: {ignore: [\".*\", \"\"]}\n", "3:33: expected a text that is not empty, found an empty text"},
    {OWN "rules:\n  match: a\n", "4:3: expected a list for 'rules', found a mapping"},
    {OWN "rules: [a]\n", "3:9: expected a mapping for a rule, found 'a'"},
    {OWN "rules: [{match: a, drop: yes}]\n", "3:26: expected true or false, found 'yes'"},
    {OWN "rules: [{match: a, drop: \"true\"}]\n", "3:26: expected true or false, found a quoted text"},
    {OWN "decays: {classes: [{class: A, fields: [{name: x, type: float, default: much}]}]}\n",
     "3:72: expected a finite number, found 'much'"},
    {OWN "decays: {classes: [{class: A, fields: [{name: x, type: float, default: 0x10}]}]}\n",
     "3:72: expected a finite number, found '0x10'"},
    {OWN "decays: {classes: [{class: A, fields: [{name: x, type: float, default: 1e999}]}]}\n",
     "3:72: expected a finite number, found '1e999'"},
    {OWN "decays: {classes: [{class: A, fields: [{name: x, type: float, default: inf}]}]}\n",
     "3:72: expected a finite number, found 'inf'"},
    /* keys */
    {OWN "hdf6: {}\n",
     "3:1: expected a key of the schema (schema, extends, doc, save_directory, hdf5, decays, schedulers, "
     "rules), found 'hdf6'"},
    {OWN "hdf5: {group: {}}\n", "3:8: expected a key of hdf5 (separator, groups, attributes, foreign, lists, "
                                "group_attributes), found 'group'"},
    {OWN "hdf5:\n  groups: {parameter: weights}\n",
     "4:12: expected a key of groups (parameters, optimizers, optimizer_state), found 'parameter'"},
    {OWN "{a: b}: c\n",
     "3:1: expected a key of the schema (schema, extends, doc, save_directory, hdf5, decays, schedulers, "
     "rules), found a mapping"},
    {OWN "schema: other\n", "3:1: expected the key 'schema' once, found it twice"},
    {OWN "hdf5: {separator: \".\", separator: \":\"}\n", "3:24: expected the key 'separator' once, found it twice"},
    {"extends: paddle\n", "1:1: expected the key 'schema' in the schema, found none"},
    {OWN "rules: [{rename: a}]\n", "3:9: expected the key 'match' in a rule, found none"},
    {OWN "decays: {classes: [{doc: a}]}\n", "3:20: expected the key 'class' in a class, found none"},
    {OWN "decays:\n  classes:\n    - class: A\n      fields:\n        - {name: x}\n",
     "7:11: expected the key 'type' in a field, found none"},
    {OWN "decays:\n  classes:\n    - class: A\n      fields:\n        - {type: int}\n",
     "7:11: expected the key 'name' in a field, found none"},
    /* words */
    {"schema: mine\nextends: torch\n", "2:10: expected the name of a built-in schema (paddle*"},
    {"schema: mine\nextends: [paddle]\n",
     "2:10: expected the name of a built-in schema (paddle, caffe, keras, keras2, keras2-weights, tree), found a list"},
    {"schema: paddle\nextends: paddle\n",
     "1:9: expected a name of its own for this schema, found the name of a built-in one"},
    {"schema: a/b\nextends: paddle\n", "1:9: expected a name (without '/', and not '.' or '..'), found 'a/b'"},
    {OWN "rules: [{match: a, cast: float33}]\n",
     "3:26: expected an element type (bool, int8 ... uint64, float16, bfloat16, float32, ...), found 'float33'"},
    {OWN "rules: [{match: a, cast: [float32]}]\n",
     "3:26: expected an element type (bool, int8 ... uint64, float16, bfloat16, float32, ...), found a list"},
    {OWN "decays: {base: [{name: x, type: integer}]}\n",
     "3:33: expected any, int, float, number, bool, str, ints, numbers or rate, found 'integer'"},
    {OWN "decays:\n  classes:\n    - {class: A, formula: linear}\n",
     "5:27: expected a formula (piecewise, natural_exp, exponential, inverse_time, polynomial, cosine, noam, "
     "linear_warmup), found 'linear'"},
    {OWN "decays:\n  classes:\n    - {class: A, formula: noam}\n",
     "5:27: expected a field of A for the parameter 'd_model' of the formula noam, found none"},
    {OWN "decays: {classes: [{class: \"A B\"}]}\n", "3:28: expected a Python class's name, found 'A B'"},
    {OWN "decays: {classes: [{class: A, module: a..b}]}\n",
     "3:39: expected a Python module's dotted name, found 'a..b'"},
    {OWN "decays: {modules: [\"os; rm\"]}\n", "3:20: expected a Python module's dotted name, found 'os; rm'"},
    {OWN "decays: {classes: [{class: A, doc: \"two\\nlines\"}]}\n",
     "3:36: expected one line of text, found 'two\\x0alines'"},
    /* meaning */
    {OWN "hdf5: {groups: {parameters: \"\"}}\n",
     "3:29: expected a group's name, or 'foreign: true' beside it, found an empty text"},
    {OWN "hdf5: {groups: {optimizers: \"\"}}\n",
     "3:29: expected a name (without '/', and not '.' or '..'), found an empty text"},
    {OWN "hdf5: {groups: {parameters: a/b}}\n",
     "3:29: expected a name (without '/', and not '.' or '..'), or \"\" for the root, found 'a/b'"},
    {OWN "hdf5: {groups: {parameters: ..}}\n",
     "3:29: expected a name (without '/', and not '.' or '..'), or \"\" for the root, found '..'"},
    /* another program's layout */
    {OWN "hdf5: {lists: {parameters: names}}\n", "3:28: expected 'foreign: true' beside 'lists', found 'names'"},
    {OWN "hdf5: {group_attributes: [{group: \"\", name: a, text: b}]}\n",
     "3:35: expected 'foreign: true' beside 'group_attributes', found an empty text"},
    {OWN "hdf5: {foreign: true, separator: \".\", lists: {parameters: names}}\n",
     "3:59: expected the separator '/' beside 'lists', found 'names'"},
    {OWN "hdf5: {foreign: true, lists: {groups: names}}\n",
     "3:39: expected 'parameters' beside 'groups' in 'lists', found 'names'"},
    {OWN "hdf5: {groups: {parameters: optimizers}}\n",
     "3:29: expected a name that no other group has, found 'optimizers'"},
    {OWN "hdf5: {groups: {optimizer_state: parameters}}\n",
     "3:34: expected a name that no other group has, found 'parameters'"},
    {OWN "hdf5: {groups: {parameters: a, optimizers: a}}\n",
     "3:44: expected a name that no other group has, found 'a'"},
    {OWN "hdf5: {attributes: {class: a/b}}\n", "3:28: expected a name (without '/', and not '.' or '..'), found 'a/b'"},
    {OWN "hdf5: {attributes: {class: module}}\n", "3:28: expected a name that no other attribute has, found 'module'"},
    {OWN "hdf5: {attributes: {lod: digest}}\n", "3:26: expected a name that no other attribute has, found 'digest'"},
    {OWN "hdf5: {attributes: {order: lod_7}}\n",
     "3:28: expected names that keep 'lod_7' and the levels 'lod_0', ... apart, found 'lod_7'"},
    {OWN "hdf5: {attributes: {type_suffix: s}}\n",
     "3:34: expected a suffix for types that no attribute ends with ('class' does with 's'), found 's'"},
    {OWN "hdf5: {attributes: {class: learning_rate}}\n",
     "3:28: expected a name that is not both a field's and an attribute's of every decay, found 'learning_rate'"},
    {OWN "hdf5: {separator: \"12345678901234567\"}\n",
     "3:19: expected a separator of at most 16 bytes, found '12345678901234567'"},
    {OWN "save_directory: {decays: a/b}\n", "3:26: expected a name (without '/', and not '.' or '..'), found 'a/b'"},
    {OWN "save_directory: {decays: \"\"}\n",
     "3:26: expected a name (without '/', and not '.' or '..'), found an empty text"},
    {OWN "decays: {classes: [{class: A}, {class: B}, {class: A}]}\n", "3:52: expected each class once, found a second"},
    {OWN "schedulers: [{framework: f, class: A, module: m}]\n",
     "3:14: expected the key 'fields' in a scheduler, found none"},
    {OWN "schedulers: [{framework: f, class: A, module: m, fields: [{name: a, type: int, means: age}]}]\n",
     "3:87: expected step, rate or base_rate, found 'age'"},
    {OWN "schedulers: [{framework: f, class: A, module: m, fields: [{name: a, type: str, means: step}]}]\n",
     "3:66: expected a number's type, or numbers, beside 'means', found str"},
    {OWN "schedulers: [{framework: f, class: A, module: m, fields: [{name: a, type: int}, {name: a, type: int}]}]\n",
     "3:88: expected each field once, found a second"},
    {OWN "schedulers: [{framework: f, class: A, module: m, fields: [{name: class, type: str}]}]\n",
     "3:66: expected a name that is not both a field's and an attribute's of every decay, found 'class'"},
    {OWN "schedulers:\n- {framework: f, class: A, module: m, fields: [{name: a, type: int}]}\n"
         "- {framework: f, class: B, module: m, fields: [{name: a, type: int}]}\n",
     "5:15: expected each framework once, found a second"},
    {OWN "decays: {base: [{name: a, type: int}, {name: a, type: int}]}\n",
     "3:46: expected each field once, found a second"},
    {OWN "decays: {classes: [{class: A, fields: [{name: a, type: int}, {name: a, type: int}]}]}\n",
     "3:69: expected each field once, found a second"},
    {OWN "decays: {classes: [{class: A, fields: [{name: dtype, type: str}]}]}\n",
     "3:47: expected each field once, found one of the base's"},
    {OWN "decays: {classes: [{class: A, fields: [{name: a, type: str, default: 1}]}]}\n",
     "3:47: expected a number's type beside 'default', found str"},
    {OWN "decays: {classes: [{class: A, formula: noam, fields: [{name: a, type: int, parameter: d_model},"
         " {name: d_model, type: int}, {name: warmup_steps, type: int}]}]}\n",
     "3:104: expected one field for the parameter 'd_model', found a second"},
    /* rules */
    {OWN "rules: [{match: \"\", drop: true}]\n", "3:17: expected a text that is not empty, found an empty text"},
    {OWN "rules: [{match: \"(a\", drop: true}]\n", "3:17: expected a POSIX extended regular expression, found none *"},
    {OWN "rules: [{match: \"[a\", drop: true}]\n", "3:17: expected a POSIX extended regular expression, found none *"},
    {OWN "rules: [{match: '(a)\\1', drop: true}]\n", "3:17: expected a regular expression of at most 4096 bytes, 1000 "
                                                     "repeats, no back reference, found a back reference"},
    {OWN "rules: [{match: '((a{1,99}){1,99}){1,99}', drop: true}]\n",
     "3:17: expected a regular expression of at most 4096 bytes, 1000 repeats, no back reference, found more repeats"},
    {OWN "rules:\n  - {match: '(a)', rename: '\\2'}\n",
     "4:28: expected references to the 1 groups of '(a)', found \\2"},
    {OWN "rules:\n  - {match: '(a)', rename: '\\n'}\n",
     "4:28: expected \\0 to \\9, or \\\\ for one backslash, found \\n"},
    {OWN "rules:\n  - {match: '(a)', rename: 'x\\'}\n",
     "4:28: expected \\0 to \\9, or \\\\ for one backslash, found \\"},
    {OWN "rules:\n  - {match: a, rename: b, drop: true}\n",
     "4:13: expected 'drop', or what else to do with 'a', found both"},
};

static void refuses_with_the_place(void)
{
    for (size_t i = 0; i < sizeof wrongs / sizeof *wrongs; i++)
        wrong(wrongs[i].yaml, wrongs[i].message);
}

/* ---- Bytes, sizes, files ---- */

static void refuses_bytes_that_are_no_utf8(void)
{
    static const struct {
        const char *yaml;
        size_t length;
        const char *message;
    } cases[] = {
        {"schema: m\xff\n", 11, "1:10: expected printable UTF-8, *"},
        {"# \xc3\xa9\xc3\xa9\nschema: \xc0\xaf\n", 18, "2:9: expected printable UTF-8, *"},
        {"# \xc3\xa9 \xed\xa0\x80\n", 9, "1:5: expected printable UTF-8, *"},
        {"schema: a\0b\n", 12, "1:10: expected printable UTF-8, *"},
        {"\xff\xfes\0c\0", 6, "1:1: expected printable UTF-8, *"}, /* UTF-16 */
        {"schema: \xe2\x82", 10, "1:9: expected printable UTF-8, *"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        wrong_bytes(cases[i].yaml, cases[i].length, cases[i].message);
    /* what is UTF-8 passes, and columns count characters */
    wrong("# \xf0\x9f\x90\x8e\nschema: \"gr\xc3\xb6\xc3\x9f\x65\", x: y\n", "2:16: expected valid YAML, *");
    const h5ck_schema *s = good("\xef\xbb\xbfschema: gr\xc3\xb6\xc3\x9f\x65\r\nextends: paddle\r\n");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_STRING_EQUAL(s->name, "gr\xc3\xb6\xc3\x9f\x65");
    h5ck_schema_free(s);
}

static char *repeated(const char *head, const char *unit, size_t times, const char *tail)
{
    size_t h = strlen(head), u = strlen(unit), t = strlen(tail);
    char *text = malloc(h + u * times + t + 1);
    memcpy(text, head, h);
    for (size_t i = 0; i < times; i++)
        memcpy(text + h + i * u, unit, u);
    memcpy(text + h + u * times, tail, t + 1);
    return text;
}

static void refuses_excess(void)
{
    static const struct {
        const char *head, *unit;
        size_t times;
        const char *tail, *message;
    } cases[] = {
        {OWN "rules: [", "a,", 140000, "]\n", "3:*"},
        {OWN "rules: [", "{match: a},", 1025, "]\n", "3:8: expected at most 1024 elements of 'rules', found more"},
        {OWN "save_directory: {skip: [", "a,", 1025, "]}\n", "3:24: expected at most 1024 texts, found more"},
        {OWN "decays: {classes: [", "{class: A},", 2049, "]}\n",
         "3:19: expected at most 2048 elements of 'classes', found more"},
        {OWN "rules: ", "[", 100000, "\n", "3:23: expected values at most 16 deep, found a deeper one"},
        {OWN "rules: ", "{a: ", 100000, "\n", "3:68: expected values at most 16 deep, found a deeper one"},
        {OWN "rules: [{match: '", "a", 4097, "'}]\n", "3:17: expected a regular expression of at most 4096 bytes, *"},
        {OWN "#", "x", 1 << 20, "\n", " expected a schema of at most 1048576 bytes, found 1048607"},
        {OWN "hdf5: {separator: \"", "x", 1000, "\"}\n", "3:19: expected a separator of at most 16 bytes, found 'xxx*"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = repeated(cases[i].head, cases[i].unit, cases[i].times, cases[i].tail);
        wrong(text, cases[i].message);
        free(text);
    }
}

static void refuses_files_that_are_none(void)
{
    const h5ck_schema *s;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_schema_load(test_tmp("missing.yaml"), &s, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "missing.yaml: expected a schema file, found nothing");
    CU_ASSERT_EQUAL(h5ck_schema_load(test_tmp("."), &s, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a schema file, found a directory");
    CU_ASSERT_PTR_NULL(s);
}

/* A schema that ends anywhere is either a shorter one or an error with a place; never a crash, never another code. */
static void survives_a_cut_at_every_offset(void)
{
    const char *texts[] = {my_yaml, h5ck_schema_builtin_text(NULL)};
    for (size_t t = 0; t < 2; t++)
        for (size_t n = 0, length = strlen(texts[t]); n < length; n += t == 0 ? 1 : 7) {
            const h5ck_schema *s;
            h5ckpt_error *err = NULL;
            int rc = load_text(texts[t], n, &s, &err);
            if (rc) {
                test_expect_error(&err, H5CKPT_USAGE, ": expected ");
                CU_ASSERT_PTR_NULL(s);
            } else {
                h5ck_schema_free(s);
            }
        }
}

/* Without `extends` every key that the built-in schema has outside of lists that may be empty must be there. */
static void needs_all_keys_without_extends(void)
{
    static const char *const keys[] = {
        "schema",     "save_directory", "decays",          "separator",    "hdf5",    "groups",
        "parameters", "optimizers",     "optimizer_state", "attributes",   "version", "class",
        "module",     "python",         "fields",          "type_suffix",  "name",    "order",
        "lod",        "digest",         "source_size",     "source_mtime", "modules", "base"};
    static const char whole[] =
        "schema: mine\n"
        "save_directory: {decays: optimizers, separator: /}\n"
        "hdf5: {separator: /, groups: {parameters: p, optimizers: o, optimizer_state: s}, attributes: {version: v, "
        "schema: w, class: c, module: m, python: y, fields: f, type_suffix: ':t', name: n, order: r, lod: l_, digest: "
        "d, source_size: e, source_mtime: t}}\n"
        "decays: {modules: [a.b], base: [{name: z, type: int}]}\n";
    const h5ck_schema *s = good(whole);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    CU_ASSERT_EQUAL(s->class_count, 0);
    CU_ASSERT_EQUAL(s->dir_ignore.count, 0);
    CU_ASSERT_STRING_EQUAL(s->h5_parameters, "p");
    h5ck_schema_free(s);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        char text[sizeof whole], key[32], part[64];
        h5ckpt_error *err = NULL;
        memcpy(text, whole, sizeof whole);
        snprintf(key, sizeof key, "%s:", keys[i]);
        char *at = text;
        while ((at = strstr(at, key)) && at != text && at[-1] != ' ' && at[-1] != '{' && at[-1] != '\n')
            at++;
        CU_ASSERT_PTR_NOT_NULL_FATAL(at);
        *at = 'X'; /* an unknown key, so the message lists the one that it should be */
        snprintf(part, sizeof part, "%s", keys[i]);
        CU_ASSERT_EQUAL(load_text(text, sizeof whole - 1, &s, &err), H5CKPT_USAGE);
        test_expect_error(&err, H5CKPT_USAGE, part);
    }
    wrong("schema: mine\n", "1:1: expected the key 'save_directory' in the schema, found none");
    wrong("schema: mine\nsave_directory: {separator: /}\n",
          "2:17: expected the key 'decays' in save_directory, found none");
    wrong("schema: mine\ndecays: {modules: [], base: []}\n", "2:19: expected at least one of 'modules', found none");
    wrong("schema: mine\ndecays: {modules: [a], base: []}\n", "2:30: expected at least one of 'base', found none");
}

/* ---- What counts as a decay ---- */

static void tells_decays_from_other_objects(void)
{
    const h5ck_schema *s = good(my_yaml);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    const h5ckpt_field fields[] = {{h5ck_value_str("step_num"), h5ck_value_int(0)},
                                   {h5ck_value_str("step_size"), h5ck_value_int(1)},
                                   {h5ck_value_str("dtype"), h5ck_value_str("float32")}};
    const struct {
        h5ckpt_object object;
        const char *message; /* NULL: it is one */
    } cases[] = {
        {{MODULE, "NoamDecay", 0, NULL}, NULL},        /* a class of Paddle's module */
        {{MODULE, "TomorrowsDecay", 0, NULL}, NULL},   /* one that the schema does not know */
        {{"my.schedules", "HalfLife", 0, NULL}, NULL}, /* one that it names */
        {{"a.b", "Unknown", 3, fields}, NULL},         /* any with the base's fields */
        {{"a.b", "Unknown", 2, fields}, "found a.b.Unknown, which has no field 'dtype'"},
        {{"posix", "system", 0, NULL}, "found posix.system of Python's own library"},
        {{MODULE ".sub", "NoamDecay", 0, NULL}, "which has no field"},
        {{"a\nb", "Unknown", 3, fields}, "expected a Python module's dotted name"},
        {{"a b", "Unknown", 3, fields}, "expected a Python module's dotted name, found 'a b'"},
        {{"", "Unknown", 3, fields}, "expected a Python module's dotted name, found ''"},
        {{NULL, "Unknown", 3, fields}, "expected a Python module's dotted name"},
        {{MODULE, "a.b", 3, fields}, "expected a Python class's name, found 'a.b'"},
        {{MODULE, "\xc3\xa9", 3, fields}, "expected a Python class's name"},
        {{MODULE, NULL, 3, fields}, "expected a Python class's name"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        h5ckpt_error *err = NULL;
        int rc = h5ck_schema_check_object((void *)(uintptr_t)s, &cases[i].object, &err);
        CU_ASSERT_EQUAL(rc, cases[i].message ? H5CKPT_INVALID : H5CKPT_OK);
        if (cases[i].message)
            test_expect_error(&err, H5CKPT_INVALID, cases[i].message);
        else
            test_expect_none(&err);
    }
    h5ck_schema_free(s);
}

/* ---- Casts ---- */

static uint64_t cast_bits(h5ckpt_dtype from, uint64_t bits, h5ckpt_dtype to, bool *fits)
{
    unsigned char in[16] = {0}, out[16] = {0};
    h5ck_le_put(in, bits, 8);
    *fits = h5ck_cast(h5ck_dtype_get(from), in, h5ck_dtype_get(to), out, 1) == 1;
    return h5ck_le_get(out, (unsigned)(h5ckpt_dtype_size(to) < 8 ? h5ckpt_dtype_size(to) : 8));
}

static uint64_t f32(float f)
{
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return bits;
}

/* Ties, carries, the ends of ranges, denormals, the specials: every kind of rounding once, by hand. */
static void casts_to_the_nearest(void)
{
    enum {
        B = H5CKPT_DTYPE_BOOL,
        I8 = H5CKPT_DTYPE_INT8,
        U8 = H5CKPT_DTYPE_UINT8,
        I32 = H5CKPT_DTYPE_INT32,
        I64 = H5CKPT_DTYPE_INT64,
        U64 = H5CKPT_DTYPE_UINT64,
        H = H5CKPT_DTYPE_FLOAT16,
        BF = H5CKPT_DTYPE_BFLOAT16,
        F = H5CKPT_DTYPE_FLOAT32,
        DB = H5CKPT_DTYPE_FLOAT64,
        E4 = H5CKPT_DTYPE_FLOAT8_E4M3FN,
        E5 = H5CKPT_DTYPE_FLOAT8_E5M2,
        C = H5CKPT_DTYPE_COMPLEX64
    };
    const struct {
        int from;
        uint64_t in;
        int to;
        uint64_t out;
        bool fits;
    } cases[] = {
        {F, f32(1.0f), H, 0x3c00, true},
        {F, f32(0x1.002p0f), H, 0x3c00, true},    /* a tie, to even */
        {F, f32(0x1.006p0f), H, 0x3c02, true},    /* a tie, to even, upwards */
        {F, f32(0x1.002002p0f), H, 0x3c01, true}, /* just above one */
        {F, f32(0x1.ffep0f), H, 0x4000, true},    /* carries into the exponent */
        {F, f32(65504.0f), H, 0x7bff, true},      /* the largest */
        {F, f32(65519.9f), H, 0x7bff, true},
        {F, f32(65520.0f), H, 0x7c00, false}, /* would be infinite */
        {F, f32(1e30f), H, 0, false},
        {F, f32(0x1p-24f), H, 0x0001, true}, /* the smallest denormal */
        {F, f32(0x1p-25f), H, 0x0000, true}, /* a tie with 0 */
        {F, f32(0x1.8p-25f), H, 0x0001, true},
        {F, f32(0x1.ff8p-15f), H, 0x03ff, true},
        {F, f32(0x1.ffcp-15f), H, 0x0400, true}, /* a tie, to even: denormal to normal */
        {F, f32(0x1p-149f), H, 0x0000, true},
        {F, f32(-0.0f), H, 0x8000, true},
        {F, 0x7f800000, H, 0x7c00, true},
        {F, 0xff800000, H, 0xfc00, true},
        {F, 0x7fc00001, H, 0x7e00, true},
        {H, 0x0001, F, f32(0x1p-24f), true},
        {H, 0xfbff, F, f32(-65504.0f), true},
        {BF, 0x3f80, F, f32(1.0f), true},
        {F, 0x3f808000, BF, 0x3f80, true},
        {F, 0x3f818000, BF, 0x3f82, true},
        {F, 0x7f7fffff, BF, 0x7f80, false}, /* FLT_MAX rounds to infinity */
        {F, f32(448.0f), E4, 0x7e, true},
        {F, f32(464.0f), E4, 0x7e, true},  /* a tie, to even */
        {F, f32(464.1f), E4, 0x7f, false}, /* would be NaN */
        {F, 0x7f800000, E4, 0x7f, false},  /* it has no infinity */
        {F, 0x7fc00000, E4, 0x7f, true},
        {F, f32(0x1p-9f), E4, 0x01, true},
        {E4, 0x78, F, f32(256.0f), true}, /* a number in the top exponent */
        {E4, 0x7f, F, 0x7fc00000, true},
        {F, f32(57344.0f), E5, 0x7b, true},
        {F, f32(61440.0f), E5, 0x7c, false},
        {DB, 0x3ff0000010000000, F, 0x3f800000, true}, /* a tie */
        {DB, 0x3ff0000010000001, F, 0x3f800001, true},
        {DB, 0x0000000000000001, F, 0, true},
        {DB, 0x3690000000000000, F, 0, true}, /* 2^-150: a tie with 0 */
        {DB, 0x3690000000000001, F, 1, true},
        {F, 0x00000001, DB, 0x36a0000000000000, true},
        {I64, (UINT64_C(1) << 53) + 1, DB, 0x4340000000000000, true},
        {I64, (UINT64_C(1) << 60) + (UINT64_C(1) << 36) + 1, F, 0x5d800001, true}, /* double rounding would lose it */
        {I64, (uint64_t)INT64_MIN, F, 0xdf000000, true},
        {U64, UINT64_MAX, F, 0x5f800000, true},
        {I64, 2049, H, 0x6800, true},
        {I32, 0xffffffff, DB, 0xbff0000000000000, true},
        {F, f32(2.5f), I8, 2, true},
        {F, f32(3.5f), I8, 4, true},
        {F, f32(-0.5f), U8, 0, true},
        {F, f32(-0.6f), U8, 0, false},
        {F, f32(127.4f), I8, 127, true},
        {F, f32(127.5f), I8, 0, false},
        {F, f32(-128.5f), I8, 0x80, true},
        {F, f32(255.5f), U8, 0, false},
        {F, f32(0x1p63f), I64, 0, false},
        {F, f32(-0x1p63f), I64, (uint64_t)INT64_MIN, true},
        {F, f32(0x1p63f), U64, UINT64_C(1) << 63, true},
        {F, f32(0x1p64f), U64, 0, false},
        {F, f32(1e30f), I64, 0, false},
        {F, 0x7fc00000, I32, 0, false},
        {F, 0x7f800000, I32, 0, false},
        {I32, 300, U8, 0, false},
        {I32, 200, U8, 200, true},
        {I32, 0xffffffff, U8, 0, false},
        {U64, UINT64_MAX, I64, 0, false},
        {U8, 200, I8, 0, false},
        {F, f32(0.0f), B, 0, true},
        {F, 0x7fc00000, B, 1, true},
        {F, f32(-0.0f), B, 0, true},
        {I64, UINT64_C(1) << 40, B, 1, true},
        {B, 2, I8, 1, true},
        {B, 1, F, 0x3f800000, true},
        {F, f32(1.5f), C, f32(1.5f), true},
        {C, f32(1.0f) << 32, B, 1, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        bool fits;
        uint64_t out = cast_bits((h5ckpt_dtype)cases[i].from, cases[i].in, (h5ckpt_dtype)cases[i].to, &fits);
        if (fits != cases[i].fits || (fits && out != cases[i].out)) {
            printf("\n    row %zu: %d %#llx\n", i, fits, (unsigned long long)out);
            CU_FAIL("a cast differs");
        }
    }
    CU_ASSERT_FALSE(h5ck_cast_exists(h5ck_dtype_get(H5CKPT_DTYPE_COMPLEX64), h5ck_dtype_get(H5CKPT_DTYPE_FLOAT64)));
    CU_ASSERT_TRUE(h5ck_cast_exists(h5ck_dtype_get(H5CKPT_DTYPE_COMPLEX64), h5ck_dtype_get(H5CKPT_DTYPE_COMPLEX128)));
}

/* Against the compiler's own conversions: every float16 and many doubles, there and back. */
static void casts_as_the_machine_does(void)
{
    uint64_t seed = 1;
    bool fits;
    for (uint64_t h = 0; h < 0x10000; h++) {
        uint64_t f = cast_bits(H5CKPT_DTYPE_FLOAT16, h, H5CKPT_DTYPE_FLOAT32, &fits);
        uint64_t back = cast_bits(H5CKPT_DTYPE_FLOAT32, f, H5CKPT_DTYPE_FLOAT16, &fits);
        bool nan = (h & 0x7c00) == 0x7c00 && (h & 0x3ff);
        CU_ASSERT_TRUE(fits && (nan ? back == ((h & 0x8000) | 0x7e00) : back == h));
    }
    for (int i = 0; i < 200000; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t bits = seed ^ (seed >> 29);
        bits = (bits & ~(UINT64_C(0x7ff) << 52)) | ((860 + (bits >> 3) % 300) << 52); /* around float's range */
        double d = h5ck_f64_from_bits(bits);
        uint64_t found = cast_bits(H5CKPT_DTYPE_FLOAT64, bits, H5CKPT_DTYPE_FLOAT32, &fits);
        CU_ASSERT_TRUE(fits ? found == f32((float)d) : d - d == 0 && (float)d - (float)d != 0);
        int64_t n = (int64_t)(seed >> (seed % 60));
        found = cast_bits(H5CKPT_DTYPE_INT64, (uint64_t)n, H5CKPT_DTYPE_FLOAT32, &fits);
        CU_ASSERT_TRUE(fits && found == f32((float)n));
    }
}

/* ---- Name rules ---- */

static char notes[400];

static void take_note(void *user, const char *line)
{
    (void)user;
    snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s|", line);
}

static void add(h5ckpt_state *state, const char *name, h5ckpt_dtype dtype, size_t rank, const uint64_t *shape,
                const void *data)
{
    const h5ckpt_tensor_info info = {.name = name, .dtype = dtype, .rank = rank, .shape = shape};
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(state, &state->parameters, &info, &extent, NULL, NULL), H5CKPT_OK);
}

static int apply(const char *rules, const h5ckpt_state *from, h5ckpt_state **to, h5ckpt_error **err)
{
    char yaml[1000];
    const h5ck_log log = {take_note, NULL};
    snprintf(yaml, sizeof yaml, OWN "rules:\n%s", rules);
    const h5ck_schema *s = good(yaml);
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    notes[0] = 0;
    int rc = h5ck_schema_apply_rules(s, from, to, &log, err);
    h5ck_schema_free(s); /* the new state does not need it */
    return rc;
}

static void has_names(const h5ckpt_state *state, const char *expected)
{
    char names[400] = "";
    for (size_t i = 0; i < h5ckpt_tensors_count(&state->parameters); i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s ",
                 h5ckpt_tensor_get_info(h5ckpt_tensors_at(&state->parameters, i))->name);
    CU_ASSERT_STRING_EQUAL(names, expected);
}

static const uint64_t shape_23[] = {2, 3}, shape_2[] = {2};
static const float six[] = {0, 1, 2, 3, 4, 5};

static void renames_and_drops(void)
{
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    static const char *const names[] = {"encoder.0.kernel",       "encoder.0.bias", "x_moment1",
                                        "gr\xc3\xb6\xc3\x9f\x65", "keep.bias",      "a(b)"};
    for (size_t i = 0; i < 6; i++)
        add(from, names[i], H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    CU_ASSERT_EQUAL(apply("  - {match: '^keep'}\n" /* protects from what follows */
                          "  - {match: '^encoder[.]([0-9]+)[.]kernel$', rename: 'enc_\\1/\\0\\\\w'}\n"
                          "  - {match: '[.]bias$', rename: '.b_0'}\n"
                          "  - {match: '_moment[12]$', drop: true}\n"
                          "  - {match: '(z)|b', rename: '<\\1\\0>'}\n"
                          "  - {match: '\xc3\xb6', rename: 'oe'}\n",
                          from, &to, NULL),
                    H5CKPT_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    has_names(to, "enc_0/encoder.0.kernel\\w encoder.0.b_0 groe\xc3\x9f\x65 keep.bias a(<b>) ");
    CU_ASSERT_STRING_EQUAL(notes, "1 parameter dropped by the rule '_moment[12]$': x_moment1|");
    /* the bytes are the old ones: nothing is copied */
    CU_ASSERT_PTR_EQUAL(h5ckpt_tensors_at(&to->parameters, 0)->extent.memory, six);
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

static void carries_the_rest_over(void)
{
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    const h5ckpt_object o = {MODULE, "Mine", 0, NULL};
    const h5ckpt_value v = {.type = H5CKPT_OBJECT, .as.object = &o};
    const h5ckpt_tensor_info info = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape_23};
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = six};
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(from, &from->optimizer_state, &info, &extent, NULL, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(h5ck_state_add_decay(from, "None", &v, NULL, NULL, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(h5ck_state_set_metadata(from, "epoch", "3", NULL), H5CKPT_OK);
    add(from, "w", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    CU_ASSERT_EQUAL(apply("  - {match: w, rename: v}\n", from, &to, NULL), H5CKPT_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    has_names(to, "v ");
    CU_ASSERT_PTR_NOT_NULL(h5ckpt_tensors_get(h5ckpt_state_optimizer_state(to), "v")); /* it follows its parameter */
    CU_ASSERT_TRUE(h5ck_value_equal(h5ckpt_decay_get_info(h5ckpt_decays_get(&to->decays, "None"))->value, &v));
    CU_ASSERT_STRING_EQUAL(h5ckpt_value_get(h5ckpt_state_metadata(to), "epoch")->as.str, "3");
    h5ckpt_state_free(to);
    /* no rules: no new state */
    const h5ck_schema *s;
    CU_ASSERT_EQUAL(h5ck_schema_builtin(NULL, &s, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(h5ck_schema_apply_rules(s, from, &to, &(h5ck_log){NULL, NULL}, NULL), H5CKPT_OK);
    CU_ASSERT_PTR_NULL(to);
    h5ck_schema_free(s);
    h5ckpt_state_free(from);
}

/* Whole, and in ranges of every offset and length: also those that begin or end inside an element. */
static void expect_elements(const h5ckpt_tensor *t, const void *expected, size_t n)
{
    unsigned char found[256];
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->info.nbytes, n);
    CU_ASSERT_EQUAL(t->extent.kind, H5CK_EXTENT_DECODER);
    for (size_t from = 0; from < n; from++)
        for (size_t to = from; to <= n; to++) {
            CU_ASSERT_EQUAL(h5ck_move_read(t, from, found, to - from, NULL), H5CKPT_OK);
            CU_ASSERT_EQUAL(memcmp(found, (const char *)expected + from, to - from), 0);
        }
}

static void transposes_and_casts(void)
{
    static const float transposed[] = {0, 3, 1, 4, 2, 5};
    static const int16_t shorts[] = {0, 3, 1, 4, 2, 5}, flat[] = {0, 1, 2, 3, 4, 5};
    static const uint64_t shape_132[] = {1, 3, 2}, shape_234[] = {2, 3, 4}, shape_203[] = {2, 0, 3};
    uint8_t cube[24], turned[24];
    for (uint8_t i = 0; i < 24; i++) {
        cube[i] = i;
        turned[(i % 4) * 6 + (i / 4 % 3) * 2 + i / 12] = i;
    }
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    add(from, "t", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    add(from, "tc", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    add(from, "c", H5CKPT_DTYPE_FLOAT32, 3, shape_132, six);
    add(from, "t3", H5CKPT_DTYPE_UINT8, 3, shape_234, cube);
    add(from, "t1", H5CKPT_DTYPE_FLOAT32, 1, shape_2, six);
    add(from, "t0", H5CKPT_DTYPE_FLOAT32, 3, shape_203, "");
    add(from, "same", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    CU_ASSERT_EQUAL(apply("  - {match: '^t.?$', rename: '\\0', transpose: true}\n", from, &to, NULL), H5CKPT_OK);
    h5ckpt_state_free(to);
    CU_ASSERT_EQUAL(apply("  - {match: '^tc$', transpose: true, cast: int16}\n"
                          "  - {match: '^c$', cast: int16}\n"
                          "  - {match: '^same$', cast: float32}\n"
                          "  - {match: '^t', transpose: true}\n",
                          from, &to, NULL),
                    H5CKPT_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    const h5ckpt_tensor *t = h5ckpt_tensors_get(&to->parameters, "t");
    expect_elements(t, transposed, sizeof transposed);
    CU_ASSERT_TRUE(t->info.rank == 2 && t->info.shape[0] == 3 && t->info.shape[1] == 2);
    CU_ASSERT_STRING_EQUAL(t->extent.decoder->what, "transposed");
    t = h5ckpt_tensors_get(&to->parameters, "tc");
    expect_elements(t, shorts, sizeof shorts);
    CU_ASSERT_EQUAL(t->info.dtype, H5CKPT_DTYPE_INT16);
    CU_ASSERT_STRING_EQUAL(t->extent.decoder->what, "transposed, cast from float32");
    t = h5ckpt_tensors_get(&to->parameters, "c");
    expect_elements(t, flat, sizeof flat);
    CU_ASSERT_TRUE(t->info.rank == 3 && t->info.shape[1] == 3 && t->info.shape[2] == 2);
    t = h5ckpt_tensors_get(&to->parameters, "t3");
    expect_elements(t, turned, sizeof turned);
    CU_ASSERT_TRUE(t->info.shape[0] == 4 && t->info.shape[2] == 2);
    CU_ASSERT_PTR_EQUAL(h5ckpt_tensors_get(&to->parameters, "t1")->extent.memory, six);   /* nothing to turn */
    CU_ASSERT_PTR_EQUAL(h5ckpt_tensors_get(&to->parameters, "same")->extent.memory, six); /* nothing to cast */
    t = h5ckpt_tensors_get(&to->parameters, "t0");
    CU_ASSERT_TRUE(t->info.nbytes == 0 && t->info.shape[0] == 3 && t->info.shape[1] == 0);
    CU_ASSERT_PTR_NOT_NULL(h5ck_move_data(t, NULL));
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

/* Larger than a block: 1700 x 90 doubles to float32, against the obvious loop. */
static void transposes_by_blocks(void)
{
    enum { ROWS = 1700, COLUMNS = 90 };
    static const uint64_t shape[] = {ROWS, COLUMNS};
    double *in = malloc(ROWS * COLUMNS * sizeof *in);
    float *out = malloc(ROWS * COLUMNS * sizeof *out);
    for (int i = 0; i < ROWS * COLUMNS; i++)
        in[i] = i / 7.0;
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    add(from, "w", H5CKPT_DTYPE_FLOAT64, 2, shape, in);
    CU_ASSERT_EQUAL(apply("  - {match: w, transpose: true, cast: float32}\n", from, &to, NULL), H5CKPT_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    const h5ckpt_tensor *t = h5ckpt_tensors_get(&to->parameters, "w");
    CU_ASSERT_EQUAL(h5ck_move_read(t, 0, out, ROWS * COLUMNS * sizeof *out, NULL), H5CKPT_OK);
    size_t different = 0;
    for (int r = 0; r < ROWS; r++)
        for (int c = 0; c < COLUMNS; c++)
            different += out[c * ROWS + r] != (float)in[r * COLUMNS + c];
    CU_ASSERT_EQUAL(different, 0);
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
    free(in);
    free(out);
}

/* The mover sees the new bytes only: so the old digest is checked here, and damage is not passed on. */
static void checks_the_digest_before_it_alters(void)
{
    float data[6];
    char digest[H5CK_DIGEST_TEXT], byte;
    memcpy(data, six, sizeof data);
    h5ck_digest *d = h5ck_digest_new(H5CKPT_DIGEST_XXH3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d);
    h5ck_digest_update(d, data, sizeof data);
    CU_ASSERT_EQUAL(h5ck_digest_text(d, digest, NULL), 0);
    h5ck_digest_free(d);
    for (int damaged = 0; damaged < 2; damaged++) {
        h5ckpt_state *from = h5ckpt_state_new(), *to;
        h5ckpt_error *err = NULL;
        const h5ckpt_tensor_info info = {.name = "w", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape_23};
        const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
        CU_ASSERT_EQUAL(h5ck_state_add_tensor(from, &from->parameters, &info, &extent, digest, NULL), H5CKPT_OK);
        CU_ASSERT_EQUAL(apply("  - {match: w, rename: v, transpose: true}\n", from, &to, NULL), H5CKPT_OK);
        CU_ASSERT_PTR_NOT_NULL_FATAL(to);
        const h5ckpt_tensor *t = h5ckpt_tensors_get(&to->parameters, "v");
        CU_ASSERT_PTR_NULL(t->digest); /* it is not that of the new bytes */
        data[5] = damaged ? 6 : 5;
        int rc = h5ck_move_read(t, 0, &byte, 1, &err);
        CU_ASSERT_EQUAL(rc, damaged ? H5CKPT_INVALID : H5CKPT_OK);
        if (damaged)
            test_expect_error(&err, H5CKPT_INVALID, "expected elements of the digest xxh3-128:");
        h5ckpt_state_free(to);
        CU_ASSERT_EQUAL(apply("  - {match: w, rename: v}\n", from, &to, NULL), H5CKPT_OK);
        CU_ASSERT_STRING_EQUAL(h5ckpt_tensors_get(&to->parameters, "v")->digest, digest); /* the mover checks it */
        h5ckpt_state_free(to);
        h5ckpt_state_free(from);
    }
}

static void refuses_rules_that_cannot_be_carried_out(void)
{
    static const uint64_t offsets[] = {0, 2};
    static const h5ckpt_lod_level lod = {2, offsets};
    const h5ckpt_tensor_info with_lod = {
        .name = "seq", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = shape_23, .lod_levels = 1, .lod = &lod};
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    h5ckpt_error *err = NULL;
    add(from, "a.w", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    add(from, "b.w", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    add(from, "z", H5CKPT_DTYPE_COMPLEX64, 1, shape_2, six);
    add(from, "\xc3\xb6", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = six};
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(from, &from->parameters, &with_lod, &extent, NULL, NULL), H5CKPT_OK);
    static const struct {
        const char *rules, *message;
    } cases[] = {
        {"  - {match: '^.[.]', rename: ''}\n", "found both 'a.w' and 'b.w' become 'w'"},
        {"  - {match: '^a.w', rename: 'b.w'}\n", "found both 'a.w' and 'b.w' become 'b.w'"},
        {"  - {match: '^z$', rename: ''}\n", "'z': rule '^z$': expected a new name in UTF-8, found an empty one"},
        {"  - {match: seq, transpose: true}\n", "'seq': rule 'seq': expected a tensor without LoD to transpose"},
        {"  - {match: z, cast: float32}\n",
         "'z': rule 'z': expected a real tensor to cast to float32, found complex64"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        CU_ASSERT_EQUAL(apply(cases[i].rules, from, &to, &err), H5CKPT_USAGE);
        CU_ASSERT_PTR_NULL(to);
        test_expect_error(&err, H5CKPT_USAGE, cases[i].message);
    }
    CU_ASSERT_EQUAL(apply("  - {match: '^.', rename: 'x'}\n", from, &to, &err),
                    H5CKPT_USAGE); /* cuts a character in two */
    test_expect_error(&err, H5CKPT_USAGE, "expected ");
    CU_ASSERT_EQUAL(apply("  - {match: '^a', cast: uint8}\n  - {match: '^b', cast: bool}\n", from, &to, &err),
                    H5CKPT_OK);
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

/* '.' is a byte in every locale: the same schema does the same on every machine. */
static void matches_bytes_in_any_locale(void)
{
    static const char *const locales[] = {"C", "C.UTF-8", "en_US.UTF-8"};
    for (size_t i = 0; i < 3; i++) {
        if (!setlocale(LC_ALL, locales[i]))
            continue;
        h5ckpt_state *from = h5ckpt_state_new(), *to;
        add(from, "\xc3\xb6", H5CKPT_DTYPE_FLOAT32, 2, shape_23, six);
        CU_ASSERT_EQUAL(
            apply("  - {match: '^.$', rename: 'one'}\n  - {match: '^..$', rename: 'two'}\n", from, &to, NULL),
            H5CKPT_OK);
        CU_ASSERT_PTR_NOT_NULL_FATAL(to);
        has_names(to, "two ");
        h5ckpt_state_free(to);
        h5ckpt_state_free(from);
    }
    setlocale(LC_ALL, "C");
}

static void refuses_values_that_the_new_type_cannot_hold(void)
{
    static const float values[] = {1, 300};
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    h5ckpt_error *err = NULL;
    unsigned char out[2];
    add(from, "w", H5CKPT_DTYPE_FLOAT32, 1, shape_2, values);
    CU_ASSERT_EQUAL(apply("  - {match: w, rename: v, cast: uint8}\n", from, &to, NULL), H5CKPT_OK);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    const h5ckpt_tensor *t = h5ckpt_tensors_get(&to->parameters, "v");
    CU_ASSERT_EQUAL(h5ck_move_read(t, 0, out, 1, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(h5ck_move_read(t, 0, out, 2, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID,
                      "expected elements that uint8 can hold, found one that it cannot (element 1, "
                      "cast from float32)");
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

int main(void)
{
    static const test_case cases[] = {
        {"holds what Paddle writes", holds_what_paddle_writes},
        {"lists every decay class", lists_every_decay_class},
        {"builds the file in as it is", builds_the_file_in_as_it_is},
        {"compiles what the files say", compiles_what_the_files_say},
        {"shares the builtin", shares_the_builtin},
        {"refuses an unknown builtin", refuses_an_unknown_builtin},
        {"extends the builtin", extends_the_builtin},
        {"computes rates of a class of one's own", computes_rates_of_a_class_of_ones_own},
        {"replaces a class and a base field", replaces_a_class_and_a_base_field_of_the_same_name},
        {"reads numbers in any locale", reads_numbers_in_any_locale},
        {"refuses with the place", refuses_with_the_place},
        {"refuses bytes that are no UTF-8", refuses_bytes_that_are_no_utf8},
        {"refuses excess", refuses_excess},
        {"refuses files that are none", refuses_files_that_are_none},
        {"survives a cut at every offset", survives_a_cut_at_every_offset},
        {"needs all keys without extends", needs_all_keys_without_extends},
        {"tells decays from other objects", tells_decays_from_other_objects},
        {"casts to the nearest", casts_to_the_nearest},
        {"casts as the machine does", casts_as_the_machine_does},
        {"renames and drops", renames_and_drops},
        {"carries the rest over", carries_the_rest_over},
        {"matches bytes in any locale", matches_bytes_in_any_locale},
        {"transposes and casts", transposes_and_casts},
        {"transposes by blocks", transposes_by_blocks},
        {"checks the digest before it alters", checks_the_digest_before_it_alters},
        {"refuses rules that cannot be carried out", refuses_rules_that_cannot_be_carried_out},
        {"refuses values that the new type cannot hold", refuses_values_that_the_new_type_cannot_hold},
        {NULL, NULL}};
    return test_run("schema", cases);
}
