/*
 * scheduler.c - schedulers' states, read and written by the schema.
 *
 * What is saved, in the real frameworks (tests/fixtures/schedulers/ has a dictionary of each):
 *
 *     Paddle 1.6-1.8   {step_num}; 1.8's decays by epochs {epoch_num, learning_rate}
 *     Paddle 2, 3      {last_epoch, last_lr}; ReduceOnPlateau and LinearWarmup add fields of their own
 *     PyTorch          all fields but the optimizer and functions: {..., base_lrs, last_epoch, _step_count, _last_lr}
 *     Keras            no such dictionary: the variable iterations, and learning_rate or a schedule's get_config()
 *
 * All agree on two things, though not on their names: the step whose rate the next update of the optimizer takes (1.x
 * computes it in the next call; the others have it computed), and that rate. Only what means the same is carried from
 * one to another. A field of another framework is never put beside them under its own name: PyTorch takes all that it
 * finds, so a Paddle decay's step_size would become the StepLR's.
 *
 * The class is not in the dictionary. Fields hint at it (gamma and step_size: StepLR), but a user's class may have the
 * same, so nothing is guessed.
 */
#include "schema/scheduler.h"

#include "model/value.h"
#include "schema/rate.h"

#include <math.h>
#include <string.h>

static int find(const h5ck_schema *s, const char *framework, const h5ck_scheduler **row, h5ckpt_error **err)
{
    for (size_t i = 0; i < s->scheduler_count; i++)
        if (strcmp(s->schedulers[i].framework, framework) == 0) {
            *row = &s->schedulers[i];
            return 0;
        }
    return h5ck_fail(err, H5CKPT_USAGE, "expected a schema with a scheduler of the framework '%s', found '%s'",
                     framework, s->name);
}

int h5ck_scheduler_read(const h5ck_schema *s, const char *framework, const h5ckpt_value *dict, h5ck_arena *arena,
                        h5ckpt_value *object, h5ckpt_error **err)
{
    const h5ck_scheduler *row = NULL;
    int rc = find(s, framework, &row, err);
    if (rc)
        return rc;
    if (dict->type != H5CKPT_DICT)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a scheduler's state, a dictionary, found %s",
                         h5ck_value_type_name(dict));
    for (size_t i = 0; i < dict->count; i++)
        if (dict->as.fields[i].key.type != H5CKPT_STR)
            return h5ck_fail(err, H5CKPT_INVALID, "expected text as the keys of a scheduler's state, found %s",
                             h5ck_value_type_name(&dict->as.fields[i].key));
    const h5ckpt_object made = {row->module, row->name, dict->count, dict->as.fields};
    const h5ckpt_object *o = h5ck_arena_memdup(arena, &made, sizeof made);
    if (!o)
        return h5ck_fail_nomem(err);
    *object = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = o};
    return 0;
}

/* ---- What a decay's fields mean ---- */

const h5ckpt_value *h5ck_scheduler_meaning(const h5ck_schema *s, const h5ckpt_object *object, h5ck_meaning meaning)
{
    const h5ckpt_value whole = {.type = H5CKPT_OBJECT, .as.object = object}, *found = NULL;
    const h5ck_field_spec *fields;
    size_t count = h5ck_schema_fields(s, object, &fields);
    for (size_t i = 0; !found && i < count; i++)
        if (fields[i].means == meaning)
            found = h5ckpt_value_get(&whole, fields[i].name);
    return found;
}

/* The one number of a field: its own, or that of a list whose numbers are all the same. Groups of parameters that differ
 * have no one rate. */
static bool one_number(const h5ckpt_value *v, double *number)
{
    double other;
    if (v->type != H5CKPT_LIST && v->type != H5CKPT_TUPLE)
        return h5ck_value_as_double(v, number);
    if (v->count == 0 || !h5ck_value_as_double(&v->as.items[0], number))
        return false;
    for (size_t i = 1; i < v->count; i++)
        if (!h5ck_value_as_double(&v->as.items[i], &other) || other != *number)
            return false;
    return true;
}

/* ---- Writing ---- */

static bool is_integer(double number)
{
    return number >= -0x1p53 && number <= 0x1p53 && floor(number) == number;
}

/* A number in the type that the framework has for the field. */
static int make_number(const h5ck_field_spec *f, double number, h5ck_arena *arena, h5ckpt_value *v, h5ckpt_error **err)
{
    bool integer = f->means == H5CK_MEANS_STEP && is_integer(number);
    h5ckpt_value one = integer ? h5ck_value_int((int64_t)number) : h5ck_value_float(number);
    if (f->type != H5CK_FIELD_NUMBERS) {
        *v = one;
        return 0;
    }
    const h5ckpt_value *items = h5ck_arena_memdup(arena, &one, sizeof one);
    if (!items)
        return h5ck_fail_nomem(err);
    *v = (h5ckpt_value){.type = H5CKPT_LIST, .count = 1, .as.items = items};
    return 0;
}

/* The decay's number of this meaning; *field is where it stands, or NULL for a rate that its formula gives. */
static bool number_of(const h5ck_schema *s, const h5ckpt_object *decay, h5ck_meaning meaning, double *number,
                      const h5ckpt_value **field)
{
    *field = h5ck_scheduler_meaning(s, decay, meaning);
    if (*field)
        return one_number(*field, number);
    return meaning == H5CK_MEANS_RATE && h5ck_rate_next(s, decay, NULL, 1, number, NULL) == 0;
}

/* What the framework's fields mean, of what the decay's fields mean. */
static int translate(const h5ck_schema *s, const h5ck_scheduler *row, const h5ckpt_object *decay, h5ck_arena *arena,
                     h5ckpt_value *dict, size_t *lost, h5ckpt_error **err)
{
    h5ckpt_field *fields = h5ck_arena_zalloc(arena, row->count, sizeof *fields);
    int rc = fields ? 0 : h5ck_fail_nomem(err);
    size_t count = 0, carried = 0;
    for (size_t i = 0; rc == 0 && i < row->count; i++) {
        const h5ck_field_spec *f = &row->fields[i];
        const h5ckpt_value *field;
        double number;
        if (f->means == H5CK_MEANS_NOTHING || f->read_only || !number_of(s, decay, f->means, &number, &field))
            continue;
        fields[count].key = h5ck_value_str(f->name);
        rc = make_number(f, number, arena, &fields[count++].value, err);
        carried += field != NULL;
    }
    *dict = (h5ckpt_value){.type = H5CKPT_DICT, .count = count, .as.fields = fields};
    *lost = decay->count > carried ? decay->count - carried : 0;
    return rc;
}

int h5ck_scheduler_write(const h5ck_schema *s, const char *framework, const h5ckpt_object *decay, h5ck_arena *arena,
                         h5ckpt_value *dict, size_t *lost, h5ckpt_error **err)
{
    const h5ck_scheduler *row = NULL;
    *lost = 0;
    int rc = find(s, framework, &row, err);
    if (rc)
        return rc;
    if (strcmp(decay->class_name, row->name) != 0 || strcmp(decay->module, row->module) != 0)
        return translate(s, row, decay, arena, dict, lost, err);
    *dict = (h5ckpt_value){.type = H5CKPT_DICT, .count = decay->count, .as.fields = decay->fields};
    return 0;
}

const char *h5ck_scheduler_lacks(const h5ck_schema *s, const char *framework, const h5ckpt_value *dict)
{
    const h5ck_scheduler *row = NULL;
    if (find(s, framework, &row, NULL))
        return NULL;
    for (size_t i = 0; i < row->count; i++)
        if (!row->fields[i].optional && !h5ckpt_value_get(dict, row->fields[i].name))
            return row->fields[i].name;
    return NULL;
}
