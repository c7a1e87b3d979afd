/*
 * fmt_paddle_dir.c - Paddle's save directory (fluid 1.4-1.8: dygraph.save_persistables, io.save_persistables without a
 * file name).
 *
 *     save_dir/<name>              one LoDTensor stream a parameter; '/' in a name makes folders
 *     save_dir/optimizers/<name>   one pickled learning-rate decay an optimizer
 *
 * The schema says what the folder of decays is called, what in a name makes a folder, what is ignored (".*", in
 * silence, as Paddle does) and what is skipped with a note ("__model__", a ProgramDesc). Facts: files of Paddle 1.8.5.
 *
 * Refused: any other file that is not exactly one tensor stream; symbolic links, FIFOs, devices (a link could lead out
 * of the folder that the user handed us; leaving it out could lose a parameter); names that are not UTF-8. In writing:
 * names that would leave the folder, collide (`a` beside `a/b`), or not be read back.
 */
#include "base/fs.h"
#include "base/text.h"
#include "format/format.h"
#include "parse/lod.h"
#include "parse/pickle.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { MAX_PICKLE = 64 << 20, MAX_PART = 255, MAX_PARTS = 512 };

static bool probe(const h5ck_probe *p)
{
    return p->is_dir;
}

/* ---- Reading ---- */

typedef struct reader {
    const char *root;
    h5ckpt_state *state;
    const h5ck_log *log;
    h5ck_fs_folder folder; /* of the file before */
} reader;

static const char *last_part(const char *relative)
{
    const char *slash = strrchr(relative, '/');
    return slash ? slash + 1 : relative;
}

static bool matches(const h5ck_patterns *patterns, const char *relative)
{
    return h5ck_patterns_match(patterns, relative) || h5ck_patterns_match(patterns, last_part(relative));
}

/* Where `relative` lies in the folder of decays: the rest of it. NULL elsewhere. */
static const char *in_decays(const h5ck_schema *s, const char *relative)
{
    size_t n = strlen(s->dir_decays);
    return strncmp(relative, s->dir_decays, n) == 0 && relative[n] == '/' ? relative + n + 1 : NULL;
}

/* A path's parts joined by the schema's separator: the name in the dictionary. */
static const char *name_of(const h5ck_schema *s, const char *relative, h5ck_arena *arena)
{
    size_t separator = strlen(s->dir_separator), slashes = 0;
    if (separator == 0 || strcmp(s->dir_separator, "/") == 0)
        return relative;
    for (const char *p = relative; *p; p++)
        slashes += *p == '/';
    char *name = h5ck_arena_alloc(arena, strlen(relative) + slashes * separator + 1), *to = name;
    for (const char *p = relative; name && *p; p++) {
        if (*p == '/') {
            memcpy(to, s->dir_separator, separator);
            to += separator;
        } else {
            *to++ = *p;
        }
    }
    if (name)
        *to = 0;
    return name;
}

static int add_tensor(reader *r, h5ck_file *f, int fd, h5ck_arena *scratch, h5ckpt_error **err)
{
    h5ckpt_tensor_info info = {0};
    h5ck_extent extent = {.kind = H5CK_EXTENT_FILE, .file = f};
    int rc = h5ck_lod_read(fd, 0, f->size, scratch, &info, &extent.offset, NULL, err);
    if (rc)
        return rc;
    if (!(info.name = name_of(r->state->schema, f->relative, scratch)))
        return h5ck_fail_nomem(err);
    if (extent.offset + info.nbytes < f->size) {
        uint64_t end = extent.offset + info.nbytes, next;
        bool combined = h5ck_lod_read(fd, end, f->size, scratch, &info, &next, NULL, NULL) == 0;
        return h5ck_fail_at(err, end, "expected the end of the file, found %" PRIu64 " more bytes%s", f->size - end,
                            combined ? " (a second tensor: a file of many parameters is opened by its own path)" : "");
    }
    return h5ck_state_add_tensor(r->state, &r->state->parameters, &info, &extent, NULL, err);
}

static int read_tensor(reader *r, h5ck_file *f, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    int fd, rc = h5ck_fs_open_source_in(&r->folder, f->root, f->relative, f, &fd, err);
    if (rc)
        return rc;
    rc = h5ck_fs_keep(f, fd, err);
    if (rc == 0)
        rc = add_tensor(r, f, fd, &scratch, err);
    close(fd);
    h5ck_arena_free(&scratch);
    return rc;
}

static int read_decay(reader *r, h5ck_file *f, const char *name, h5ckpt_error **err)
{
    const h5ck_pickle_policy policy = {.check_object = h5ck_schema_check_object,
                                       .user = (void *)(uintptr_t)r->state->schema};
    h5ck_arena scratch = {NULL};
    unsigned char *bytes;
    h5ckpt_value value;
    int rc = h5ck_fs_slurp(f->root, f->relative, MAX_PICKLE, &scratch, f, &bytes, err);
    if (rc == 0)
        rc = h5ck_pickle_read(bytes, (size_t)f->size, &policy, &r->state->arena, &value, err);
    if (rc == 0)
        rc = h5ck_state_add_decay(r->state, name, &value, NULL, f, err);
    h5ck_arena_free(&scratch);
    return rc;
}

static int visit(void *user, const char *relative, h5ck_fs_kind kind, bool *enter, h5ckpt_error **err)
{
    reader *r = user;
    const h5ck_schema *s = r->state->schema;
    (void)enter;
    if (kind == H5CK_FS_DIR || matches(&s->dir_ignore, relative))
        return 0;
    if (matches(&s->dir_skip, relative)) {
        h5ck_log_note(r->log, "%s/%s: skipped: no tensor", r->root, relative);
        return 0;
    }
    h5ck_file *f = h5ck_state_new_file(r->state, r->root, relative);
    if (!f)
        return h5ck_fail_nomem(err);
    int rc;
    const char *decay = in_decays(s, relative);
    if (kind == H5CK_FS_LINK)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a regular file, found a symbolic link (links are not followed)");
    else if (kind != H5CK_FS_FILE)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a regular file, found a device, FIFO or socket");
    else if (!h5ck_text_is_utf8(relative, strlen(relative)))
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a file name in UTF-8, found other bytes");
    else
        rc = decay ? read_decay(r, f, decay, err) : read_tensor(r, f, err);
    return rc ? h5ck_file_where(err, rc, f) : 0;
}

static int read_dir(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    reader r = {path, state, log, H5CK_FS_FOLDER_INIT};
    int rc = h5ck_fs_walk(path, visit, &r, err);
    h5ck_fs_folder_close(&r.folder);
    return rc;
}

/* ---- Writing ---- */

/* What a path is taken by, in the dictionary of all paths of a plan. */
static char a_folder, a_file;

typedef struct planner {
    h5ck_plan *plan;
    h5ck_dict paths;
} planner;

/* Refuses a part that is no plain file name. */
static int check_part(const char *part, size_t n, h5ckpt_error **err)
{
    if (n == 0)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a name that makes a path, found an empty part in it");
    if ((n == 1 && part[0] == '.') || (n == 2 && memcmp(part, "..", 2) == 0))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a name that makes a path, found the part '%.*s'", (int)n, part);
    if (n > MAX_PART)
        return h5ck_fail(err, H5CKPT_INVALID, "expected parts of at most %d bytes in a path, found %zu", MAX_PART, n);
    if (memchr(part, '/', n))
        return h5ck_fail(err, H5CKPT_INVALID, "expected no '/' inside of a part, for the schema separates by another");
    return 0;
}

/* The path of a name below `folder` (NULL: the root), checked part by part. */
static int path_of(planner *p, const char *folder, const char *separator, const char *name, const char **path,
                   h5ckpt_error **err)
{
    size_t step = strlen(separator), parts = 0;
    h5ck_buf b = H5CK_BUF_INIT;
    int rc = 0;
    if (folder)
        h5ck_buf_printf(&b, "%s/", folder);
    for (const char *part = name, *end; rc == 0 && part; part = end ? end + step : NULL) {
        end = step ? strstr(part, separator) : NULL;
        size_t n = end ? (size_t)(end - part) : strlen(part);
        rc = check_part(part, n, err);
        if (rc == 0 && ++parts > MAX_PARTS)
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected at most %d parts in a path, found more", MAX_PARTS);
        if (part != name)
            h5ck_buf_u8(&b, '/');
        h5ck_buf_add(&b, part, n);
    }
    if (rc == 0) {
        const char *text = h5ck_buf_cstr(&b);
        *path = text ? h5ck_arena_strdup(&p->plan->arena, text) : NULL;
        rc = *path ? 0 : h5ck_fail_nomem(err);
    }
    h5ck_buf_free(&b);
    return rc;
}

/* Books the folders above a path, and the path itself as a file. */
static int book(planner *p, const char *path, h5ckpt_error **err)
{
    for (const char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
        char *dir = h5ck_arena_strndup(&p->plan->arena, path, (size_t)(slash - path));
        if (!dir)
            return h5ck_fail_nomem(err);
        const void *taken = h5ck_dict_get(&p->paths, dir);
        if (taken == &a_folder)
            continue;
        if (taken == &a_file)
            return h5ck_fail(err, H5CKPT_INVALID, "expected a folder '%s', found a tensor of that name beside it", dir);
        if (h5ck_dict_add(&p->paths, dir, &a_folder) != H5CK_DICT_ADDED)
            return h5ck_fail_nomem(err);
        int rc = h5ck_plan_add_dir(p->plan, dir, err);
        if (rc)
            return rc;
    }
    switch (h5ck_dict_add(&p->paths, path, &a_file)) {
    case H5CK_DICT_ADDED:
        return 0;
    case H5CK_DICT_EXISTS:
        return h5ck_fail(err, H5CKPT_INVALID, "expected a free path '%s', found a %s there", path,
                         h5ck_dict_get(&p->paths, path) == &a_folder ? "folder" : "file");
    case H5CK_DICT_NOMEM:
        break;
    }
    return h5ck_fail_nomem(err);
}

/* Plans a file with these header bytes, and a move behind them for a tensor. */
static int plan_file(planner *p, const char *path, const h5ck_buf *head, const h5ckpt_tensor *tensor,
                     h5ckpt_error **err)
{
    h5ck_plan_file file = {.relative = path, .head_len = head->len};
    size_t index;
    if (!(file.head = h5ck_arena_memdup(&p->plan->arena, head->data, head->len)))
        return h5ck_fail_nomem(err);
    file.size = head->len + (tensor ? tensor->info.nbytes : 0);
    int rc = h5ck_plan_add_file(p->plan, &file, &index, err);
    if (rc == 0 && tensor && tensor->info.nbytes)
        rc = h5ck_plan_add_move(p->plan, tensor, index, head->len, err);
    return rc;
}

static int plan_tensor(planner *p, const h5ckpt_tensor *tensor, h5ckpt_error **err)
{
    const h5ck_schema *s = p->plan->schema;
    const char *path;
    h5ck_buf head = H5CK_BUF_INIT;
    int rc = path_of(p, NULL, s->dir_separator, tensor->info.name, &path, err);
    if (rc == 0 && (matches(&s->dir_ignore, path) || matches(&s->dir_skip, path) || in_decays(s, path)))
        rc = h5ck_fail(err, H5CKPT_INVALID,
                       "expected a name that a save directory gives back, found one that its readers "
                       "pass over or take for a decay");
    if (rc == 0)
        rc = book(p, path, err);
    if (rc == 0)
        rc = h5ck_lod_write(&tensor->info, &head, err);
    if (rc == 0)
        rc = plan_file(p, path, &head, tensor, err);
    h5ck_buf_free(&head);
    return rc ? h5ck_err_where(err, rc, NULL, tensor->info.name) : 0;
}

static int plan_decay(planner *p, const h5ckpt_decay *decay, h5ckpt_error **err)
{
    const h5ck_schema *s = p->plan->schema;
    const char *path;
    h5ck_buf pickle = H5CK_BUF_INIT;
    int rc = path_of(p, s->dir_decays, "/", decay->info.name, &path, err);
    if (rc == 0 && (matches(&s->dir_ignore, path) || matches(&s->dir_skip, path)))
        rc = h5ck_fail(err, H5CKPT_INVALID,
                       "expected a name that a save directory gives back, found one that is ignored");
    if (rc == 0)
        rc = book(p, path, err);
    if (rc == 0)
        rc = h5ck_pickle_write(decay->info.value, &pickle, err);
    if (rc == 0)
        rc = plan_file(p, path, &pickle, NULL, err);
    h5ck_buf_free(&pickle);
    return rc ? h5ck_err_where(err, rc, NULL, decay->info.name) : 0;
}

static int plan_tensors(planner *p, const h5ckpt_tensors *tensors, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < tensors->dict.count; i++)
        rc = plan_tensor(p, tensors->dict.entries[i].value, err);
    return rc;
}

static int plan_dir(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    planner p = {.plan = plan};
    plan->is_dir = true;
    plan->digest = H5CKPT_DIGEST_NONE; /* a stream has no place for one */
    int rc = plan_tensors(&p, &state->parameters, err);
    if (rc == 0)
        rc = plan_tensors(&p, &state->optimizer_state, err);
    size_t schedulers = 0;
    for (size_t i = 0; rc == 0 && i < state->decays.dict.count; i++) {
        const h5ckpt_decay *decay = state->decays.dict.entries[i].value;
        schedulers += decay->info.framework != NULL;
        rc = plan_decay(&p, decay, err);
    }
    h5ck_dict_free(&p.paths);
    if (rc == 0 && state->optimizer_state.dict.count)
        h5ck_log_note(&plan->log,
                      "%s: %zu tensors of the optimizer state stand beside the parameters, as Paddle saves them",
                      plan->target, state->optimizer_state.dict.count);
    if (rc == 0 && schedulers)
        h5ck_log_note(&plan->log, "%s: %zu %s among the decays, where only h5ckpt reads %s", plan->target, schedulers,
                      schedulers == 1 ? "scheduler's state stands" : "schedulers' states stand",
                      schedulers == 1 ? "it" : "them");
    if (rc == 0 && state->metadata.count)
        h5ck_log_note(&plan->log, "%s: a save directory holds no metadata: %zu left out", plan->target,
                      state->metadata.count);
    return rc;
}

/* ---- Explaining ---- */

static int explain_tensor(const h5ckpt_tensor *tensor, h5ck_buf *out, h5ckpt_error **err)
{
    const h5ck_extent *e = &tensor->extent;
    h5ck_arena scratch = {NULL};
    h5ckpt_tensor_info info;
    uint64_t data;
    int fd, rc = h5ck_fs_reopen(e->file, &fd, err);
    if (rc)
        return rc;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: a LoDTensor stream\n", h5ck_file_path(e->file, &scratch),
                    e->file->size);
    h5ck_buf_str(out, "    offset  bytes                      meaning\n");
    rc = h5ck_lod_read(fd, 0, e->file->size, &scratch, &info, &data, out, err);
    h5ck_buf_printf(out,
                    "%10" PRIu64 "  data: %" PRIu64 " bytes of %s, row-major, little-endian, to the end of the file\n",
                    e->offset, tensor->info.nbytes, h5ckpt_dtype_name(tensor->info.dtype));
    close(fd);
    h5ck_arena_free(&scratch);
    return rc;
}

static int explain_decay(const h5ckpt_decay *decay, h5ck_buf *out, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ck_file f;
    unsigned char *bytes;
    int rc = h5ck_fs_slurp(decay->file->root, decay->file->relative, MAX_PICKLE, &scratch, &f, &bytes, err);
    if (rc == 0) {
        h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: a pickle, read without executing it\n",
                        h5ck_file_path(&f, &scratch), f.size);
        h5ck_pickle_list(bytes, (size_t)f.size, out);
    }
    h5ck_arena_free(&scratch);
    return rc;
}

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    (void)state;
    return tensor ? explain_tensor(tensor, out, err) : explain_decay(decay, out, err);
}

static const char *const suffixes[] = {"", NULL};

const h5ck_format h5ck_fmt_paddle_dir = {
    .info = {.name = "paddle-dir",
             .suffix = NULL,
             .doc = "Paddle 1.x save directory: a file a parameter, a pickled decay an optimizer",
             .reads = 1,
             .writes = 1,
             .holds_decays = 1,
             .holds_optimizer_state = 0,
             .holds_metadata = 0},
    .is_dir = true,
    .suffixes = suffixes,
    .probe = probe,
    .read = read_dir,
    .plan = plan_dir,
    .explain = explain,
};
