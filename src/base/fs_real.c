/*
 * fs_real.c - real paths, and what a file of a stranger may call another file.
 *
 * A name in such a file is text that somebody else wrote: absolute, full of "..", led astray by a symbolic link. Two
 * looks decide whether it stays below a folder. First as text: a name that says that it leads out is refused before the
 * system hears of it. Then as the system resolves it (realpath(3), which opens nothing): a link below the folder may
 * lead out as well. What is left is a real path, and is opened part by part without following any link, so that a link
 * which is put there in between changes nothing.
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/fs_path.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

int h5ck_fs_real_path(const char *path, h5ck_arena *arena, const char **real, h5ckpt_error **err)
{
    char *found = realpath(path, NULL);
    int rc = 0;
    if (found)
        rc = (*real = h5ck_arena_strdup(arena, found)) ? 0 : h5ck_fail_nomem(err);
    else if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == ENAMETOOLONG)
        rc = h5ck_fail(err, H5CKPT_INVALID, "cannot find: %s", strerror(errno));
    else
        rc = h5ck_fail_errno(err, NULL, "cannot find");
    free(found);
    return rc ? h5ck_err_where(err, rc, path, NULL) : 0;
}

int h5ck_fs_real_parent(const char *path, h5ck_arena *arena, const char **real, h5ckpt_error **err)
{
    size_t n = h5ck_fs_trimmed(path);
    while (n > 0 && path[n - 1] != '/')
        n--;
    const char *dir = n ? h5ck_arena_strndup(arena, path, n) : ".";
    return dir ? h5ck_fs_real_path(dir, arena, real, err) : h5ck_fail_nomem(err);
}

const char *h5ck_fs_behind(const char *dir, const char *path)
{
    size_t n = strcmp(dir, "/") == 0 ? 0 : strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/' && path[n + 1] ? path + n + 1 : NULL;
}

const char *h5ck_fs_from(const char *dir, const char *path, h5ck_arena *arena)
{
    size_t shared = 0; /* up to and with the last slash behind equal parts */
    const char *d = strcmp(dir, "/") == 0 ? "" : dir;
    for (size_t i = 0; d[i] ? d[i] == path[i] : path[i] == '/'; i++) {
        if (path[i] == '/')
            shared = i + 1;
        if (!d[i])
            break;
    }
    h5ck_buf b = H5CK_BUF_INIT;
    for (const char *p = shared <= strlen(d) ? d + shared : ""; *p; p += strspn(p, "/")) {
        h5ck_buf_str(&b, "../");
        p += strcspn(p, "/");
    }
    h5ck_buf_str(&b, path + shared);
    const char *text = h5ck_buf_cstr(&b), *kept = text ? h5ck_arena_strdup(arena, text) : NULL;
    h5ck_buf_free(&b);
    return kept;
}

/* Takes "", "." and ".." out of an absolute path, as text. */
static void tidy(h5ck_buf *b, const char *path)
{
    for (const char *p = path; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 2 && memcmp(p, "..", 2) == 0) {
            while (b->len && b->data[--b->len] != '/')
                ;
        } else if (n && !(n == 1 && *p == '.')) {
            h5ck_buf_str(b, "/");
            h5ck_buf_add(b, p, n);
        }
        p += n;
    }
}

static int fail_outside(h5ckpt_error **err, const char *dir, const char *name)
{
    return h5ck_fail(err, H5CKPT_INVALID,
                     "expected a file below %s, found '%s' (--allow-external=anywhere reads it all the same)", dir,
                     name);
}

int h5ck_fs_find(const char *dir, const char *name, bool below, h5ck_arena *arena, const char **root,
                 const char **relative, h5ckpt_error **err)
{
    h5ck_buf whole = H5CK_BUF_INIT, plain = H5CK_BUF_INIT;
    const char *real = NULL;
    int rc = 0;
    *root = *relative = NULL;
    if (!*name)
        return h5ck_fail(err, H5CKPT_INVALID, "expected the name of a file, found an empty one");
    h5ck_buf_printf(&whole, "%s%s%s", *name == '/' ? "" : dir, *name == '/' ? "" : "/", name);
    const char *path = h5ck_buf_cstr(&whole);
    if (path)
        tidy(&plain, path);
    const char *text = h5ck_buf_cstr(&plain);
    if (!path || !text)
        rc = h5ck_fail_nomem(err);
    else if (below && !h5ck_fs_behind(dir, text))
        rc = fail_outside(err, dir, name);
    else if (!below)
        rc = (*root = h5ck_arena_strdup(arena, path)) ? 0 : h5ck_fail_nomem(err);
    else if ((rc = h5ck_fs_real_path(path, arena, &real, err)) == 0) {
        *root = dir;
        *relative = h5ck_fs_behind(dir, real);
        if (!*relative)
            rc = fail_outside(err, dir, name);
    }
    h5ck_buf_free(&whole);
    h5ck_buf_free(&plain);
    return rc;
}

int64_t h5ck_file_mtime(const h5ck_file *f)
{
    const int64_t second = 1000000000;
    if (f->mtime_sec > INT64_MAX / second - 1)
        return INT64_MAX;
    if (f->mtime_sec < INT64_MIN / second + 1)
        return INT64_MIN;
    return f->mtime_sec * second + f->mtime_nsec;
}
