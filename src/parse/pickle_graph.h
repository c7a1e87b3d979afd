/*
 * pickle_graph - what the pickle machine builds: nodes that refer to each other by number, so that sharing and even
 * cycles are harmless until a value is made of them.
 *
 * pickle_read.c runs the opcodes, pickle_call.c is asked at those that would call something, pickle_build.c makes an
 * h5ckpt_value of the graph, pickle_numpy.c the arrays in it.
 *
 * The limits keep the memory for a pickle under 64 MB whatever it says (32 bytes a node, 4 an item), or, where they grow
 * with it, under some fifteen times its size.
 */
#ifndef H5CK_PARSE_PICKLE_GRAPH_H
#define H5CK_PARSE_PICKLE_GRAPH_H

#include "base/arena.h"
#include "model/dict.h"
#include "parse/pickle.h"
#include "parse/pickle_ops.h"

#include <stdbool.h>

enum {
    H5CK_PICKLE_CHUNK = 1024 /* nodes allocated at a time */
};

/* What one pickle may take; the more, the larger it is (h5ck_pickle_policy's `large`). */
typedef struct h5ck_pickle_limits {
    size_t values, bytes; /* H5CK_PICKLE_NODES, H5CK_PICKLE_BYTES */
    size_t objects;       /* nodes, stack entries, memo indices, and items put into containers: twice the values */
} h5ck_pickle_limits;

h5ck_pickle_limits h5ck_pickle_limits_of(bool large, uint64_t len);

typedef enum h5ck_pickle_kind {
    H5CK_NODE_NONE,
    H5CK_NODE_BOOL,
    H5CK_NODE_INT,
    H5CK_NODE_BIGINT, /* trimmed two's complement */
    H5CK_NODE_FLOAT,
    H5CK_NODE_TEXT,       /* UTF-8 */
    H5CK_NODE_TEXT_RAW,   /* raw-unicode-escape */
    H5CK_NODE_STR2,       /* Python 2's str */
    H5CK_NODE_STR2_QUOTE, /* the same, quoted */
    H5CK_NODE_BYTES,
    H5CK_NODE_ENCODE, /* _codecs.encode(a, 'latin1') */
    H5CK_NODE_TUPLE,
    H5CK_NODE_LIST,
    H5CK_NODE_DICT,     /* items: key, value, key, value */
    H5CK_NODE_GLOBAL,   /* a: module, b: name, both TEXT; count: an h5ck_pickle_callable */
    H5CK_NODE_INSTANCE, /* a: its class; count: the dict of its fields + 1, or 0 */
    H5CK_NODE_CALL,     /* items: what a global gave that may be called, see h5ck_pickle_call_part */
    H5CK_NODE_PERSID,   /* a: its id */
    H5CK_NODE_BYTEARRAY,
    H5CK_NODE_DTYPE,  /* a: h5ckpt_dtype; count: 1 once its state is known */
    H5CK_NODE_SCALAR, /* a: dtype, b: bytes */
    H5CK_NODE_ARRAY   /* count: the tuple of its state + 1, or 0 */
} h5ck_pickle_kind;

/* The items of a CALL; all but the first two are a node + 1, or 0. */
enum {
    H5CK_CALL_CLASS, /* the global */
    H5CK_CALL_ARGS,  /* a tuple */
    H5CK_CALL_STATE, /* of BUILD */
    H5CK_CALL_ITEMS, /* the dict of SETITEMS */
    H5CK_CALL_LIST,  /* the list of APPENDS */
    H5CK_CALL_PARTS
};

enum {
    H5CK_NODE_LONG = 1,       /* INT, BIGINT: written as a Python 2 `long` would be */
    H5CK_NODE_KEPT = 2,       /* TEXT, STR2, BYTES, BIGINT: `data` lies in the value's arena, with a zero behind it */
    H5CK_NODE_OPEN = 4,       /* a value is being made of it: meeting it again is a cycle */
    H5CK_NODE_FROZEN = 8,     /* DICT: already used up by BUILD; later changes would get lost */
    H5CK_NODE_ALLOWED = 16,   /* GLOBAL: the policy allowed an instance of it */
    H5CK_NODE_SWAP = 32,      /* DTYPE: big-endian */
    H5CK_NODE_NEW = 64,       /* CALL: by NEWOBJ */
    H5CK_NODE_BUFFER = 128,   /* ARRAY: of _frombuffer, whose arguments are its state */
    H5CK_NODE_UNCHECKED = 256 /* TEXT: long, and not yet known to be UTF-8 */
};

typedef struct h5ck_pickle_node {
    union {
        int64_t i;
        double f;
        const unsigned char *data; /* `count` bytes */
        uint32_t *items;           /* `count` node numbers; room for the next power of two */
        struct {
            uint32_t a, b;
        } ref;
    } u;
    uint64_t at; /* offset of its opcode */
    uint64_t count;
    unsigned char kind;
    unsigned short flags;
} h5ck_pickle_node;

/* The globals that are understood. What they do is known here; they are never looked up. */
typedef enum h5ck_pickle_callable {
    H5CK_CALL_NONE,
    H5CK_CALL_DATA, /* not understood; the policy allows it as data */
    H5CK_CALL_SCALAR,
    H5CK_CALL_RECONSTRUCT,
    H5CK_CALL_FROMBUFFER,
    H5CK_CALL_NDARRAY,
    H5CK_CALL_DTYPE,
    H5CK_CALL_ENCODE,
    H5CK_CALL_BYTES,
    H5CK_CALL_RECONSTRUCTOR,
    H5CK_CALL_OBJECT
} h5ck_pickle_callable;

typedef struct h5ck_pickle_graph {
    h5ck_arena arena;          /* nodes, items, decoded numbers */
    h5ck_pickle_node **chunks; /* malloc'd */
    size_t chunk_room;
    h5ck_pickle_limits limits;
    const h5ck_pickle_policy *policy; /* may be NULL */
    uint32_t count;
    uint32_t items; /* put into containers, all together */
    bool python2;   /* written by Python 2 */
    h5ckpt_error **err;
} h5ck_pickle_graph;

/* The first nodes of every graph. */
enum { H5CK_NODE_AT_NONE, H5CK_NODE_AT_FALSE, H5CK_NODE_AT_TRUE, H5CK_NODE_AT_EMPTY_TUPLE };

static inline h5ck_pickle_node *h5ck_pickle_at(const h5ck_pickle_graph *g, uint32_t index)
{
    return &g->chunks[index / H5CK_PICKLE_CHUNK][index % H5CK_PICKLE_CHUNK];
}

/* ---- pickle_read.c ---- */

/* A new node; its number in *index. */
int h5ck_pickle_add(h5ck_pickle_graph *g, h5ck_pickle_kind kind, uint64_t at, uint32_t *index);

/* "a list", "an int": for messages. */
const char *h5ck_pickle_kind_name(const h5ck_pickle_node *n);

/* ---- pickle_call.c: the opcodes that would call something. `at` is the opcode's offset. ---- */

int h5ck_pickle_global(h5ck_pickle_graph *g, uint64_t at, uint32_t module, uint32_t name, uint32_t *index);
/* True for a global that is one of the constructors of plain data, and so never an object's class. */
bool h5ck_pickle_understands(const char *module, const char *name);
int h5ck_pickle_reduce(h5ck_pickle_graph *g, uint64_t at, uint32_t callable, uint32_t args, uint32_t *index);
int h5ck_pickle_newobj(h5ck_pickle_graph *g, uint64_t at, uint32_t class_, uint32_t args, uint32_t *index);
int h5ck_pickle_set_state(h5ck_pickle_graph *g, uint64_t at, uint32_t target, uint32_t state);
/* The dict or list that SETITEMS or APPENDS fills: the node itself, or a CALL's. */
int h5ck_pickle_fillable(h5ck_pickle_graph *g, uint64_t at, h5ck_pickle_kind kind, uint32_t target, uint32_t *index);
/* "module name" for messages, in `out`. */
const char *h5ck_pickle_global_name(const h5ck_pickle_graph *g, const h5ck_pickle_node *global, char *out, size_t room);

/* ---- pickle_build.c ---- */

typedef struct h5ck_pickle_build {
    h5ck_pickle_graph *g;
    const h5ck_pickle_policy *policy;
    h5ck_arena *arena;    /* of the value */
    size_t values, bytes; /* made so far */
    h5ck_dict texts;      /* text -> the node that it was last */
    uint64_t at;          /* offset of the last value begun */
    h5ckpt_error **err;
} h5ck_pickle_build;

/* Makes the value; checks that every global in the pickle was allowed. */
int h5ck_pickle_make(h5ck_pickle_build *b, uint32_t root, h5ckpt_value *value);

/* Where a node stands. Constants stand nowhere: then near the last value begun. */
static inline uint64_t h5ck_pickle_offset(const h5ck_pickle_build *b, const h5ck_pickle_node *n)
{
    return n->at ? n->at : b->at;
}

/* Counts bytes against the limit. */
int h5ck_pickle_charge(h5ck_pickle_build *b, const h5ck_pickle_node *n, size_t bytes);
/* Decodes a string-like node in place, so that its kind is TEXT, STR2 or BYTES and its data is KEPT. */
int h5ck_pickle_keep(h5ck_pickle_build *b, h5ck_pickle_node *n);

/* ---- pickle_numpy.c: SCALAR and ARRAY nodes ---- */

int h5ck_pickle_make_scalar(h5ck_pickle_build *b, const h5ck_pickle_node *n, h5ckpt_value *value);
int h5ck_pickle_make_array(h5ck_pickle_build *b, const h5ck_pickle_node *n, h5ckpt_value *value);
/* DTYPE: numpy.dtype's arguments, and its state. `n` is the DTYPE node. */
int h5ck_pickle_dtype_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args, h5ck_pickle_node *n);
int h5ck_pickle_dtype_state(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *state, h5ck_pickle_node *n);
/* Whether the arguments are those that NumPy gives _reconstruct, _frombuffer; and those of scalar. */
int h5ck_pickle_reconstruct_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args);
int h5ck_pickle_frombuffer_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args);
int h5ck_pickle_scalar_args(h5ck_pickle_graph *g, uint64_t at, const h5ck_pickle_node *args, h5ck_pickle_node *n);

/* ---- pickle_keys.c ---- */

/* Drops repeated keys as Python's dict does: the first key stays where it is, with the last value. n log n. */
int h5ck_pickle_unique(h5ckpt_field *fields, size_t *count, h5ckpt_error **err);

#endif
