/*
 * unpack - reads all parameters of a checkpoint into memory by N threads, each its own tensors, through h5ckpt.
 *
 *     unpack PATH [N]      prints the seconds from opening it to the last byte
 */
#include <h5ckpt.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST = 64, ROOM = 256 << 20 };

static const h5ckpt_tensors *parameters;
static atomic_size_t next;
static atomic_ullong bytes;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void *work(void *buffer)
{
    for (size_t i; (i = atomic_fetch_add(&next, 1)) < h5ckpt_tensors_count(parameters);) {
        h5ckpt_error *err = NULL;
        const h5ckpt_tensor *t = h5ckpt_tensors_at(parameters, i);
        uint64_t n = h5ckpt_tensor_get_info(t)->nbytes;
        if (n > ROOM || h5ckpt_tensor_read(t, 0, buffer, (size_t)n, &err)) {
            fprintf(stderr, "unpack: %s\n", err ? err->message : "a tensor is too large");
            exit(1);
        }
        atomic_fetch_add(&bytes, n);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[MOST];
    void *buffers[MOST];
    int n = argc > 2 ? atoi(argv[2]) : 2;
    if (argc < 2 || n < 1 || n > MOST)
        return 2;
    for (int i = 0; i < n; i++)
        if (!(buffers[i] = malloc(ROOM)))
            return 4;
        else
            memset(buffers[i], 1, ROOM);
    h5ckpt_error *err = NULL;
    double start = now();
    h5ckpt_state *state = h5ckpt_state_open(argv[1], NULL, &err);
    if (!state) {
        fprintf(stderr, "unpack: %s\n", err ? err->message : "failed");
        return 3;
    }
    parameters = h5ckpt_state_parameters(state);
    for (int i = 0; i < n; i++)
        pthread_create(&threads[i], NULL, work, buffers[i]);
    for (int i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    double seconds = now() - start;
    printf("%.4f s %.0f MB/s\n", seconds, (double)atomic_load(&bytes) / seconds / 1e6);
    h5ckpt_state_free(state);
    return 0;
}
