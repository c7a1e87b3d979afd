/*
 * fs_read.c - source files and folders. Nothing here opens for writing.
 *
 * What a stranger's folder may do to us: symbolic links out of it (never followed below the root), FIFOs and devices
 * that hang or act when opened (O_NONBLOCK, and only regular files are accepted), paths longer than PATH_MAX (opened
 * part by part), a file exchanged between planning and reading (its identity is compared).
 */
#include "base/buf.h"
#include "base/fs.h"
#include "base/fs_path.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

/* ---- Paths below a root ---- */

static int open_retrying(int dir, const char *path, int flags)
{
    int fd;
    H5CK_FS_RETRY(fd, openat(dir, path, flags));
    return fd;
}

int h5ck_fs_open_parent(const char *root, const char *relative, const char **name)
{
    int dir = open_retrying(AT_FDCWD, root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (const char *slash; dir >= 0 && (slash = strchr(relative, '/')); relative = slash + 1) {
        char part[NAME_MAX + 1];
        size_t n = (size_t)(slash - relative);
        int next = -1;
        if (n < sizeof part) {
            memcpy(part, relative, n);
            part[n] = 0;
            next = open_retrying(dir, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        } else {
            errno = ENAMETOOLONG;
        }
        int reason = errno;
        close(dir);
        errno = reason;
        dir = next;
    }
    *name = relative;
    return dir;
}

/* Length of the part of `relative` that names its folder. */
static size_t folder_length(const char *relative)
{
    const char *slash = strrchr(relative, '/');
    return slash ? (size_t)(slash - relative) : 0;
}

static bool is_in(const h5ck_fs_folder *in, const char *root, const char *relative)
{
    size_t n = folder_length(relative);
    return in->fd >= 0 && (in->root == root || strcmp(in->root, root) == 0) && folder_length(in->relative) == n &&
           memcmp(in->relative, relative, n) == 0;
}

void h5ck_fs_folder_close(h5ck_fs_folder *in)
{
    if (in->fd >= 0)
        close(in->fd);
    *in = (h5ck_fs_folder)H5CK_FS_FOLDER_INIT;
}

static int open_below(h5ck_fs_folder *in, const char *root, const char *relative, int flags)
{
    if (!relative)
        return open_retrying(AT_FDCWD, root, flags);
    const char *slash = strrchr(relative, '/'), *name = slash ? slash + 1 : relative;
    if (!is_in(in, root, relative)) {
        h5ck_fs_folder_close(in);
        if ((in->fd = h5ck_fs_open_parent(root, relative, &name)) < 0)
            return -1;
    }
    in->root = root;
    in->relative = relative;
    return open_retrying(in->fd, name, flags | O_NOFOLLOW);
}

const char *h5ck_file_path(const h5ck_file *f, h5ck_arena *arena)
{
    if (!f->relative)
        return f->root;
    size_t n = h5ck_fs_trimmed(f->root), m = strlen(f->relative);
    char *path = h5ck_arena_alloc(arena, n + m + 2);
    if (!path)
        return f->relative;
    memcpy(path, f->root, n);
    path[n] = '/';
    memcpy(path + n + 1, f->relative, m + 1);
    return path;
}

int h5ck_file_where(h5ckpt_error **err, int rc, const h5ck_file *f)
{
    h5ck_arena scratch = {NULL};
    h5ck_err_where(err, rc, h5ck_file_path(f, &scratch), NULL);
    h5ck_arena_free(&scratch);
    return rc;
}

static int where(h5ckpt_error **err, int rc, const char *root, const char *relative)
{
    h5ck_file f = {.root = root, .relative = relative};
    return h5ck_file_where(err, rc, &f);
}

/* A source that is not there is a wrong input; any other refusal is the system's. */
static int fail_source(h5ckpt_error **err, const char *what)
{
    if (errno == ENOENT || errno == ENOTDIR)
        return h5ck_fail(err, H5CKPT_INVALID, "%s: %s", what, strerror(errno));
    if (errno == ELOOP)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected a regular file, found a symbolic link (links are not followed)");
    return h5ck_fail_errno(err, NULL, what);
}

/* ---- Files ---- */

static int open_regular(h5ck_fs_folder *in, const char *root, const char *relative, struct stat *st, int *fd,
                        h5ckpt_error **err)
{
    int rc = 0, f = open_below(in, root, relative, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    *fd = -1;
    if (f < 0)
        rc = fail_source(err, "cannot open");
    else if (fstat(f, st) < 0)
        rc = h5ck_fail_errno(err, NULL, "cannot stat");
    else if (!S_ISREG(st->st_mode))
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a regular file, found %s",
                       S_ISDIR(st->st_mode) ? "a folder" : "a device, FIFO or socket");
    if (rc) {
        if (f >= 0)
            close(f);
        return where(err, rc, root, relative);
    }
    *fd = f;
    return 0;
}

int h5ck_fs_open_source_in(h5ck_fs_folder *in, const char *root, const char *relative, h5ck_file *f, int *fd,
                           h5ckpt_error **err)
{
    struct stat st;
    int rc = open_regular(in, root, relative, &st, fd, err);
    if (rc)
        return rc;
    f->root = root;
    f->relative = relative;
    f->size = (uint64_t)st.st_size;
    f->dev = (uint64_t)st.st_dev;
    f->ino = (uint64_t)st.st_ino;
    f->mtime_sec = st.st_mtim.tv_sec;
    f->mtime_nsec = st.st_mtim.tv_nsec;
    return 0;
}

int h5ck_fs_open_source(const char *root, const char *relative, h5ck_file *f, int *fd, h5ckpt_error **err)
{
    h5ck_fs_folder in = H5CK_FS_FOLDER_INIT;
    int rc = h5ck_fs_open_source_in(&in, root, relative, f, fd, err);
    h5ck_fs_folder_close(&in);
    return rc;
}

static int check_same(const h5ck_file *f, const struct stat *st, h5ckpt_error **err)
{
    if ((uint64_t)st->st_dev == f->dev && (uint64_t)st->st_ino == f->ino && (uint64_t)st->st_size == f->size &&
        st->st_mtim.tv_sec == f->mtime_sec && st->st_mtim.tv_nsec == f->mtime_nsec)
        return 0;
    h5ck_fail(err, H5CKPT_INVALID,
              "expected the file as it was when first read (%" PRIu64 " bytes), found it changed (%" PRIu64 " bytes)",
              f->size, (uint64_t)st->st_size);
    return h5ck_file_where(err, H5CKPT_INVALID, f);
}

int h5ck_fs_reopen_in(h5ck_fs_folder *in, const h5ck_file *f, int *fd, h5ckpt_error **err)
{
    struct stat st;
    int rc = open_regular(in, f->root, f->relative, &st, fd, err);
    if (rc == 0 && (rc = check_same(f, &st, err))) {
        close(*fd);
        *fd = -1;
    }
    return rc;
}

int h5ck_fs_reopen(const h5ck_file *f, int *fd, h5ckpt_error **err)
{
    h5ck_fs_folder in = H5CK_FS_FOLDER_INIT;
    int rc = h5ck_fs_reopen_in(&in, f, fd, err);
    h5ck_fs_folder_close(&in);
    return rc;
}

int h5ck_fs_unchanged(const h5ck_file *f, int fd, h5ckpt_error **err)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return h5ck_file_where(err, h5ck_fail_errno(err, NULL, "cannot stat"), f);
    return check_same(f, &st, err);
}

int h5ck_fs_pread(int fd, void *buf, size_t n, uint64_t offset, h5ckpt_error **err)
{
    unsigned char *p = buf;
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, p + done, n - done, (off_t)(offset + done));
        if (got > 0) {
            done += (size_t)got;
        } else if (got == 0) {
            return h5ck_fail_at(err, offset + done, "expected %zu more bytes, found the end of the file", n - done);
        } else if (errno != EINTR) {
            return h5ck_fail_errno(err, NULL, "cannot read");
        }
    }
    return 0;
}

int h5ck_fs_slurp(const char *root, const char *relative, uint64_t limit, h5ck_arena *arena, h5ck_file *f,
                  unsigned char **data, h5ckpt_error **err)
{
    int fd, rc = h5ck_fs_open_source(root, relative, f, &fd, err);
    if (rc)
        return rc;
    unsigned char *p = NULL;
    if (f->size > limit || f->size >= SIZE_MAX)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected at most %" PRIu64 " bytes, found %" PRIu64, limit, f->size);
    else if (!(p = h5ck_arena_alloc(arena, (size_t)f->size + 1)))
        rc = h5ck_fail_nomem(err);
    else
        rc = h5ck_fs_pread(fd, p, (size_t)f->size, 0, err);
    close(fd);
    if (rc)
        return where(err, rc, root, relative);
    p[f->size] = 0;
    *data = p;
    return 0;
}

/* ---- As memory ---- */

/* Files of up to FEW_PAGES are read, not mapped, to an address that keeps what alignment their tensors have. Of up to
 * TINY they are not worth to be opened twice: they take hardly more memory than what is known of them. */
enum { FEW_PAGES = 16 << 10, TINY = 256, ALIGNMENT = 64 };

static void release(void *map, uint64_t size)
{
    if (size <= FEW_PAGES)
        free(map);
    else
        munmap(map, (size_t)size);
}

static int map_or_read(const h5ck_file *f, int fd, void **map, h5ckpt_error **err)
{
    int rc = 0;
    if (f->size <= FEW_PAGES) {
        if (posix_memalign(map, ALIGNMENT, (size_t)f->size) != 0)
            return h5ck_fail_nomem(err);
        rc = h5ck_fs_pread(fd, *map, (size_t)f->size, 0, err);
        if (rc)
            free(*map);
    } else {
        *map = f->size <= SIZE_MAX ? mmap(NULL, (size_t)f->size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
        if (*map == MAP_FAILED)
            rc = h5ck_fail_errno(err, NULL, "cannot map");
    }
    return rc ? h5ck_file_where(err, rc, f) : 0;
}

int h5ck_fs_map(h5ck_file *f, const unsigned char **data, h5ckpt_error **err)
{
    void *map = atomic_load(&f->map);
    if (map || f->size == 0) {
        *data = map;
        return 0;
    }
    int fd, rc = h5ck_fs_reopen(f, &fd, err);
    if (rc)
        return rc;
    rc = map_or_read(f, fd, &map, err);
    close(fd);
    if (rc)
        return rc;
    void *other = NULL;
    if (!atomic_compare_exchange_strong(&f->map, &other, map)) {
        release(map, f->size); /* another thread was first: its mapping is the one */
        map = other;
    }
    *data = map;
    return 0;
}

void h5ck_fs_forget(h5ck_file *f, uint64_t offset, uint64_t n)
{
#ifdef MADV_DONTNEED
    unsigned char *map = atomic_load(&f->map);
    long page = sysconf(_SC_PAGESIZE);
    if (!map || f->size <= FEW_PAGES || page <= 0 || offset > f->size || n > f->size - offset)
        return; /* what was read, not mapped, would be lost */
    uint64_t first = offset / (uint64_t)page * (uint64_t)page, end = (offset + n) / (uint64_t)page * (uint64_t)page;
    if (end > first)
        madvise(map + first, (size_t)(end - first), MADV_DONTNEED);
#else
    (void)f;
    (void)offset;
    (void)n;
#endif
}

int h5ck_fs_keep(h5ck_file *f, int fd, h5ckpt_error **err)
{
    void *data;
    if (f->size == 0 || f->size > TINY)
        return 0;
    int rc = map_or_read(f, fd, &data, err);
    if (rc == 0)
        atomic_store(&f->map, data);
    return rc;
}

const unsigned char *h5ck_fs_kept(const h5ck_file *f)
{
    return f->size <= FEW_PAGES ? atomic_load(&f->map) : NULL;
}

void h5ck_fs_unmap(h5ck_file *f)
{
    void *map = atomic_exchange(&f->map, NULL);
    if (map)
        release(map, f->size);
}

/* ---- Walking ---- */

typedef struct walk {
    const char *root;
    h5ck_fs_visit *visit;
    void *user;
    h5ck_buf path; /* relative to root */
    h5ckpt_error **err;
} walk;

typedef struct entry {
    const char *name;
    h5ck_fs_kind kind;
} entry;

typedef struct listing {
    h5ck_arena arena;
    entry *entries;
    size_t count, room;
} listing;

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* Where the file system says it with the name, it is not asked again. */
static int kind_of(int dir, const struct dirent *e, h5ck_fs_kind *kind)
{
    struct stat st;
#ifdef _DIRENT_HAVE_D_TYPE
    if (e->d_type != DT_UNKNOWN) {
        *kind = e->d_type == DT_REG   ? H5CK_FS_FILE
                : e->d_type == DT_DIR ? H5CK_FS_DIR
                : e->d_type == DT_LNK ? H5CK_FS_LINK
                                      : H5CK_FS_OTHER;
        return 0;
    }
#endif
    if (fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return -1;
    *kind = S_ISREG(st.st_mode)   ? H5CK_FS_FILE
            : S_ISDIR(st.st_mode) ? H5CK_FS_DIR
            : S_ISLNK(st.st_mode) ? H5CK_FS_LINK
                                  : H5CK_FS_OTHER;
    return 0;
}

/* Reads a folder's entries, sorted. */
static int list(int dir, listing *l, h5ckpt_error **err)
{
    int copy = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    DIR *d = copy >= 0 ? fdopendir(copy) : NULL;
    int rc = 0;
    if (!d) {
        rc = h5ck_fail_errno(err, NULL, "cannot list");
        if (copy >= 0)
            close(copy);
        return rc;
    }
    for (struct dirent *e; rc == 0 && (errno = 0, e = readdir(d));) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        if (l->count == l->room) {
            size_t room = l->room ? 2 * l->room : 64;
            entry *more = realloc(l->entries, room * sizeof *more);
            if (!more) {
                rc = h5ck_fail_nomem(err);
                break;
            }
            l->entries = more;
            l->room = room;
        }
        entry *to = &l->entries[l->count];
        if (!(to->name = h5ck_arena_strdup(&l->arena, e->d_name)))
            rc = h5ck_fail_nomem(err);
        else if (kind_of(dir, e, &to->kind) < 0)
            rc = h5ck_fail_errno(err, NULL, "cannot stat");
        else
            l->count++;
    }
    if (rc == 0 && errno)
        rc = h5ck_fail_errno(err, NULL, "cannot list");
    closedir(d);
    if (l->count)
        qsort(l->entries, l->count, sizeof *l->entries, by_name);
    return rc;
}

static int walk_level(walk *w, int dir, int depth);

static int walk_entry(walk *w, int dir, const entry *e, int depth)
{
    size_t before = w->path.len;
    if (before)
        h5ck_buf_u8(&w->path, '/');
    h5ck_buf_str(&w->path, e->name);
    const char *relative = h5ck_buf_cstr(&w->path);
    if (!relative)
        return h5ck_fail_nomem(w->err);
    bool enter = e->kind == H5CK_FS_DIR;
    int rc = w->visit(w->user, relative, e->kind, &enter, w->err);
    if (rc == 0 && enter && e->kind == H5CK_FS_DIR) {
        int sub = openat(dir, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (sub < 0)
            rc = where(w->err, fail_source(w->err, "cannot open the folder"), w->root, relative);
        else
            rc = walk_level(w, sub, depth + 1);
        if (sub >= 0)
            close(sub);
    }
    w->path.len = before;
    return rc;
}

/* Recursion is bounded by H5CK_FS_DEPTH. */
static int walk_level(walk *w, int dir, int depth)
{
    listing l = {{NULL}, NULL, 0, 0};
    int rc;
    if (depth >= H5CK_FS_DEPTH)
        rc = h5ck_fail(w->err, H5CKPT_INVALID, "expected folders at most %d deep, found a deeper one", H5CK_FS_DEPTH);
    else
        rc = list(dir, &l, w->err);
    if (rc)
        where(w->err, rc, w->root, w->path.len ? h5ck_buf_cstr(&w->path) : NULL);
    for (size_t i = 0; rc == 0 && i < l.count; i++)
        rc = walk_entry(w, dir, &l.entries[i], depth);
    free(l.entries);
    h5ck_arena_free(&l.arena);
    return rc;
}

int h5ck_fs_walk(const char *root, h5ck_fs_visit *visit, void *user, h5ckpt_error **err)
{
    walk w = {root, visit, user, H5CK_BUF_INIT, err};
    int dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return where(err, fail_source(err, "cannot open the folder"), root, NULL);
    int rc = walk_level(&w, dir, 0);
    close(dir);
    h5ck_buf_free(&w.path);
    return rc;
}

/* ---- Looking ---- */

int h5ck_fs_status(const char *path, h5ck_fs_stat *out, h5ckpt_error **err)
{
    struct stat st;
    *out = (h5ck_fs_stat){0};
    if (stat(path, &st) < 0) {
        if (errno == ENOENT || errno == ENOTDIR)
            return 0;
        return h5ck_fail_errno(err, path, "cannot stat");
    }
    *out = (h5ck_fs_stat){
        true, S_ISDIR(st.st_mode), S_ISREG(st.st_mode), (uint64_t)st.st_size, (uint64_t)st.st_dev, (uint64_t)st.st_ino};
    return 0;
}

int h5ck_fs_is_empty(const char *path, bool *empty, h5ckpt_error **err)
{
    DIR *d = opendir(path);
    if (!d)
        return h5ck_fail_errno(err, path, "cannot list");
    *empty = true;
    for (struct dirent *e; *empty && (errno = 0, e = readdir(d));)
        *empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    int rc = *empty && errno ? h5ck_fail_errno(err, path, "cannot list") : 0;
    closedir(d);
    return rc;
}

int h5ck_fs_resolve_link(const char *path, char **resolved, h5ckpt_error **err)
{
    struct stat st;
    char *name = strdup(path); /* without trailing slashes, which would follow the link */
    *resolved = NULL;
    if (!name)
        return h5ck_fail_nomem(err);
    name[h5ck_fs_trimmed(name)] = 0;
    int rc = 0;
    if (lstat(name, &st) < 0)
        rc = errno == ENOENT || errno == ENOTDIR ? 0 : h5ck_fail_errno(err, path, "cannot stat");
    else if (S_ISLNK(st.st_mode) && !(*resolved = realpath(name, NULL)))
        rc = h5ck_fail_errno(err, path, "cannot follow the link");
    free(name);
    return rc;
}

/* Cuts the last part off a path: "a/b/" -> "a", "b" -> ".", "/b" -> "/". */
static void cut_last_part(char *path)
{
    size_t n = h5ck_fs_trimmed(path);
    while (n > 0 && path[n - 1] != '/')
        n--;
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (n == 0)
        path[n++] = '.'; /* there was at least one byte, and the closing zero follows it */
    path[n] = 0;
}

int h5ck_fs_is_below(const char *path, const char *dir, bool *below, h5ckpt_error **err)
{
    struct stat top, st;
    *below = false;
    if (stat(dir, &top) < 0)
        return h5ck_fail_errno(err, dir, "cannot stat");
    char *near = strdup(*path ? path : "."), *real = NULL;
    if (!near)
        return h5ck_fail_nomem(err);
    while (!(real = realpath(near, NULL)) && errno == ENOENT && strcmp(near, ".") != 0 && strcmp(near, "/") != 0)
        cut_last_part(near);
    int rc = real ? 0 : h5ck_fail_errno(err, path, "cannot resolve");
    for (bool last = false; real && !*below && !last; cut_last_part(real)) {
        last = strcmp(real, "/") == 0;
        if (stat(real, &st) == 0)
            *below = st.st_dev == top.st_dev && st.st_ino == top.st_ino;
    }
    free(near);
    free(real);
    return rc;
}
