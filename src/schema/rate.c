/*
 * rate.c - the learning-rate formulas, computed as Paddle 1.8.5 computes them, rounding for rounding.
 *
 * Sources: paddle/fluid/dygraph/learning_rate_scheduler.py (what is computed in which order), its operators' behaviour
 * on the CPU, and rates that the real Paddle computed (tests/test_rate.c). What decides the last bit:
 *   - Python's own numbers are float64 (an int divided by an int is a float64 too).
 *   - A number that meets a tensor goes through an operator's attribute, and those are float32: the number is rounded
 *     to float32 even where the tensor is float64.
 *   - tensor * number and tensor + number are one operator, x * scale + bias. tensor / number is x * (1 / number), the
 *     reciprocal taken in float64; but a NumPy number that is no float64 divides.
 *   - exp, pow and cos are the C library's of the tensor's type. Here they are this machine's: the one place where a
 *     last digit may differ from that of another machine.
 *
 * A formula is a row: its parameters (which a schema's class gives by its fields) and a function of the step. A
 * warm-up's inner decay steps with every call of the outer one, so a chain of decays is computed from the innermost
 * outwards, each at the step that follows from the number of calls: no state, and no loop over the calls before.
 *
 * Refused, H5CKPT_INVALID: what would raise an exception in Paddle (division by zero, 0 or less to a negative power, a
 * float64 that overflows where Python checks it), dtypes other than float32 and float64, steps beyond int64, and
 * piecewise lists whose lengths do not fit (Paddle fails only when it comes to the missing one).
 */
#include "schema/rate.h"

#include "base/le.h"
#include "model/value.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#ifdef __clang__
#pragma STDC FP_CONTRACT OFF
#endif

enum { MOST_PARAMETERS = 5 };

/* A Python number. */
typedef struct num {
    bool integer;
    bool divides; /* a tensor is divided by it, not multiplied by its reciprocal */
    int64_t i;    /* of an integer */
    double f;     /* always */
} num;

typedef enum parameter_kind { NUMBER, TRUTH, NUMBERS, RATE } parameter_kind;

typedef struct parameter {
    const char *name;
    parameter_kind kind;
    bool required;
    double standard; /* what it is where a class has no field for it */
} parameter;

typedef struct level level;

/* Why there is no rate: what to expect of which parameter. */
typedef struct fault {
    const char *parameter, *expected;
    double found;
} fault;

typedef struct formula {
    const char *name;
    parameter parameters[MOST_PARAMETERS + 1];
    /* The rate at a step; `inner` is the rate of a decay inside. False with *why. */
    bool (*compute)(const level *l, num step, double inner, double *rate, fault *why);
} formula;

/* One decay, its fields read. */
struct level {
    const formula *formula;
    const h5ckpt_object *object;
    const h5ck_class *spec;
    num start, size; /* step of call 0, and what a call adds */
    int64_t call;    /* of the first rate asked for */
    bool wide;       /* float64 */
    num value[MOST_PARAMETERS];
    num *items[MOST_PARAMETERS];   /* of NUMBERS, */
    size_t count[MOST_PARAMETERS]; /* and how many */
    const h5ckpt_object *inner;
    level *outer;
};

/* ---- Tensors of one element ---- */

/* A number as an operator's attribute, and so as a constant tensor. Beyond float's range it is infinite (IEEE). */
static double attribute(double x)
{
    return (double)(float)x;
}

static double rounded(const level *l, double x)
{
    return l->wide ? x : (double)(float)x;
}

/* Products and sums of floats, computed as doubles, are exact enough that rounding them gives the float operation. */
static double scaled(const level *l, double x, double scale, double bias)
{
    double product = rounded(l, x * attribute(scale));
    return rounded(l, product + attribute(bias));
}

static double divided(const level *l, double x, num by)
{
    return by.divides ? rounded(l, x / attribute(by.f)) : scaled(l, x, 1.0 / by.f, 0.0);
}

static double exp_of(const level *l, double x)
{
    return l->wide ? exp(x) : (double)expf((float)x);
}

static double pow_of(const level *l, double x, double y)
{
    return l->wide ? pow(x, y) : (double)powf((float)x, (float)y);
}

static double cos_of(const level *l, double x)
{
    return l->wide ? cos(x) : (double)cosf((float)x);
}

/* ---- Python's numbers ---- */

static bool less_than_double(int64_t i, double f)
{
    if (!(f >= -0x1p63)) /* NaN too */
        return false;
    if (f >= 0x1p63)
        return true;
    int64_t whole = (int64_t)f; /* towards zero, inside int64 */
    return i < whole || (i == whole && f > (double)whole);
}

static bool double_less_than(double f, int64_t i)
{
    if (!(f < 0x1p63))
        return false;
    if (f < -0x1p63)
        return true;
    int64_t whole = (int64_t)f;
    return whole < i || (whole == i && f < (double)whole);
}

/* Exact, as Python compares. */
static bool less(num a, num b)
{
    if (a.integer && b.integer)
        return a.i < b.i;
    if (a.integer)
        return less_than_double(a.i, b.f);
    if (b.integer)
        return double_less_than(a.f, b.i);
    return a.f < b.f;
}

static num integer(int64_t i)
{
    return (num){.integer = true, .i = i, .f = (double)i};
}

static num number(double f)
{
    return (num){.f = f};
}

/* A standard value, which a schema gives as a double: an int where it is whole. */
static num standard(double f)
{
    return fabs(f) < 0x1p53 && floor(f) == f ? integer((int64_t)f) : number(f);
}

/* start + times * size; false where an int64 would not hold it. */
static bool advanced(num start, num size, int64_t times, num *r)
{
    if (!start.integer || !size.integer) {
        *r = number(start.f + (double)times * size.f);
        return true;
    }
    int64_t a = times, b = size.i;
    bool over = false;
    if (a > 0)
        over = b > INT64_MAX / a || b < INT64_MIN / a;
    else if (a == -1)
        over = b == INT64_MIN;
    else if (a < -1)
        over = b > INT64_MIN / a || b < INT64_MAX / a;
    if (over)
        return false;
    int64_t product = a * b;
    if (product > 0 ? start.i > INT64_MAX - product : start.i < INT64_MIN - product)
        return false;
    *r = integer(start.i + product);
    return true;
}

/* base ** power for a float power below 0, as Python does it: an exception for 0, a complex number below 0. */
static bool python_power(num base, double power, const char *name, double *r, fault *why)
{
    *why = (fault){name, "a number above 0", base.f};
    if (base.f <= 0)
        return false;
    *r = pow(base.f, power);
    why->expected = "a number whose power is no larger than a float64";
    return isfinite(*r) || !isfinite(base.f);
}

static bool not_zero(num by, const char *name, fault *why)
{
    *why = (fault){name, "a number other than 0", 0};
    return by.f != 0;
}

/* ---- The formulas. Parameters are numbered in the order of their row. ---- */

/* The first boundary above the step: items[0] holds each boundary's maximum with those before it: it ascends. */
static bool piecewise(const level *l, num step, double inner, double *rate, fault *why)
{
    enum { BOUNDARIES, VALUES, VARS };
    size_t low = 0, high = l->count[BOUNDARIES];
    (void)inner;
    (void)why;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (less(step, l->items[BOUNDARIES][middle]))
            high = middle;
        else
            low = middle + 1;
    }
    *rate = attribute(l->items[l->items[VARS] ? VARS : VALUES][low].f);
    return true;
}

/* y = step / decay_steps as a tensor, floored where staircase: of three formulas, whose parameters agree. */
enum { LEARNING_RATE, DECAY_STEPS, DECAY_RATE, STAIRCASE };

static bool elapsed(const level *l, num step, double *y, fault *why)
{
    if (!not_zero(l->value[DECAY_STEPS], "decay_steps", why))
        return false;
    *y = attribute(step.f / l->value[DECAY_STEPS].f);
    if (l->value[STAIRCASE].f != 0)
        *y = floor(*y);
    return true;
}

static bool natural_exp(const level *l, num step, double inner, double *rate, fault *why)
{
    double y;
    (void)inner;
    if (!elapsed(l, step, &y, why))
        return false;
    *rate = scaled(l, exp_of(l, scaled(l, y, -l->value[DECAY_RATE].f, 0)), l->value[LEARNING_RATE].f, 0);
    return true;
}

static bool exponential(const level *l, num step, double inner, double *rate, fault *why)
{
    double y;
    (void)inner;
    if (!elapsed(l, step, &y, why))
        return false;
    *rate = scaled(l, pow_of(l, attribute(l->value[DECAY_RATE].f), y), l->value[LEARNING_RATE].f, 0);
    return true;
}

static bool inverse_time(const level *l, num step, double inner, double *rate, fault *why)
{
    double y;
    (void)inner;
    if (!elapsed(l, step, &y, why))
        return false;
    double divisor = scaled(l, scaled(l, y, l->value[DECAY_RATE].f, 0), 1, 1);
    *rate = rounded(l, attribute(l->value[LEARNING_RATE].f) / divisor);
    return true;
}

static bool polynomial(const level *l, num step, double inner, double *rate, fault *why)
{
    enum { START, STEPS, END, POWER, CYCLE };
    double done;
    (void)inner;
    if (!not_zero(l->value[STEPS], "decay_steps", why))
        return false;
    if (l->value[CYCLE].f != 0) {
        double cycles = step.f == 0 ? 1 : ceil(attribute(step.f / l->value[STEPS].f));
        done = rounded(l, attribute(step.f) / scaled(l, cycles, l->value[STEPS].f, 0));
    } else {
        num s = less(step, l->value[STEPS]) ? step : l->value[STEPS];
        done = divided(l, attribute(s.f), l->value[STEPS]);
    }
    double left = pow_of(l, scaled(l, done, -1, 1), attribute(l->value[POWER].f));
    *rate = scaled(l, scaled(l, left, l->value[START].f - l->value[END].f, 0), 1, l->value[END].f);
    return true;
}

static bool cosine(const level *l, num step, double inner, double *rate, fault *why)
{
    enum { START, EACH, EPOCHS };
    static const double pi = 3.14159265358979323846;
    (void)inner;
    if (!not_zero(l->value[EACH], "step_each_epoch", why) || !not_zero(l->value[EPOCHS], "epochs", why))
        return false;
    double epoch = floor(attribute(step.f / l->value[EACH].f));
    double angle = divided(l, scaled(l, epoch, pi, 0), l->value[EPOCHS]);
    *rate = scaled(l, scaled(l, cos_of(l, angle), 1, 1), l->value[START].f * 0.5, 0);
    return true;
}

static bool noam(const level *l, num step, double inner, double *rate, fault *why)
{
    enum { FACTOR, MODEL, WARMUP };
    double falling, rising, width;
    (void)inner;
    if (!python_power(step, -0.5, "step_num", &falling, why) ||
        !python_power(l->value[WARMUP], -1.5, "warmup_steps", &rising, why) ||
        !python_power(l->value[MODEL], -0.5, "d_model", &width, why))
        return false;
    falling = attribute(falling);
    rising = attribute(rising * step.f);
    *rate = scaled(l, falling < rising ? falling : rising, l->value[FACTOR].f * width, 0);
    return true;
}

static bool linear_warmup(const level *l, num step, double inner, double *rate, fault *why)
{
    enum { AFTER, WARMUP, RATIO };
    (void)why;
    if (less(step, l->value[WARMUP]))
        *rate = attribute(l->value[RATIO].f * step.f);
    else
        *rate = l->inner ? inner : attribute(l->value[AFTER].f);
    return true;
}

/* What every formula takes. */
static const parameter step_num = {"step_num", NUMBER, true, 0}, step_size = {"step_size", NUMBER, false, 1};
static const char dtype_name[] = "dtype";

static const formula formulas[] = {
    {"piecewise",
     {{"boundaries", NUMBERS, true, 0}, {"values", NUMBERS, true, 0}, {"vars", NUMBERS, false, 0}},
     piecewise},
    {"natural_exp",
     {{"learning_rate", NUMBER, true, 0},
      {"decay_steps", NUMBER, true, 0},
      {"decay_rate", NUMBER, true, 0},
      {"staircase", TRUTH, false, 0}},
     natural_exp},
    {"exponential",
     {{"learning_rate", NUMBER, true, 0},
      {"decay_steps", NUMBER, true, 0},
      {"decay_rate", NUMBER, true, 0},
      {"staircase", TRUTH, false, 0}},
     exponential},
    {"inverse_time",
     {{"learning_rate", NUMBER, true, 0},
      {"decay_steps", NUMBER, true, 0},
      {"decay_rate", NUMBER, true, 0},
      {"staircase", TRUTH, false, 0}},
     inverse_time},
    {"polynomial",
     {{"learning_rate", NUMBER, true, 0},
      {"decay_steps", NUMBER, true, 0},
      {"end_learning_rate", NUMBER, false, 0.0001},
      {"power", NUMBER, false, 1},
      {"cycle", TRUTH, false, 0}},
     polynomial},
    {"cosine",
     {{"learning_rate", NUMBER, true, 0}, {"step_each_epoch", NUMBER, true, 0}, {"epochs", NUMBER, true, 0}},
     cosine},
    {"noam",
     {{"learning_rate", NUMBER, false, 1}, {"d_model", NUMBER, true, 0}, {"warmup_steps", NUMBER, true, 0}},
     noam},
    {"linear_warmup",
     {{"learning_rate", RATE, true, 0}, {"warmup_steps", NUMBER, true, 0}, {"lr_ratio_before_warmup", NUMBER, true, 0}},
     linear_warmup},
};
enum { FORMULAS = sizeof formulas / sizeof *formulas };

static const formula *find_formula(const char *name)
{
    for (size_t i = 0; name && i < FORMULAS; i++)
        if (strcmp(formulas[i].name, name) == 0)
            return &formulas[i];
    return NULL;
}

bool h5ck_rate_known(const char *name)
{
    return find_formula(name) != NULL;
}

const char *h5ck_rate_formula(size_t i)
{
    return i < FORMULAS ? formulas[i].name : NULL;
}

const char *h5ck_rate_parameter(const char *name, size_t i, bool *required)
{
    const formula *f = find_formula(name);
    *required = false;
    if (!f || i > MOST_PARAMETERS + 2)
        return NULL;
    if (i == 1)
        return step_size.name;
    if (i == 2)
        return dtype_name;
    const parameter *p = i == 0 ? &step_num : &f->parameters[i - 3];
    *required = p->required;
    return p->name;
}

/* ---- Reading a decay's fields ---- */

static int wrong(const level *l, const char *field, const char *expected, const char *found, h5ckpt_error **err)
{
    return h5ck_fail(err, H5CKPT_INVALID, "%s: field '%s': expected %s, found %s", l->object->class_name, field,
                     expected, found);
}

static const char *found_name(const h5ckpt_value *v)
{
    return v->type == H5CKPT_BIGINT ? "an int beyond 64 bits" : h5ck_value_type_name(v);
}

/* The schema's row of the field that stands for a parameter, or NULL. */
static const h5ck_field_spec *field_of(const level *l, const char *name)
{
    for (size_t i = 0; i < l->spec->count; i++)
        if (strcmp(l->spec->fields[i].parameter, name) == 0)
            return &l->spec->fields[i];
    return NULL;
}

static bool read_array_number(const h5ckpt_array *a, num *n)
{
    const h5ckpt_value v = {.type = H5CKPT_ARRAY, .as.array = a};
    const h5ck_dtype *dtype = h5ck_dtype_get(a->dtype);
    double f;
    if (!dtype || a->rank != 0 || a->nbytes != dtype->size || !h5ck_value_as_double(&v, &f))
        return false;
    *n = number(f);
    n->divides = a->dtype != H5CKPT_DTYPE_FLOAT64;
    if (dtype->kind == H5CK_KIND_FLOAT || dtype->kind == H5CK_KIND_COMPLEX)
        return true;
    uint64_t bits = h5ck_le_get(a->data, (unsigned)dtype->size);
    if (dtype->kind == H5CK_KIND_UINT && bits > INT64_MAX)
        return true;
    n->integer = true;
    n->i = fabs(f) < 0x1p53 ? (int64_t)f : (int64_t)bits; /* large ones have all 64 bits */
    return true;
}

static bool read_number(const h5ckpt_value *v, num *n)
{
    switch (v->type) {
    case H5CKPT_BOOL:
    case H5CKPT_INT:
        *n = integer(v->as.i);
        return true;
    case H5CKPT_FLOAT:
        *n = number(v->as.f);
        return true;
    case H5CKPT_ARRAY:
        return v->as.array->scalar && read_array_number(v->as.array, n);
    default:
        return false;
    }
}

/* Element i of a list, tuple or one-dimensional array. */
static bool read_item(const h5ckpt_value *v, size_t i, num *n)
{
    if (v->type != H5CKPT_ARRAY)
        return read_number(&v->as.items[i], n);
    const h5ckpt_array *a = v->as.array;
    size_t size = h5ckpt_dtype_size(a->dtype);
    h5ckpt_array one = {.dtype = a->dtype, .scalar = 1, .nbytes = size};
    one.data = (const char *)a->data + i * size;
    return read_array_number(&one, n);
}

static int read_items(level *l, size_t p, const char *field, const h5ckpt_value *v, h5ck_arena *arena,
                      h5ckpt_error **err)
{
    bool list = v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE;
    size_t size = v->type == H5CKPT_ARRAY ? h5ckpt_dtype_size(v->as.array->dtype) : 0;
    if (!list && !(size && v->as.array->rank == 1))
        return wrong(l, field, "a list of numbers", h5ck_value_type_name(v), err);
    size_t count = list ? v->count : v->as.array->nbytes / size;
    num *items = h5ck_arena_zalloc(arena, count, sizeof *items);
    if (!items)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < count; i++)
        if (!read_item(v, i, &items[i]))
            return wrong(l, field, "numbers only", list ? h5ck_value_type_name(&v->as.items[i]) : "other elements",
                         err);
    l->items[p] = items;
    l->count[p] = count;
    return 0;
}

/* The value of a parameter: *value is NULL where the standard is to be taken, which is then in *n. */
static int find_value(const level *l, const parameter *p, const char **field, const h5ckpt_value **value, num *n,
                      h5ckpt_error **err)
{
    const h5ckpt_value object = {.type = H5CKPT_OBJECT, .as.object = l->object};
    const h5ck_field_spec *spec = field_of(l, p->name);
    *field = spec ? spec->name : p->name;
    *value = spec ? h5ckpt_value_get(&object, spec->name) : NULL;
    if (*value)
        return 0;
    if (spec && !spec->has_default && (p->required || !spec->optional))
        return wrong(l, *field, "a value", "none", err);
    *n = standard(spec && spec->has_default ? spec->default_number : p->standard);
    return 0;
}

static int read_parameter(level *l, size_t i, h5ck_arena *arena, h5ckpt_error **err)
{
    const parameter *p = &l->formula->parameters[i];
    const char *field;
    const h5ckpt_value *v;
    int rc = find_value(l, p, &field, &v, &l->value[i], err);
    if (rc || !v)
        return rc;
    if (p->kind == NUMBERS)
        return read_items(l, i, field, v, arena, err);
    if (p->kind == RATE && v->type == H5CKPT_OBJECT) {
        l->inner = v->as.object;
        return 0;
    }
    if (p->kind == TRUTH && v->type == H5CKPT_NONE)
        return 0;
    if (!read_number(v, &l->value[i]))
        return wrong(l, field,
                     p->kind == TRUTH  ? "a bool"
                     : p->kind == RATE ? "a number or a decay"
                                       : "a number",
                     found_name(v), err);
    return 0;
}

static int read_step(const level *l, const parameter *p, num *n, h5ckpt_error **err)
{
    const char *field;
    const h5ckpt_value *v;
    int rc = find_value(l, p, &field, &v, n, err);
    return rc == 0 && v && !read_number(v, n) ? wrong(l, field, "a number", found_name(v), err) : rc;
}

static int read_dtype(level *l, h5ckpt_error **err)
{
    static const parameter dtype = {dtype_name, TRUTH, false, 0};
    const char *field;
    const h5ckpt_value *v;
    num none;
    int rc = find_value(l, &dtype, &field, &v, &none, err);
    if (rc || !v)
        return rc;
    bool text = (v->type == H5CKPT_STR || v->type == H5CKPT_BYTES) && v->count == 7;
    l->wide = text && memcmp(v->as.bytes, "float64", 7) == 0;
    if (!l->wide && !(text && memcmp(v->as.bytes, "float32", 7) == 0))
        return wrong(l, field, "'float32' or 'float64'", v->type == H5CKPT_STR ? v->as.str : found_name(v), err);
    return 0;
}

/* Lengths that fit, and boundaries made to ascend (see piecewise). */
static int prepare_piecewise(level *l, h5ckpt_error **err)
{
    enum { BOUNDARIES, VALUES, VARS };
    size_t expected = l->count[BOUNDARIES] + 1;
    for (size_t p = VALUES; p <= VARS; p++)
        if (l->items[p] && l->count[p] != expected) {
            const h5ck_field_spec *f = field_of(l, l->formula->parameters[p].name);
            return h5ck_fail(err, H5CKPT_INVALID,
                             "%s: field '%s': expected %zu numbers, one more than boundaries, found %zu",
                             l->object->class_name, f->name, expected, l->count[p]);
        }
    num highest = number(-HUGE_VAL);
    for (size_t i = 0; i < l->count[BOUNDARIES]; i++) {
        num *item = &l->items[BOUNDARIES][i];
        if (less(highest, *item))
            highest = *item;
        *item = highest;
    }
    return 0;
}

static int read_level(const h5ck_schema *schema, const h5ckpt_object *object, h5ck_arena *arena, level **out,
                      h5ckpt_error **err)
{
    const h5ck_class *spec = h5ck_schema_class(schema, object->module, object->class_name);
    if (!spec || !spec->formula)
        return h5ck_fail(err, H5CKPT_USAGE, "expected a class with a formula in the schema '%s', found %s.%s",
                         schema->name, object->module, object->class_name);
    level *l = h5ck_arena_zalloc(arena, 1, sizeof *l);
    if (!l)
        return h5ck_fail_nomem(err);
    *out = l;
    l->object = object;
    l->spec = spec;
    l->formula = find_formula(spec->formula);
    int rc = read_step(l, &step_num, &l->start, err);
    if (rc == 0)
        rc = read_step(l, &step_size, &l->size, err);
    if (rc == 0)
        rc = read_dtype(l, err);
    for (size_t i = 0; rc == 0 && l->formula->parameters[i].name; i++)
        rc = read_parameter(l, i, arena, err);
    if (rc == 0 && l->formula->compute == piecewise)
        rc = prepare_piecewise(l, err);
    return rc;
}

/* ---- Chains of decays ---- */

/* The innermost decay of an object; each leads to the one around it. */
static int read_chain(const h5ck_schema *schema, const h5ckpt_object *object, h5ck_arena *arena, level **innermost,
                      level **outermost, h5ckpt_error **err)
{
    level *l = NULL, *outer = NULL;
    for (int depth = 0; object; depth++) {
        if (depth == H5CK_VALUE_DEPTH)
            return h5ck_fail(err, H5CKPT_INVALID, "expected decays at most %d deep, found a deeper one",
                             H5CK_VALUE_DEPTH);
        int rc = read_level(schema, object, arena, &l, err);
        if (rc)
            return rc;
        l->outer = outer;
        if (!outer)
            *outermost = l;
        outer = l;
        object = l->inner;
    }
    *innermost = l;
    return 0;
}

/* The whole calls that lie between a decay's own step and `from`; what is beyond int64 is none. */
static int64_t calls_until(const level *l, int64_t from)
{
    if (l->size.f == 0)
        return 0;
    if (!l->start.integer || !l->size.integer) {
        double calls = floor(((double)from - l->start.f) / l->size.f);
        return calls >= -0x1p62 && calls <= 0x1p62 ? (int64_t)calls : 0;
    }
    int64_t start = l->start.i, size = l->size.i;
    if (start < 0 ? from > INT64_MAX + start : from < INT64_MIN + start)
        return 0;
    int64_t distance = from - start;
    if (size == -1)
        return distance == INT64_MIN ? INT64_MAX : -distance;
    int64_t calls = distance / size;
    return distance % size != 0 && (distance < 0) != (size < 0) ? calls - 1 : calls;
}

static void go_to(level *innermost, level *outermost, int64_t from)
{
    int64_t call = calls_until(outermost, from);
    for (level *l = innermost; l; l = l->outer)
        l->call = call;
    outermost->call = 0;
    outermost->start = integer(from);
}

static int failed(const level *l, const fault *f, num step, h5ckpt_error **err)
{
    const h5ck_field_spec *spec = field_of(l, f->parameter);
    return h5ck_fail(err, H5CKPT_INVALID, "%s: field '%s': expected %s, found %.17g, at step %.17g",
                     l->object->class_name, spec ? spec->name : f->parameter, f->expected, f->found, step.f);
}

/* The rate of the whole chain, i calls after the first one asked for. */
static int rate_of(const level *innermost, int64_t i, double *rate, h5ckpt_error **err)
{
    double inner = 0;
    for (const level *l = innermost; l; l = l->outer) {
        num step;
        fault f = {0};
        if (l->call > INT64_MAX - i || !advanced(l->start, l->size, l->call + i, &step))
            return h5ck_fail(err, H5CKPT_INVALID, "%s: field '%s': expected steps within 64 bits, found more",
                             l->object->class_name, step_num.name);
        if (!l->formula->compute(l, step, inner, rate, &f))
            return failed(l, &f, step, err);
        inner = *rate;
    }
    return 0;
}

int h5ck_rate_next(const h5ck_schema *schema, const h5ckpt_object *object, const int64_t *from, size_t n, double *rates,
                   h5ckpt_error **err)
{
    h5ck_arena arena = {NULL};
    level *innermost = NULL, *outermost = NULL;
    int rc = read_chain(schema, object, &arena, &innermost, &outermost, err);
    if (rc == 0 && from)
        go_to(innermost, outermost, *from);
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = rate_of(innermost, (int64_t)i, &rates[i], err);
    h5ck_arena_free(&arena);
    return rc;
}
