/* fs_path - opening below a root, part by part: private to fs_read.c and fs_write.c. */
#ifndef H5CK_BASE_FS_PATH_H
#define H5CK_BASE_FS_PATH_H

#include "base/err.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

/* A call that a signal interrupted is made again: the host's handlers may not restart it. */
#define H5CK_FS_RETRY(result, call)                                                                                    \
    do                                                                                                                 \
        (result) = (call);                                                                                             \
    while ((result) < 0 && errno == EINTR)

/* How deep a tree may be: each level of a walk holds one descriptor. */
enum { H5CK_FS_DEPTH = 512 };

/* Length of a path without its trailing slashes; of "/" it is 1. */
static inline size_t h5ck_fs_trimmed(const char *path)
{
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    return n;
}

/* Opens the folder that holds root/relative (never through a symbolic link below root) and sets *name to relative's
 * last part. Returns the descriptor, or -1 with errno. */
int h5ck_fs_open_parent(const char *root, const char *relative, const char **name);

#endif
