/*
 * fs_write.c - targets. A target is built under another name beside its place (the stage), synced, and then renamed:
 * whoever looks sees the old one or the new one, whole.
 */
#include "base/fs.h"
#include "base/fs_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#ifdef HAVE_LINUX_FS_H
#include <linux/fs.h>
#include <sys/ioctl.h>
#endif

int h5ck_fs_pwrite(int fd, const void *buf, size_t n, uint64_t offset, h5ckpt_error **err)
{
    const unsigned char *p = buf;
    for (size_t done = 0; done < n;) {
        ssize_t put = pwrite(fd, p + done, n - done, (off_t)(offset + done));
        if (put == 0)
            errno = ENOSPC; /* what does not take a byte is full */
        if (put > 0)
            done += (size_t)put;
        else if (put == 0 || errno != EINTR)
            return h5ck_fail_errno(err, NULL, "cannot write");
    }
    return 0;
}

int h5ck_fs_reserve(int fd, uint64_t size, h5ckpt_error **err)
{
#ifdef HAVE_FALLOCATE
    int got;
    H5CK_FS_RETRY(got, fallocate(fd, 0, 0, (off_t)size));
    /* Only a lack of room is an error: a file system that cannot reserve gets the same bytes a little slower. Never
     * posix_fallocate: where the file system cannot, glibc writes the whole file in its place. */
    if (got < 0 && (errno == ENOSPC || errno == EDQUOT || errno == EFBIG))
        return h5ck_fail_errno(err, NULL, "cannot reserve space");
#else
    (void)fd;
    (void)size;
    (void)err;
#endif
    return 0;
}

void h5ck_fs_start_writing(int fd, uint64_t offset, uint64_t n)
{
#ifdef HAVE_SYNC_FILE_RANGE
    sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
#else
    (void)fd;
    (void)offset;
    (void)n;
#endif
}

uint64_t h5ck_fs_clone(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t n, bool *able)
{
#ifdef FICLONERANGE
    struct stat st;
    if (fstat(to, &st) < 0 || st.st_blksize <= 0)
        return 0;
    uint64_t block = (uint64_t)st.st_blksize;
    struct file_clone_range range = {from, from_offset, n - n % block, to_offset};
    if (from_offset % block || to_offset % block || range.src_length == 0)
        return 0;
    if (ioctl(to, FICLONERANGE, &range) == 0)
        return range.src_length;
    *able = errno != EOPNOTSUPP && errno != ENOTTY && errno != ENOSYS && errno != EPERM;
#else
    (void)from;
    (void)from_offset;
    (void)to;
    (void)to_offset;
    (void)n;
    *able = false;
#endif
    return 0;
}

/* The folder that holds root/relative, and the last part's name; root itself where relative is NULL. */
static int parent_of(const char *root, const char *relative, const char **name)
{
    if (relative)
        return h5ck_fs_open_parent(root, relative, name);
    *name = root;
    return AT_FDCWD;
}

static void done_with(int dir)
{
    int reason = errno;
    if (dir >= 0)
        close(dir);
    errno = reason;
}

int h5ck_fs_create(const char *root, const char *relative, int *fd, h5ckpt_error **err)
{
    const char *name;
    int dir = parent_of(root, relative, &name);
    *fd = -1;
    if (dir >= 0 || dir == AT_FDCWD)
        H5CK_FS_RETRY(*fd, openat(dir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
    done_with(dir);
    return *fd < 0 ? h5ck_fail_errno(err, NULL, "cannot create") : 0;
}

int h5ck_fs_mkdir(const char *root, const char *relative, h5ckpt_error **err)
{
    const char *name;
    int dir = parent_of(root, relative, &name), made = -1;
    if (dir >= 0 || dir == AT_FDCWD)
        made = mkdirat(dir, name, 0777);
    done_with(dir);
    return made < 0 ? h5ck_fail_errno(err, NULL, "cannot create the folder") : 0;
}

int h5ck_fs_open_write(const char *path, int *fd, h5ckpt_error **err)
{
    H5CK_FS_RETRY(*fd, open(path, O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    return *fd < 0 ? h5ck_fail_errno(err, NULL, "cannot open for writing") : 0;
}

int h5ck_fs_truncate(int fd, uint64_t size, h5ckpt_error **err)
{
    int got;
    H5CK_FS_RETRY(got, ftruncate(fd, (off_t)size));
    return got < 0 ? h5ck_fail_errno(err, NULL, "cannot set the length") : 0;
}

int h5ck_fs_sync(int fd, h5ckpt_error **err)
{
    int got;
    H5CK_FS_RETRY(got, fsync(fd));
    return got < 0 ? h5ck_fail_errno(err, NULL, "cannot sync") : 0;
}

int h5ck_fs_sync_dir(const char *root, const char *relative, h5ckpt_error **err)
{
    const char *name;
    int dir = parent_of(root, relative, &name), fd = -1, rc = 0;
    if (dir >= 0 || dir == AT_FDCWD)
        fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    done_with(dir);
    /* EINVAL: a file system whose folders cannot be synced has nothing to wait for */
    if (fd < 0 || (fsync(fd) < 0 && errno != EINVAL))
        rc = h5ck_fail_errno(err, NULL, "cannot sync the folder");
    if (fd >= 0)
        close(fd);
    return rc;
}

int h5ck_fs_close(int fd, h5ckpt_error **err)
{
    return close(fd) < 0 && errno != EINTR ? h5ck_fail_errno(err, NULL, "cannot close") : 0;
}

/* ---- The stage and its final name ---- */

/* Where the last part begins. */
static size_t last_part(const char *path, size_t n)
{
    while (n > 0 && path[n - 1] != '/')
        n--;
    return n;
}

int h5ck_fs_stage_path(const char *target, h5ck_arena *arena, const char **stage, h5ckpt_error **err)
{
    enum { LONGEST_NAME = 200, TRIES = 100 }; /* of the 255 bytes that a name may have */
    static _Atomic unsigned counter;
    size_t n = h5ck_fs_trimmed(target), base = last_part(target, n), name = n - base;
    if (name == 0 || (name == 1 && target[base] == '.') || (name == 2 && memcmp(target + base, "..", 2) == 0))
        return h5ck_fail(err, H5CKPT_USAGE, "%s: expected the name of a new file or folder", target);
    if (name > LONGEST_NAME)
        name = LONGEST_NAME;
    size_t room = base + name + 32;
    char *path = h5ck_arena_alloc(arena, room);
    if (!path)
        return h5ck_fail_nomem(err);
    for (int i = 0; i < TRIES; i++) {
        struct timespec now;
        struct stat st;
        clock_gettime(CLOCK_REALTIME, &now);
        unsigned mix = (unsigned)now.tv_nsec * 2654435761u ^ (unsigned)now.tv_sec ^ (unsigned)getpid() << 16 ^
                       atomic_fetch_add(&counter, 1);
        snprintf(path, room, "%.*s.%.*s.h5ckpt-%08x", (int)base, target, (int)name, target + base, mix);
        if (lstat(path, &st) < 0 && errno == ENOENT) {
            *stage = path;
            return 0;
        }
    }
    return h5ck_fail_errno(err, path, "cannot find a free name for the unfinished target");
}

int h5ck_fs_sync_parent(const char *path, h5ckpt_error **err)
{
    size_t base = last_part(path, h5ck_fs_trimmed(path));
    if (base == 0)
        return h5ck_fs_sync_dir(".", NULL, err);
    h5ck_arena scratch = {NULL};
    char *dir = h5ck_arena_strndup(&scratch, path, base);
    int rc = dir ? h5ck_fs_sync_dir(dir, NULL, err) : h5ck_fail_nomem(err);
    h5ck_arena_free(&scratch);
    return rc;
}

static int publish_new(const char *stage, const char *target, bool is_dir)
{
    if (is_dir)
        return rename(stage, target); /* replaces nothing but an empty folder */
#ifdef HAVE_RENAMEAT2
    int got = renameat2(AT_FDCWD, stage, AT_FDCWD, target, RENAME_NOREPLACE);
    if (got == 0 || (errno != ENOSYS && errno != EINVAL))
        return got;
#endif
    if (link(stage, target) == 0) {
        unlink(stage);
        return 0;
    }
    if (errno != EPERM && errno != EOPNOTSUPP)
        return -1;
    struct stat st; /* no links here (FAT): a small window stays */
    if (lstat(target, &st) == 0) {
        errno = EEXIST;
        return -1;
    }
    return rename(stage, target);
}

static bool is_same(const char *path, const h5ck_fs_stat *seen)
{
    struct stat st;
    return stat(path, &st) == 0 && (uint64_t)st.st_dev == seen->dev && (uint64_t)st.st_ino == seen->ino;
}

static int fail_other(h5ckpt_error **err, const char *target)
{
    return h5ck_fail(err, H5CKPT_USAGE, "%s: the target changed while it was being replaced", target);
}

/* Where the system cannot exchange two names. For a moment there is no target; if the rename fails then, it comes
 * back. */
static int replace_by_renaming(const char *stage, const char *target, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    const char *aside;
    int rc = h5ck_fs_stage_path(target, &scratch, &aside, err);
    if (rc == 0 && rename(target, aside) < 0)
        rc = h5ck_fail_errno(err, target, "cannot move the old target aside");
    else if (rc == 0 && rename(stage, target) < 0) {
        int reason = errno;
        if (rename(aside, target) == 0)
            rc = h5ck_fail(err, H5CKPT_SYSTEM, "%s: cannot rename: %s", target, strerror(reason));
        else
            rc = h5ck_fail(err, H5CKPT_SYSTEM, "%s: cannot rename: %s; the old target is now %s", target,
                           strerror(reason), aside);
    } else if (rc == 0) {
        h5ck_fs_remove_tree(aside);
    }
    h5ck_arena_free(&scratch);
    return rc;
}

/* The old target goes away only once the new one stands, and only if it is the one that was looked at. */
static int publish_over(const char *stage, const char *target, bool is_dir, const h5ck_fs_stat *seen,
                        h5ckpt_error **err)
{
    if (!is_same(target, seen))
        return fail_other(err, target);
    if (!is_dir && !seen->is_dir)
        return rename(stage, target) < 0 ? h5ck_fail_errno(err, target, "cannot replace") : 0;
#ifdef HAVE_RENAMEAT2
    if (renameat2(AT_FDCWD, stage, AT_FDCWD, target, RENAME_EXCHANGE) == 0) {
        if (!is_same(stage, seen)) { /* exchanged by somebody else in between */
            renameat2(AT_FDCWD, stage, AT_FDCWD, target, RENAME_EXCHANGE);
            return fail_other(err, target);
        }
        h5ck_fs_remove_tree(stage); /* which is the old target now */
        return 0;
    }
    if (errno != ENOSYS && errno != EINVAL)
        return h5ck_fail_errno(err, target, "cannot replace");
#endif
    return replace_by_renaming(stage, target, err);
}

int h5ck_fs_publish(const char *stage, const char *target, const h5ck_fs_stat *replaces, h5ckpt_error **err)
{
    struct stat st;
    h5ck_arena scratch = {NULL};
    char *name = h5ck_arena_strndup(&scratch, target, h5ck_fs_trimmed(target));
    int rc = 0;
    if (!name)
        return h5ck_fail_nomem(err);
    if (lstat(stage, &st) < 0)
        rc = h5ck_fail_errno(err, name, "cannot find the finished target");
    else if (replaces)
        rc = publish_over(stage, name, S_ISDIR(st.st_mode), replaces, err);
    else if (publish_new(stage, name, S_ISDIR(st.st_mode)) < 0)
        rc = errno == EEXIST || errno == ENOTEMPTY ? h5ck_fail(err, H5CKPT_USAGE, "%s: the target exists", name)
                                                   : h5ck_fail_errno(err, name, "cannot rename");
    h5ck_arena_free(&scratch);
    return rc;
}

/* Recursion is bounded: only trees that h5ckpt or a walk of at most H5CK_FS_DEPTH made come here. */
static void remove_at(int parent, const char *name, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || depth > H5CK_FS_DEPTH)
        return;
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    if (!d) {
        done_with(fd);
        return;
    }
    for (struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            remove_at(dirfd(d), e->d_name, depth + 1);
    closedir(d);
    unlinkat(parent, name, AT_REMOVEDIR);
}

void h5ck_fs_remove_tree(const char *path)
{
    remove_at(AT_FDCWD, path, 0);
}
