/*
 * many.h - what the programs that measure many parameters share: the names, so that all work on the same ones, the clock, and the
 * line they print.
 */
#ifndef BENCH_MANY_H
#define BENCH_MANY_H

#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { MANY_NAME = 64, MANY_ELEMENTS = 4 }; /* room for a name; of each parameter, float32 */

/* The i-th parameter's name: all in one group where `per_group` is 0, else that many in each. */
static inline void many_name(char name[MANY_NAME], size_t i, size_t per_group)
{
    if (per_group)
        snprintf(name, MANY_NAME, "block_%zu/fc_%zu.w_0", i / per_group, i % per_group);
    else
        snprintf(name, MANY_NAME, "fc_%zu.w_0", i);
}

static inline double many_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Prints "SECONDS PEAK_KIB COUNT": wall-clock since `start`, the most memory the process has held, how many there were. */
static inline void many_report(double start, size_t count)
{
    double seconds = many_now() - start;
    struct rusage usage;
    printf("%.6f %ld %zu\n", seconds, getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss : 0, count);
}

#endif
