/*
 * system.c - stands between a program and the system (LD_PRELOAD), for tests/check_system: refuses what it is told to,
 * and writes down what must have reached the disk.
 *
 *     H5CKPT_REFUSE="fallocate=95 fsync=5"    the calls to refuse, each with the error number; "ioctl=95/3" from the
 *                                             third call on
 *     H5CKPT_LOG=FILE                         gets a line "write PATH", "fsync PATH" or "rename PATH TO" a call
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* True, with errno, where this call is to be refused. */
static int refused(const char *call, atomic_int *count)
{
    const char *list = getenv("H5CKPT_REFUSE"), *at = list ? strstr(list, call) : NULL;
    size_t n = strlen(call);
    if (!at || at[n] != '=' || (at > list && at[-1] != ' '))
        return 0;
    char *end;
    int reason = (int)strtol(at + n + 1, &end, 10);
    int from = *end == '/' ? atoi(end + 1) : 1;
    if (atomic_fetch_add(count, 1) + 1 < from)
        return 0;
    errno = reason;
    return 1;
}

static void note(const char *call, const char *path, const char *to)
{
    char line[2 * PATH_MAX + 16];
    const char *log = getenv("H5CKPT_LOG");
    int reason = errno, n = snprintf(line, sizeof line, "%s %s%s%s\n", call, path, to ? " " : "", to ? to : "");
    int fd = log ? open(log, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666) : -1;
    if (fd >= 0) {
        if (write(fd, line, (size_t)n) != n)
            abort();
        close(fd);
    }
    errno = reason;
}

static void note_fd(const char *call, int fd)
{
    char name[32], path[PATH_MAX];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    ssize_t n = getenv("H5CKPT_LOG") ? readlink(name, path, sizeof path - 1) : -1;
    if (n >= 0) {
        path[n] = 0;
        note(call, path, NULL);
    }
}

#define NEXT(name, result, ...)                                                                                        \
    static result (*next)(__VA_ARGS__);                                                                                \
    static atomic_int count;                                                                                           \
    if (!next)                                                                                                         \
    *(void **)&next = dlsym(RTLD_NEXT, name)

int fallocate(int fd, int mode, off_t offset, off_t n)
{
    NEXT("fallocate", int, int, int, off_t, off_t);
    return refused("fallocate", &count) ? -1 : next(fd, mode, offset, n);
}

int sync_file_range(int fd, off64_t offset, off64_t n, unsigned flags)
{
    NEXT("sync_file_range", int, int, off64_t, off64_t, unsigned);
    return refused("sync_file_range", &count) ? -1 : next(fd, offset, n, flags);
}

int ioctl(int fd, unsigned long request, ...)
{
    NEXT("ioctl", int, int, unsigned long, ...);
    va_list args;
    va_start(args, request);
    void *arg = va_arg(args, void *);
    va_end(args);
    return refused("ioctl", &count) ? -1 : next(fd, request, arg);
}

int madvise(void *at, size_t n, int advice)
{
    NEXT("madvise", int, void *, size_t, int);
    return refused("madvise", &count) ? -1 : next(at, n, advice);
}

int fsync(int fd)
{
    NEXT("fsync", int, int);
    if (refused("fsync", &count))
        return -1;
    int rc = next(fd);
    if (rc == 0)
        note_fd("fsync", fd);
    return rc;
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
    NEXT("pwrite", ssize_t, int, const void *, size_t, off_t);
    if (refused("pwrite", &count))
        return -1;
    note_fd("write", fd);
    return next(fd, buf, n, at);
}

int rename(const char *from, const char *to)
{
    NEXT("rename", int, const char *, const char *);
    if (refused("rename", &count))
        return -1;
    note("rename", from, to);
    return next(from, to);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to, unsigned flags)
{
    NEXT("renameat2", int, int, const char *, int, const char *, unsigned);
    if (refused("renameat2", &count))
        return -1;
    note("rename", from, to);
    return next(from_dir, from, to_dir, to, flags);
}

int link(const char *from, const char *to)
{
    NEXT("link", int, const char *, const char *);
    if (refused("link", &count))
        return -1;
    note("rename", from, to);
    return next(from, to);
}
