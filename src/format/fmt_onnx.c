/*
 * fmt_onnx.c - the weights of an ONNX model: its graph's initializers. Read only: a model is more than its weights.
 *
 *     ModelProto  1 = ir_version, ..., 7 = graph, 14 = metadata_props: pairs of strings
 *     GraphProto  1 = node, 5 = initializer: TensorProto (parse/onnx.h), 15 = sparse_initializer
 *
 * The file is walked, not loaded: raw_data is a range of it. Elements in another file are read only where the caller
 * allows it (--allow-external), and then below the model's own folder only, unless it allows anywhere.
 *
 * Refused: sparse initializers, and what parse/onnx.h refuses; a model is read whole or not at all. Not read, and noted:
 * tensors in Constant nodes and in graphs inside of nodes (If, Loop), which have no names of their own. Source: ONNX's
 * onnx.proto; files of the Python package onnx 1.23.
 */
#include "base/ckd.h"
#include "base/fs.h"
#include "format/format.h"
#include "parse/onnx.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

/* ModelProto's fields up to the graph, in any order, the version among them; by their wire types. */
static bool probe(const h5ck_probe *p)
{
    h5ck_pb_source source;
    h5ck_pb_field f;
    bool version = false;
    if (p->is_dir || p->size == 0)
        return false;
    h5ck_pb_of_file(&source, p->fd, 0, p->size);
    h5ck_pb_reader r = h5ck_pb_all(&source, "the model");
    while (h5ck_pb_next(&r, &f, NULL) == 0 && f.number) {
        bool number = f.number == 1 || f.number == 5;
        if (f.number > 8 || f.wire != (number ? H5CK_PB_VARINT : H5CK_PB_LENGTH))
            return false;
        if (f.number == 7)
            return version;
        version = version || f.number == 1;
        if (h5ck_pb_skip(&r, &f, NULL))
            return false;
    }
    return false;
}

/* ---- Reading ---- */

typedef struct reader {
    h5ckpt_state *state;
    h5ck_file *file;
    const char *folder; /* the model's, once another file is looked for */
    h5ck_dict others;   /* location -> h5ck_file */
    size_t graphs, constants, inner;
} reader;

/* The file that tensors call `location`; it is opened once, to see that it is there. */
static int find_other(reader *r, const char *location, h5ck_file **file, h5ckpt_error **err)
{
    const char *real, *root, *relative;
    h5ck_arena *arena = &r->state->arena;
    int fd, rc = 0;
    if (r->state->external == H5CKPT_EXTERNAL_REFUSED)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected elements in this file, found them in '%s' (other files are read only with "
                         "--allow-external)",
                         location);
    if ((*file = h5ck_dict_get(&r->others, location)))
        return 0;
    if (!r->folder) {
        rc = h5ck_fs_real_path(r->file->root, arena, &real, err);
        if (rc == 0)
            rc = h5ck_fs_real_parent(real, arena, &r->folder, err);
    }
    if (rc == 0)
        rc = h5ck_fs_find(r->folder, location, r->state->external != H5CKPT_EXTERNAL_ANYWHERE, arena, &root, &relative,
                          err);
    if (rc)
        return rc;
    const char *key = h5ck_arena_strdup(arena, location);
    if (!key || !(*file = h5ck_state_new_file(r->state, root, relative)))
        return h5ck_fail_nomem(err);
    if ((rc = h5ck_fs_open_source((*file)->root, (*file)->relative, *file, &fd, err)))
        return rc;
    close(fd);
    return h5ck_dict_set(&r->others, key, *file) ? 0 : h5ck_fail_nomem(err);
}

static int place_external(reader *r, h5ck_onnx_tensor *t, h5ckpt_error **err)
{
    uint64_t end;
    h5ck_file *other = NULL;
    int rc = find_other(r, t->location, &other, err);
    if (rc)
        return rc;
    if (t->has_length && t->length != t->info.nbytes)
        return h5ck_fail(err, H5CKPT_INVALID, "expected %" PRIu64 " bytes of elements, found %" PRIu64 " in '%s'",
                         t->info.nbytes, t->length, t->location);
    if (h5ck_ckd_add(t->offset, t->info.nbytes, &end) || end > other->size)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected %" PRIu64 " bytes at offset %" PRIu64 " of '%s', found a file of %" PRIu64 " bytes",
                         t->info.nbytes, t->offset, t->location, other->size);
    t->extent = (h5ck_extent){.kind = H5CK_EXTENT_FILE, .file = other, .offset = t->offset};
    return 0;
}

static int read_initializer(reader *r, h5ck_pb_reader *in, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ck_onnx_tensor t;
    int rc = h5ck_onnx_read_tensor(in, r->file, &scratch, &r->state->arena, &t, err);
    if (rc == 0 && t.external)
        rc = h5ck_err_where(err, place_external(r, &t, err), NULL, t.info.name);
    if (rc == 0)
        rc = h5ck_state_add_tensor(r->state, &r->state->parameters, &t.info, &t.extent, NULL, err);
    h5ck_arena_free(&scratch);
    return rc;
}

/* Whether an attribute (of a node) holds a graph. */
static int look_for_graphs(h5ck_pb_reader *r, bool *found, h5ckpt_error **err)
{
    h5ck_pb_field f;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        *found = *found || f.number == 6 || f.number == 11; /* g, graphs */
        if ((rc = h5ck_pb_skip(r, &f, err)))
            return rc;
    }
    return rc;
}

static int look_at_node(reader *r, h5ck_pb_reader *node, h5ckpt_error **err)
{
    static const char constant[] = "Constant";
    h5ck_pb_field f;
    h5ck_pb_reader in;
    bool graphs = false;
    int rc;
    while ((rc = h5ck_pb_next(node, &f, err)) == 0 && f.number) {
        char type[sizeof constant] = "";
        if ((f.number == 4 || f.number == 5) && f.wire == H5CK_PB_LENGTH)
            rc = h5ck_pb_enter(node, "a field of a node", &in, err);
        else
            rc = h5ck_pb_skip(node, &f, err);
        if (rc == 0 && f.number == 4 && f.wire == H5CK_PB_LENGTH && h5ck_pb_left(&in) == sizeof constant - 1) {
            rc = h5ck_pb_bytes(&in, type, err);
            r->constants += rc == 0 && strcmp(type, constant) == 0;
        } else if (rc == 0 && f.number == 5 && f.wire == H5CK_PB_LENGTH) {
            rc = look_for_graphs(&in, &graphs, err);
        }
        if (rc)
            return rc;
    }
    r->inner += graphs;
    return rc;
}

static int read_graph(reader *r, h5ck_pb_reader *graph, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    int rc;
    r->graphs++;
    while ((rc = h5ck_pb_next(graph, &f, err)) == 0 && f.number) {
        if (f.number == 15)
            return h5ck_fail_at(err, f.at, "expected dense tensors, found a sparse initializer");
        if ((f.number == 1 || f.number == 5) && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(graph, f.number == 5 ? "an initializer" : "a node", &in, err);
            if (rc == 0)
                rc = f.number == 5 ? read_initializer(r, &in, err) : look_at_node(r, &in, err);
        } else {
            rc = h5ck_pb_skip(graph, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

static int read_property(reader *r, h5ck_pb_reader *pair, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    const char *key, *value;
    int rc = h5ck_onnx_read_pair(pair, &scratch, &key, &value, err);
    if (rc == 0)
        rc = h5ck_state_set_metadata(r->state, key, value, err);
    h5ck_arena_free(&scratch);
    return rc;
}

static int read_model(reader *r, h5ck_pb_reader *model, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    int rc;
    while ((rc = h5ck_pb_next(model, &f, err)) == 0 && f.number) {
        if ((f.number == 7 || f.number == 14) && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(model, f.number == 7 ? "the graph" : "a pair of metadata", &in, err);
            if (rc == 0)
                rc = f.number == 7 ? read_graph(r, &in, err) : read_property(r, &in, err);
        } else {
            rc = h5ck_pb_skip(model, &f, err);
        }
        if (rc)
            return rc;
    }
    if (rc == 0 && r->graphs == 0)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected an ONNX model with a graph, found none");
    return rc;
}

static int read_onnx(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    reader r = {.state = state};
    h5ck_pb_source source;
    int fd;
    if (!(r.file = h5ck_state_new_file(state, path, NULL)))
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(r.file->root, NULL, r.file, &fd, err);
    if (rc == 0) {
        h5ck_pb_of_file(&source, fd, 0, r.file->size);
        h5ck_pb_reader model = h5ck_pb_all(&source, "the model");
        rc = read_model(&r, &model, err);
        close(fd);
    }
    h5ck_dict_free(&r.others);
    if (rc == 0 && r.constants + r.inner)
        h5ck_log_note(
            log, "%s: only initializers are read: not the tensors of %zu Constant nodes and of graphs in %zu nodes",
            path, r.constants, r.inner);
    return rc ? h5ck_file_where(err, rc, r.file) : 0;
}

/* ---- Explaining ---- */

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    const h5ck_extent *e = &tensor->extent;
    h5ck_arena scratch = {NULL};
    (void)state;
    (void)decay; /* it has none */
    (void)err;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: an initializer of an ONNX model\n",
                    h5ck_file_path(e->file, &scratch), e->file->size);
    if (e->kind == H5CK_EXTENT_DECODER)
        h5ck_buf_printf(out, "elements: %s, %" PRIu64 " bytes once decoded\n", e->decoder->what, tensor->info.nbytes);
    else
        h5ck_buf_printf(out, "elements: at offset %" PRIu64 ", %" PRIu64 " bytes, row-major, little-endian\n",
                        e->offset, tensor->info.nbytes);
    h5ck_arena_free(&scratch);
    return 0;
}

static const char *const suffixes[] = {".onnx", NULL};

const h5ck_format h5ck_fmt_onnx = {
    .info = {.name = "onnx",
             .suffix = ".onnx",
             .doc = "the initializers of an ONNX model",
             .reads = 1,
             .writes = 0,
             .holds_decays = 0,
             .holds_optimizer_state = 0,
             .holds_metadata = 1},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_onnx,
    .plan = NULL,
    .explain = explain,
};
