/*
 * timed - runs one command and says what it took: the stop-watch of bench/run.
 *
 *     timed RESULT MIB COMMAND [ARGUMENT ...]
 *
 * RESULT is a file that gets one line: seconds by the clock, seconds of user and system time, peak resident KiB, status
 * (the command's exit status, or 128 and its signal).
 *
 * It is a program of its own for two reasons. Peak memory is handed down: a process starts with the peak of whoever
 * started it, and an interpreter's is larger than all of h5ckpt. And a virtual machine hands free pages back to its
 * host within seconds, whereupon the next run pays for fetching them. So right before the command a child touches MIB
 * mebibytes and frees them by ending; what is dirty was written out before that, so that none pays for another's
 * writing. MIB 0 leaves both out, for commands of milliseconds.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

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

/* In a child, which gives all back by ending, and whose peak is not ours. What memory there is not is not touched. */
static void warm_free_memory(size_t mib)
{
    struct rusage usage;
    pid_t child = fork();
    if (child == 0) {
        enum { PAGE = 4096 };
        size_t size = mib << 20;
        char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
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
