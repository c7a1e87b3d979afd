/*
 * rules.c - a schema's name rules, applied to a state: another framework's names and layouts become one's own.
 *
 * Renaming and dropping cost nothing: the new state's tensors have the old extents. A transposed or cast tensor has no
 * such bytes in any file, so its extent is a decoder over the old tensor, and its elements are made while they are
 * moved: a cast block by block, a transpose gathered from the mapped source (a compressed one is unpacked into memory).
 * Where the source holds a digest, the first read checks it, since the mover, who sees the new bytes only, cannot.
 *
 * Refused: two tensors of one new name, an empty name or one that is not UTF-8, a transposed LoD tensor (its LoD counts
 * rows), complex numbers cast to real ones, and values that the new type cannot hold.
 */
#include "base/buf.h"
#include "base/text.h"
#include "move/digest.h"
#include "move/move.h"
#include "schema/cast.h"
#include "schema/clocale.h"
#include "schema/schema.h"

#include <inttypes.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 << 10, MOST_BLOCK = 8 << 20, GROUPS = 10 };

/* ---- The decoder of a transposed or cast tensor ---- */

typedef struct altered {
    h5ck_decoder decoder; /* first: the two have one address */
    const h5ckpt_tensor *source;
    const h5ck_dtype *from, *to;
    bool transposed;
    size_t rank;
    uint64_t shape[H5CK_MAX_RANK];  /* of the result */
    uint64_t stride[H5CK_MAX_RANK]; /* of each of its axes in the source, in elements */
    uint64_t nbytes;
    atomic_int *verified;
} altered;

/* How much of the source is read at once: a decoder's slab, where it has one, lest it unpack the same chunk anew. */
static size_t block_size(const h5ckpt_tensor *source)
{
    size_t slab = source->extent.kind == H5CK_EXTENT_DECODER ? source->extent.decoder->slab : 0;
    return slab < BLOCK ? BLOCK : slab < MOST_BLOCK ? slab : MOST_BLOCK;
}

static int verify(const altered *a, unsigned char *block, size_t size, h5ckpt_error **err)
{
    char found[H5CK_DIGEST_TEXT];
    h5ckpt_digest algorithm;
    const h5ckpt_tensor *t = a->source;
    if (!t->digest || h5ck_digest_parse(t->digest, &algorithm) != H5CK_DIGEST_KNOWN ||
        !h5ck_digest_available(algorithm))
        return 0;
    h5ck_digest *d = h5ck_digest_new(algorithm);
    if (!d)
        return h5ck_fail_nomem(err);
    int rc = 0;
    for (uint64_t at = 0; rc == 0 && at < t->info.nbytes; at += size) {
        size_t n = t->info.nbytes - at < size ? (size_t)(t->info.nbytes - at) : size;
        if ((rc = h5ck_move_read(t, at, block, n, err)) == 0)
            h5ck_digest_update(d, block, n);
    }
    if (rc == 0)
        rc = h5ck_digest_text(d, found, err);
    h5ck_digest_free(d);
    if (rc == 0 && strcmp(found, t->digest) != 0)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected elements of the digest %s, found %s", t->digest, found);
    return h5ck_err_where(err, rc, NULL, t->info.name);
}

/* Every `step`-th element. The sizes are spelled out so that each is one load and one store. */
static void copy_run(unsigned char *out, const unsigned char *in, size_t size, uint64_t step, size_t count)
{
#define COPY(n)                                                                                                        \
    case n:                                                                                                            \
        for (size_t i = 0; i < count; i++)                                                                             \
            memcpy(out + i * (n), in + i * step * (n), n);                                                             \
        break
    switch (size) {
        COPY(1);
        COPY(2);
        COPY(4);
        COPY(8);
        COPY(16);
    }
#undef COPY
}

/* Elements [first, first + count) of the transposed tensor, run by run along its last axis. */
static int gather(const altered *a, uint64_t first, size_t count, unsigned char *out, h5ckpt_error **err)
{
    uint64_t index[H5CK_MAX_RANK], at = 0, rest = first;
    size_t size = a->from->size, last = a->rank - 1;
    const unsigned char *data = h5ck_move_data(a->source, err);
    if (!data)
        return err && *err ? (int)(*err)->code : H5CKPT_SYSTEM;
    for (size_t i = a->rank; i-- > 0;) {
        index[i] = rest % a->shape[i];
        rest /= a->shape[i];
        at += index[i] * a->stride[i];
    }
    while (count > 0) {
        uint64_t left = a->shape[last] - index[last];
        size_t n = left < count ? (size_t)left : count;
        copy_run(out, data + at * size, size, a->stride[last], n);
        out += n * size;
        count -= n;
        index[last] += n;
        at += n * a->stride[last];
        for (size_t i = last; i > 0 && index[i] == a->shape[i]; i--) {
            at = at - index[i] * a->stride[i] + a->stride[i - 1];
            index[i] = 0;
            index[i - 1]++;
        }
    }
    return 0;
}

/* Whole elements of the result; as many of the source fit into the block. */
static int produce(const altered *a, uint64_t first, size_t count, unsigned char *block, unsigned char *out,
                   h5ckpt_error **err)
{
    unsigned char *raw = a->from == a->to ? out : block;
    int rc = a->transposed ? gather(a, first, count, raw, err)
                           : h5ck_move_read(a->source, first * a->from->size, raw, count * a->from->size, err);
    if (rc || a->from == a->to)
        return rc;
    size_t done = h5ck_cast(a->from, raw, a->to, out, count);
    if (done < count)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected elements that %s can hold, found one that it cannot (element %" PRIu64
                         ", cast from %s)",
                         a->to->name, first + done, a->from->name);
    return 0;
}

/* An offset or a length in the middle of an element takes that element whole, and a part of it. */
static int read_range(const altered *a, uint64_t offset, unsigned char *out, size_t n, unsigned char *block,
                      size_t room, h5ckpt_error **err)
{
    size_t size = a->to->size, most = room / (a->from->size > size ? a->from->size : size);
    unsigned char one[16];
    int rc = 0;
    while (rc == 0 && n > 0) {
        size_t skip = (size_t)(offset % size), count = n / size < most ? n / size : most, bytes = count * size;
        if (skip == 0 && count > 0) {
            rc = produce(a, offset / size, count, block, out, err);
        } else {
            rc = produce(a, offset / size, 1, block, one, err);
            bytes = size - skip < n ? size - skip : n;
            memcpy(out, one + skip, bytes);
        }
        offset += bytes;
        out += bytes;
        n -= bytes;
    }
    return rc;
}

static int read_altered(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const altered *a = (const altered *)self;
    size_t room = block_size(a->source);
    if (offset > a->nbytes || n > a->nbytes - offset)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a range within %" PRIu64 " bytes, found one past them",
                         a->nbytes);
    unsigned char *block = malloc(room);
    if (!block)
        return h5ck_fail_nomem(err);
    int rc = atomic_load(a->verified) ? 0 : verify(a, block, room, err);
    if (rc == 0) {
        atomic_store(a->verified, 1);
        rc = read_range(a, offset, buf, n, block, room, err);
    }
    free(block);
    return rc ? h5ck_err_where(err, rc, NULL, a->source->info.name) : 0;
}

/* ---- One tensor under one rule ---- */

typedef struct applying {
    const h5ck_schema *schema;
    regex_t *regexes; /* one for each rule */
    size_t compiled;  /* the first of them */
    h5ckpt_state *to;
    h5ck_dict sources; /* new name -> the old tensor */
    const h5ck_log *log;
    h5ckpt_error **err;
} applying;

static const char *describe(const altered *a, h5ck_arena *arena)
{
    h5ck_buf b = H5CK_BUF_INIT;
    if (a->transposed)
        h5ck_buf_str(&b, "transposed");
    if (a->from != a->to)
        h5ck_buf_printf(&b, "%scast from %s", a->transposed ? ", " : "", a->from->name);
    const char *text = h5ck_buf_cstr(&b);
    text = text ? h5ck_arena_strdup(arena, text) : NULL;
    h5ck_buf_free(&b);
    return text;
}

/* Puts the decoder in place of the extent, and the new shape and dtype into `info`. */
static int alter(applying *p, const h5ck_rule *r, const h5ckpt_tensor *t, const h5ck_dtype *to, bool transpose,
                 h5ckpt_tensor_info *info, h5ck_extent *extent)
{
    h5ck_arena *arena = &p->to->arena;
    altered *a = h5ck_arena_zalloc(arena, 1, sizeof *a);
    atomic_int *verified = h5ck_arena_alloc(arena, sizeof *verified);
    if (!a || !verified)
        return h5ck_fail_nomem(p->err);
    atomic_init(verified, 0);
    a->source = t;
    a->from = h5ck_dtype_get(info->dtype);
    a->to = to;
    a->verified = verified;
    a->transposed = transpose;
    a->rank = info->rank;
    uint64_t stride = 1;
    for (size_t i = 0; i < a->rank; i++) { /* result axis i is source axis rank-1-i: the fastest comes first */
        a->shape[i] = info->shape[transpose ? a->rank - 1 - i : i];
        a->stride[i] = stride;
        stride *= a->shape[i]; /* no overflow: the product of all fits, or some axis is 0 and nothing is read */
    }
    if (!h5ck_cast_exists(a->from, a->to))
        return h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected a real tensor to cast to %s, found %s", r->match,
                         a->to->name, a->from->name);
    if (a->transposed && info->lod_levels)
        return h5ck_fail(p->err, H5CKPT_USAGE,
                         "rule '%s': expected a tensor without LoD to transpose, found one with it", r->match);
    info->dtype = to->id;
    info->shape = a->shape;
    int rc = h5ck_tensor_nbytes(to, a->rank, a->shape, &a->nbytes, p->err);
    a->decoder = (h5ck_decoder){read_altered, describe(a, arena), block_size(t) < 1 << 20 ? 1 << 20 : block_size(t)};
    *extent = (h5ck_extent){
        .kind = H5CK_EXTENT_DECODER, .file = t->extent.file, .mark = t->extent.mark, .decoder = &a->decoder};
    return rc ? rc : a->decoder.what ? 0 : h5ck_fail_nomem(p->err);
}

/* The name with what matched replaced, in the arena. */
static int rename_tensor(applying *p, const h5ck_rule *r, const char *name, const regmatch_t *match, const char **out)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, name, (size_t)match[0].rm_so);
    for (const char *c = r->rename; *c; c++) {
        const regmatch_t *group;
        if (*c != '\\')
            h5ck_buf_u8(&b, (unsigned char)*c);
        else if (*++c == '\\')
            h5ck_buf_u8(&b, '\\');
        else if ((group = &match[*c - '0'])->rm_so >= 0)
            h5ck_buf_add(&b, name + group->rm_so, (size_t)(group->rm_eo - group->rm_so));
    }
    h5ck_buf_str(&b, name + match[0].rm_eo);
    const char *text = h5ck_buf_cstr(&b);
    int rc = 0;
    if (!text)
        rc = h5ck_fail_nomem(p->err);
    else if (b.len == 0 || !h5ck_text_is_utf8(text, b.len))
        rc = h5ck_fail(p->err, H5CKPT_USAGE, "rule '%s': expected a new name in UTF-8, found %s", r->match,
                       b.len ? "other bytes" : "an empty one");
    else if (!(*out = h5ck_arena_strndup(&p->to->arena, text, b.len)))
        rc = h5ck_fail_nomem(p->err);
    h5ck_buf_free(&b);
    return rc;
}

static int add(applying *p, h5ckpt_tensor *t, const h5ckpt_tensor_info *info, const h5ck_extent *extent)
{
    const h5ckpt_tensor *other = h5ck_dict_get(&p->sources, info->name);
    if (other)
        return h5ck_fail(p->err, H5CKPT_USAGE,
                         "expected rules that keep names apart, found both '%s' and '%s' become '%s'", other->info.name,
                         t->info.name, info->name);
    bool same_bytes = extent->kind == t->extent.kind && extent->decoder == t->extent.decoder;
    int rc = h5ck_state_add_tensor(p->to, &p->to->parameters, info, extent, same_bytes ? t->digest : NULL, p->err);
    if (rc)
        return rc;
    const h5ckpt_tensor *added = h5ckpt_tensors_get(&p->to->parameters, info->name);
    return h5ck_dict_add(&p->sources, added->info.name, t) == H5CK_DICT_ADDED ? 0 : h5ck_fail_nomem(p->err);
}

static int apply_to(applying *p, h5ckpt_tensor *t)
{
    regmatch_t match[GROUPS];
    const h5ck_rule *r = NULL;
    h5ckpt_tensor_info info = t->info;
    h5ck_extent extent = t->extent;
    for (size_t i = 0; !r && i < p->schema->rule_count; i++) {
        int got = regexec(&p->regexes[i], info.name, GROUPS, match, 0);
        if (got != 0 && got != REG_NOMATCH)
            return h5ck_fail_nomem(p->err);
        if (got == 0)
            r = &p->schema->rules[i];
    }
    if (!r)
        return add(p, t, &info, &extent);
    if (r->drop) {
        h5ck_log_note(p->log, "%s: dropped by the rule '%s'", info.name, r->match);
        return 0;
    }
    int rc = r->rename ? rename_tensor(p, r, t->info.name, match, &info.name) : 0;
    const h5ck_dtype *to = h5ck_dtype_get(r->cast != H5CKPT_DTYPE_NONE ? r->cast : info.dtype);
    bool transpose = r->transpose && info.rank > 1;
    if (rc == 0 && (transpose || to->id != info.dtype))
        rc = alter(p, r, t, to, transpose, &info, &extent);
    return rc ? rc : add(p, t, &info, &extent);
}

/* ---- The whole state ---- */

/* They are known to compile (check.c), so only memory can be short. */
static int compile(applying *p)
{
    const h5ck_schema *s = p->schema;
    p->regexes = calloc(s->rule_count, sizeof *p->regexes);
    while (p->regexes && p->compiled < s->rule_count &&
           regcomp(&p->regexes[p->compiled], s->rules[p->compiled].match, REG_EXTENDED) == 0)
        p->compiled++;
    return p->regexes && p->compiled == s->rule_count ? 0 : h5ck_fail_nomem(p->err);
}

static int carry_over(applying *p, const h5ckpt_state *from)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < h5ckpt_tensors_count(&from->optimizer_state); i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_at(&from->optimizer_state, i);
        rc = h5ck_state_add_tensor(p->to, &p->to->optimizer_state, &t->info, &t->extent, t->digest, p->err);
    }
    for (size_t i = 0; rc == 0 && i < h5ckpt_decays_count(&from->decays); i++) {
        const h5ckpt_decay *d = h5ckpt_decays_at(&from->decays, i);
        rc = h5ck_state_add_decay(p->to, d->info.name, d->info.value, d->class_spec, d->file, p->err);
    }
    for (size_t i = 0; rc == 0 && i < from->metadata.count; i++) {
        const h5ckpt_field *f = &from->metadata.as.fields[i];
        rc = h5ck_state_set_metadata(p->to, f->key.as.str, f->value.as.str, p->err);
    }
    return rc;
}

int h5ck_schema_apply_rules(const h5ck_schema *s, const h5ckpt_state *from, h5ckpt_state **to, const h5ck_log *log,
                            h5ckpt_error **err)
{
    applying p = {.schema = s, .log = log, .err = err};
    h5ck_clocale c;
    *to = NULL;
    if (s->rule_count == 0)
        return 0;
    if (!(p.to = h5ckpt_state_new()) || !h5ck_clocale_enter(&c)) {
        h5ckpt_state_free(p.to);
        return h5ck_fail_nomem(err);
    }
    p.to->format = from->format;
    int rc = compile(&p);
    for (size_t i = 0; rc == 0 && i < from->parameters.dict.count; i++) {
        h5ckpt_tensor *t = from->parameters.dict.entries[i].value;
        rc = apply_to(&p, t);
        if (rc && rc != H5CKPT_SYSTEM)
            h5ck_err_where(err, rc, NULL, t->info.name);
    }
    if (rc == 0)
        rc = carry_over(&p, from);
    h5ck_clocale_leave(&c);
    while (p.compiled > 0)
        regfree(&p.regexes[--p.compiled]);
    free(p.regexes);
    h5ck_dict_free(&p.sources);
    if (rc)
        h5ckpt_state_free(p.to);
    else
        *to = p.to;
    return rc;
}
