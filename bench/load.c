/*
 * load - the seconds that h5ckpt takes in-process to load both dictionaries and touch every page of every parameter.
 *
 *     load CHECKPOINT      prints the seconds, then the number of parameters and a sum that keeps the touching honest
 */
#include <h5ckpt.h>

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    enum { PAGE = 4096 };
    h5ckpt_tensors *parameters;
    h5ckpt_decays *decays;
    h5ckpt_error *err = NULL;
    uint64_t sum = 0;
    double start = now();
    if (argc != 2 || h5ckpt_load_persistables(argv[1], &parameters, &decays, &err)) {
        fprintf(stderr, "load: %s\n", err ? err->message : "usage: load CHECKPOINT");
        return 1;
    }
    size_t count = h5ckpt_tensors_count(parameters);
    for (size_t i = 0; i < count; i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_at(parameters, i);
        const unsigned char *data = h5ckpt_tensor_data(t, &err);
        uint64_t n = h5ckpt_tensor_get_info(t)->nbytes;
        for (uint64_t at = 0; data && at < n; at += PAGE)
            sum += data[at];
    }
    double seconds = now() - start;
    printf("%.6f %zu %" PRIu64 "\n", seconds, count, sum);
    h5ckpt_tensors_free(parameters);
    h5ckpt_decays_free(decays);
    return 0;
}
