/*
 * fmt_paddle_combined.c - Paddle's file of many parameters: `.pdiparams`, `__params__`, 1.6-dev's `model.pdparams`.
 *
 *     LoDTensor stream (src/parse/lod.h) | LoDTensor stream | ... to the end of the file
 *
 * in the order of the sorted names, which are not in it: a neighbour tells them (format/paddle_names.h). Where that is a
 * program it says the shape and type of each tensor too, and both must agree. Without a neighbour the file is refused:
 * numbers instead of names would look like a checkpoint and fit nothing. Who knows the names writes them, one a line,
 * to `var_names.pdvar` beside it.
 *
 * What a `FILE.info` beside it says of each parameter (structured_name, ...) is kept as the metadata "pdiparams.info".
 *
 * Writing: streams sorted by name. So that the names are not lost, Paddle 2's `FILE.info` is written along, unless the
 * program that the file belongs to stands there already: then the tensors must be the program's, to the last name, shape
 * and type, for Paddle would take whatever stands at a name's place for its tensor.
 *
 * Refused: what is no sequence of streams, more or fewer of them than names. Not held, and noted: decays, metadata,
 * optimizers' tensors that the program does not name. Facts: files of Paddle 1.8.5 and 3.3.1.
 */
#include "base/ckd.h"
#include "base/fs.h"
#include "format/format.h"
#include "format/paddle_names.h"
#include "parse/lod.h"
#include "parse/pickle.h"
#include "parse/value_json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INFO "pdiparams.info" /* a key of metadata */

/* The header of a stream; whether the rest is right shows in reading. */
static bool probe(const h5ck_probe *p)
{
    h5ck_arena scratch = {NULL};
    h5ckpt_tensor_info info = {0};
    uint64_t data;
    bool fits = !p->is_dir && p->size && p->head_len >= 4 && memcmp(p->head, "\0\0\0\0", 4) == 0 &&
                h5ck_lod_read(p->fd, 0, p->size, &scratch, &info, &data, NULL, NULL) == 0;
    h5ck_arena_free(&scratch);
    return fits;
}

/* ---- Reading ---- */

typedef struct reader {
    const char *path;
    h5ckpt_state *state;
    h5ck_file *file;
    int fd;
    h5ck_arena scratch; /* names */
    h5ck_paddle_names names;
} reader;

static int fail_nameless(const reader *r, h5ckpt_error **err)
{
    h5ck_buf wanted = H5CK_BUF_INIT;
    h5ck_paddle_names_wanted(r->path, &wanted);
    const char *text = h5ck_buf_cstr(&wanted);
    int rc =
        h5ck_fail(err, H5CKPT_INVALID, "expected a file beside it that tells the names of its tensors (%s), found none",
                  text ? text : "");
    h5ck_buf_free(&wanted);
    return rc;
}

/* Holds a tensor against what a program says of it. */
static int check_var(const h5ck_program_var *var, const h5ckpt_tensor_info *info, const char *program,
                     h5ckpt_error **err)
{
    bool same = info->rank == var->rank || !var->typed;
    if (var->dtype && info->dtype != var->dtype)
        return h5ck_fail(err, H5CKPT_INVALID, "expected %s, as %s says, found %s", h5ckpt_dtype_name(var->dtype),
                         program, h5ckpt_dtype_name(info->dtype));
    for (size_t i = 0; same && i < var->rank; i++)
        same = var->shape[i] < 0 || (uint64_t)var->shape[i] == info->shape[i];
    if (same)
        return 0;
    h5ck_buf b = H5CK_BUF_INIT;
    for (size_t i = 0; i < var->rank; i++)
        h5ck_buf_printf(&b, "%s%" PRId64, i ? ", " : "", var->shape[i]);
    h5ck_buf_printf(&b, "], as %s says, found [", program);
    for (size_t i = 0; i < info->rank; i++)
        h5ck_buf_printf(&b, "%s%" PRIu64, i ? ", " : "", info->shape[i]);
    const char *text = h5ck_buf_cstr(&b);
    int rc = h5ck_fail(err, H5CKPT_INVALID, "expected the shape [%s]", text ? text : "");
    h5ck_buf_free(&b);
    return rc;
}

static int read_stream(reader *r, const h5ck_program_var *var, uint64_t *at, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ckpt_tensor_info info = {.name = var->name};
    h5ck_extent extent = {.kind = H5CK_EXTENT_FILE, .file = r->file};
    h5ckpt_tensor *t;
    int rc = h5ck_lod_read(r->fd, *at, r->file->size, &scratch, &info, &extent.offset, NULL, err);
    if (rc == 0)
        rc = check_var(var, &info, r->names.path, err);
    if (rc == 0)
        rc = h5ck_state_make_tensor(r->state, &info, &extent, NULL, &t, err);
    if (rc == 0)
        rc = h5ck_state_put_tensor(&r->state->parameters, t, err);
    if (rc == 0 && !(t->origin = h5ck_arena_memdup(&r->state->arena, at, sizeof *at)))
        rc = h5ck_fail_nomem(err);
    if (rc == 0)
        *at = extent.offset + info.nbytes; /* inside of the file: make_tensor has checked it */
    h5ck_arena_free(&scratch);
    return rc ? h5ck_err_where(err, rc, NULL, var->name) : 0;
}

static int read_streams(reader *r, h5ckpt_error **err)
{
    const h5ck_program *vars = &r->names.vars;
    uint64_t at = 0;
    for (size_t i = 0; i < vars->count; i++) {
        if (at == r->file->size)
            return h5ck_fail_at(err, at, "expected %zu tensors, as %s names them, found %zu", vars->count,
                                r->names.path, i);
        int rc = read_stream(r, &vars->vars[i], &at, err);
        if (rc)
            return rc;
    }
    if (at < r->file->size)
        return h5ck_fail_at(
            err, at, "expected the end of the file after %zu tensors, as %s names them, found %" PRIu64 " more bytes",
            vars->count, r->names.path, r->file->size - at);
    return 0;
}

/* What Paddle 2 keeps of each parameter besides is kept too, as metadata. */
static int keep_info(reader *r, h5ckpt_error **err)
{
    h5ckpt_value info;
    h5ck_buf text = H5CK_BUF_INIT;
    int rc = h5ck_paddle_info_read(r->path, &r->scratch, &info, err);
    if (rc == 0 && info.type != H5CKPT_NONE) {
        rc = h5ck_value_to_json(&info, &text, err);
        const char *json = rc ? NULL : h5ck_buf_cstr(&text);
        if (rc == 0)
            rc = json ? h5ck_state_set_metadata(r->state, INFO, json, err) : h5ck_fail_nomem(err);
    }
    h5ck_buf_free(&text);
    return rc;
}

/* The state knows the files beside its own: without them it has no names, so that nothing may be written over them. */
static int know_neighbour(reader *r, const char *path, h5ckpt_error **err)
{
    h5ck_file *f = h5ck_state_new_file(r->state, path, NULL);
    int fd, rc = f ? h5ck_fs_open_source(f->root, NULL, f, &fd, err) : h5ck_fail_nomem(err);
    if (rc == 0)
        close(fd);
    return rc;
}

static int know_neighbours(reader *r, h5ckpt_error **err)
{
    h5ck_buf info = H5CK_BUF_INIT;
    h5ck_fs_stat st;
    h5ck_buf_printf(&info, "%s.info", r->path);
    const char *text = h5ck_buf_cstr(&info);
    int rc = text ? h5ck_fs_status(text, &st, err) : h5ck_fail_nomem(err);
    if (rc == 0 && st.is_file)
        rc = know_neighbour(r, text, err);
    if (rc == 0 && !(st.is_file && strcmp(text, r->names.path) == 0))
        rc = know_neighbour(r, r->names.path, err);
    h5ck_buf_free(&info);
    return rc;
}

static int read_combined(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    reader r = {.path = path, .state = state, .fd = -1};
    int rc;
    (void)log;
    if (!(r.file = h5ck_state_new_file(state, path, NULL)))
        return h5ck_fail_nomem(err);
    rc = h5ck_fs_open_source(r.file->root, NULL, r.file, &r.fd, err);
    if (rc == 0)
        rc = h5ck_paddle_names_find(path, false, &r.scratch, &r.names, err);
    if (rc == 0)
        rc = r.names.path ? read_streams(&r, err) : fail_nameless(&r, err);
    if (rc == 0)
        rc = keep_info(&r, err);
    if (rc == 0)
        rc = know_neighbours(&r, err);
    if (r.fd >= 0)
        close(r.fd);
    h5ck_arena_free(&r.scratch);
    return rc ? h5ck_file_where(err, rc, r.file) : 0;
}

/* ---- Writing ---- */

typedef struct planner {
    h5ck_plan *plan;
    const h5ckpt_tensor **tensors; /* sorted by name */
    size_t count, left_out;
    h5ck_paddle_names program;
} planner;

static int by_name(const void *a, const void *b)
{
    const h5ckpt_tensor *const *x = a, *const *y = b;
    return strcmp((*x)->info.name, (*y)->info.name);
}

/* The program's variable of that name, or NULL. */
static const h5ck_program_var *find_var(const h5ck_program *p, const char *name)
{
    size_t low = 0, high = p->count;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int order = strcmp(p->vars[mid].name, name);
        if (order == 0)
            return &p->vars[mid];
        if (order < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* All parameters, and the optimizers' tensors that the program has a place for: without a program, all. */
static int collect(planner *p, const h5ckpt_state *state, h5ckpt_error **err)
{
    const h5ck_dict *dicts[] = {&state->parameters.dict, &state->optimizer_state.dict};
    p->tensors = h5ck_arena_zalloc(&p->plan->arena, dicts[0]->count + dicts[1]->count, sizeof(void *));
    if (!p->tensors)
        return h5ck_fail_nomem(err);
    for (size_t d = 0; d < 2; d++)
        for (size_t i = 0; i < dicts[d]->count; i++) {
            const h5ckpt_tensor *t = dicts[d]->entries[i].value;
            if (d == 1 && p->program.path && !find_var(&p->program.vars, t->info.name))
                p->left_out++;
            else
                p->tensors[p->count++] = t;
        }
    if (p->count)
        qsort(p->tensors, p->count, sizeof *p->tensors, by_name);
    for (size_t i = 1; i < p->count; i++)
        if (strcmp(p->tensors[i - 1]->info.name, p->tensors[i]->info.name) == 0)
            return h5ck_err_where(
                err, h5ck_fail(err, H5CKPT_INVALID, "expected each name once, found it among the optimizer state too"),
                NULL, p->tensors[i]->info.name);
    return p->count ? 0 : h5ck_fail(err, H5CKPT_INVALID, "expected tensors to write, found none");
}

/* The first tensor that is not the program's, or the program's that is not there. */
static int check_program(const planner *p, h5ckpt_error **err)
{
    const h5ck_program *vars = &p->program.vars;
    for (size_t i = 0; i < p->count || i < vars->count; i++) {
        const h5ckpt_tensor *t = i < p->count ? p->tensors[i] : NULL;
        const h5ck_program_var *v = i < vars->count ? &vars->vars[i] : NULL;
        int order = !v ? -1 : !t ? 1 : strcmp(t->info.name, v->name), rc = 0;
        if (order < 0)
            rc = h5ck_fail(err, H5CKPT_INVALID,
                           "expected the tensors of %s, which stands beside the target, found one "
                           "that is none of them",
                           p->program.path);
        else if (order > 0)
            rc = h5ck_fail(err, H5CKPT_INVALID,
                           "expected the tensors of %s, which stands beside the target, found none "
                           "of this name",
                           p->program.path);
        else
            rc = check_var(v, &t->info, p->program.path, err);
        if (rc)
            return h5ck_err_where(err, rc, NULL, order > 0 ? v->name : t->info.name);
    }
    return 0;
}

/* The file itself: headers are its pieces, in one block of memory. */
static int plan_streams(planner *p, h5ckpt_error **err)
{
    h5ck_buf heads = H5CK_BUF_INIT;
    size_t file, *ends = h5ck_arena_zalloc(&p->plan->arena, p->count, sizeof *ends);
    h5ck_plan_file whole = {.relative = NULL};
    int rc = ends ? 0 : h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < p->count; i++) {
        rc = h5ck_lod_write(&p->tensors[i]->info, &heads, err);
        ends[i] = heads.len;
        if (h5ck_ckd_add(whole.size, p->tensors[i]->info.nbytes, &whole.size) || whole.size > INT64_MAX)
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected tensors that one file holds, found more bytes than that");
    }
    const unsigned char *bytes = rc ? NULL : h5ck_arena_memdup(&p->plan->arena, heads.data, heads.len);
    if (rc == 0 && !bytes)
        rc = h5ck_fail_nomem(err);
    whole.size += heads.len;
    h5ck_buf_free(&heads);
    if (rc == 0)
        rc = h5ck_plan_add_file(p->plan, &whole, &file, err);
    uint64_t at = 0;
    for (size_t i = 0; rc == 0 && i < p->count; i++) {
        size_t begin = i ? ends[i - 1] : 0;
        rc = h5ck_plan_add_piece(p->plan, file, at, bytes + begin, ends[i] - begin, err);
        at += ends[i] - begin;
        if (rc == 0 && p->tensors[i]->info.nbytes)
            rc = h5ck_plan_add_move(p->plan, p->tensors[i], file, at, err);
        at += p->tensors[i]->info.nbytes;
    }
    return rc;
}

/* The dict that was kept when such a file was read. */
static int find_info(const h5ckpt_state *state, h5ck_arena *arena, h5ckpt_value *info, h5ckpt_error **err)
{
    const h5ckpt_value *text = h5ckpt_value_get(&state->metadata, INFO);
    int rc = text ? h5ck_value_from_json(text->as.str, strlen(text->as.str), arena, info, err) : 0;
    return rc ? h5ck_err_part(err, rc, INFO) : 0;
}

/* Paddle 2's `FILE.info`: what it keeps of each parameter beside its name. Where nothing was kept the name in the
 * model's own words (structured_name) is not known, and is the name itself. */
static int pickle_info(const planner *p, const h5ckpt_state *state, h5ck_buf *out, h5ckpt_error **err)
{
    enum { FACTS = 3 };
    h5ck_arena scratch = {NULL};
    h5ck_dict kept = {0};
    h5ckpt_value info = {.type = H5CKPT_DICT};
    int rc = find_info(state, &scratch, &info, err);
    for (size_t i = 0; rc == 0 && info.type == H5CKPT_DICT && i < info.count; i++)
        if (info.as.fields[i].key.type == H5CKPT_STR &&
            !h5ck_dict_set(&kept, info.as.fields[i].key.as.str, (void *)(uintptr_t)&info.as.fields[i].value))
            rc = h5ck_fail_nomem(err);
    h5ckpt_field *fields = h5ck_arena_zalloc(&scratch, p->count, (1 + FACTS) * sizeof *fields);
    if (rc == 0 && !fields)
        rc = h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < p->count; i++) {
        h5ckpt_field *facts = fields + p->count + FACTS * i;
        const char *name = p->tensors[i]->info.name;
        facts[0] = (h5ckpt_field){h5ck_value_str("structured_name"), h5ck_value_str(name)};
        facts[1] = (h5ckpt_field){h5ck_value_str("stop_gradient"), h5ck_value_bool(false)};
        facts[2] = (h5ckpt_field){h5ck_value_str("trainable"), h5ck_value_bool(true)};
        fields[i].key = h5ck_value_str(name);
        const h5ckpt_value *as_it_was = h5ck_dict_get(&kept, name);
        fields[i].value = (h5ckpt_value){.type = H5CKPT_DICT, .count = FACTS, .as.fields = facts};
        if (as_it_was)
            fields[i].value = *as_it_was;
    }
    const h5ckpt_value dict = {.type = H5CKPT_DICT, .count = p->count, .as.fields = fields};
    if (rc == 0)
        rc = h5ck_pickle_write(&dict, out, err);
    h5ck_dict_free(&kept);
    h5ck_arena_free(&scratch);
    return rc;
}

static int plan_info(planner *p, const h5ckpt_state *state, h5ckpt_error **err)
{
    h5ck_buf path = H5CK_BUF_INIT, pickle = H5CK_BUF_INIT;
    h5ck_plan_file file = {.relative = NULL};
    size_t index;
    h5ck_buf_printf(&path, "%s.info", p->plan->target);
    const char *text = h5ck_buf_cstr(&path);
    int rc = text ? h5ck_plan_new_companion(p->plan, text, &file.companion, err) : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = pickle_info(p, state, &pickle, err);
    if (rc == 0 && !(file.head = h5ck_arena_memdup(&p->plan->arena, pickle.data, pickle.len)))
        rc = h5ck_fail_nomem(err);
    file.size = file.head_len = pickle.len;
    if (rc == 0)
        rc = h5ck_plan_add_file(p->plan, &file, &index, err);
    h5ck_buf_free(&path);
    h5ck_buf_free(&pickle);
    return rc;
}

static void note_what_is_left_out(const planner *p, const h5ckpt_state *state)
{
    const h5ck_log *log = &p->plan->log;
    const char *target = p->plan->target;
    if (state->decays.dict.count)
        h5ck_log_note(log, "%s: a file of parameters holds no learning-rate decays: %zu left out", target,
                      state->decays.dict.count);
    if (p->left_out)
        h5ck_log_note(log, "%s: %zu tensors of the optimizer state left out: the program beside it has none of them",
                      target, p->left_out);
    if (state->optimizer_state.dict.count > p->left_out)
        h5ck_log_note(log, "%s: %zu tensors of the optimizer state stand among the parameters, as Paddle saves them",
                      target, state->optimizer_state.dict.count - p->left_out);
    size_t metadata = state->metadata.count - (h5ckpt_value_get(&state->metadata, INFO) != NULL);
    if (metadata)
        h5ck_log_note(log, "%s: a file of parameters holds no metadata: %zu left out", target, metadata);
}

static int plan_combined(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    planner p = {.plan = plan};
    plan->digest = H5CKPT_DIGEST_NONE; /* a stream has no place for one */
    int rc = h5ck_paddle_names_find(plan->target, true, &plan->arena, &p.program, err);
    if (rc == 0)
        rc = collect(&p, state, err);
    if (rc == 0 && p.program.path)
        rc = check_program(&p, err);
    if (rc == 0)
        rc = plan_streams(&p, err);
    if (rc == 0 && !p.program.path)
        rc = plan_info(&p, state, err);
    if (rc == 0)
        note_what_is_left_out(&p, state);
    return rc;
}

/* ---- Explaining ---- */

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    const h5ck_extent *e = &tensor->extent;
    h5ck_arena scratch = {NULL};
    h5ckpt_tensor_info info = {0};
    uint64_t data;
    int fd, rc;
    (void)state;
    (void)decay; /* it has none */
    if ((rc = h5ck_fs_reopen(e->file, &fd, err)))
        return rc;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: LoDTensor streams, one behind the other\n",
                    h5ck_file_path(e->file, &scratch), e->file->size);
    h5ck_buf_str(out, "    offset  bytes                      meaning\n");
    rc = h5ck_lod_read(fd, *(const uint64_t *)tensor->origin, e->file->size, &scratch, &info, &data, out, err);
    h5ck_buf_printf(out, "%10" PRIu64 "  data: %" PRIu64 " bytes of %s, row-major, little-endian\n", e->offset,
                    tensor->info.nbytes, h5ckpt_dtype_name(tensor->info.dtype));
    close(fd);
    h5ck_arena_free(&scratch);
    return rc;
}

static const char *const suffixes[] = {".pdiparams", NULL};

const h5ck_format h5ck_fmt_paddle_combined = {
    .info = {.name = "paddle-combined",
             .suffix = ".pdiparams",
             .doc = "Paddle's file of many parameters; names from the program or list beside it",
             .reads = 1,
             .writes = 1,
             .holds_decays = 0,
             .holds_optimizer_state = 0,
             .holds_metadata = 0},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_combined,
    .plan = plan_combined,
    .explain = explain,
};
