/*
 * err.c - an error object is one block: the public struct, then what is needed to compose its message anew when the
 * code above learns the file or the tensor. Out of memory is a static object, so that it can always be reported.
 */
#include "base/err.h"

#include "base/buf.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct full_error {
    h5ckpt_error public; /* first: the two have one address */
    char *what, *message, *path, *tensor, *part;
} full_error;

static h5ckpt_error out_of_memory = {H5CKPT_SYSTEM, "out of memory", NULL, NULL, H5CKPT_NO_OFFSET};

/* "path: 'tensor': offset 12: what", with what is known. Names come from strangers: a message stays one line. */
static void compose(full_error *e)
{
    h5ck_buf m = H5CK_BUF_INIT;
    if (e->path) {
        h5ck_buf_printable(&m, e->path);
        h5ck_buf_str(&m, ": ");
    }
    if (e->tensor) {
        h5ck_buf_str(&m, "'");
        h5ck_buf_printable(&m, e->tensor);
        h5ck_buf_str(&m, "': ");
    }
    if (e->part) {
        h5ck_buf_str(&m, "'");
        h5ck_buf_printable(&m, e->part);
        h5ck_buf_str(&m, "': ");
    }
    if (e->public.offset != H5CKPT_NO_OFFSET)
        h5ck_buf_printf(&m, "offset %" PRIu64 ": ", e->public.offset);
    h5ck_buf_printable(&m, e->what);
    const char *text = h5ck_buf_cstr(&m);
    if (!text) {
        h5ck_buf_free(&m);
        return; /* the former message, less complete, stays */
    }
    free(e->message);
    e->message = (char *)m.data; /* the buffer's memory is the error's from here on */
    e->public.message = text;
}

static int set(h5ckpt_error **err, int code, uint64_t offset, const char *fmt, va_list args)
{
    if (!err || *err)
        return code;
    full_error *e = calloc(1, sizeof *e);
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (e && n >= 0 && (e->what = malloc((size_t)n + 1))) {
        vsnprintf(e->what, (size_t)n + 1, fmt, again);
        e->public = (h5ckpt_error){.code = (h5ckpt_code)code, .message = e->what, .offset = offset};
        compose(e);
        *err = &e->public;
    } else {
        free(e);
        *err = &out_of_memory;
    }
    va_end(again);
    return code;
}

int h5ck_fail(h5ckpt_error **err, int code, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set(err, code, H5CKPT_NO_OFFSET, fmt, args);
    va_end(args);
    return code;
}

int h5ck_fail_at(h5ckpt_error **err, uint64_t offset, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    set(err, H5CKPT_INVALID, offset, fmt, args);
    va_end(args);
    return H5CKPT_INVALID;
}

int h5ck_fail_errno(h5ckpt_error **err, const char *path, const char *what)
{
    int reason = errno;
    h5ck_fail(err, H5CKPT_SYSTEM, "%s: %s", what, strerror(reason));
    return h5ck_err_where(err, H5CKPT_SYSTEM, path, NULL);
}

int h5ck_fail_nomem(h5ckpt_error **err)
{
    if (err && !*err)
        *err = &out_of_memory;
    return H5CKPT_SYSTEM;
}

static bool add(char **slot, const char *s)
{
    if (*slot || !s)
        return false;
    size_t n = strlen(s) + 1;
    *slot = malloc(n);
    if (*slot)
        memcpy(*slot, s, n);
    return *slot != NULL;
}

int h5ck_err_part(h5ckpt_error **err, int rc, const char *part)
{
    if (!err || !*err || *err == &out_of_memory)
        return rc;
    full_error *e = (full_error *)*err;
    if (add(&e->part, part))
        compose(e);
    return rc;
}

int h5ck_err_where(h5ckpt_error **err, int rc, const char *path, const char *tensor)
{
    if (!err || !*err || *err == &out_of_memory)
        return rc;
    full_error *e = (full_error *)*err;
    bool changed = add(&e->path, path);
    changed |= add(&e->tensor, tensor);
    e->public.path = e->path;
    e->public.tensor = e->tensor;
    if (changed)
        compose(e);
    return rc;
}

void h5ckpt_error_free(h5ckpt_error *err)
{
    if (!err || err == &out_of_memory)
        return;
    full_error *e = (full_error *)err;
    free(e->what);
    free(e->message);
    free(e->path);
    free(e->tensor);
    free(e->part);
    free(e);
}
