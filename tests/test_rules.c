/*
 * test_rules.c - name rules beyond renaming: which parameters a rule is for, axes, parts, second names, what the optimizers'
 * tensors do, documents of name rules alone, and the decisions of those that are built in. (Renaming, `transpose: true` and
 * casts: test_schema.c.)
 */
#include "move/digest.h"
#include "move/move.h"
#include "schema/schema.h"
#include "test.h"

#include <stdio.h>
#include <string.h>

/* ---- Helpers ---- */

static char notes[1000];

static void take_note(void *user, const char *line)
{
    (void)user;
    snprintf(notes + strlen(notes), sizeof notes - strlen(notes), "%s|", line);
}

static const h5ckpt_tensor_info *info_of(const char *name, h5ckpt_dtype dtype, size_t rank, const uint64_t *shape)
{
    static h5ckpt_tensor_info info;
    info = (h5ckpt_tensor_info){.name = name, .dtype = dtype, .rank = rank, .shape = shape};
    return &info;
}

static void add_to(h5ckpt_state *state, h5ckpt_tensors *dict, const h5ckpt_tensor_info *info, const void *data,
                   const char *digest)
{
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = data};
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_state_add_tensor(state, dict, info, &extent, digest, &err), H5CKPT_OK);
    test_expect_none(&err);
}

/* Numbers 0, 1, 2, ...: what lies where is seen from them. */
static const float *counting(void)
{
    static float data[64];
    for (int i = 0; i < 64; i++)
        data[i] = (float)i;
    return data;
}

static void add(h5ckpt_state *state, const char *name, size_t rank, uint64_t a, uint64_t b, uint64_t c)
{
    const uint64_t shape[] = {a, b, c};
    add_to(state, &state->parameters, info_of(name, H5CKPT_DTYPE_FLOAT32, rank, shape), counting(), NULL);
}

static void add_optimizer(h5ckpt_state *state, const char *name, size_t rank, uint64_t a, uint64_t b)
{
    const uint64_t shape[] = {a, b};
    add_to(state, &state->optimizer_state, info_of(name, H5CKPT_DTYPE_FLOAT32, rank, shape), counting(), NULL);
}

static int load_names(const char *rules, const h5ck_schema **s, h5ckpt_error **err)
{
    char yaml[2000];
    int n = snprintf(yaml, sizeof yaml, "names: mine\nrules:\n%s", rules);
    test_write(test_tmp("n.yaml"), yaml, (size_t)n);
    return h5ck_names_load(test_tmp("n.yaml"), s, err);
}

static int apply_names(const h5ck_schema *s, const h5ckpt_state *from, h5ckpt_state **to, h5ckpt_error **err)
{
    const h5ck_log log = {take_note, NULL};
    notes[0] = 0;
    return h5ck_schema_apply_rules(s, from, to, &log, err);
}

static h5ckpt_state *apply(const char *rules, const h5ckpt_state *from)
{
    const h5ck_schema *s;
    h5ckpt_state *to = NULL;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL_FATAL(load_names(rules, &s, &err), H5CKPT_OK);
    CU_ASSERT_EQUAL(apply_names(s, from, &to, &err), H5CKPT_OK);
    test_expect_none(&err);
    h5ck_schema_free(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    return to;
}

static void refuses(const char *rules, const h5ckpt_state *from, const char *message)
{
    const h5ck_schema *s;
    h5ckpt_state *to;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL_FATAL(load_names(rules, &s, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(apply_names(s, from, &to, &err), H5CKPT_USAGE);
    CU_ASSERT_PTR_NULL(to);
    test_expect_error(&err, H5CKPT_USAGE, message);
    h5ck_schema_free(s);
}

/* "name[2,3] name2[]" of a dictionary. */
static const char *listing(const h5ckpt_tensors *dict)
{
    static char text[1500];
    text[0] = 0;
    for (size_t i = 0; i < h5ckpt_tensors_count(dict); i++) {
        const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(h5ckpt_tensors_at(dict, i));
        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s[", i ? " " : "", t->name);
        for (size_t d = 0; d < t->rank; d++)
            snprintf(text + strlen(text), sizeof text - strlen(text), "%s%d", d ? "," : "", (int)t->shape[d]);
        strcat(text, "]");
    }
    return text;
}

/* Whole, and in ranges of every offset and length. */
static void has_elements(const h5ckpt_state *state, const char *name, const float *expected, size_t count)
{
    unsigned char found[64 * sizeof(float)];
    const h5ckpt_tensor *t = h5ckpt_tensors_get(&state->parameters, name);
    size_t n = count * sizeof *expected;
    CU_ASSERT_PTR_NOT_NULL_FATAL(t);
    CU_ASSERT_EQUAL_FATAL(t->info.nbytes, n);
    for (size_t from = 0; from < n; from++)
        for (size_t to = from; to <= n; to++) {
            CU_ASSERT_EQUAL(h5ck_move_read(t, from, found, to - from, NULL), H5CKPT_OK);
            CU_ASSERT_EQUAL(memcmp(found, (const char *)expected + from, to - from), 0);
        }
    CU_ASSERT_EQUAL(memcmp(h5ck_move_data(t, NULL), expected, n), 0);
}

#define HAS(state, name, ...)                                                                                          \
    do {                                                                                                               \
        const float expected[] = {__VA_ARGS__};                                                                        \
        has_elements(state, name, expected, sizeof expected / sizeof *expected);                                       \
    } while (0)

/* ---- Which parameters ---- */

static void asks_for_rank_type_and_neighbour(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    static const uint64_t two[] = {2, 2};
    add(from, "a.w", 2, 2, 3, 0);
    add(from, "a.b", 1, 3, 0, 0);
    add(from, "c.w", 2, 2, 3, 0); /* no c.b */
    add(from, "d.w", 1, 3, 0, 0);
    add(from, "d.b", 0, 0, 0, 0);
    add_to(from, &from->parameters, info_of("e.w", H5CKPT_DTYPE_INT32, 2, two), counting(), NULL);
    add(from, "e.b", 1, 2, 0, 0);
    h5ckpt_state *to = apply("  - {match: '^(.*)w$', rank: 2, dtype: float32, beside: '\\1b', rename: '\\1linear'}\n"
                             "  - {match: '^(.*)w$', rank: 2, rename: '\\1matrix'}\n"
                             "  - {match: 'b$', rank: 0, rename: 'scalar'}\n",
                             from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters),
                           "a.linear[2,3] a.b[3] c.matrix[2,3] d.w[3] d.scalar[] e.matrix[2,2] e.b[2]");
    CU_ASSERT_STRING_EQUAL(notes, ""); /* new names alone need no words */
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

/* ---- Axes ---- */

static void transposes_by_axes(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    float turned[24];
    for (int i = 0; i < 24; i++) /* [2, 3, 4] to [4, 2, 3]: axis 0 of the result is axis 2 of the source */
        turned[i % 4 * 6 + i / 12 * 3 + i / 4 % 3] = (float)i;
    add(from, "k", 3, 2, 3, 4);
    add(from, "same", 3, 2, 3, 4);
    add(from, "m", 2, 2, 3, 0);
    h5ckpt_state *to = apply("  - {match: k, transpose: [2, 0, 1], reason: why not}\n"
                             "  - {match: same, transpose: [0, 1, 2]}\n"
                             "  - {match: m, transpose: [1, 0]}\n",
                             from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "k[4,2,3] same[2,3,4] m[3,2]");
    has_elements(to, "k", turned, 24);
    HAS(to, "m", 0, 3, 1, 4, 2, 5);
    CU_ASSERT_PTR_EQUAL(h5ckpt_tensors_get(&to->parameters, "same")->extent.memory, counting());
    CU_ASSERT_STRING_EQUAL(notes, "1 parameter transposed by the rule 'k' (why not): k|"
                                  "1 parameter transposed by the rule 'm': m|");
    h5ckpt_state_free(to);
    refuses("  - {match: m, transpose: [2, 0, 1]}\n", from,
            "'m': rule 'm': expected a tensor of 3 axes to transpose, found 2");
    h5ckpt_state_free(from);
}

/* ---- Splitting ---- */

static void splits(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    add(from, "x.qkv", 2, 6, 2, 0);
    add(from, "inner", 2, 2, 5, 0);
    add(from, "stacked", 2, 2, 3, 0);
    add(from, "turned", 2, 4, 3, 0);
    add(from, "short", 2, 2, 2, 0);
    h5ckpt_state *to = apply("  - {match: '^(.*)qkv$', split: ['\\1q', '\\1k', '\\1v']}\n"
                             "  - {match: inner, split: [i1, i2], axis: 1, sizes: [1, 4]}\n"
                             "  - {match: stacked, split: [s0, s1], stack: true}\n"
                             "  - {match: turned, split: [t0, t1], transpose: true}\n"
                             "  - {match: short, split: [c0, c1], axis: 1, cast: int16}\n",
                             from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "x.q[2,2] x.k[2,2] x.v[2,2] i1[2,1] i2[2,4] s0[3] s1[3] "
                                                     "t0[3,2] t1[3,2] c0[2,1] c1[2,1]");
    HAS(to, "x.q", 0, 1, 2, 3);
    HAS(to, "x.v", 8, 9, 10, 11);
    HAS(to, "i1", 0, 5);
    HAS(to, "i2", 1, 2, 3, 4, 6, 7, 8, 9);
    HAS(to, "s1", 3, 4, 5);
    HAS(to, "t0", 0, 3, 1, 4, 2, 5);
    HAS(to, "t1", 6, 9, 7, 10, 8, 11);
    const int16_t *cast = h5ck_move_data(h5ckpt_tensors_get(&to->parameters, "c1"), NULL);
    CU_ASSERT_TRUE(cast[0] == 1 && cast[1] == 3);
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

static void refuses_to_split_what_does_not_fit(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    static const uint64_t offsets[] = {0, 4}, shape[] = {4};
    const h5ckpt_lod_level lod = {2, offsets};
    h5ckpt_tensor_info with_lod = *info_of("seq", H5CKPT_DTYPE_FLOAT32, 1, shape);
    with_lod.lod_levels = 1;
    with_lod.lod = &lod;
    add_to(from, &from->parameters, &with_lod, counting(), NULL);
    add(from, "a", 1, 7, 0, 0);
    add(from, "b", 0, 0, 0, 0);
    refuses("  - {match: a, split: [x, y]}\n", from,
            "'a': rule 'a': expected an axis to split into 2 equal parts, found one of 7");
    refuses("  - {match: a, split: [x, y], stack: true}\n", from,
            "expected an axis to split into 2 steps, found one of 7");
    refuses("  - {match: a, split: [x, y], sizes: [3, 3]}\n", from,
            "expected sizes that add up to the axis, found one of 7");
    refuses("  - {match: a, split: [x, y], sizes: [8, 0]}\n", from,
            "expected sizes that add up to the axis, found one of 7");
    refuses("  - {match: b, split: [x, y]}\n", from, "expected a tensor to split along axis 0, found one of 0 axes");
    refuses("  - {match: a, split: [x, y], axis: 1, sizes: [3, 4]}\n", from,
            "expected a tensor to split along axis 1, found one of 1 axes");
    refuses("  - {match: a, split: [x, x], sizes: [3, 4]}\n", from, "found both 'a' and 'a' become 'x'");
    refuses("  - {match: seq, split: [x, y]}\n", from, "rule 'seq': expected a tensor without LoD to split");
    h5ckpt_state_free(from);
}

/* ---- Merging ---- */

static void merges(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    add(from, "1.k", 2, 2, 2, 0); /* not in the order of the parts */
    add(from, "1.q", 2, 1, 2, 0);
    add(from, "between", 0, 0, 0, 0);
    add(from, "i.b", 2, 2, 1, 0);
    add(from, "i.a", 2, 2, 3, 0);
    add(from, "s.0", 1, 2, 0, 0);
    add(from, "s.1", 1, 2, 0, 0);
    add(from, "t.0", 2, 2, 3, 0);
    add(from, "t.1", 2, 1, 3, 0);
    add(from, "z.0", 0, 0, 0, 0);
    add(from, "z.1", 0, 0, 0, 0);
    h5ckpt_state *to = apply("  - {match: '^(.)[.][qk]$', merge: ['\\1.q', '\\1.k'], rename: '\\1.qk'}\n"
                             "  - {match: '^i[.].', merge: [i.a, i.b], rename: i, axis: 1}\n"
                             "  - {match: '^s[.].', merge: [s.0, s.1], rename: s, axis: 1, stack: true}\n"
                             "  - {match: '^t[.].', merge: [t.0, t.1], rename: t, axis: 1, transpose: true}\n"
                             "  - {match: '^z[.].', merge: [z.0, z.1, z.0], rename: z, stack: true, cast: int8}\n",
                             from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "1.qk[3,2] between[] i[2,4] s[2,2] t[3,3] z[3]");
    HAS(to, "1.qk", 0, 1, 0, 1, 2, 3);
    HAS(to, "i", 0, 1, 2, 0, 3, 4, 5, 1);
    HAS(to, "s", 0, 0, 1, 1);
    HAS(to, "t", 0, 3, 0, 1, 4, 1, 2, 5, 2);
    const signed char *z = h5ck_move_data(h5ckpt_tensors_get(&to->parameters, "z"), NULL);
    CU_ASSERT_TRUE(z[0] == 0 && z[1] == 0 && z[2] == 0);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "2 parameters merged by the rule '^s[.].': s.0, s.1|"));
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

static void refuses_parts_that_do_not_fit(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    static const uint64_t shape[] = {2};
    add(from, "a.q", 2, 2, 3, 0);
    add(from, "a.k", 2, 2, 4, 0);
    add(from, "b.q", 1, 2, 0, 0);
    add(from, "c.q", 1, 2, 0, 0);
    add_to(from, &from->parameters, info_of("c.k", H5CKPT_DTYPE_INT32, 1, shape), counting(), NULL);
    refuses("  - {match: '^(a)[.].', merge: ['\\1.q', '\\1.k'], rename: x}\n", from,
            "expected parts of one type, and of one shape but for the axis, found 'a.q' and 'a.k', which differ");
    refuses("  - {match: '^a[.].', merge: [a.q, a.k], rename: x, axis: 2}\n", from, "which differ");
    refuses("  - {match: '^b[.].', merge: [b.q, b.k], rename: x}\n", from,
            "'b.q': rule '^b[.].': expected its part 'b.k', found no such parameter");
    refuses("  - {match: '^c[.].', merge: [c.q, c.k], rename: x}\n", from, "'c.q' and 'c.k', which differ");
    refuses("  - {match: '^c[.].', merge: [c.q, c.q], rename: x}\n", from,
            "'c.k': rule '^c[.].': expected this parameter among its parts, found others only");
    refuses("  - {match: '^c.k'}\n  - {match: '^c[.].', merge: [c.q, c.k], rename: x}\n", from,
            "expected to decide about its part 'c.k', found an earlier rule");
    refuses("  - {match: '^c.q', merge: [c.q, c.k], rename: x}\n", from,
            "expected to decide about its part 'c.k', found that it does not");
    refuses("  - {match: '^b.q|^c.q', merge: [b.q, c.q], rename: x, axis: 1}\n", from,
            "expected parts to merge along axis 1, found parts of 1 axes");
    h5ckpt_state_free(from);
}

/* What is split comes back when it is merged, byte for byte, also through other axes. */
static void merging_undoes_splitting(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    add(from, "w", 3, 4, 3, 2);
    h5ckpt_state *parts = apply("  - {match: w, split: [a, b], axis: 0, transpose: [2, 0, 1]}\n", from);
    CU_ASSERT_STRING_EQUAL(listing(&parts->parameters), "a[2,2,3] b[2,2,3]");
    h5ckpt_state *whole = apply("  - {match: '.', merge: [a, b], rename: w, axis: 0, transpose: [1, 2, 0]}\n", parts);
    CU_ASSERT_STRING_EQUAL(listing(&whole->parameters), "w[4,3,2]");
    has_elements(whole, "w", counting(), 24);
    h5ckpt_state_free(whole);
    h5ckpt_state_free(parts);
    h5ckpt_state_free(from);
}

/* A digest is of the whole: parts and wholes do not inherit it, but damage is found before it is passed on. */
static void checks_digests_of_parts(void)
{
    static const char *const rules[] = {"  - {match: a, split: [x, y]}\n",
                                        "  - {match: '.', merge: [a, b], rename: x}\n",
                                        "  - {match: a, split: [x, y], axis: 1, transpose: true}\n"};
    static const uint64_t shape[] = {2, 2};
    char digest[H5CK_DIGEST_TEXT];
    float data[4] = {0, 1, 2, 3};
    unsigned char byte;
    h5ck_digest *d = h5ck_digest_new(H5CKPT_DIGEST_XXH3);
    h5ck_digest_update(d, data, sizeof data);
    CU_ASSERT_EQUAL(h5ck_digest_text(d, digest, NULL), 0);
    h5ck_digest_free(d);
    for (size_t i = 0; i < 6; i++) {
        bool damaged = i >= 3;
        h5ckpt_error *err = NULL;
        data[3] = damaged ? 4 : 3; /* the last element: not in the first part */
        h5ckpt_state *from = h5ckpt_state_new();
        add_to(from, &from->parameters, info_of("a", H5CKPT_DTYPE_FLOAT32, 2, shape), data, digest);
        add_to(from, &from->parameters, info_of("b", H5CKPT_DTYPE_FLOAT32, 2, shape), data, digest);
        h5ckpt_state *to = apply(rules[i % 3], from);
        const h5ckpt_tensor *x = h5ckpt_tensors_get(&to->parameters, "x");
        CU_ASSERT_PTR_NULL(x->digest);
        CU_ASSERT_EQUAL(h5ck_move_read(x, 0, &byte, 1, &err), damaged ? H5CKPT_INVALID : H5CKPT_OK);
        if (damaged)
            test_expect_error(&err, H5CKPT_INVALID, "expected elements of the digest xxh3-128:");
        h5ckpt_state_free(to);
        h5ckpt_state_free(from);
    }
}

/* ---- Second names ---- */

static void copies_under_a_second_name(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    add(from, "r.w_l0", 1, 2, 0, 0);
    h5ckpt_state *to = apply("  - {match: '^(.*)w_l([0-9])$', copy: '\\1\\2.cell.w'}\n", from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "r.w_l0[2] r.0.cell.w[2]");
    CU_ASSERT_PTR_EQUAL(h5ckpt_tensors_get(&to->parameters, "r.0.cell.w")->extent.memory, counting());
    CU_ASSERT_STRING_EQUAL(notes, "1 parameter written under two names by the rule '^(.*)w_l([0-9])$': r.w_l0|");
    h5ckpt_state_free(to);
    refuses("  - {match: w_l0, copy: r.w_l0}\n", from, "found both 'r.w_l0' and 'r.w_l0' become 'r.w_l0'");
    h5ckpt_state_free(from);
}

static void makes_a_zero(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    const uint64_t one[] = {2};
    add_to(from, &from->parameters, info_of("bn.v", H5CKPT_DTYPE_FLOAT32, 1, one), counting(), "xxh3-128:00");
    h5ckpt_state *to = apply("  - {match: '^(.*)v$', rename: '\\1var', zero: '\\1n', reason: counted}\n", from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "bn.var[2] bn.n[]");
    const h5ckpt_tensor *n = h5ckpt_tensors_get(&to->parameters, "bn.n");
    CU_ASSERT_EQUAL(n->info.dtype, H5CKPT_DTYPE_INT64);
    CU_ASSERT_EQUAL(*(const int64_t *)h5ck_move_data(n, NULL), 0);
    CU_ASSERT_PTR_NULL(n->digest); /* that of its neighbour is not its own */
    CU_ASSERT_STRING_EQUAL(h5ckpt_tensors_get(&to->parameters, "bn.var")->digest, "xxh3-128:00");
    CU_ASSERT_STRING_EQUAL(notes, "1 parameter given a new count of 0 by the rule '^(.*)v$' (counted): bn.v|");
    h5ckpt_state_free(to);
    refuses("  - {match: 'bn[.]v', zero: bn.v}\n", from, "found both 'bn.v' and 'bn.v' become 'bn.v'");
    h5ckpt_state_free(from);
}

/* ---- The optimizers' tensors ---- */

static void optimizer_state_follows(void)
{
    h5ckpt_state *from = h5ckpt_state_new();
    add(from, "fc", 2, 2, 3, 0);
    add(from, "fc.w", 2, 2, 3, 0);
    add(from, "gone", 1, 2, 0, 0);
    add(from, "qk", 1, 2, 0, 0);
    add_optimizer(from, "fc.w_moment1_0", 2, 2, 3);
    add_optimizer(from, "fc.w_beta1_pow_acc_0", 1, 1, 0);
    add_optimizer(from, "fc_moment", 2, 2, 3);
    add_optimizer(from, "exp_avg/fc.w", 2, 2, 3);
    add_optimizer(from, "gone.m", 1, 2, 0);
    add_optimizer(from, "qk.m", 1, 2, 0);
    add_optimizer(from, "linear_0.w_0_moment1_0", 2, 2, 3);
    add_optimizer(from, "xfc.w", 1, 1, 0);
    h5ckpt_state *to = apply("  - {match: '^fc.w$', rename: dense.weight, transpose: true}\n"
                             "  - {match: gone, drop: true}\n"
                             "  - {match: qk, split: [q, k]}\n",
                             from);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "fc[2,3] dense.weight[3,2] q[1] k[1]");
    CU_ASSERT_STRING_EQUAL(listing(&to->optimizer_state),
                           "dense.weight_moment1_0[3,2] dense.weight_beta1_pow_acc_0[1] fc_moment[2,3] "
                           "exp_avg/dense.weight[3,2] qk.m[2] linear_0.w_0_moment1_0[2,3] xfc.w[1]");
    const float *m = h5ck_move_data(h5ckpt_tensors_get(&to->optimizer_state, "dense.weight_moment1_0"), NULL);
    CU_ASSERT_TRUE(m[0] == 0 && m[1] == 3 && m[2] == 1);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "3 of 8 tensors of the optimizers keep their names and axes"));
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
}

/* ---- Documents ---- */

static void names_document(const char *text, const char *message)
{
    const h5ck_schema *s;
    h5ckpt_error *err = NULL;
    test_write(test_tmp("d.yaml"), text, strlen(text));
    CU_ASSERT_EQUAL(h5ck_names_load(test_tmp("d.yaml"), &s, &err), H5CKPT_USAGE);
    CU_ASSERT_PTR_NULL(s);
    test_expect_error(&err, H5CKPT_USAGE, message);
}

static void refuses_wrong_documents(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"schema: mine\nextends: paddle\n",
         "d.yaml:1:1: expected name rules ('names: ...'), found a schema (for --schema)"},
        {"names: mine\n", "d.yaml:1:1: expected the key 'rules' in the name rules, found none"},
        {"names: mine\nhdf5: {}\n",
         "d.yaml:2:1: expected a key of the name rules (names, extends, doc, rules), found 'hdf5'"},
        {"names: mine\nextends: paddle\nrules: []\n", "d.yaml:2:10: expected the name of built-in name rules ("},
        {"names: mine\nrules: []\n", "d.yaml:2:8: expected at least one of 'rules', found none"},
        {"names: torch-to-paddle\nrules: [{match: a}]\n",
         "d.yaml:1:8: expected a name of its own for these name rules"},
#define RULE(text) "names: m\nrules:\n  - {match: '(a)', " text "}\n"
        {RULE("rank: -1"), "d.yaml:3:26: expected a whole number of at most 12 digits, found '-1'"},
        {RULE("rank: '2'"), "expected a whole number of at most 12 digits, found a quoted text"},
        {RULE("rank: 1234567890123"), "expected a whole number of at most 12 digits, found '1234567890123'"},
        {RULE("rank: [2]"), "expected a whole number of at most 12 digits, found a list"},
        {RULE("transpose: yes"), "expected true or false, found 'yes'"},
        {RULE("transpose: []"), "expected true, false or a list of 1 to 32 axes, found a list"},
        {RULE("transpose: [0, 2]"), "d.yaml:3:35: expected each axis from 0 to 1 once, found '2'"},
        {RULE("transpose: [0, 0]"), "expected each axis from 0 to 1 once, found '0'"},
        {RULE("transpose: [a]"), "expected a whole number of at most 12 digits, found 'a'"},
        {RULE("rank: 3, transpose: [1, 0]"), "expected as many axes in 'transpose' as 'rank' says"},
        {RULE("beside: '\\2'"), "d.yaml:3:28: expected references to the 1 groups of '(a)', found \\2"},
        {RULE("copy: '\\2'"), "expected references to the 1 groups"},
        {RULE("zero: '\\2'"), "expected references to the 1 groups"},
        {RULE("zero: n, drop: true"), "expected 'drop', or what else"},
        {RULE("zero: n, split: [x, y]"), "expected 'split' or 'merge', or 'zero' and 'copy' of '(a)', found both"},
        {RULE("split: [x, '\\2']"), "expected references to the 1 groups"},
        {RULE("merge: [x, '\\2'], rename: x"), "expected references to the 1 groups"},
        {RULE("split: x"), "expected a list for 'split', found 'x'"},
        {RULE("split: [x]"), "expected at least two parts of '(a)', found one"},
        {RULE("split: [x, y], rename: z"), "expected 'split', or 'merge' or 'rename' of '(a)', found both"},
        {RULE("split: [x, y], copy: z"), "expected 'split' or 'merge', or 'zero' and 'copy' of '(a)', found both"},
        {RULE("split: [x, y], merge: [x, y]"), "expected 'split', or "},
        {RULE("split: [x, y], drop: true"), "expected 'drop', or what else to do with '(a)', found both"},
        {RULE("copy: x, drop: true"), "expected 'drop', or what else"},
        {RULE("transpose: [1, 0], drop: true"), "expected 'drop', or what else"},
        {RULE("merge: [x, y]"), "expected 'rename' beside 'merge': the whole's name, found none"},
        {RULE("merge: [x, y], rename: z, copy: u"), "expected 'split' or 'merge', or 'zero' and 'copy' of '(a)'"},
        {RULE("axis: 1"), "expected 'split' or 'merge' beside 'axis' and 'stack', found neither"},
        {RULE("stack: true"), "expected 'split' or 'merge' beside 'axis' and 'stack', found neither"},
        {RULE("sizes: [1, 2]"), "expected 'sizes' only beside 'split', one for each part"},
        {RULE("split: [x, y], sizes: [1]"), "expected 'sizes' only beside 'split', one for each part"},
        {RULE("split: [x, y], sizes: [1, 1], stack: true"), "and not beside 'stack', found 'stack'"},
        {RULE("reason: \"two\\nlines\""), "expected one line of text"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        names_document(cases[i].text, cases[i].message);
}

static void finds_documents_by_name_or_path(void)
{
    const h5ck_schema *s;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_names_load("no-such", &s, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected name rules (");
    CU_ASSERT_EQUAL(h5ck_names_load("paddle", &s, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "or a file), found the schema 'paddle'");
    CU_ASSERT_EQUAL(h5ck_schema_builtin("paddle-to-torch", &s, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "found the name rules 'paddle-to-torch'");
    CU_ASSERT_EQUAL(h5ck_schema_load(test_fixture("../../schema/names/paddle-to-torch.yaml"), &s, &err), H5CKPT_USAGE);
    test_expect_error(&err, H5CKPT_USAGE, "expected a schema, found name rules (for --names)");
}

/* One's own rules come first, so that they decide differently. */
static void own_rules_go_before_extended_ones(void)
{
    static const char text[] = "names: mine\nextends: paddle-to-torch\nrules:\n"
                               "  - {match: '^table[.]weight$', rank: 2, reason: an embedding}\n";
    const h5ck_schema *s;
    h5ckpt_state *from = h5ckpt_state_new(), *to;
    test_write(test_tmp("own.yaml"), text, sizeof text - 1);
    CU_ASSERT_EQUAL_FATAL(h5ck_names_load(test_tmp("own.yaml"), &s, NULL), H5CKPT_OK);
    add(from, "table.weight", 2, 5, 3, 0);
    add(from, "head.weight", 2, 5, 3, 0);
    CU_ASSERT_EQUAL(apply_names(s, from, &to, NULL), H5CKPT_OK);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "table.weight[5,3] head.weight[3,5]");
    h5ckpt_state_free(to);
    h5ckpt_state_free(from);
    h5ck_schema_free(s);
}

/* ---- The built-in ones ---- */

static h5ckpt_state *apply_builtin(const char *names, const h5ckpt_state *from)
{
    const h5ck_schema *s;
    h5ckpt_state *to = NULL;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL_FATAL(h5ck_names_load(names, &s, NULL), H5CKPT_OK);
    CU_ASSERT_EQUAL(apply_names(s, from, &to, &err), H5CKPT_OK);
    test_expect_none(&err);
    h5ck_schema_free(s);
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    return to;
}

static void add_paddle_model(h5ckpt_state *m)
{
    add(m, "emb.weight", 2, 5, 2, 0);
    add(m, "conv.weight", 3, 2, 2, 2);
    add(m, "conv.bias", 1, 2, 0, 0);
    add(m, "bn.weight", 1, 2, 0, 0);
    add(m, "bn.bias", 1, 2, 0, 0);
    add(m, "bn._mean", 1, 2, 0, 0);
    add(m, "bn._variance", 1, 2, 0, 0);
    add(m, "lstm.weight_ih_l0", 2, 4, 2, 0);
    add(m, "lstm.weight_ih_l0_reverse", 2, 4, 2, 0);
    add(m, "lstm.0.cell_fw.weight_ih", 2, 4, 2, 0);
    add(m, "lstm.0.cell_bw.weight_ih", 2, 4, 2, 0);
    add(m, "gru.bias_hh_l0", 1, 3, 0, 0);
    add(m, "gru.0.cell.bias_hh", 1, 3, 0, 0);
    add(m, "cell.weight_ih", 2, 4, 2, 0); /* a cell that stands alone */
    add(m, "mha.q_proj.weight", 2, 2, 2, 0);
    add(m, "mha.q_proj.bias", 1, 2, 0, 0);
    add(m, "mha.k_proj.weight", 2, 2, 2, 0);
    add(m, "mha.k_proj.bias", 1, 2, 0, 0);
    add(m, "mha.v_proj.weight", 2, 2, 2, 0);
    add(m, "mha.v_proj.bias", 1, 2, 0, 0);
    add(m, "mha.out_proj.weight", 2, 2, 2, 0);
    add(m, "mha.out_proj.bias", 1, 2, 0, 0);
    add(m, "fc.weight", 2, 2, 3, 0);
    add(m, "fc.bias", 1, 3, 0, 0);
    add(m, "lm_head.weight", 2, 2, 3, 0); /* no bias */
}

static void names_a_paddle_model(void)
{
    h5ckpt_state *m = h5ckpt_state_new();
    add_paddle_model(m);
    add(m, "act._weight", 1, 2, 0, 0);
    add(m, "in.scale", 1, 2, 0, 0);
    add(m, "in.bias", 1, 2, 0, 0);
    h5ckpt_state *to = apply_builtin("paddle-to-torch", m);
    CU_ASSERT_STRING_EQUAL(
        listing(&to->parameters),
        "emb.weight[5,2] conv.weight[2,2,2] conv.bias[2] bn.weight[2] bn.bias[2] bn.running_mean[2] bn.running_var[2] "
        "bn.num_batches_tracked[] lstm.weight_ih_l0[4,2] lstm.weight_ih_l0_reverse[4,2] gru.bias_hh_l0[3] "
        "cell.weight_ih[4,2] "
        "mha.q_proj.weight[2,2] mha.q_proj.bias[2] mha.k_proj.weight[2,2] mha.k_proj.bias[2] mha.v_proj.weight[2,2] "
        "mha.v_proj.bias[2] mha.out_proj.weight[2,2] mha.out_proj.bias[2] fc.weight[3,2] fc.bias[3] "
        "lm_head.weight[3,2] act.weight[2] in.weight[2] in.bias[2]");
    HAS(to, "mha.q_proj.weight", 0, 2, 1, 3);
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "3 parameters dropped by the rule '^(.*[.])?[0-9]+[.]cell"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "5 parameters transposed by the rule '^(.*[.])?weight$' (Linear: [in, out] to "
                                         "[out, in]): mha.q_proj.weight, mha.k_proj.weight, mha.v_proj.weight, ...|"));
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "[out, in]): lm_head.weight|"));
    h5ckpt_state_free(to);
    h5ckpt_state_free(m);
}

/* To PyTorch with attention in one piece, and back: the same names, axes and elements. */
static void comes_back_from_torch(void)
{
    h5ckpt_state *m = h5ckpt_state_new();
    char before[1500];
    add_paddle_model(m);
    strcpy(before, listing(&m->parameters));
    h5ckpt_state *torch = apply_builtin("paddle-to-torch-attention", m);
    CU_ASSERT_PTR_NOT_NULL(strstr(listing(&torch->parameters), " mha.in_proj_weight[6,2] mha.in_proj_bias[6] "));
    HAS(torch, "mha.in_proj_weight", 0, 2, 1, 3, 0, 2, 1, 3, 0, 2, 1, 3);
    h5ckpt_state *again = apply_builtin("torch-to-paddle", torch);
    CU_ASSERT_EQUAL(h5ckpt_tensors_count(&again->parameters), h5ckpt_tensors_count(&m->parameters));
    for (size_t i = 0; i < h5ckpt_tensors_count(&m->parameters); i++) {
        const h5ckpt_tensor *a = h5ckpt_tensors_at(&m->parameters, i);
        const h5ckpt_tensor *b = h5ckpt_tensors_get(&again->parameters, a->info.name);
        CU_ASSERT_PTR_NOT_NULL_FATAL(b);
        CU_ASSERT_EQUAL(a->info.rank, b->info.rank);
        CU_ASSERT_EQUAL_FATAL(a->info.nbytes, b->info.nbytes);
        CU_ASSERT_EQUAL(memcmp(h5ck_move_data(a, NULL), h5ck_move_data(b, NULL), a->info.nbytes), 0);
    }
    h5ckpt_state_free(again);
    h5ckpt_state_free(torch);
    h5ckpt_state_free(m);
}

static void drops_the_count_of_batches(void)
{
    h5ckpt_state *m = h5ckpt_state_new();
    add(m, "bn.running_mean", 1, 2, 0, 0);
    add(m, "bn.running_var", 1, 2, 0, 0);
    add(m, "bn.num_batches_tracked", 0, 0, 0, 0);
    h5ckpt_state *to = apply_builtin("torch-to-paddle", m);
    CU_ASSERT_STRING_EQUAL(listing(&to->parameters), "bn._mean[2] bn._variance[2]");
    CU_ASSERT_PTR_NOT_NULL(strstr(notes, "(Paddle's BatchNorm does not count its batches): bn.num_batches_tracked|"));
    h5ckpt_state_free(to);
    h5ckpt_state_free(m);
}

/* The listed decision: a weight of two axes without a bias is an embedding's by these names, else a Linear's. */
static void tells_embeddings_by_name(void)
{
    static const char *const embeddings[] = {"emb.weight",
                                             "word_embeddings.weight",
                                             "model.embed_tokens.weight",
                                             "embeddings.word_embeddings.weight",
                                             "wte.weight",
                                             "h.wpe.weight",
                                             "encoder.embed_positions.weight",
                                             "embedding.weight",
                                             "emb2.weight",
                                             "token_embedding_table.weight",
                                             "item_emb.weight",
                                             "embeddings.0.weight",
                                             "lookup_table.weight"};
    static const char *const linears[] = {
        "weight", "fc.weight", "lm_head.weight", "remember.weight", "item_emb.proj.weight", "embedder.weight"};
    h5ckpt_state *m = h5ckpt_state_new();
    for (size_t i = 0; i < sizeof embeddings / sizeof *embeddings; i++)
        add(m, embeddings[i], 2, 5, 3, 0);
    for (size_t i = 0; i < sizeof linears / sizeof *linears; i++)
        add(m, linears[i], 2, 5, 3, 0);
    static const char *const both[] = {"paddle-to-torch", "torch-to-paddle"};
    for (size_t n = 0; n < 2; n++) {
        h5ckpt_state *to = apply_builtin(both[n], m);
        for (size_t i = 0; i < h5ckpt_tensors_count(&to->parameters); i++) {
            const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(h5ckpt_tensors_at(&to->parameters, i));
            bool embedding = i < sizeof embeddings / sizeof *embeddings;
            if (t->shape[0] != (embedding ? 5u : 3u))
                printf("\n    %s: %s\n", both[n], t->name);
            CU_ASSERT_EQUAL(t->shape[0], embedding ? 5u : 3u);
        }
        h5ckpt_state_free(to);
    }
    h5ckpt_state_free(m);
}

int main(void)
{
    static const test_case cases[] = {{"asks for rank, type and neighbour", asks_for_rank_type_and_neighbour},
                                      {"transposes by axes", transposes_by_axes},
                                      {"splits", splits},
                                      {"refuses to split what does not fit", refuses_to_split_what_does_not_fit},
                                      {"merges", merges},
                                      {"refuses parts that do not fit", refuses_parts_that_do_not_fit},
                                      {"merging undoes splitting", merging_undoes_splitting},
                                      {"checks digests of parts", checks_digests_of_parts},
                                      {"copies under a second name", copies_under_a_second_name},
                                      {"makes a zero", makes_a_zero},
                                      {"optimizer state follows", optimizer_state_follows},
                                      {"refuses wrong documents", refuses_wrong_documents},
                                      {"finds documents by name or path", finds_documents_by_name_or_path},
                                      {"own rules go before extended ones", own_rules_go_before_extended_ones},
                                      {"names a Paddle model", names_a_paddle_model},
                                      {"comes back from torch", comes_back_from_torch},
                                      {"drops the count of batches", drops_the_count_of_batches},
                                      {"tells embeddings by name", tells_embeddings_by_name},
                                      {NULL, NULL}};
    return test_run("rules", cases);
}
