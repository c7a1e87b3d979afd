/*
 * pickle - plain data out of a pickle and back, executing nothing.
 *
 * Reading takes protocols 0 to 5 as far as they hold plain data (none, bool, int, float, str, bytes, list, tuple,
 * dict), NumPy arrays and scalars, and instances of classes that the caller's policy allows. A class is a name here:
 * nothing is imported, called or resolved. Writing emits what CPython's C pickler emits for protocol 2, memo and all.
 *
 * Allowed constructors, all else is refused by name: numpy.core.multiarray (or numpy._core.multiarray) scalar and
 * _reconstruct of numpy ndarray, _frombuffer (protocol 5), numpy dtype, _codecs encode to latin1, __builtin__ (or builtins) bytes of nothing, and
 * copy_reg (or copyreg) _reconstructor of object. Instances are NEWOBJ without arguments, with or without a BUILD. A
 * policy for a whole state allows more, as data: calls by name, persistent ids; and it takes NumPy arrays where they are.
 *
 * Refused, each H5CKPT_INVALID with the offset: any other global, used or not; other persistent ids, extension codes,
 * INST, OBJ, sets, bytearrays, buffers outside of the pickle; a stack that underflows, lengths past the end, bytes behind
 * STOP; a str with a zero byte or a surrogate, unhashable keys, values nested deeper than H5CK_VALUE_DEPTH, values that
 * contain themselves, and values that grow, when sharing is undone, beyond H5CK_PICKLE_NODES and H5CK_PICKLE_BYTES.
 * Memory stays below the file's size plus 64 MB; of a state, below some fifty times its size plus that (of elements in it, which are
 * left where they are, no more than before).
 *
 * Python 2's `str` and `long` come out with python2 = 1, a `str` as STR where it is UTF-8 without zero bytes, else as
 * BYTES (src/parse/pickle_read.c says how Python 2's pickles are told from Python 3's). Such values are written as
 * Python 2 writes them, so that Python 2 finds equal values of equal types; the bytes may differ.
 *
 * Sources: CPython's pickletools documentation of each opcode; NumPy's __reduce__ forms; what CPython 2.7, 3.7 and 3.11
 * write.
 */
#ifndef H5CK_PARSE_PICKLE_H
#define H5CK_PARSE_PICKLE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>

/* Values, and bytes of text and array elements, in one pickle, counted after sharing is undone. */
enum { H5CK_PICKLE_NODES = 1 << 18, H5CK_PICKLE_BYTES = 1 << 24, H5CK_PICKLE_ALIGN = 64 };

/* Where the elements of a NumPy array are. */
typedef enum h5ck_pickle_storage {
    H5CK_PICKLE_RAW,    /* `data` lies in the pickle */
    H5CK_PICKLE_LATIN1, /* the same; it is UTF-8 of which each character up to U+00FF is a byte (not checked yet) */
    H5CK_PICKLE_MEMORY  /* `data` lies in the value's arena: it was text with escapes */
} h5ck_pickle_storage;

typedef struct h5ck_pickle_array {
    h5ckpt_dtype dtype;
    size_t rank;
    const uint64_t *shape; /* in the value's arena */
    uint64_t nbytes;       /* of the elements; `len` is the same but of LATIN1 */
    bool fortran;          /* column-major; of two axes or more */
    bool big_endian;
    uint64_t at; /* where in the pickle its opcode is */
    h5ck_pickle_storage storage;
    const unsigned char *data;
    size_t len;
} h5ck_pickle_array;

/* What may be in a pickle besides plain data. All may be NULL or false. */
typedef struct h5ck_pickle_policy {
    /* Says whether an instance may be read. Non-zero: its code; the reason is in *err. */
    int (*check_object)(void *user, const h5ckpt_object *object, h5ckpt_error **err);
    void *user;
    /* Whether a global may be called, or stand alone, as data. What it gives is an H5CKPT_OBJECT of that module and
     * class, whose fields say what would be done, and is not: "args" (a tuple; "new" where it is NEWOBJ's), then "state"
     * (of BUILD), "items" (a dict, of SETITEM) and "list" (of APPEND) where there are any. One that stands alone has no
     * fields. */
    bool (*allows)(void *user, const char *module, const char *name);
    /* Takes a NumPy array (not a scalar), and gives the value that stands for it. `array` is borrowed. */
    int (*take_array)(void *user, const h5ck_pickle_array *array, h5ckpt_value *value, h5ckpt_error **err);
    bool persistent; /* persistent ids: an H5CKPT_OBJECT of module "" and this class, with the field "id" */
    bool large;      /* a whole state: the limits grow with the pickle */
} h5ck_pickle_policy;

#define H5CK_PICKLE_PERSISTENT "persistent_id"

/* Reads one pickle that fills the whole buffer; *value and all below it lie in the arena. */
int h5ck_pickle_read(const unsigned char *data, size_t len, const h5ck_pickle_policy *policy, h5ck_arena *arena,
                     h5ckpt_value *value, h5ckpt_error **err);

/* Appends the protocol 2 pickle of a value. */
int h5ck_pickle_write(const h5ckpt_value *value, h5ck_buf *out, h5ckpt_error **err);

/* How a whole state is written. */
typedef struct h5ck_pickle_style {
    int protocol; /* 2, or 4: bytes as they are, and no Python 2 */
    /* What may be written, in the reader's terms: a global that it would not allow, or an instance, is refused. */
    const h5ck_pickle_policy *policy;
    /* Whether an object stands for a tensor, whose elements become a NumPy array's; may be NULL (and, set, needs protocol
     * 4). `gap` is told where they belong: the pickle goes on behind out->data[before], once the elements are between. */
    const struct h5ckpt_tensor *(*find_tensor)(void *user, const h5ckpt_object *object);
    int (*gap)(void *user, size_t before, const struct h5ckpt_tensor *tensor, h5ckpt_error **err);
    void *user;
} h5ck_pickle_style;

/* Appends a pickle. With gaps it is a part of one, the rest of which only the mover writes; elements then begin at
 * multiples of H5CK_PICKLE_ALIGN, counted from the pickle's first byte. */
int h5ck_pickle_write_as(const h5ckpt_value *value, const h5ck_pickle_style *style, h5ck_buf *out, h5ckpt_error **err);

/* Appends a listing of the opcodes, one a line: offset, name, argument. Stops at the first that is not valid. */
void h5ck_pickle_list(const unsigned char *data, size_t len, h5ck_buf *out);

#endif
