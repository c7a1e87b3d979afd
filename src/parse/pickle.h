/*
 * pickle - plain data out of a pickle and back, executing nothing.
 *
 * Reading takes protocols 0 to 5 as far as they hold plain data (none, bool, int, float, str, bytes, list, tuple,
 * dict), NumPy arrays and scalars, and instances of classes that the caller's policy allows. A class is a name here:
 * nothing is imported, called or resolved. Writing emits what CPython's C pickler emits for protocol 2, memo and all.
 *
 * Allowed constructors, all else is refused by name: numpy.core.multiarray (or numpy._core.multiarray) scalar and
 * _reconstruct of numpy ndarray, numpy dtype, _codecs encode to latin1, __builtin__ (or builtins) bytes of nothing, and
 * copy_reg (or copyreg) _reconstructor of object. Instances are NEWOBJ without arguments, with or without a BUILD.
 *
 * Refused, each H5CKPT_INVALID with the offset: any other global, used or not; persistent ids, extension codes, INST,
 * OBJ, sets, bytearrays, buffers outside of the pickle; a stack that underflows, lengths past the end, bytes behind
 * STOP; a str with a zero byte or a surrogate, unhashable keys, values nested deeper than H5CK_VALUE_DEPTH, values that
 * contain themselves, and values that grow, when sharing is undone, beyond H5CK_PICKLE_NODES and H5CK_PICKLE_BYTES.
 * Memory stays below the file's size plus 64 MB.
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

/* Values, and bytes of text and array elements, in one pickle, counted after sharing is undone. */
enum { H5CK_PICKLE_NODES = 1 << 18, H5CK_PICKLE_BYTES = 1 << 24 };

/* Says whether an instance may be read. Non-zero: its code; the reason is in *err. */
typedef struct h5ck_pickle_policy {
    int (*check_object)(void *user, const h5ckpt_object *object, h5ckpt_error **err);
    void *user;
} h5ck_pickle_policy;

/* Reads one pickle that fills the whole buffer; *value and all below it lie in the arena. */
int h5ck_pickle_read(const unsigned char *data, size_t len, const h5ck_pickle_policy *policy, h5ck_arena *arena,
                     h5ckpt_value *value, h5ckpt_error **err);

/* Appends the protocol 2 pickle of a value. */
int h5ck_pickle_write(const h5ckpt_value *value, h5ck_buf *out, h5ckpt_error **err);

/* Appends a listing of the opcodes, one a line: offset, name, argument. Stops at the first that is not valid. */
void h5ck_pickle_list(const unsigned char *data, size_t len, h5ck_buf *out);

#endif
