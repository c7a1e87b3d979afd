/*
 * program.c - a ProgramDesc's declarations of persistable tensors.
 *
 *     ProgramDesc  1 = blocks: BlockDesc         BlockDesc  3 = vars: VarDesc
 *     VarDesc      1 = name, 2 = type: VarType, 3 = persistable
 *     VarType      1 = type (7: LOD_TENSOR), 3 = lod_tensor: { 1 = tensor: TensorDesc }
 *     TensorDesc   1 = data_type, 2 = dims (-1: any)
 *
 * `feed` and `fetch` are persistable too, but of other types. Parameters stand in the first block always. Everything
 * else, operators above all, is stepped over. Source: Paddle's framework.proto; files of Paddle 1.8.5 and 3.3.1.
 */
#include "parse/program.h"

#include "model/dtype.h"
#include "model/tensor.h"
#include "parse/protobuf.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_NAME = 1 << 16, LOD_TENSOR = 7 };

int h5ck_program_add(h5ck_program *p, const h5ck_program_var *var, h5ck_arena *arena, h5ckpt_error **err)
{
    if (p->count == p->room) {
        size_t room = p->room ? 2 * p->room : 16;
        h5ck_program_var *more = h5ck_arena_zalloc(arena, room, sizeof *more);
        if (!more)
            return h5ck_fail_nomem(err);
        if (p->count)
            memcpy(more, p->vars, p->count * sizeof *more);
        p->vars = more;
        p->room = room;
    }
    p->vars[p->count++] = *var;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(((const h5ck_program_var *)a)->name, ((const h5ck_program_var *)b)->name);
}

void h5ck_program_sort(h5ck_program *p)
{
    if (p->count)
        qsort(p->vars, p->count, sizeof *p->vars, compare);
}

/* ---- The messages, from the inside out ---- */

/* A variable as far as it was read. */
typedef struct var {
    h5ck_pb_reader name; /* where its name stands */
    bool named, persistable;
    uint64_t type;
    h5ckpt_dtype dtype;
    size_t rank;
    int64_t shape[H5CK_MAX_RANK];
} var;

static int read_dim(h5ck_pb_reader *r, var *v, h5ckpt_error **err)
{
    uint64_t at = r->at, dim;
    int rc = h5ck_pb_varint(r, &dim, err);
    if (rc)
        return rc;
    if (v->rank == H5CK_MAX_RANK)
        return h5ck_fail_at(err, at, "expected at most %d dimensions, found more", H5CK_MAX_RANK);
    v->shape[v->rank++] = dim > INT64_MAX ? -1 : (int64_t)dim;
    return 0;
}

static int read_dims(h5ck_pb_reader *r, const h5ck_pb_field *f, var *v, h5ckpt_error **err)
{
    if (f->wire == H5CK_PB_VARINT)
        return read_dim(r, v, err);
    h5ck_pb_reader packed;
    int rc = h5ck_pb_enter(r, "packed dims", &packed, err);
    while (rc == 0 && h5ck_pb_left(&packed))
        rc = read_dim(&packed, v, err);
    return rc;
}

static int read_tensor_desc(h5ck_pb_reader *r, var *v, h5ckpt_error **err)
{
    h5ck_pb_field f;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        uint64_t code = 0;
        if (f.number == 1 && f.wire == H5CK_PB_VARINT) {
            if ((rc = h5ck_pb_varint(r, &code, err)) == 0) {
                const h5ck_dtype *row = h5ck_dtype_from_paddle(code);
                v->dtype = row ? row->id : H5CKPT_DTYPE_NONE;
            }
        } else if (f.number == 2 && (f.wire == H5CK_PB_VARINT || f.wire == H5CK_PB_LENGTH)) {
            rc = read_dims(r, &f, v, err);
        } else {
            rc = h5ck_pb_skip(r, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

static int read_lod_tensor(h5ck_pb_reader *r, var *v, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        if (f.number == 1 && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(r, "a TensorDesc", &in, err);
            rc = rc ? rc : read_tensor_desc(&in, v, err);
        } else {
            rc = h5ck_pb_skip(r, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

static int read_type(h5ck_pb_reader *r, var *v, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        if (f.number == 1 && f.wire == H5CK_PB_VARINT) {
            rc = h5ck_pb_varint(r, &v->type, err);
        } else if (f.number == 3 && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(r, "a type of tensor", &in, err);
            rc = rc ? rc : read_lod_tensor(&in, v, err);
        } else {
            rc = h5ck_pb_skip(r, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

static int read_var(h5ck_pb_reader *r, var *v, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    uint64_t flag;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        if (f.number == 1 && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(r, "the name of a variable", &v->name, err);
            v->named = true;
        } else if (f.number == 2 && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(r, "the type of a variable", &in, err);
            rc = rc ? rc : read_type(&in, v, err);
        } else if (f.number == 3 && f.wire == H5CK_PB_VARINT) {
            rc = h5ck_pb_varint(r, &flag, err);
            v->persistable = rc == 0 && flag;
        } else {
            rc = h5ck_pb_skip(r, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

/* Only what is kept takes memory. */
static int keep_var(var *v, h5ck_program *p, h5ck_arena *arena, h5ckpt_error **err)
{
    if (!v->persistable || v->type != LOD_TENSOR || !v->named)
        return 0;
    h5ck_program_var kept = {.dtype = v->dtype, .typed = true, .rank = v->rank};
    int rc = h5ck_pb_string(&v->name, MAX_NAME, arena, &kept.name, err);
    if (rc)
        return rc;
    if (!(kept.shape = h5ck_arena_memdup(arena, v->shape, v->rank * sizeof *v->shape)))
        return h5ck_fail_nomem(err);
    return h5ck_program_add(p, &kept, arena, err);
}

static int read_block(h5ck_pb_reader *r, h5ck_program *p, h5ck_arena *arena, h5ckpt_error **err)
{
    h5ck_pb_field f;
    h5ck_pb_reader in;
    int rc;
    while ((rc = h5ck_pb_next(r, &f, err)) == 0 && f.number) {
        if (f.number == 3 && f.wire == H5CK_PB_LENGTH) {
            var v = {.dtype = H5CKPT_DTYPE_NONE};
            rc = h5ck_pb_enter(r, "a variable", &in, err);
            rc = rc ? rc : read_var(&in, &v, err);
            rc = rc ? rc : keep_var(&v, p, arena, err);
        } else {
            rc = h5ck_pb_skip(r, &f, err);
        }
        if (rc)
            return rc;
    }
    return rc;
}

int h5ck_program_read_desc(int fd, uint64_t size, h5ck_arena *arena, h5ck_program *p, h5ckpt_error **err)
{
    h5ck_pb_source source;
    h5ck_pb_of_file(&source, fd, 0, size);
    h5ck_pb_reader r = h5ck_pb_all(&source, "the program"), in;
    h5ck_pb_field f;
    bool first = true;
    int rc;
    while ((rc = h5ck_pb_next(&r, &f, err)) == 0 && f.number) {
        if (first && f.number == 1 && f.wire == H5CK_PB_LENGTH) {
            rc = h5ck_pb_enter(&r, "a block", &in, err);
            rc = rc ? rc : read_block(&in, p, arena, err);
            first = false;
        } else {
            rc = h5ck_pb_skip(&r, &f, err);
        }
        if (rc)
            return rc;
    }
    if (rc == 0 && first)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a ProgramDesc with a block, found none");
    h5ck_program_sort(p);
    return rc;
}
