/*
 * pickle_numpy.c - NumPy's dtypes, scalars and arrays in a pickle.
 *
 *     dtype   ('f4', False, True), then the state (3, '<', None, None, None, -1, -1, 0); Python 2 writes 0 and 1
 *     scalar  (dtype, bytes)
 *     array   the state (1, shape, dtype, is_fortran, bytes); in protocol 5 the arguments (bytes, dtype, shape, 'C')
 *
 * Taken are the element types of the dtype table, in either byte order and either memory order; what comes out is
 * little-endian and row-major; or the caller's policy takes the array as it is, its elements left in the pickle. Refused: structured, string, object and datetime dtypes, states of other versions, and
 * data whose length is not what shape and dtype say. Source: the forms that numpy.dtype.__reduce__, generic.__reduce__
 * and ndarray.__reduce__ give in NumPy 1.16, 1.21 and 2.
 */
#include "base/ckd.h"
#include "model/dtype.h"
#include "model/tensor.h"
#include "parse/pickle_graph.h"
#include "parse/pickle_text.h"

#include <string.h>

static const h5ck_pickle_node *item(const h5ck_pickle_graph *g, const h5ck_pickle_node *tuple, size_t i)
{
    return h5ck_pickle_at(g, tuple->u.items[i]);
}

/* An int or a bool of this value. */
static bool is_number(const h5ck_pickle_node *n, int64_t i)
{
    return (n->kind == H5CK_NODE_INT || n->kind == H5CK_NODE_BOOL) && n->u.i == i;
}

/* The characters of a short text or Python 2 str, or of bytes; false where it is none or does not fit. */
static bool short_text(const h5ck_pickle_graph *g, const h5ck_pickle_node *n, char *out, size_t room)
{
    if (n->kind == H5CK_NODE_ENCODE)
        n = h5ck_pickle_at(g, n->u.ref.a);
    bool plain = n->kind == H5CK_NODE_TEXT || n->kind == H5CK_NODE_TEXT_RAW || n->kind == H5CK_NODE_STR2 ||
                 n->kind == H5CK_NODE_BYTES;
    if (!plain && n->kind != H5CK_NODE_STR2_QUOTE)
        return false;
    size_t len = plain ? n->count : h5ck_pickle_unquote(n->u.data, n->count, NULL);
    if (len >= room || (len && memchr(n->u.data, 0, n->count)))
        return false;
    if (plain)
        memcpy(out, n->u.data, len);
    else
        h5ck_pickle_unquote(n->u.data, n->count, (unsigned char *)out);
    out[len] = 0;
    return true;
}

int h5ck_pickle_dtype_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args, h5ck_pickle_node *n)
{
    char type[16];
    if (args->count != 3 || !short_text(g, item(g, args, 0), type, sizeof type) || !is_number(item(g, args, 1), 0) ||
        !is_number(item(g, args, 2), 1))
        return h5ck_fail_at(g->err, at, "expected (type, False, True) for numpy dtype, found other arguments");
    const h5ck_dtype *dtype = *type && strchr("<>|=", *type) ? NULL : h5ck_dtype_from_numpy(type);
    char shown[40];
    if (!dtype)
        return h5ck_fail_at(g->err, at, "expected an element type that h5ckpt knows, found numpy dtype '%s'",
                            h5ck_pickle_shown((const unsigned char *)type, strlen(type), shown, sizeof shown));
    n->u.ref.a = (uint32_t)dtype->id;
    return 0;
}

int h5ck_pickle_dtype_state(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *state, h5ck_pickle_node *n)
{
    char order[8];
    bool good = state->count == 8 && is_number(item(g, state, 0), 3) &&
                short_text(g, item(g, state, 1), order, sizeof order) && strlen(order) == 1 && strchr("<>|=", *order);
    for (size_t i = 2; good && i < 5; i++)
        good = item(g, state, i)->kind == H5CK_NODE_NONE;
    for (size_t i = 5; good && i < 8; i++)
        good = is_number(item(g, state, i), i == 7 ? 0 : -1);
    if (!good)
        return h5ck_fail_at(g->err, at,
                            "expected (3, byte order, None, None, None, -1, -1, 0) as a dtype's state, found another");
    if (*order == '>')
        n->flags |= H5CK_NODE_SWAP;
    n->count = 1;
    return 0;
}

static bool is_finished_dtype(const h5ck_pickle_node *n)
{
    return n->kind == H5CK_NODE_DTYPE && n->count == 1;
}

int h5ck_pickle_scalar_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args, h5ck_pickle_node *n)
{
    if (args->count != 2 || !is_finished_dtype(item(g, args, 0)))
        return h5ck_fail_at(g->err, at, "expected (dtype, bytes) for a NumPy scalar, found other arguments");
    n->u.ref.a = args->u.items[0];
    n->u.ref.b = args->u.items[1];
    return 0;
}

int h5ck_pickle_reconstruct_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args)
{
    char letter[8];
    bool good = args->count == 3 && item(g, args, 0)->kind == H5CK_NODE_GLOBAL &&
                item(g, args, 0)->count == H5CK_CALL_NDARRAY && item(g, args, 1)->kind == H5CK_NODE_TUPLE &&
                item(g, args, 1)->count == 1 && is_number(item(g, item(g, args, 1), 0), 0) &&
                short_text(g, item(g, args, 2), letter, sizeof letter) && strcmp(letter, "b") == 0;
    return good ? 0
                : h5ck_fail_at(g->err, at, "expected (ndarray, (0,), b'b') for a NumPy array, found other arguments");
}

/* The arguments of _frombuffer: (bytes, dtype, shape, 'C' or 'F') */
int h5ck_pickle_frombuffer_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args)
{
    char order[8];
    bool good = args->count == 4 && is_finished_dtype(item(g, args, 1)) && item(g, args, 2)->kind == H5CK_NODE_TUPLE &&
                short_text(g, item(g, args, 3), order, sizeof order) && (!strcmp(order, "C") || !strcmp(order, "F"));
    return good ? 0
                : h5ck_fail_at(g->err, at,
                               "expected (bytes, dtype, shape, 'C') for a NumPy array of protocol 5, found other "
                               "arguments");
}

static bool is_bytes(const h5ck_pickle_node *n)
{
    return n->kind == H5CK_NODE_BYTES || n->kind == H5CK_NODE_BYTEARRAY || n->kind == H5CK_NODE_ENCODE ||
           n->kind == H5CK_NODE_STR2 || n->kind == H5CK_NODE_STR2_QUOTE;
}

/* The elements' bytes, kept in the value's arena. */
static int wrong_length(h5ck_pickle_build *b, const h5ck_pickle_node *n, uint64_t expected, uint64_t found)
{
    return h5ck_fail_at(b->err, n->at, "expected %llu bytes of NumPy elements, found %llu",
                        (unsigned long long)expected, (unsigned long long)found);
}

static int element_bytes(h5ck_pickle_build *b, h5ck_pickle_node *n, uint64_t nbytes, const unsigned char **data)
{
    if (!is_bytes(n))
        return h5ck_fail_at(b->err, h5ck_pickle_offset(b, n),
                            "expected the elements of a NumPy array as bytes, found %s", h5ck_pickle_kind_name(n));
    int rc = h5ck_pickle_keep(b, n);
    if (rc)
        return rc;
    if (n->count != nbytes)
        return wrong_length(b, n, nbytes, n->count);
    *data = n->u.data;
    return 0;
}

/* Copies elements, swapping the bytes of each number and putting column-major ones into row-major order. */
static void arrange(const h5ckpt_array *a, const h5ck_dtype *dtype, bool swap, bool fortran, const unsigned char *from,
                    unsigned char *to)
{
    size_t unit = dtype->kind == H5CK_KIND_COMPLEX ? dtype->size / 2 : dtype->size;
    uint64_t index[H5CK_MAX_RANK] = {0}, stride[H5CK_MAX_RANK], step = dtype->size;
    for (size_t i = 0; i < a->rank; i++) {
        size_t axis = fortran ? i : a->rank - 1 - i;
        stride[axis] = step;
        step *= a->shape[axis];
    }
    for (size_t done = 0; done < a->nbytes; done += dtype->size) {
        const unsigned char *element = from;
        for (size_t i = 0; i < a->rank; i++)
            element += index[i] * stride[i];
        for (size_t k = 0; k < dtype->size; k++)
            to[done + k] = element[swap ? k / unit * unit + (unit - 1 - k % unit) : k];
        for (size_t i = a->rank; i-- > 0;) {
            if (++index[i] < a->shape[i])
                break;
            index[i] = 0;
        }
    }
}

/* Completes an array whose dtype, rank and shape are set. */
/* Hands the array to the policy. Its elements stay where they are, unless they are text with escapes. */
static int give(h5ck_pickle_build *b, const h5ckpt_array *a, bool swap, bool fortran, h5ck_pickle_node *n,
                h5ckpt_value *value)
{
    h5ck_pickle_array given = {.dtype = a->dtype,
                               .rank = a->rank,
                               .shape = a->shape,
                               .nbytes = a->nbytes,
                               .fortran = fortran,
                               .big_endian = swap,
                               .at = n->at,
                               .storage = H5CK_PICKLE_RAW};
    const h5ck_pickle_node *text = n->kind == H5CK_NODE_ENCODE ? h5ck_pickle_at(b->g, n->u.ref.a) : NULL;
    if (!is_bytes(n))
        return h5ck_fail_at(b->err, h5ck_pickle_offset(b, n),
                            "expected the elements of a NumPy array as bytes, found %s", h5ck_pickle_kind_name(n));
    if (text && text->kind == H5CK_NODE_TEXT && !(text->flags & H5CK_NODE_KEPT)) {
        given.storage = H5CK_PICKLE_LATIN1;
        given.data = text->u.data;
        given.len = text->count;
    } else {
        if (text || n->kind == H5CK_NODE_STR2_QUOTE || n->flags & H5CK_NODE_KEPT) {
            int rc = h5ck_pickle_keep(b, n);
            if (rc)
                return rc;
            given.storage = H5CK_PICKLE_MEMORY;
        }
        given.data = n->u.data;
        given.len = (size_t)n->count;
        if (given.len == 0)
            given.storage = H5CK_PICKLE_MEMORY; /* bytes() of protocol 2 stands nowhere */
        if (given.len != given.nbytes)
            return wrong_length(b, n, given.nbytes, given.len);
    }
    return b->policy->take_array(b->policy->user, &given, value, b->err);
}

static int finish(h5ck_pickle_build *b, h5ckpt_array *a, const h5ck_pickle_node *dtype_node, bool fortran,
                  uint32_t bytes, uint64_t at, h5ckpt_value *value)
{
    const h5ck_dtype *dtype = h5ck_dtype_get((h5ckpt_dtype)dtype_node->u.ref.a);
    bool swap = dtype_node->flags & H5CK_NODE_SWAP;
    uint64_t nbytes = dtype->size;
    for (size_t i = 0; i < a->rank; i++)
        if (h5ck_ckd_mul(nbytes, a->shape[i], &nbytes))
            return h5ck_fail_at(b->err, at, "expected a NumPy array that fits memory, found a shape that overflows");
    a->dtype = dtype->id;
    a->nbytes = (size_t)nbytes;
    if (!a->scalar && b->policy && b->policy->take_array)
        return give(b, a, swap, fortran && a->rank > 1, h5ck_pickle_at(b->g, bytes), value);
    const unsigned char *data = NULL;
    int rc = element_bytes(b, h5ck_pickle_at(b->g, bytes), nbytes, &data);
    if (rc)
        return rc;
    a->data = data;
    if (swap || (fortran && a->rank > 1)) {
        rc = h5ck_pickle_charge(b, h5ck_pickle_at(b->g, bytes), a->nbytes);
        if (rc)
            return rc;
        unsigned char *to = h5ck_arena_alloc(b->arena, a->nbytes);
        if (!to)
            return h5ck_fail_nomem(b->err);
        arrange(a, dtype, swap, fortran, data, to);
        a->data = to;
    }
    *value = (h5ckpt_value){.type = H5CKPT_ARRAY, .as.array = a};
    return 0;
}

int h5ck_pickle_make_scalar(h5ck_pickle_build *b, const h5ck_pickle_node *n, h5ckpt_value *value)
{
    h5ckpt_array *a = h5ck_arena_zalloc(b->arena, 1, sizeof *a);
    if (!a || !(a->shape = h5ck_arena_alloc(b->arena, 0)))
        return h5ck_fail_nomem(b->err);
    a->scalar = 1;
    return finish(b, a, h5ck_pickle_at(b->g, n->u.ref.a), false, n->u.ref.b, n->at, value);
}

/* The parts of an array, as BUILD or _frombuffer gave them. */
typedef struct parts {
    const h5ck_pickle_node *shape, *dtype;
    bool fortran;
    uint32_t bytes;
} parts;

static int take_apart(h5ck_pickle_build *b, const h5ck_pickle_node *n, parts *p)
{
    const h5ck_pickle_node *state = n->count ? h5ck_pickle_at(b->g, (uint32_t)(n->count - 1)) : NULL;
    char order[8];
    if (n->flags & H5CK_NODE_BUFFER) { /* checked when it was called */
        *p = (parts){item(b->g, state, 2), item(b->g, state, 1), false, state->u.items[0]};
        p->fortran = short_text(b->g, item(b->g, state, 3), order, sizeof order) && *order == 'F';
        return 0;
    }
    if (!state || state->count != 5 || !is_number(item(b->g, state, 0), 1) ||
        item(b->g, state, 1)->kind != H5CK_NODE_TUPLE || !is_finished_dtype(item(b->g, state, 2)) ||
        !(is_number(item(b->g, state, 3), 0) || is_number(item(b->g, state, 3), 1)))
        return h5ck_fail_at(b->err, n->at,
                            "expected (1, shape, dtype, is_fortran, bytes) as a NumPy array's state, found %s",
                            state ? "another" : "none");
    *p = (parts){item(b->g, state, 1), item(b->g, state, 2), is_number(item(b->g, state, 3), 1), state->u.items[4]};
    return 0;
}

int h5ck_pickle_make_array(h5ck_pickle_build *b, const h5ck_pickle_node *n, h5ckpt_value *value)
{
    parts p = {0};
    int rc = take_apart(b, n, &p);
    if (rc)
        return rc;
    if (p.shape->count > H5CK_MAX_RANK)
        return h5ck_fail_at(b->err, p.shape->at, "expected a NumPy array of at most %d dimensions, found %llu",
                            (int)H5CK_MAX_RANK, (unsigned long long)p.shape->count);
    size_t rank = (size_t)p.shape->count;
    h5ckpt_array *a = h5ck_arena_zalloc(b->arena, 1, sizeof *a);
    uint64_t *shape = h5ck_arena_alloc(b->arena, rank * sizeof *shape);
    if (!a || !shape)
        return h5ck_fail_nomem(b->err);
    for (size_t i = 0; i < rank; i++) {
        const h5ck_pickle_node *dim = item(b->g, p.shape, i);
        if (dim->kind != H5CK_NODE_INT || dim->u.i < 0)
            return h5ck_fail_at(b->err, h5ck_pickle_offset(b, dim), "expected a dimension of a NumPy array, found %s",
                                dim->kind == H5CK_NODE_INT ? "a negative one" : h5ck_pickle_kind_name(dim));
        shape[i] = (uint64_t)dim->u.i;
    }
    a->rank = rank;
    a->shape = shape;
    return finish(b, a, p.dtype, p.fortran, p.bytes, n->at, value);
}
