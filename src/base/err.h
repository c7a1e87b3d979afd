/*
 * err - the error object: what, which file, which tensor, which offset. The first error wins.
 *
 * Deep code says what it found (h5ck_fail, h5ck_fail_at); the code above it that knows the file and the tensor adds
 * them (h5ck_err_where), and the one-line message is composed anew. Every call here takes `err` NULL.
 *
 *     return h5ck_fail_at(err, 12, "expected version 0, found %u", version);
 *     ...
 *     if (rc) return h5ck_err_where(err, rc, path, NULL);      -> "save_dir/w: offset 12: expected version 0, found 7"
 *
 * Ownership: *err belongs to the caller of the public call, who frees it with h5ckpt_error_free. Strings are copied.
 */
#ifndef H5CK_BASE_ERR_H
#define H5CK_BASE_ERR_H

#include <h5ckpt.h>

#if defined(__GNUC__) || defined(__clang__)
#define H5CK_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define H5CK_PRINTF(fmt, args)
#endif

/* Sets *err (unless it is set already) and returns `code`. */
int h5ck_fail(h5ckpt_error **err, int code, const char *fmt, ...) H5CK_PRINTF(3, 4);

/* The input is not valid, at `offset` of the file being read. Returns H5CKPT_INVALID. */
int h5ck_fail_at(h5ckpt_error **err, uint64_t offset, const char *fmt, ...) H5CK_PRINTF(3, 4);

/* The system refused: "<path>: <what>: <strerror(errno)>". Returns H5CKPT_SYSTEM; ENOENT and ENOTDIR on a source are
 * the caller's to turn into H5CKPT_INVALID. */
int h5ck_fail_errno(h5ckpt_error **err, const char *path, const char *what);

/* Out of memory. Returns H5CKPT_SYSTEM. Needs no memory. */
int h5ck_fail_nomem(h5ckpt_error **err);

/* Adds which attribute or field of the tensor or decay it is about, where *err does not say one yet. Returns `rc`. */
int h5ck_err_part(h5ckpt_error **err, int rc, const char *part);

/* Adds what *err does not say yet: its file and its tensor (either may be NULL). Returns `rc` unchanged. */
int h5ck_err_where(h5ckpt_error **err, int rc, const char *path, const char *tensor);

#endif
