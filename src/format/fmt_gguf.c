/*
 * fmt_gguf.c - GGUF, the file of llama.cpp and its kin: versions 2 and 3 are read, 3 is written; little-endian.
 *
 *     "GGUF" | u32 version | u64 tensors | u64 pairs |
 *     pairs:    string key, typed value (parse/gguf_value.h)
 *     tensors:  string name, u32 rank, u64 dims[rank] (the fastest first), u32 ggml_type, u64 offset
 *     padding to general.alignment (32) | elements, each tensor aligned; offsets count from here
 *
 * Metadata: a string is a string; of others the text is JSON, and their types stand in one string more, "gguf.types", so
 * that they come back. Optimizer state, decays and LoD go the way of all flat lists (format/carrier.h).
 *
 * Refused: quantised tensors. Their blocks hold no elements that any dtype here describes, and a conversion without them
 * would look like a whole model; so it is all or nothing, and the first is named. Also version 1, big-endian files, keys
 * and names twice, offsets that are not aligned. In writing: types that GGUF does not have (bool, unsigned, complex,
 * float8), and more than four dimensions. Sources: GGUF's description; files of the Python package gguf 0.19.
 */
#include "base/ckd.h"
#include "base/fs.h"
#include "base/le.h"
#include "format/carrier.h"
#include "format/format.h"
#include "parse/gguf_value.h"
#include "parse/json.h"
#include "parse/value_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ALIGNMENT = 32, MOST_ALIGNMENT = 1 << 20, HEAD = 24, GGML_RANK = 4, GGML_NAME = 63 };

#define TYPES "gguf.types"

static bool probe(const h5ck_probe *p)
{
    return !p->is_dir && p->head_len >= 4 && memcmp(p->head, "GGUF", 4) == 0;
}

/* A power of two. */
static bool is_alignment(uint64_t a)
{
    return a && a <= MOST_ALIGNMENT && (a & (a - 1)) == 0;
}

/* Of offsets below 2^63: there the sum fits. */
static uint64_t aligned(uint64_t at, uint64_t alignment)
{
    return (at + alignment - 1) & ~(alignment - 1);
}

/* ---- Reading ---- */

typedef struct reader {
    h5ckpt_state *state;
    h5ck_file *file;
    h5ck_pb_reader at;
    h5ck_arena scratch;
    h5ck_carrier carrier;
    h5ck_dict keys;
    h5ck_buf types; /* {"key": "uint32", ...} */
    uint64_t tensors, pairs, alignment;
    uint64_t data; /* where elements begin */
} reader;

static int read_head(reader *r, h5ckpt_error **err)
{
    unsigned char head[HEAD] = {0};
    if (r->file->size < HEAD)
        return h5ck_fail_at(err, 0, "expected a GGUF header of %d bytes, found %" PRIu64, HEAD, r->file->size);
    h5ck_pb_reader bytes = {r->at.source, 0, HEAD, "the header"};
    int rc = h5ck_pb_bytes(&bytes, head, err);
    if (rc)
        return rc;
    uint64_t version = h5ck_le_get(head + 4, 4);
    if (memcmp(head, "GGUF", 4) != 0)
        return h5ck_fail_at(err, 0, "expected 'GGUF', found other bytes");
    if (version && version % 65536 == 0)
        return h5ck_fail_at(err, 4, "expected a little-endian file, found a big-endian one");
    if (version != 2 && version != 3)
        return h5ck_fail_at(err, 4, "expected version 2 or 3, found %" PRIu64, version);
    r->tensors = h5ck_le_get(head + 8, 8);
    r->pairs = h5ck_le_get(head + 16, 8);
    r->at.at = HEAD;
    return 0;
}

static int note_type(reader *r, const char *key, const char *type)
{
    h5ck_buf_str(&r->types, r->types.len ? ", " : "{");
    h5ck_json_put_string(&r->types, key, strlen(key));
    h5ck_buf_str(&r->types, ": ");
    h5ck_json_put_string(&r->types, type, strlen(type));
    return r->types.failed;
}

static int read_pair(reader *r, h5ckpt_error **err)
{
    const char *key, *type, *text;
    uint64_t at = r->at.at;
    int rc = h5ck_gguf_string(&r->at, "a key", &r->scratch, &key, err);
    if (rc)
        return rc;
    if (strcmp(key, TYPES) == 0 || h5ck_dict_get(&r->keys, key))
        return h5ck_fail_at(err, at, "expected each key once and none called " TYPES ", found '%s'", key);
    if (!h5ck_dict_set(&r->keys, key, r))
        return h5ck_fail_nomem(err);
    h5ck_arena value = {NULL};
    rc = h5ck_gguf_read_value(&r->at, &value, &type, &text, err);
    if (rc == 0 && strcmp(key, "general.alignment") == 0) {
        r->alignment = strtoull(text, NULL, 10);
        if (!type || strcmp(type, "uint32") != 0 || !is_alignment(r->alignment))
            rc = h5ck_fail_at(err, at, "expected an alignment of uint32, a power of two of at most %d, found %s",
                              MOST_ALIGNMENT, text);
    }
    if (rc == 0 && type && note_type(r, key, type))
        rc = h5ck_fail_nomem(err);
    if (rc == 0)
        rc = h5ck_carrier_add_string(&r->carrier, key, text, err);
    h5ck_arena_free(&value);
    return rc ? h5ck_err_part(err, rc, key) : 0;
}

static int read_pairs(reader *r, h5ckpt_error **err)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < r->pairs; i++)
        rc = read_pair(r, err);
    if (rc || r->types.len == 0)
        return rc;
    h5ck_buf_u8(&r->types, '}');
    const char *types = h5ck_buf_cstr(&r->types);
    return types ? h5ck_state_set_metadata(r->state, TYPES, types, err) : h5ck_fail_nomem(err);
}

/* What ggml calls the types that are no dtype. */
static const char *quantised_name(uint64_t type, char *number, size_t room)
{
    static const char *const names[] = {
        [2] = "Q4_0",     [3] = "Q4_1",    [6] = "Q5_0",     [7] = "Q5_1",   [8] = "Q8_0",    [9] = "Q8_1",
        [10] = "Q2_K",    [11] = "Q3_K",   [12] = "Q4_K",    [13] = "Q5_K",  [14] = "Q6_K",   [15] = "Q8_K",
        [16] = "IQ2_XXS", [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
        [22] = "IQ2_S",   [23] = "IQ4_XS", [29] = "IQ1_M",   [34] = "TQ1_0", [35] = "TQ2_0",  [39] = "MXFP4",
        [40] = "NVFP4",   [41] = "Q1_0",
    };
    if (type < sizeof names / sizeof *names && names[type])
        return names[type];
    snprintf(number, room, "ggml_type %" PRIu64, type);
    return number;
}

static int read_dims(reader *r, size_t *rank, uint64_t *shape, h5ckpt_error **err)
{
    uint64_t at = r->at.at, n, dims[H5CK_MAX_RANK];
    int rc = h5ck_pb_fixed(&r->at, 4, &n, err);
    if (rc == 0 && n > H5CK_MAX_RANK)
        rc = h5ck_fail_at(err, at, "expected at most %d dimensions, found %" PRIu64, H5CK_MAX_RANK, n);
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        rc = h5ck_pb_fixed(&r->at, 8, &dims[i], err);
    for (uint64_t i = 0; rc == 0 && i < n; i++)
        shape[i] = dims[n - 1 - i];
    *rank = rc ? 0 : (size_t)n;
    return rc;
}

static int add_tensor(reader *r, h5ckpt_tensor_info *info, uint64_t type, uint64_t at, uint64_t offset,
                      h5ckpt_error **err)
{
    char number[32];
    h5ck_extent extent = {.kind = H5CK_EXTENT_FILE, .file = r->file};
    const h5ck_dtype *row = h5ck_dtype_from_gguf(type);
    if (!row)
        return h5ck_fail_at(err, at,
                            "expected elements that are numbers, found %s: quantised tensors are not read, and a model "
                            "is read whole or not at all",
                            quantised_name(type, number, sizeof number));
    info->dtype = row->id;
    if (offset % r->alignment)
        return h5ck_fail_at(err, at, "expected an offset that is a multiple of %" PRIu64 ", found %" PRIu64,
                            r->alignment, offset);
    if (h5ck_ckd_add(r->data, offset, &extent.offset))
        return h5ck_fail_at(err, at, "expected an offset inside of the file, found %" PRIu64, offset);
    return h5ck_carrier_add_tensor(&r->carrier, info, &extent, err);
}

/* Reads the list of tensors: where they end, or once that is known the tensors. */
static int walk_tensors(reader *r, bool add, h5ckpt_error **err)
{
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && i < r->tensors; i++) {
        h5ck_arena scratch = {NULL};
        h5ckpt_tensor_info info = {0};
        uint64_t shape[H5CK_MAX_RANK], type, offset;
        info.shape = shape;
        rc = h5ck_gguf_string(&r->at, "the name of a tensor", &scratch, &info.name, err);
        if (rc == 0)
            rc = read_dims(r, &info.rank, shape, err);
        uint64_t at = r->at.at;
        if (rc == 0)
            rc = h5ck_pb_fixed(&r->at, 4, &type, err);
        if (rc == 0)
            rc = h5ck_pb_fixed(&r->at, 8, &offset, err);
        if (rc == 0 && add)
            rc = add_tensor(r, &info, type, at, offset, err);
        if (rc)
            h5ck_err_where(err, rc, NULL, info.name);
        h5ck_arena_free(&scratch);
    }
    return rc;
}

static int read_all(reader *r, h5ckpt_error **err)
{
    int rc = read_head(r, err);
    if (rc == 0)
        rc = read_pairs(r, err);
    const h5ck_pb_reader list = r->at;
    if (rc == 0)
        rc = walk_tensors(r, false, err);
    r->data = aligned(r->at.at, r->alignment);
    r->at = list;
    return rc ? rc : walk_tensors(r, true, err);
}

static int read_gguf(const char *path, h5ckpt_state *state, const h5ck_log *log, h5ckpt_error **err)
{
    reader r = {.state = state, .alignment = ALIGNMENT};
    h5ck_pb_source source;
    int fd;
    if (!(r.file = h5ck_state_new_file(state, path, NULL)))
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(r.file->root, NULL, r.file, &fd, err);
    if (rc)
        return h5ck_file_where(err, rc, r.file);
    h5ck_pb_of_file(&source, fd, 0, r.file->size);
    r.at = h5ck_pb_all(&source, "the header");
    h5ck_carrier_begin(&r.carrier, state, r.file, log);
    rc = h5ck_carrier_end(&r.carrier, read_all(&r, err));
    close(fd);
    h5ck_dict_free(&r.keys);
    h5ck_buf_free(&r.types);
    h5ck_arena_free(&r.scratch);
    return rc ? h5ck_file_where(err, rc, r.file) : 0;
}

/* ---- Writing ---- */

typedef struct planner {
    h5ck_plan *plan;
    h5ck_carrier_list list;
    h5ck_dict types; /* key -> name of its type */
    uint64_t alignment;
    h5ck_buf head;
} planner;

/* The state's "gguf.types". */
static int learn_types(planner *p, h5ckpt_error **err)
{
    h5ckpt_value v = {.type = H5CKPT_DICT};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->list.string_count; i++) {
        const h5ck_carrier_string *s = &p->list.strings[i];
        if (strcmp(s->key, TYPES) == 0)
            rc = h5ck_value_from_json(s->text, strlen(s->text), &p->plan->arena, &v, err);
    }
    if (rc == 0 && v.type != H5CKPT_DICT)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a dict of types");
    for (size_t i = 0; rc == 0 && i < v.count; i++) {
        const h5ckpt_field *f = &v.as.fields[i];
        if (f->key.type != H5CKPT_STR || f->value.type != H5CKPT_STR)
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected names of types");
        else if (!h5ck_dict_set(&p->types, f->key.as.str, (void *)(uintptr_t)f->value.as.str))
            rc = h5ck_fail_nomem(err);
    }
    return rc ? h5ck_err_part(err, rc, TYPES) : 0;
}

static int put_pair(planner *p, const h5ck_carrier_string *s, h5ckpt_error **err)
{
    const char *type = h5ck_dict_get(&p->types, s->key);
    h5ck_gguf_put_string(&p->head, s->key, strlen(s->key));
    int rc = h5ck_gguf_write_value(type, s->text, &p->head, err);
    if (rc == 0 && strcmp(s->key, "general.alignment") == 0) {
        p->alignment = strtoull(s->text, NULL, 10);
        if (!type || strcmp(type, "uint32") != 0 || !is_alignment(p->alignment))
            rc = h5ck_fail(err, H5CKPT_INVALID,
                           "expected an alignment of uint32, a power of two of at most %d, found %s", MOST_ALIGNMENT,
                           s->text);
    }
    return rc ? h5ck_err_part(err, rc, s->key) : 0;
}

static int put_pairs(planner *p, h5ckpt_error **err)
{
    uint64_t count = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < p->list.string_count; i++)
        if (strcmp(p->list.strings[i].key, TYPES) != 0) {
            rc = put_pair(p, &p->list.strings[i], err);
            count++;
        }
    if (rc == 0 && !p->head.failed)
        h5ck_le_put(p->head.data + 16, count, 8);
    return rc;
}

static int put_tensor(planner *p, const h5ck_carrier_tensor *t, uint64_t offset, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *info = &t->tensor->info;
    const h5ck_dtype *row = h5ck_dtype_get(info->dtype);
    int rc = 0;
    if (row->gguf == H5CK_DTYPE_NO_CODE)
        rc = h5ck_fail(err, H5CKPT_INVALID,
                       "expected a type that GGUF has (float16, bfloat16, float32, float64, int8 to "
                       "int64), found %s",
                       row->name);
    else if (info->rank > GGML_RANK)
        rc =
            h5ck_fail(err, H5CKPT_INVALID, "expected at most %d dimensions for GGUF, found %zu", GGML_RANK, info->rank);
    h5ck_gguf_put_string(&p->head, t->name, strlen(t->name));
    h5ck_buf_le(&p->head, info->rank, 4);
    for (size_t i = info->rank; i > 0; i--)
        h5ck_buf_le(&p->head, info->shape[i - 1], 8);
    h5ck_buf_le(&p->head, (uint64_t)row->gguf, 4);
    h5ck_buf_le(&p->head, offset, 8);
    return rc ? h5ck_err_where(err, rc, NULL, info->name) : 0;
}

/* Where the next tensor goes. */
static int step_over(const planner *p, const h5ckpt_tensor *t, uint64_t *at, h5ckpt_error **err)
{
    if (h5ck_ckd_add(*at, t->info.nbytes, at) || *at > INT64_MAX)
        return h5ck_fail(err, H5CKPT_INVALID, "expected tensors that one file holds, found more bytes than that");
    *at = aligned(*at, p->alignment);
    return 0;
}

/* The file ends aligned too: the reference implementation reads it that way. What lies between two tensors is a hole,
 * and so zeros; behind the last one they have to be written. */
static int plan_file(planner *p, uint64_t elements, h5ckpt_error **err)
{
    h5ck_plan_file file = {.relative = NULL};
    uint64_t begin = aligned(p->head.len, p->alignment), at = 0, end = 0;
    size_t index;
    if (!p->head.failed)
        file.head = h5ck_arena_memdup(&p->plan->arena, p->head.data, p->head.len);
    if (!file.head)
        return h5ck_fail_nomem(err);
    file.head_len = p->head.len;
    file.size = begin + elements;
    int rc = h5ck_plan_add_file(p->plan, &file, &index, err);
    for (size_t i = 0; rc == 0 && i < p->list.tensor_count; i++) {
        const h5ckpt_tensor *t = p->list.tensors[i].tensor;
        if (t->info.nbytes) {
            end = at + t->info.nbytes;
            rc = h5ck_plan_add_move(p->plan, t, index, begin + at, err);
        }
        if (rc == 0)
            rc = step_over(p, t, &at, err);
    }
    const void *zeros = rc == 0 && at > end ? h5ck_arena_zalloc(&p->plan->arena, 1, (size_t)(at - end)) : NULL;
    if (rc == 0 && at > end)
        rc = zeros ? h5ck_plan_add_piece(p->plan, index, begin + end, zeros, (size_t)(at - end), err)
                   : h5ck_fail_nomem(err);
    return rc;
}

static int plan_gguf(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    const h5ck_carrier_rules rules = {NULL, GGML_NAME};
    planner p = {.plan = plan, .alignment = ALIGNMENT, .head = H5CK_BUF_INIT};
    uint64_t at = 0;
    plan->digest = H5CKPT_DIGEST_NONE; /* GGUF has no place for one */
    int rc = h5ck_carrier_list_state(state, &rules, &plan->arena, &p.list, err);
    if (rc == 0)
        rc = learn_types(&p, err);
    h5ck_buf_str(&p.head, "GGUF");
    h5ck_buf_le(&p.head, 3, 4);
    h5ck_buf_le(&p.head, rc ? 0 : p.list.tensor_count, 8);
    h5ck_buf_le(&p.head, 0, 8);
    if (rc == 0)
        rc = put_pairs(&p, err);
    for (size_t i = 0; rc == 0 && i < p.list.tensor_count; i++) {
        rc = put_tensor(&p, &p.list.tensors[i], at, err);
        if (rc == 0)
            rc = step_over(&p, p.list.tensors[i].tensor, &at, err);
    }
    if (rc == 0)
        rc = plan_file(&p, at, err);
    if (rc == 0)
        h5ck_carrier_note(state, plan->target, &plan->log);
    h5ck_dict_free(&p.types);
    h5ck_buf_free(&p.head);
    return rc;
}

/* ---- Explaining ---- */

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    const h5ck_file *file = tensor ? tensor->extent.file : decay->file;
    (void)state;
    (void)err;
    h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: GGUF, a header and aligned tensors\n",
                    h5ck_file_path(file, &scratch), file->size);
    if (tensor)
        h5ck_buf_printf(out,
                        "elements: at offset %" PRIu64 ", %" PRIu64 " bytes of ggml_type %d (%s), row-major, "
                        "little-endian\n",
                        tensor->extent.offset, tensor->info.nbytes, h5ck_dtype_get(tensor->info.dtype)->gguf,
                        h5ckpt_dtype_name(tensor->info.dtype));
    else
        h5ck_buf_str(out, "a string of its metadata, '" H5CK_CARRIER_DECAYS "', which only h5ckpt writes\n");
    h5ck_arena_free(&scratch);
    return 0;
}

static const char *const suffixes[] = {".gguf", NULL};

const h5ck_format h5ck_fmt_gguf = {
    .info = {.name = "gguf",
             .suffix = ".gguf",
             .doc = "GGUF 2 and 3 of llama.cpp, tensors that are not quantised; writes GGUF 3",
             .reads = 1,
             .writes = 1,
             .holds_decays = 1,
             .holds_optimizer_state = 1,
             .holds_metadata = 1},
    .suffixes = suffixes,
    .probe = probe,
    .read = read_gguf,
    .plan = plan_gguf,
    .explain = explain,
};
