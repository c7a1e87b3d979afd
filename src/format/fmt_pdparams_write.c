/*
 * fmt_pdparams_write.c - a state as Paddle's pickles. The story is in fmt_pdparams.c.
 *
 * What the metadata keeps of a file (fmt_pdparams_read.c) is taken first: its markers become tensors and schedulers'
 * states again, each once. Then the outermost dictionary gets all tensors that no marker asked for, under their own
 * names, and a .pdopt the scheduler. The metadata is a stranger's like everything in a file: what it may put into a pickle
 * is what is read from one.
 */
#include "format/carrier.h"
#include "format/fmt_pdparams.h"
#include "parse/pickle.h"
#include "parse/value_json.h"
#include "schema/scheduler.h"

#include <string.h>

static const char tensor_module[] = "tensor"; /* its address tells a tensor from all objects of the metadata */

/* What stands for a tensor in the value to be written. */
typedef struct tensor_object {
    h5ckpt_object object; /* module: tensor_module */
    const h5ckpt_tensor *tensor;
} tensor_object;

enum { MODEL, OPTIMIZER, FILES };

typedef struct writer {
    const h5ckpt_state *state;
    h5ck_plan *plan;
    h5ck_dict used[FILES], used_decays; /* names that a marker asked for */
    h5ckpt_value files[FILES];          /* to be written; of the type NONE: nothing yet */
    size_t missing, lost;               /* markers of what is not in the state; fields of decays without counterpart */
    size_t kept;                        /* decays that stand in a .pdopt as they are */
    h5ckpt_error **err;
} writer;

/* A pickle's own bytes, and where the elements of its tensors belong. */
typedef struct stream {
    h5ck_arena *arena;
    struct gap {
        size_t before; /* bytes of its own before it */
        const h5ckpt_tensor *tensor;
    } * gaps;
    size_t count, room;
} stream;

/* ---- Tensors and schedulers in their places ---- */

static const h5ckpt_tensors *tensors_of(const writer *w, int file)
{
    return file == MODEL ? &w->state->parameters : &w->state->optimizer_state;
}

static int put_tensor(writer *w, const h5ckpt_tensor *tensor, h5ckpt_value *out)
{
    tensor_object *t = h5ck_arena_zalloc(&w->plan->arena, 1, sizeof *t);
    if (!t)
        return h5ck_fail_nomem(w->err);
    t->object = (h5ckpt_object){.module = tensor_module, .class_name = "tensor"};
    t->tensor = tensor;
    *out = (h5ckpt_value){.type = H5CKPT_OBJECT, .as.object = &t->object};
    return 0;
}

/* A decay of Paddle 1.x stays one; all others become what Paddle 2 and 3 expect. */
static int put_schedule(writer *w, const h5ckpt_decay *decay, h5ckpt_value *out)
{
    const h5ckpt_object *object = decay->info.value->as.object;
    bool old = strncmp(object->module, "paddle.fluid", strlen("paddle.fluid")) == 0;
    size_t lost = 0;
    int rc = h5ck_scheduler_write(w->plan->schema, old ? "paddle-1.x" : "paddle", object, &w->plan->arena, out, &lost,
                                  w->err);
    w->lost += lost;
    return rc ? h5ck_err_where(w->err, rc, NULL, decay->info.name) : 0;
}

/* Marks a name as taken; a second marker of the same could make a small file large. */
static int use(writer *w, h5ck_dict *used, const char *name)
{
    switch (h5ck_dict_add(used, name, w)) {
    case H5CK_DICT_ADDED:
        return 0;
    case H5CK_DICT_EXISTS:
        return h5ck_fail(w->err, H5CKPT_INVALID, "expected each name once in the metadata '%s', found '%s' again",
                         H5CK_PDPARAMS_METADATA, name);
    case H5CK_DICT_NOMEM:
        break;
    }
    return h5ck_fail_nomem(w->err);
}

/* The name in a marker of this class, or NULL. */
static const char *marked_name(const h5ckpt_value *v, const char *class_name)
{
    if (v->type != H5CKPT_OBJECT || strcmp(v->as.object->module, H5CK_PDPARAMS_MODULE) != 0 ||
        strcmp(v->as.object->class_name, class_name) != 0)
        return NULL;
    const h5ckpt_value *name = h5ckpt_value_get(v, "name");
    return name && name->type == H5CKPT_STR ? name->as.str : NULL;
}

/* Replaces a marker; *there is false where the state has no such thing (any more), *is where it is no marker. */
static int place(writer *w, const h5ckpt_value *v, h5ckpt_value *out, bool *is, bool *there)
{
    const char *name[] = {marked_name(v, H5CK_PDPARAMS_WEIGHT), marked_name(v, H5CK_PDPARAMS_SLOT)};
    const char *schedule = marked_name(v, H5CK_PDPARAMS_SCHEDULE);
    *is = schedule != NULL;
    for (int file = MODEL; file < FILES; file++) {
        if (!name[file])
            continue;
        const h5ckpt_tensor *tensor = h5ck_dict_get(&tensors_of(w, file)->dict, name[file]);
        *is = true;
        if (!(*there = tensor != NULL))
            return 0;
        int rc = use(w, &w->used[file], tensor->info.name);
        return rc ? rc : put_tensor(w, tensor, out);
    }
    if (!schedule)
        return 0;
    const h5ckpt_decay *decay = h5ck_dict_get(&w->state->decays.dict, schedule);
    if (!(*there = decay != NULL))
        return 0;
    int rc = use(w, &w->used_decays, decay->info.name);
    return rc ? rc : put_schedule(w, decay, out);
}

static int resolve(writer *w, const h5ckpt_value *v, h5ckpt_value *out, bool *there);

/* Entries of a dictionary whose tensor is gone go with it; an object's fields become None. */
static int resolve_fields(writer *w, const h5ckpt_field *fields, size_t count, bool drop, const h5ckpt_field **out,
                          size_t *out_count)
{
    h5ckpt_field *made = h5ck_arena_alloc(&w->plan->arena, count * sizeof *made);
    if (!made)
        return h5ck_fail_nomem(w->err);
    *out = made;
    *out_count = 0;
    for (size_t i = 0; i < count; i++) {
        bool there;
        h5ckpt_field *f = &made[*out_count];
        f->key = fields[i].key;
        int rc = resolve(w, &fields[i].value, &f->value, &there);
        if (rc)
            return rc;
        if (!there)
            f->value = (h5ckpt_value){.type = H5CKPT_NONE};
        *out_count += there || !drop;
    }
    return 0;
}

static int resolve_items(writer *w, const h5ckpt_value *v, h5ckpt_value *out, bool *there)
{
    h5ckpt_value *items = h5ck_arena_alloc(&w->plan->arena, v->count * sizeof *items);
    if (!items)
        return h5ck_fail_nomem(w->err);
    *out = (h5ckpt_value){.type = v->type, .count = v->count, .as.items = items};
    for (size_t i = 0; i < v->count; i++) {
        bool item_there;
        int rc = resolve(w, &v->as.items[i], &items[i], &item_there);
        if (rc)
            return rc;
        if (item_there)
            continue;
        items[i] = (h5ckpt_value){.type = H5CKPT_NONE};
        if (v->type == H5CKPT_TUPLE && v->count == 2 && items[0].type == H5CKPT_STR)
            *there = false; /* (name, array): all of it was the tensor */
    }
    return 0;
}

/* The text of a value bounds its depth. */
static int resolve(writer *w, const h5ckpt_value *v, h5ckpt_value *out, bool *there)
{
    bool is;
    *there = true;
    *out = *v;
    int rc = place(w, v, out, &is, there);
    if (rc || is) {
        w->missing += rc == 0 && !*there;
        return rc;
    }
    if (v->type == H5CKPT_DICT)
        return resolve_fields(w, v->as.fields, v->count, true, &out->as.fields, &out->count);
    if (v->type == H5CKPT_LIST || v->type == H5CKPT_TUPLE)
        return resolve_items(w, v, out, there);
    if (v->type != H5CKPT_OBJECT)
        return 0;
    h5ckpt_object *made = h5ck_arena_memdup(&w->plan->arena, v->as.object, sizeof *made);
    if (!made)
        return h5ck_fail_nomem(w->err);
    out->as.object = made;
    return resolve_fields(w, v->as.object->fields, v->as.object->count, false, &made->fields, &made->count);
}

/* ---- What the metadata keeps ---- */

static const char *metadata_text(const h5ckpt_state *state, size_t *len)
{
    const h5ckpt_value *v = h5ckpt_value_get(&state->metadata, H5CK_PDPARAMS_METADATA);
    *len = v ? v->count : 0;
    return v && v->type == H5CKPT_STR ? v->as.str : NULL;
}

static int take_rests(writer *w)
{
    static const char *const keys[FILES] = {H5CK_PDPARAMS_MODEL, H5CK_PDPARAMS_OPTIMIZER};
    size_t len;
    const char *text = metadata_text(w->state, &len);
    h5ckpt_value rests;
    if (!text)
        return 0;
    int rc = h5ck_value_from_json(text, len, &w->plan->arena, &rests, w->err);
    for (int file = MODEL; rc == 0 && file < FILES; file++) {
        const h5ckpt_value *rest = rests.type == H5CKPT_DICT ? h5ckpt_value_get(&rests, keys[file]) : NULL;
        bool there = true;
        if (rest)
            rc = resolve(w, rest, &w->files[file], &there);
        if (rc == 0 && !there)
            w->files[file] = (h5ckpt_value){.type = H5CKPT_NONE};
    }
    return rc ? h5ck_err_part(w->err, rc, "metadata '" H5CK_PDPARAMS_METADATA "'") : 0;
}

/* ---- The outermost dictionaries ---- */

/* The decay that becomes LR_Scheduler: the one of that name, else the first that no marker asked for. */
static const h5ckpt_decay *find_schedule(const writer *w)
{
    const h5ck_dict *decays = &w->state->decays.dict;
    const h5ckpt_decay *first = NULL;
    for (size_t i = 0; i < decays->count; i++) {
        if (h5ck_dict_get(&w->used_decays, decays->entries[i].key))
            continue;
        if (!first || strcmp(decays->entries[i].key, H5CK_PDPARAMS_SCHEDULER) == 0)
            first = decays->entries[i].value;
    }
    return first;
}

static size_t count_unused(const writer *w, int file)
{
    return tensors_of(w, file)->dict.count - w->used[file].count;
}

/* All decays that no marker asked for, as typed JSON. */
static int keep_decays(writer *w, h5ckpt_value *out)
{
    const h5ck_dict *decays = &w->state->decays.dict;
    h5ck_buf text = H5CK_BUF_INIT;
    h5ckpt_field *fields = h5ck_arena_zalloc(&w->plan->arena, decays->count, sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; i < decays->count; i++)
        if (!h5ck_dict_get(&w->used_decays, decays->entries[i].key))
            fields[w->kept++] = (h5ckpt_field){h5ck_value_str(decays->entries[i].key),
                                               *((const h5ckpt_decay *)decays->entries[i].value)->info.value};
    const h5ckpt_value dict = {.type = H5CKPT_DICT, .count = w->kept, .as.fields = fields};
    int rc = h5ck_value_to_json(&dict, &text, w->err);
    const char *s =
        rc == 0 && h5ck_buf_cstr(&text) ? h5ck_arena_strndup(&w->plan->arena, (char *)text.data, text.len) : NULL;
    if (rc == 0)
        rc = s ? 0 : h5ck_fail_nomem(w->err);
    if (rc == 0)
        *out = h5ck_value_str(s);
    h5ck_buf_free(&text);
    return rc;
}

/* One decay becomes the scheduler's state. Where that is not all that there is to say, all of them are kept beside it. */
static int put_decays(writer *w, const h5ckpt_decay *decay, h5ckpt_field *fields, size_t *count)
{
    size_t lost = w->lost, unused = w->state->decays.dict.count - w->used_decays.count;
    fields[*count].key = h5ck_value_str(H5CK_PDPARAMS_SCHEDULER);
    int rc = put_schedule(w, decay, &fields[(*count)++].value);
    bool whole = unused == 1 && w->lost == lost && strcmp(decay->info.name, H5CK_PDPARAMS_SCHEDULER) == 0;
    if (rc == 0 && !whole) {
        w->lost = lost;
        fields[*count].key = h5ck_value_str(H5CK_CARRIER_DECAYS);
        rc = keep_decays(w, &fields[(*count)++].value);
    }
    return rc ? rc : use(w, &w->used_decays, decay->info.name);
}

/* Puts the tensors that no marker asked for before what there is, and the scheduler of a .pdopt behind. */
static int complete(writer *w, int file)
{
    const h5ck_dict *tensors = &tensors_of(w, file)->dict;
    const h5ckpt_decay *decay = file == OPTIMIZER ? find_schedule(w) : NULL;
    h5ckpt_value *v = &w->files[file];
    size_t unused = count_unused(w, file), count = 0;
    int rc = 0;
    if (unused == 0 && !decay && v->type != H5CKPT_NONE)
        return 0;
    if (v->type != H5CKPT_DICT && v->type != H5CKPT_NONE)
        return h5ck_fail(w->err, H5CKPT_INVALID,
                         "expected a dictionary to add tensors to, found that the metadata '%s' says this file is a %s",
                         H5CK_PDPARAMS_METADATA, h5ck_value_type_name(v));
    h5ckpt_field *fields = h5ck_arena_alloc(&w->plan->arena, (unused + v->count + 2) * sizeof *fields);
    if (!fields)
        return h5ck_fail_nomem(w->err);
    for (size_t i = 0; rc == 0 && i < tensors->count; i++) {
        if (h5ck_dict_get(&w->used[file], tensors->entries[i].key))
            continue;
        fields[count].key = h5ck_value_str(tensors->entries[i].key);
        rc = put_tensor(w, tensors->entries[i].value, &fields[count++].value);
    }
    if (rc == 0 && decay)
        rc = put_decays(w, decay, fields, &count);
    if (v->count)
        memcpy(fields + count, v->as.fields, v->count * sizeof *fields);
    *v = (h5ckpt_value){.type = H5CKPT_DICT, .count = count + v->count, .as.fields = fields};
    return rc;
}

/* Checks that each key is there once, and takes out of the table of names what is not in the dictionary any more:
 * paddle.load looks up all that the table names. */
static int tidy(writer *w, h5ckpt_value *v)
{
    h5ck_dict keys = {0};
    h5ckpt_value *table = NULL;
    int rc = 0;
    for (size_t i = 0; rc == 0 && v->type == H5CKPT_DICT && i < v->count; i++) {
        const h5ckpt_field *f = &v->as.fields[i];
        if (f->key.type != H5CKPT_STR)
            continue;
        h5ck_dict_result added = h5ck_dict_add(&keys, f->key.as.str, w);
        if (added == H5CK_DICT_EXISTS)
            rc = h5ck_fail(w->err, H5CKPT_INVALID, "expected each key once, found '%s' also in the metadata '%s'",
                           f->key.as.str, H5CK_PDPARAMS_METADATA);
        else if (added == H5CK_DICT_NOMEM)
            rc = h5ck_fail_nomem(w->err);
        if (strcmp(f->key.as.str, H5CK_PDPARAMS_NAMES) == 0 && f->value.type == H5CKPT_DICT)
            table = (h5ckpt_value *)(uintptr_t)&f->value; /* in the plan's arena, as its fields */
    }
    if (rc == 0 && table) {
        h5ckpt_field *entries = (h5ckpt_field *)(uintptr_t)table->as.fields;
        size_t kept = 0;
        for (size_t i = 0; i < table->count; i++)
            if (entries[i].key.type == H5CKPT_STR && h5ck_dict_get(&keys, entries[i].key.as.str))
                entries[kept++] = entries[i];
        table->count = kept;
    }
    h5ck_dict_free(&keys);
    return rc;
}

/* ---- Files ---- */

static const h5ckpt_tensor *find_tensor(void *user, const h5ckpt_object *object)
{
    (void)user;
    return object->module == tensor_module ? ((const tensor_object *)object)->tensor : NULL;
}

static int add_gap(void *user, size_t before, const h5ckpt_tensor *tensor, h5ckpt_error **err)
{
    stream *s = user;
    if (s->count == s->room) {
        size_t more = s->room ? 2 * s->room : 64;
        struct gap *grown = h5ck_arena_alloc(s->arena, more * sizeof *grown);
        if (!grown)
            return h5ck_fail_nomem(err);
        if (s->count)
            memcpy(grown, s->gaps, s->count * sizeof *grown);
        s->gaps = grown;
        s->room = more;
    }
    s->gaps[s->count++] = (struct gap){before, tensor};
    return 0;
}

static int check_object(void *user, const h5ckpt_object *object, h5ckpt_error **err)
{
    const writer *w = user;
    return h5ck_schema_check_object((void *)(uintptr_t)w->plan->schema, object, err);
}

/* A file of these bytes, and a move for each gap in them. */
static int plan_stream(writer *w, const stream *s, const unsigned char *data, size_t len, h5ck_companion *companion)
{
    h5ck_plan_file file = {.companion = companion, .head = data, .head_len = s->count ? s->gaps[0].before : len};
    uint64_t moved = 0;
    size_t index;
    for (size_t i = 0; i < s->count; i++)
        moved += s->gaps[i].tensor->info.nbytes;
    file.size = len + moved;
    int rc = h5ck_plan_add_file(w->plan, &file, &index, w->err);
    moved = 0;
    for (size_t i = 0; rc == 0 && i < s->count; i++) {
        const struct gap *g = &s->gaps[i];
        size_t end = i + 1 < s->count ? s->gaps[i + 1].before : len;
        rc = h5ck_plan_add_move(w->plan, g->tensor, index, g->before + moved, w->err);
        moved += g->tensor->info.nbytes;
        if (rc == 0)
            rc = h5ck_plan_add_piece(w->plan, index, g->before + moved, data + g->before, end - g->before, w->err);
    }
    return rc;
}

static int plan_file(writer *w, int file, h5ck_companion *companion)
{
    stream s = {.arena = &w->plan->arena};
    const h5ck_pickle_policy policy = {
        .check_object = check_object, .user = w, .allows = h5ck_fmt_pdparams_allows, .large = true};
    const h5ck_pickle_style style = {
        .protocol = 4, .policy = &policy, .find_tensor = find_tensor, .gap = add_gap, .user = &s};
    h5ck_buf bytes = H5CK_BUF_INIT;
    int rc = tidy(w, &w->files[file]);
    if (rc == 0)
        rc = h5ck_pickle_write_as(&w->files[file], &style, &bytes, w->err);
    unsigned char *kept = rc ? NULL : h5ck_arena_memdup(&w->plan->arena, bytes.data, bytes.len);
    if (rc == 0)
        rc = kept ? plan_stream(w, &s, kept, bytes.len, companion) : h5ck_fail_nomem(w->err);
    h5ck_buf_free(&bytes);
    return rc;
}

/* The .pdopt beside the target, where it is needed. */
static int plan_beside(writer *w, bool needed)
{
    bool failed;
    h5ck_companion *companion;
    h5ck_fs_stat st;
    const char *beside = h5ck_fmt_pdparams_beside(w->plan->target, &w->plan->arena, &failed);
    if (failed)
        return h5ck_fail_nomem(w->err);
    if (!needed) {
        if (beside && h5ck_fs_status(beside, &st, NULL) == 0 && st.exists)
            h5ck_log_note(&w->plan->log, "%s: stands beside the target, though the state has no optimizer's state",
                          beside);
        return 0;
    }
    if (!beside)
        return h5ck_fail(w->err, H5CKPT_USAGE,
                         "expected a name that ends in .pdparams, so that the optimizer's state goes beside it");
    int rc = h5ck_plan_new_companion(w->plan, beside, &companion, w->err);
    return rc ? rc : plan_file(w, OPTIMIZER, companion);
}

/* ---- What cannot be held ---- */

static void note_losses(const writer *w)
{
    const char *target = w->plan->target;
    size_t text, lod = 0, uint16 = 0;
    bool kept = metadata_text(w->state, &text) != NULL;
    size_t others = w->state->metadata.count - kept;
    for (int file = MODEL; file < FILES; file++)
        for (size_t i = 0; i < tensors_of(w, file)->dict.count; i++) {
            const h5ckpt_tensor *t = tensors_of(w, file)->dict.entries[i].value;
            lod += t->info.lod_levels != 0;
            uint16 += t->info.dtype == H5CKPT_DTYPE_UINT16;
        }
    if (w->kept)
        h5ck_log_note(&w->plan->log,
                      "%s: LR_Scheduler cannot say all of the %zu decay%s: kept under '%s', which Paddle passes over",
                      target, w->kept, w->kept == 1 ? "" : "s", H5CK_CARRIER_DECAYS);
    if (w->lost)
        h5ck_log_note(&w->plan->log, "%s: %zu fields of decays have no counterpart in a scheduler's state: left out",
                      target, w->lost);
    if (others)
        h5ck_log_note(&w->plan->log, "%s: Paddle's files hold no metadata of others: %zu left out", target, others);
    if (w->missing)
        h5ck_log_note(&w->plan->log, "%s: %zu tensors or decays that the source's file held are not in this state",
                      target, w->missing);
    if (lod)
        h5ck_log_note(&w->plan->log, "%s: arrays have no LoD: that of %zu tensors left out", target, lod);
    if (uint16)
        h5ck_log_note(&w->plan->log, "%s: %zu tensors of uint16: paddle.load takes them for bfloat16", target, uint16);
}

static int plan_files(writer *w)
{
    bool only_optimizer = h5ck_fmt_pdparams_is_optimizer(w->plan->target);
    int rc = take_rests(w);
    if (rc)
        return rc;
    bool has_model = count_unused(w, MODEL) || w->files[MODEL].type != H5CKPT_NONE;
    bool has_optimizer = count_unused(w, OPTIMIZER) || find_schedule(w) || w->files[OPTIMIZER].type != H5CKPT_NONE;
    if (only_optimizer && has_model)
        return h5ck_fail(
            w->err, H5CKPT_USAGE,
            "expected a state of an optimizer only for a .pdopt, found parameters; they go to a .pdparams");
    for (int file = MODEL; rc == 0 && file < FILES; file++)
        if (file == MODEL ? !only_optimizer : has_optimizer || only_optimizer)
            rc = complete(w, file);
    if (rc == 0)
        rc = plan_file(w, only_optimizer ? OPTIMIZER : MODEL, NULL);
    return rc || only_optimizer ? rc : plan_beside(w, has_optimizer);
}

int h5ck_fmt_pdparams_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    writer w = {.state = state, .plan = plan, .err = err};
    plan->digest = H5CKPT_DIGEST_NONE; /* a pickle has no place for one */
    for (int file = MODEL; file < FILES; file++)
        w.files[file].type = H5CKPT_NONE;
    int rc = plan_files(&w);
    if (rc == 0)
        note_losses(&w);
    h5ck_dict_free(&w.used[MODEL]);
    h5ck_dict_free(&w.used[OPTIMIZER]);
    h5ck_dict_free(&w.used_decays);
    return rc;
}
