/*
 * pickle_call.c - GLOBAL, REDUCE, NEWOBJ and BUILD: what Python would import and call.
 *
 * Here a global is two words. A few of them are understood, because plain data is written through them:
 *
 *     numpy.core.multiarray scalar (dtype, bytes)                a NumPy scalar
 *     numpy.core.multiarray _reconstruct (ndarray, (0,), b'b')   a NumPy array, whose BUILD state is all of it
 *     numpy.core.numeric _frombuffer (bytes, dtype, shape, 'C')  a NumPy array in protocol 5
 *     numpy dtype ('f4', False, True)                            with a BUILD state that says the byte order
 *     _codecs encode (text, 'latin1')                            Python 3's bytes in protocols 0 to 2
 *     __builtin__ bytes ()                                       b'' there
 *     copy_reg _reconstructor (class, object, None)              an instance in protocols 0 and 1
 *
 * (numpy._core, builtins and copyreg are their later names.) Where the policy allows another global as data, what a
 * call of it gives is a CALL: the global, the arguments, and what BUILD, SETITEMS and APPENDS put in. Any other global
 * can only be the class of an instance: NEWOBJ (class, ()), with BUILD of its fields. Whether that class is allowed, the
 * policy says when all fields are known. All else is refused, by name.
 */
#include "parse/pickle_graph.h"
#include "parse/pickle_text.h"

#include <stdio.h>
#include <string.h>

enum { MAX_NAME = 255 };

static const struct understood {
    const char *module, *name;
    h5ck_pickle_callable callable;
} understood[] = {
    {"numpy.core.multiarray", "scalar", H5CK_CALL_SCALAR},
    {"numpy._core.multiarray", "scalar", H5CK_CALL_SCALAR},
    {"numpy.core.multiarray", "_reconstruct", H5CK_CALL_RECONSTRUCT},
    {"numpy._core.multiarray", "_reconstruct", H5CK_CALL_RECONSTRUCT},
    {"numpy.core.numeric", "_frombuffer", H5CK_CALL_FROMBUFFER},
    {"numpy._core.numeric", "_frombuffer", H5CK_CALL_FROMBUFFER},
    {"numpy", "ndarray", H5CK_CALL_NDARRAY},
    {"numpy", "dtype", H5CK_CALL_DTYPE},
    {"_codecs", "encode", H5CK_CALL_ENCODE},
    {"__builtin__", "bytes", H5CK_CALL_BYTES},
    {"builtins", "bytes", H5CK_CALL_BYTES},
    {"copy_reg", "_reconstructor", H5CK_CALL_RECONSTRUCTOR},
    {"copyreg", "_reconstructor", H5CK_CALL_RECONSTRUCTOR},
    {"__builtin__", "object", H5CK_CALL_OBJECT},
    {"builtins", "object", H5CK_CALL_OBJECT},
};

bool h5ck_pickle_understands(const char *module, const char *name)
{
    for (size_t i = 0; i < sizeof understood / sizeof *understood; i++)
        if (strcmp(understood[i].module, module) == 0 && strcmp(understood[i].name, name) == 0)
            return true;
    return false;
}

static bool text_is(const h5ck_pickle_node *n, const char *text)
{
    return n->count == strlen(text) && memcmp(n->u.data, text, n->count) == 0;
}

/* Whether the policy allows a global as data. */
static int ask_for_data(h5ck_pickle_graph *g, h5ck_pickle_node *global)
{
    char module[MAX_NAME + 1], name[MAX_NAME + 1];
    const h5ck_pickle_node *m = h5ck_pickle_at(g, global->u.ref.a), *n = h5ck_pickle_at(g, global->u.ref.b);
    if (!g->policy || !g->policy->allows || m->count > MAX_NAME || n->count > MAX_NAME)
        return 0;
    memcpy(module, m->u.data, m->count);
    memcpy(name, n->u.data, n->count);
    module[m->count] = name[n->count] = 0;
    if (g->policy->allows(g->policy->user, module, name))
        global->count = H5CK_CALL_DATA;
    return 0;
}

int h5ck_pickle_global(h5ck_pickle_graph *g, uint64_t at, uint32_t module, uint32_t name, uint32_t *index)
{
    const h5ck_pickle_node *m = h5ck_pickle_at(g, module), *n = h5ck_pickle_at(g, name);
    if (m->kind != H5CK_NODE_TEXT || n->kind != H5CK_NODE_TEXT)
        return h5ck_fail_at(g->err, at, "expected the names of a module and a class, found %s and %s",
                            h5ck_pickle_kind_name(m), h5ck_pickle_kind_name(n));
    if (m->flags & H5CK_NODE_UNCHECKED || n->flags & H5CK_NODE_UNCHECKED)
        return h5ck_fail_at(g->err, at, "expected the names of a module and a class, found a long text");
    if (m->count == 0 || n->count == 0 || memchr(m->u.data, 0, m->count) || memchr(n->u.data, 0, n->count))
        return h5ck_fail_at(g->err, at,
                            "expected the names of a module and a class, found an empty one or a zero byte");
    int rc = h5ck_pickle_add(g, H5CK_NODE_GLOBAL, at, index);
    if (rc)
        return rc;
    h5ck_pickle_node *global = h5ck_pickle_at(g, *index);
    global->u.ref.a = module;
    global->u.ref.b = name;
    for (size_t i = 0; i < sizeof understood / sizeof *understood; i++)
        if (text_is(m, understood[i].module) && text_is(n, understood[i].name))
            global->count = understood[i].callable;
    return global->count == H5CK_CALL_NONE ? ask_for_data(g, global) : 0;
}

const char *h5ck_pickle_global_name(const h5ck_pickle_graph *g, const h5ck_pickle_node *global, char *out, size_t room)
{
    const h5ck_pickle_node *m = h5ck_pickle_at(g, global->u.ref.a), *n = h5ck_pickle_at(g, global->u.ref.b);
    char module[100], name[100];
    snprintf(out, room, "%s %s", h5ck_pickle_shown(m->u.data, m->count, module, sizeof module),
             h5ck_pickle_shown(n->u.data, n->count, name, sizeof name));
    return out;
}

/* "expected ..., found the global os system" */
static int refuse(const h5ck_pickle_graph *g, uint64_t at, const char *expected, const h5ck_pickle_node *n)
{
    char name[240];
    if (n->kind != H5CK_NODE_GLOBAL)
        return h5ck_fail_at(g->err, at, "expected %s, found %s", expected, h5ck_pickle_kind_name(n));
    return h5ck_fail_at(g->err, at, "expected %s, found the global %s", expected,
                        h5ck_pickle_global_name(g, n, name, sizeof name));
}

/* The i-th item of a tuple. */
static h5ck_pickle_node *item(const h5ck_pickle_graph *g, const h5ck_pickle_node *tuple, size_t i)
{
    return h5ck_pickle_at(g, tuple->u.items[i]);
}

/* Any global that is none of the understood ones may be a class. */
static int check_class(const h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *n)
{
    if (n->kind != H5CK_NODE_GLOBAL || n->count != H5CK_CALL_NONE)
        return refuse(g, at, "the class of a plain object", n);
    return 0;
}

/* _codecs.encode(text, 'latin1') */
static int encode(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args, h5ck_pickle_node *n)
{
    bool good = args->count == 2;
    for (size_t i = 0; good && i < 2; i++)
        good = item(g, args, i)->kind == H5CK_NODE_TEXT || item(g, args, i)->kind == H5CK_NODE_TEXT_RAW;
    if (!good || !text_is(item(g, args, 1), "latin1"))
        return h5ck_fail_at(g->err, at, "expected a text and 'latin1' for _codecs encode, found other arguments");
    n->kind = H5CK_NODE_ENCODE;
    n->u.ref.a = args->u.items[0];
    return 0;
}

/* A call of a global that the policy allows as data. */
static int call_data(h5ck_pickle_graph *g, uint32_t global, uint32_t args, h5ck_pickle_node *n)
{
    if (!(n->u.items = h5ck_arena_zalloc(&g->arena, H5CK_CALL_PARTS, sizeof *n->u.items)))
        return h5ck_fail_nomem(g->err);
    n->kind = H5CK_NODE_CALL;
    n->count = H5CK_CALL_PARTS;
    n->u.items[H5CK_CALL_CLASS] = global;
    n->u.items[H5CK_CALL_ARGS] = args;
    return 0;
}

static bool is_data(const h5ck_pickle_node *n)
{
    return n->kind == H5CK_NODE_GLOBAL && n->count == H5CK_CALL_DATA;
}

static int reconstructor(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args, h5ck_pickle_node *n)
{
    if (args->count != 3 || item(g, args, 1)->kind != H5CK_NODE_GLOBAL || item(g, args, 1)->count != H5CK_CALL_OBJECT ||
        item(g, args, 2)->kind != H5CK_NODE_NONE)
        return h5ck_fail_at(g->err, at,
                            "expected (class, object, None) for copy_reg _reconstructor, found other arguments");
    if (is_data(item(g, args, 0))) {
        n->flags |= H5CK_NODE_NEW;
        return call_data(g, args->u.items[0], H5CK_NODE_AT_EMPTY_TUPLE, n);
    }
    n->kind = H5CK_NODE_INSTANCE;
    n->u.ref.a = args->u.items[0];
    return check_class(g, at, item(g, args, 0));
}

int h5ck_pickle_reduce(h5ck_pickle_graph *g, uint64_t at, uint32_t callable, uint32_t args, uint32_t *index)
{
    const h5ck_pickle_node *c = h5ck_pickle_at(g, callable), *a = h5ck_pickle_at(g, args);
    int rc = h5ck_pickle_add(g, H5CK_NODE_NONE, at, index);
    if (rc)
        return rc;
    h5ck_pickle_node *n = h5ck_pickle_at(g, *index);
    if (a->kind != H5CK_NODE_TUPLE)
        return h5ck_fail_at(g->err, at, "expected a tuple of arguments for REDUCE, found %s", h5ck_pickle_kind_name(a));
    switch (c->kind == H5CK_NODE_GLOBAL ? (h5ck_pickle_callable)c->count : H5CK_CALL_NONE) {
    case H5CK_CALL_SCALAR:
        n->kind = H5CK_NODE_SCALAR;
        return h5ck_pickle_scalar_args(g, at, a, n);
    case H5CK_CALL_RECONSTRUCT:
        n->kind = H5CK_NODE_ARRAY;
        return h5ck_pickle_reconstruct_args(g, at, a);
    case H5CK_CALL_FROMBUFFER:
        n->kind = H5CK_NODE_ARRAY;
        n->flags |= H5CK_NODE_BUFFER;
        n->count = (uint64_t)args + 1;
        return h5ck_pickle_frombuffer_args(g, at, a);
    case H5CK_CALL_DATA:
        return call_data(g, callable, args, n);
    case H5CK_CALL_DTYPE:
        n->kind = H5CK_NODE_DTYPE;
        return h5ck_pickle_dtype_args(g, at, a, n);
    case H5CK_CALL_ENCODE:
        return encode(g, at, a, n);
    case H5CK_CALL_BYTES:
        n->kind = H5CK_NODE_BYTES;
        n->u.data = (const unsigned char *)"";
        return a->count == 0 ? 0
                             : h5ck_fail_at(g->err, at, "expected no arguments for bytes, found %llu",
                                            (unsigned long long)a->count);
    case H5CK_CALL_RECONSTRUCTOR:
        return reconstructor(g, at, a, n);
    case H5CK_CALL_NONE:
    case H5CK_CALL_NDARRAY:
    case H5CK_CALL_OBJECT:
        break;
    }
    return refuse(g, at, "one of the constructors of plain data for REDUCE", c);
}

int h5ck_pickle_newobj(h5ck_pickle_graph *g, uint64_t at, uint32_t class_, uint32_t args, uint32_t *index)
{
    const h5ck_pickle_node *a = h5ck_pickle_at(g, args);
    if (is_data(h5ck_pickle_at(g, class_)) && a->kind == H5CK_NODE_TUPLE) {
        int rc = h5ck_pickle_add(g, H5CK_NODE_NONE, at, index);
        if (rc)
            return rc;
        h5ck_pickle_at(g, *index)->flags |= H5CK_NODE_NEW;
        return call_data(g, class_, args, h5ck_pickle_at(g, *index));
    }
    int rc = check_class(g, at, h5ck_pickle_at(g, class_));
    if (rc)
        return rc;
    if (a->kind != H5CK_NODE_TUPLE || a->count)
        return h5ck_fail_at(g->err, at, "expected an object made without arguments, found NEWOBJ with some");
    rc = h5ck_pickle_add(g, H5CK_NODE_INSTANCE, at, index);
    if (rc == 0)
        h5ck_pickle_at(g, *index)->u.ref.a = class_;
    return rc;
}

int h5ck_pickle_set_state(h5ck_pickle_graph *g, uint64_t at, uint32_t target, uint32_t state)
{
    h5ck_pickle_node *n = h5ck_pickle_at(g, target), *s = h5ck_pickle_at(g, state);
    if (n->kind == H5CK_NODE_CALL) {
        if (n->u.items[H5CK_CALL_STATE])
            return h5ck_fail_at(g->err, at, "expected one BUILD for each object, found a second");
        s->flags |= H5CK_NODE_FROZEN;
        n->u.items[H5CK_CALL_STATE] = state + 1;
        return 0;
    }
    if (n->kind != H5CK_NODE_INSTANCE && n->kind != H5CK_NODE_ARRAY && n->kind != H5CK_NODE_DTYPE)
        return refuse(g, at, "an object for BUILD", n);
    if (n->count || n->flags & H5CK_NODE_BUFFER)
        return h5ck_fail_at(g->err, at, "expected one BUILD for each object, found a second");
    h5ck_pickle_kind kind = n->kind == H5CK_NODE_INSTANCE ? H5CK_NODE_DICT : H5CK_NODE_TUPLE;
    if (s->kind != kind)
        return h5ck_fail_at(g->err, at, "expected a %s as the state of %s, found %s",
                            kind == H5CK_NODE_DICT ? "dict" : "tuple", h5ck_pickle_kind_name(n),
                            h5ck_pickle_kind_name(s));
    s->flags |= H5CK_NODE_FROZEN; /* its items are what they are now */
    if (n->kind == H5CK_NODE_DTYPE)
        return h5ck_pickle_dtype_state(g, at, s, n);
    n->count = (uint64_t)state + 1;
    return 0;
}

int h5ck_pickle_fillable(h5ck_pickle_graph *g, uint64_t at, h5ck_pickle_kind kind, uint32_t target, uint32_t *index)
{
    h5ck_pickle_node *n = h5ck_pickle_at(g, target);
    *index = target;
    if (n->kind != H5CK_NODE_CALL)
        return 0;
    uint32_t *part = &n->u.items[kind == H5CK_NODE_DICT ? H5CK_CALL_ITEMS : H5CK_CALL_LIST];
    int rc = *part ? 0 : h5ck_pickle_add(g, kind, at, index);
    if (rc)
        return rc;
    if (*part)
        *index = *part - 1;
    else
        *part = *index + 1;
    return 0;
}
