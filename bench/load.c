/*
 * load - the seconds that h5ckpt takes in-process to load both dictionaries and touch every page of every parameter, or
 * only to open a checkpoint and list it.
 *
 *     load CHECKPOINT          mapped; prints the seconds, the number of parameters, and a sum that keeps the touching
 *                              honest
 *     load --copy CHECKPOINT   the same with the parameters read into memory first, by h5ckpt_load
 *     load --open CHECKPOINT [NAME]
 *                              prints "SECONDS PEAK_KIB COUNT": h5ckpt_state_open, and each parameter's name, dtype and
 *                              shape asked for; no parameter's data, but that of NAME, copied out
 */
#include "many.h"

#include <h5ckpt.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int fail(const h5ckpt_error *err)
{
    fprintf(stderr, "load: %s\n", err ? err->message : "usage: load [--copy|--open] CHECKPOINT [NAME]");
    return 1;
}

/* Copies one parameter's elements into memory of ours. */
static int read_one(const h5ckpt_tensors *parameters, const char *name, h5ckpt_error **err)
{
    const h5ckpt_tensor *t = h5ckpt_tensors_get(parameters, name);
    size_t n = t ? (size_t)h5ckpt_tensor_get_info(t)->nbytes : 0;
    void *data = malloc(n + 1);
    int rc = t && data ? h5ckpt_tensor_read(t, 0, data, n, err) : H5CKPT_USAGE;
    free(data);
    return rc;
}

/* What a listing asks of each. */
static int open_and_list(const char *path, const char *name)
{
    h5ckpt_error *err = NULL;
    size_t listed = 0, i = 0;
    double start = many_now();
    h5ckpt_state *state = h5ckpt_state_open(path, NULL, &err);
    if (!state)
        return fail(err);
    const h5ckpt_tensors *parameters = h5ckpt_state_parameters(state);
    for (const h5ckpt_tensor *t; (t = h5ckpt_tensors_at(parameters, i)); i++) {
        const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(t);
        listed += *info->name && h5ckpt_dtype_name(info->dtype) && (info->rank == 0 || info->shape[0] != UINT64_MAX);
    }
    if (name && read_one(parameters, name, &err))
        return fail(err);
    many_report(start, listed);
    h5ckpt_state_free(state);
    return 0;
}

static int load_and_touch(const char *path, int copy)
{
    enum { PAGE = 4096 };
    h5ckpt_tensors *parameters;
    h5ckpt_decays *decays;
    h5ckpt_error *err = NULL;
    uint64_t sum = 0;
    double start = many_now();
    if (h5ckpt_load_persistables(path, &parameters, &decays, &err) ||
        (copy && h5ckpt_load(parameters, NULL, NULL, &err)))
        return fail(err);
    size_t count = h5ckpt_tensors_count(parameters);
    for (size_t i = 0; i < count; i++) {
        const h5ckpt_tensor *t = h5ckpt_tensors_at(parameters, i);
        const unsigned char *data = h5ckpt_tensor_data(t, &err);
        uint64_t n = h5ckpt_tensor_get_info(t)->nbytes;
        for (uint64_t at = 0; data && at < n; at += PAGE)
            sum += data[at];
    }
    double seconds = many_now() - start;
    printf("%.6f %zu %" PRIu64 "\n", seconds, count, sum);
    h5ckpt_tensors_free(parameters);
    h5ckpt_decays_free(decays);
    return 0;
}

int main(int argc, char **argv)
{
    if ((argc == 3 || argc == 4) && strcmp(argv[1], "--open") == 0)
        return open_and_list(argv[2], argv[3]); /* NULL behind the last */
    int copy = argc == 3 && strcmp(argv[1], "--copy") == 0;
    return argc == 2 + copy ? load_and_touch(argv[1 + copy], copy) : fail(NULL);
}
