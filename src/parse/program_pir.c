/*
 * program_pir.c - the declarations of parameters in a program of Paddle 3, which is JSON:
 *
 *     {"base_code": {"magic": "pir", ...},
 *      "program": {"regions": [{"blocks": [{"ops": [OP, ...]}]}]}}
 *
 * A parameter is an operation called "p" (for builtin.parameter), of the program's first block:
 *
 *     {"#": "p", "A": [0, 1, 1, "linear_0.w_0"], "OA": [1, 0, 1],
 *      "O": {"%": 7, "TT": {"#": "0.t_dtensor", "D": [{"#": "0.t_f32"}, [4, 3], "NCHW", [], 0]}}}
 *
 * A holds the name, OA first whether it is persistable, O the type of what it gives. Everything else is stepped over. The
 * file of parameters is sorted by name, whatever their order here. Source: files of Paddle 3.3.1.
 */
#include "parse/program.h"

#include "base/text.h"
#include "model/dtype.h"
#include "model/tensor.h"
#include "parse/json.h"

#include <string.h>

enum { KEY = 16, MAX_NAME = 1 << 16 };

/* A parameter, as far as it was read. */
typedef struct parameter {
    bool is, transient; /* an operation "p"; one that is not persistable */
    h5ck_program_var var;
    int64_t shape[H5CK_MAX_RANK];
} parameter;

typedef struct walk {
    h5ck_json json;
    h5ck_arena *arena;
    h5ck_program *program;
    bool magic;  /* it says "pir" */
    bool blocks; /* there is a block */
    parameter p; /* the operation being read */
    h5ckpt_error **err;
} walk;

/* Is handed each member of an object or array: its key ("" in an array), its index, and its value's first token. It
 * reads the value to its end. */
typedef int member(walk *w, const char *key, size_t index, const h5ck_json_token *value);

/* Reads the value that begins with *t, which should be of this kind; another one is stepped over. */
static int each(walk *w, h5ck_json_kind kind, const h5ck_json_token *t, member *visit)
{
    if (t->kind != kind)
        return h5ck_json_skip(&w->json, t, w->err);
    for (size_t i = 0;; i++) {
        char key[KEY] = "";
        h5ck_json_token value;
        int rc = h5ck_json_next(&w->json, &value, w->err);
        if (rc || value.kind == H5CK_JSON_CLOSE)
            return rc;
        if (value.kind == H5CK_JSON_KEY) {
            if (value.len < sizeof key) /* a longer one is none of ours */
                memcpy(key, value.str, value.len);
            rc = h5ck_json_next(&w->json, &value, w->err);
        }
        if (rc == 0)
            rc = visit(w, key, i, &value);
        if (rc)
            return rc;
    }
}

static bool says(const h5ck_json_token *t, const char *s)
{
    return t->kind == H5CK_JSON_STRING && t->len == strlen(s) && memcmp(t->str, s, t->len) == 0;
}

/* ---- A type: "0.t_f8e4m3fn" ---- */

/* float8_e4m3fn is f8e4m3fn here: its name, with the kind's first letters, and without lines. */
static bool is_short_for(const char *s, size_t n, const char *name)
{
    static const char *const kinds[][2] = {
        {"bf", "bfloat"}, {"f", "float"}, {"ui", "uint"}, {"i", "int"}, {"c", "complex"}};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        size_t letters = strlen(kinds[k][0]), whole = strlen(kinds[k][1]);
        if (n > letters && memcmp(s, kinds[k][0], letters) == 0 && strncmp(name, kinds[k][1], whole) == 0) {
            s += letters;
            n -= letters;
            name += whole;
            break;
        }
    }
    for (; n && *name; name++)
        if (*name != '_') {
            if (*s != *name)
                return false;
            s++;
            n--;
        }
    return n == 0 && !*name;
}

static int read_element(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    if (strcmp(key, "#") == 0 && t->kind == H5CK_JSON_STRING) {
        const char *type = t->len ? memchr(t->str, '_', t->len) : NULL;
        const h5ck_dtype *row;
        for (size_t i = 0; type && (row = h5ck_dtype_at(i)); i++)
            if (is_short_for(type + 1, t->len - (size_t)(type + 1 - t->str), row->name))
                w->p.var.dtype = row->id;
    }
    return h5ck_json_skip(&w->json, t, w->err);
}

static int read_dim(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    if (t->kind != H5CK_JSON_INT)
        return h5ck_json_refuse(&w->json, t, "a dimension", w->err);
    if (index >= H5CK_MAX_RANK)
        return h5ck_fail_at(w->err, t->begin, "expected at most %d dimensions, found more", H5CK_MAX_RANK);
    w->p.shape[index] = t->i;
    w->p.var.rank = index + 1;
    return 0;
}

/* [{"#": "0.t_f32"}, [4, 3], ...] */
static int read_type(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    if (index == 0)
        return each(w, H5CK_JSON_OBJECT, t, read_element);
    if (index == 1 && t->kind == H5CK_JSON_ARRAY)
        w->p.var.typed = true;
    return index == 1 ? each(w, H5CK_JSON_ARRAY, t, read_dim) : h5ck_json_skip(&w->json, t, w->err);
}

/* {"#": "0.t_dtensor", "D": ...} */
static int read_tensor_type(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    return strcmp(key, "D") == 0 ? each(w, H5CK_JSON_ARRAY, t, read_type) : h5ck_json_skip(&w->json, t, w->err);
}

static int read_result(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    return strcmp(key, "TT") == 0 ? each(w, H5CK_JSON_OBJECT, t, read_tensor_type)
                                  : h5ck_json_skip(&w->json, t, w->err);
}

/* ---- Operations ---- */

static int read_argument(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    (void)index;
    if (t->kind != H5CK_JSON_STRING)
        return h5ck_json_skip(&w->json, t, w->err);
    if (t->len > MAX_NAME || !h5ck_text_is_utf8(t->str, t->len))
        return h5ck_json_refuse(&w->json, t, "the name of a parameter, without zeros, of at most 65536 bytes", w->err);
    w->p.var.name = h5ck_arena_strndup(w->arena, t->str, t->len);
    return w->p.var.name ? 0 : h5ck_fail_nomem(w->err);
}

static int read_flag(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    if (index == 0 && t->kind == H5CK_JSON_INT && t->i == 0)
        w->p.transient = true;
    return h5ck_json_skip(&w->json, t, w->err);
}

/* Whose members come in any order; Paddle's begin with "#", and what is no parameter's is not looked at then. */
static int read_op(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    if (strcmp(key, "#") == 0) {
        w->p.is = says(t, "p") || says(t, "0.parameter") || says(t, "builtin.parameter");
        return h5ck_json_skip(&w->json, t, w->err);
    }
    if (index && !w->p.is)
        return h5ck_json_skip(&w->json, t, w->err);
    if (strcmp(key, "A") == 0)
        return each(w, H5CK_JSON_ARRAY, t, read_argument);
    if (strcmp(key, "OA") == 0)
        return each(w, H5CK_JSON_ARRAY, t, read_flag);
    if (strcmp(key, "O") == 0)
        return each(w, H5CK_JSON_OBJECT, t, read_result);
    return h5ck_json_skip(&w->json, t, w->err);
}

static int read_each_op(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    (void)index;
    memset(&w->p, 0, sizeof w->p);
    int rc = each(w, H5CK_JSON_OBJECT, t, read_op);
    if (rc || !w->p.is || w->p.transient)
        return rc;
    if (!w->p.var.name)
        return h5ck_json_refuse(&w->json, t, "a parameter with a name", w->err);
    w->p.var.shape = h5ck_arena_memdup(w->arena, w->p.shape, w->p.var.rank * sizeof *w->p.shape);
    return w->p.var.shape ? h5ck_program_add(w->program, &w->p.var, w->arena, w->err) : h5ck_fail_nomem(w->err);
}

/* ---- From the outside in ---- */

static int read_block(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    return strcmp(key, "ops") == 0 ? each(w, H5CK_JSON_ARRAY, t, read_each_op) : h5ck_json_skip(&w->json, t, w->err);
}

static int read_blocks(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    w->blocks = true;
    return index == 0 ? each(w, H5CK_JSON_OBJECT, t, read_block) : h5ck_json_skip(&w->json, t, w->err);
}

static int read_region(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    return strcmp(key, "blocks") == 0 ? each(w, H5CK_JSON_ARRAY, t, read_blocks) : h5ck_json_skip(&w->json, t, w->err);
}

static int read_regions(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)key;
    return index == 0 ? each(w, H5CK_JSON_OBJECT, t, read_region) : h5ck_json_skip(&w->json, t, w->err);
}

static int read_program(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    return strcmp(key, "regions") == 0 ? each(w, H5CK_JSON_ARRAY, t, read_regions)
                                       : h5ck_json_skip(&w->json, t, w->err);
}

static int read_base(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    if (strcmp(key, "magic") == 0)
        w->magic = says(t, "pir");
    return h5ck_json_skip(&w->json, t, w->err);
}

static int read_root(walk *w, const char *key, size_t index, const h5ck_json_token *t)
{
    (void)index;
    if (strcmp(key, "base_code") == 0)
        return each(w, H5CK_JSON_OBJECT, t, read_base);
    return strcmp(key, "program") == 0 ? each(w, H5CK_JSON_OBJECT, t, read_program)
                                       : h5ck_json_skip(&w->json, t, w->err);
}

int h5ck_program_read_pir(const char *text, size_t len, h5ck_arena *arena, h5ck_program *program, h5ckpt_error **err)
{
    walk w = {.arena = arena, .program = program, .err = err};
    h5ck_json_token t;
    h5ck_json_begin(&w.json, text, len, 0);
    int rc = h5ck_json_expect(&w.json, H5CK_JSON_OBJECT, &t, err);
    if (rc == 0)
        rc = each(&w, H5CK_JSON_OBJECT, &t, read_root);
    if (rc == 0)
        rc = h5ck_json_expect(&w.json, H5CK_JSON_END, &t, err);
    h5ck_json_end(&w.json);
    if (rc == 0 && (!w.magic || !w.blocks))
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a program of Paddle 3, found other JSON");
    h5ck_program_sort(program);
    return rc;
}
