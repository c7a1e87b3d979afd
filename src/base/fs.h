/*
 * fs - every system call on files. Errors come back as h5ckpt_code with the system's reason.
 *
 * Paths below a root are opened part by part where they are longer than the system takes at once, and never through a
 * symbolic link. A file is remembered as it was when it was planned (device, inode, size, time of modification); a
 * later open of the same file that finds another one is an error, not a surprise.
 */
#ifndef H5CK_BASE_FS_H
#define H5CK_BASE_FS_H

#include "base/arena.h"
#include "base/err.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- Reading ---- */

/* A source file as it was when it was first seen. Lives in a state's arena. */
typedef struct h5ck_file {
    const char *root;     /* path of the directory, or of the file itself where `relative` is NULL */
    const char *relative; /* '/'-separated path below root, or NULL */
    uint64_t size;
    uint64_t dev, ino;
    int64_t mtime_sec, mtime_nsec;
    _Atomic(void *) map;    /* the whole file, once mapped; NULL before */
    struct h5ck_file *next; /* of its state's */
} h5ck_file;

/* "root/relative", allocated in the arena, for messages. */
const char *h5ck_file_path(const h5ck_file *f, h5ck_arena *arena);

/* Adds the file's path to an error that names none yet. Returns rc. Any thread. */
int h5ck_file_where(h5ckpt_error **err, int rc, const h5ck_file *f);

/* Opens root/relative for reading (O_NOFOLLOW below root, O_NONBLOCK so that a FIFO does not hang), refuses all but
 * regular files, and fills `f` (strings are borrowed). *fd is the caller's to close. A missing file is
 * H5CKPT_INVALID. */
int h5ck_fs_open_source(const char *root, const char *relative, h5ck_file *f, int *fd, h5ckpt_error **err);

/* Opens it again and checks that it is still that file, of that size and time. */
int h5ck_fs_reopen(const h5ck_file *f, int *fd, h5ckpt_error **err);

/* The folder that a file was opened in last, kept open for its neighbours: most files of a tree are opened by one call
 * then, whatever their depth. Of one thread. The `root` and `relative` given last must stay until the next call. */
typedef struct h5ck_fs_folder {
    int fd; /* -1 for none */
    const char *root, *relative;
} h5ck_fs_folder;

#define H5CK_FS_FOLDER_INIT                                                                                            \
    {                                                                                                                  \
        -1, NULL, NULL                                                                                                 \
    }

/* As h5ck_fs_open_source and h5ck_fs_reopen. */
int h5ck_fs_open_source_in(h5ck_fs_folder *in, const char *root, const char *relative, h5ck_file *f, int *fd,
                           h5ckpt_error **err);
int h5ck_fs_reopen_in(h5ck_fs_folder *in, const h5ck_file *f, int *fd, h5ckpt_error **err);
void h5ck_fs_folder_close(h5ck_fs_folder *in);

/* Checks the same of a descriptor that is still open: that nothing changed while it was read. */
int h5ck_fs_unchanged(const h5ck_file *f, int fd, h5ckpt_error **err);

/* The whole file as memory, once; safe from several threads. *data is NULL only for an empty file. It is mapped; a file
 * of a few pages is read, for a process may have only so many mappings (65,530 on Linux). Given back by h5ck_fs_unmap,
 * which the owner of `f` calls. */
int h5ck_fs_map(h5ck_file *f, const unsigned char **data, h5ckpt_error **err);
void h5ck_fs_unmap(h5ck_file *f);

/* These bytes of a mapped file are not needed soon: they may leave the process's memory, and come back when they are
 * looked at. Only a hint. */
void h5ck_fs_forget(h5ck_file *f, uint64_t offset, uint64_t n);

/* Reads a tiny file, which is open at `fd`, right away, so that it need not be opened again; others are left alone. What
 * was read so or by h5ck_fs_map: the file's bytes, or NULL. */
int h5ck_fs_keep(h5ck_file *f, int fd, h5ckpt_error **err);
const unsigned char *h5ck_fs_kept(const h5ck_file *f);

/* Reads exactly n bytes at offset; a file that ends before is H5CKPT_INVALID ("changed while being read"). No path in
 * the error: the caller adds it. */
int h5ck_fs_pread(int fd, void *buf, size_t n, uint64_t offset, h5ckpt_error **err);

/* Reads a whole file of at most `limit` bytes into the arena (with a closing zero behind it). */
int h5ck_fs_slurp(const char *root, const char *relative, uint64_t limit, h5ck_arena *arena, h5ck_file *f,
                  unsigned char **data, h5ckpt_error **err);

/* ---- Walking ---- */

typedef enum h5ck_fs_kind { H5CK_FS_FILE, H5CK_FS_DIR, H5CK_FS_LINK, H5CK_FS_OTHER } h5ck_fs_kind;

/* Called for each entry below the root, in byte order of the '/'-separated relative path's parts, folders before what
 * is in them. For a folder, *enter (true at first) says whether to walk into it. Non-zero return ends the walk. */
typedef int h5ck_fs_visit(void *user, const char *relative, h5ck_fs_kind kind, bool *enter, h5ckpt_error **err);
int h5ck_fs_walk(const char *root, h5ck_fs_visit *visit, void *user, h5ckpt_error **err);

/* What stands at a path (links followed): false and *exists false where nothing does. */
typedef struct h5ck_fs_stat {
    bool exists, is_dir, is_file;
    uint64_t size, dev, ino;
} h5ck_fs_stat;
int h5ck_fs_status(const char *path, h5ck_fs_stat *st, h5ckpt_error **err);

int h5ck_fs_is_empty(const char *dir, bool *empty, h5ckpt_error **err);

/* Where `path` is a symbolic link that leads somewhere: the path it leads to, malloc'd; NULL where it is none. */
int h5ck_fs_resolve_link(const char *path, char **resolved, h5ckpt_error **err);

/* True when `path` (existing, or its nearest existing parent) is the directory `dir` or lies below it. */
int h5ck_fs_is_below(const char *path, const char *dir, bool *below, h5ckpt_error **err);

/* ---- Real paths (fs_real.c): without symbolic links, "." and ".." ---- */

/* Of what stands at `path`; of the folder that holds `path`, which itself may be missing and is not followed. In the
 * arena. What is missing, or no path that the system takes, is H5CKPT_INVALID. Nothing is opened. */
int h5ck_fs_real_path(const char *path, h5ck_arena *arena, const char **real, h5ckpt_error **err);
int h5ck_fs_real_parent(const char *path, h5ck_arena *arena, const char **real, h5ckpt_error **err);

/* Of two real paths: `path` as seen from the folder `dir`, "../b/c", in the arena (NULL when out of memory); what of it
 * is behind the folder, or NULL where it does not lie below it. */
const char *h5ck_fs_from(const char *dir, const char *path, h5ck_arena *arena);
const char *h5ck_fs_behind(const char *dir, const char *path);

/* The file that a stranger calls `name`, relative names counting from the folder `dir` (a real path): as the root and
 * relative path for h5ck_fs_open_source, in the arena. Where `below`, H5CKPT_INVALID unless it lies below the folder once
 * all links are followed; nothing outside of it is looked at for a name that says plainly that it leads out. */
int h5ck_fs_find(const char *dir, const char *name, bool below, h5ck_arena *arena, const char **root,
                 const char **relative, h5ckpt_error **err);

/* A file's time of modification in nanoseconds since 1970, or as near to it as 64 bits come. */
int64_t h5ck_file_mtime(const h5ck_file *f);

/* ---- Writing ---- */

int h5ck_fs_pwrite(int fd, const void *buf, size_t n, uint64_t offset, h5ckpt_error **err);

/* Reserves the file's blocks where the file system can do that by itself (fallocate(2)); silently nothing elsewhere.
 * ENOSPC is an error. */
int h5ck_fs_reserve(int fd, uint64_t size, h5ckpt_error **err);

/* Sends what was written there on its way to the disk, and does not wait for it; n 0: to the file's end. Only a hint:
 * h5ck_fs_sync waits, and tells whether it arrived. */
void h5ck_fs_start_writing(int fd, uint64_t offset, uint64_t n);

/* Lets `to` share the source's blocks where the file system can do that, and the system and the offsets allow it.
 * Returns how many bytes from the start are in their place now: whole blocks, or 0 (then the caller copies). *able
 * becomes false where it is of no use to ask for this target again. */
uint64_t h5ck_fs_clone(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t n, bool *able);

/* Creates root/relative (root itself where relative is NULL) as a new file (O_EXCL, mode 0666 & ~umask), by parts;
 * its folders must exist. */
int h5ck_fs_create(const char *root, const char *relative, int *fd, h5ckpt_error **err);
/* Opens an existing file of our own making for writing. */
int h5ck_fs_open_write(const char *path, int *fd, h5ckpt_error **err);
/* Creates one folder root/relative, whose parents exist. `relative` NULL: root itself. */
int h5ck_fs_mkdir(const char *root, const char *relative, h5ckpt_error **err);

int h5ck_fs_truncate(int fd, uint64_t size, h5ckpt_error **err);
int h5ck_fs_sync(int fd, h5ckpt_error **err); /* fsync; the caller adds the path */
int h5ck_fs_sync_dir(const char *root, const char *relative, h5ckpt_error **err);
int h5ck_fs_sync_parent(const char *path, h5ckpt_error **err); /* of the folder that holds `path` */
int h5ck_fs_close(int fd, h5ckpt_error **err);                 /* close of a written file: its error counts */

/* A fresh sibling path of `target` for its unfinished form, in the arena: ".NAME.h5ckpt-XXXXXXXX". */
int h5ck_fs_stage_path(const char *target, h5ck_arena *arena, const char **stage, h5ckpt_error **err);

/* Gives the stage its final name. `replaces` NULL: fails with H5CKPT_USAGE where the target exists (an empty folder
 * makes room for a folder). Otherwise it is what stood there when the caller looked: it is replaced in one step where
 * the system can do that, then removed; anything else there by now is left alone, H5CKPT_USAGE. */
int h5ck_fs_publish(const char *stage, const char *target, const h5ck_fs_stat *replaces, h5ckpt_error **err);

/* Removes a file or a folder with all in it, never through a link. Errors are ignored: it cleans up. */
void h5ck_fs_remove_tree(const char *path);

#endif
