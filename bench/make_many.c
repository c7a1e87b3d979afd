/*
 * make_many - writes a checkpoint of many tiny parameters (float32, 4 elements), through the API alone.
 *
 *     make_many TARGET COUNT [PER_GROUP]
 *
 * TARGET is a save directory, or an HDF5 file where it ends in ".h5". All parameters are in one group ("fc_0.w_0", ...),
 * or PER_GROUP in each ("block_0/fc_0.w_0", ...). Prints "SECONDS PEAK_KIB COUNT": building the state is not counted,
 * writing it is (without waiting for the disk).
 */
#include "many.h"

#include <h5ckpt.h>

#include <stdlib.h>

static h5ckpt_error *error;

static int add(h5ckpt_state *state, size_t i, size_t per_group)
{
    static const float data[MANY_ELEMENTS] = {0.25f, -0.5f, 1.0f, 0.125f};
    static const uint64_t shape[1] = {MANY_ELEMENTS};
    char name[MANY_NAME];
    h5ckpt_tensor_info info = {.name = name, .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = shape};
    many_name(name, i, per_group);
    return h5ckpt_state_add_tensor(state, 0, &info, data, &error);
}

int main(int argc, char **argv)
{
    size_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    size_t per_group = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    h5ckpt_options options = H5CKPT_OPTIONS_INIT;
    h5ckpt_state *state = h5ckpt_state_new();
    options.no_sync = 1;
    int rc = !state || count == 0 || argc > 4 ? H5CKPT_USAGE : 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = add(state, i, per_group);
    double start = many_now();
    if (rc == 0)
        rc = h5ckpt_state_write(state, argv[1], &options, &error);
    if (rc == 0)
        many_report(start, count);
    else
        fprintf(stderr, "make_many: %s\n", error ? error->message : "usage: make_many TARGET COUNT [PER_GROUP]");
    h5ckpt_state_free(state);
    return rc;
}
