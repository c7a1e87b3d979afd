/*
 * timed - runs one command and says what it took: the stop-watch of bench/run.
 *
 *     timed RESULT MIB COMMAND [ARGUMENT ...]
 *
 * RESULT is a file that gets one line: seconds by the clock, seconds of user and system time, peak resident KiB, status
 * (the command's exit status, or 128 and its signal).
 *
 * It is a program of its own because of what has to be done right before. Peak memory is handed down: a process starts
 * with the peak of whoever started it, and an interpreter's is larger than all of h5ckpt. And a virtual machine gives
 * memory back to its host within seconds, free pages and pages of the page cache that nobody read for a minute,
 * whereupon the next run pays for fetching them. So, in this order:
 *     what is dirty is written out, so that none pays for another's writing;
 *     a child touches MIB mebibytes (or what is free, if that is less), and frees them by ending. It takes several times
 *     what the run will need, in huge pages: the kernel serves large writes by large pages, and which it picks among the
 *     free ones nobody can tell;
 *     each ARGUMENT that is a file or a folder is read, so that all of it is in the page cache, last of all, for what
 *     the child takes the host may have taken from there.
 * MIB 0 leaves all three out, for commands of milliseconds.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { LEVELS = 4 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double in_seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static int wait_for(pid_t child, struct rusage *usage)
{
    int status;
    while (wait4(child, &status, 0, usage) < 0)
        if (errno != EINTR)
            return 127;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* A file, or a folder and what is below it: the benchmarks' own, so a few levels are enough. */
static void read_all(int folder, const char *name, int levels)
{
    static char buffer[1 << 20];
    struct stat st;
    int fd = openat(folder, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st))
        st.st_mode = 0;
    if (S_ISREG(st.st_mode))
        while (read(fd, buffer, sizeof buffer) > 0)
            ;
    DIR *entries = S_ISDIR(st.st_mode) && levels > 0 ? fdopendir(fd) : NULL;
    for (struct dirent *e; entries && (e = readdir(entries));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            read_all(fd, e->d_name, levels - 1);
    if (entries)
        closedir(entries);
    else
        close(fd);
}

/* In a child, which gives all back by ending, and whose peak is not ours. */
static void warm_free_memory(size_t mib)
{
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        enum { PAGE = 4096 };
        long pages = sysconf(_SC_AVPHYS_PAGES);
        size_t size = mib << 20,
               free_memory = pages > 0 ? (size_t)pages / 10 * 9 * (size_t)sysconf(_SC_PAGESIZE) : size;
        if (size > free_memory)
            size = free_memory;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
#ifdef MADV_HUGEPAGE
        if (memory != MAP_FAILED)
            madvise(memory, size, MADV_HUGEPAGE);
#endif
        for (size_t at = 0; memory != MAP_FAILED && at < size; at += PAGE)
            ((volatile char *)memory)[at] = 1;
        _exit(0);
    }
    if (child > 0)
        wait_for(child, &usage);
}

int main(int argc, char **argv)
{
    struct rusage usage;
    FILE *result = argc > 3 ? fopen(argv[1], "we") : NULL;
    if (!result) {
        fprintf(stderr, "usage: timed RESULT MIB COMMAND [ARGUMENT ...]\n");
        return 2;
    }
    size_t mib = strtoul(argv[2], NULL, 10);
    if (mib > 0) {
        sync();
        warm_free_memory(mib);
        for (int i = 4; i < argc; i++)
            read_all(AT_FDCWD, argv[i], LEVELS);
    }

    double start = now();
    pid_t child = fork();
    if (child == 0) {
        execvp(argv[3], argv + 3);
        perror(argv[3]);
        _exit(127);
    }
    int status = child < 0 ? 127 : wait_for(child, &usage);
    double seconds = now() - start;

    if (child > 0)
        fprintf(result, "%.6f %.6f %ld %d\n", seconds, in_seconds(usage.ru_utime) + in_seconds(usage.ru_stime),
                usage.ru_maxrss, status);
    return fclose(result) ? 1 : status;
}
