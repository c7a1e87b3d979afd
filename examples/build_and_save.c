/*
 * build_and_save - builds a checkpoint in memory and writes it twice: as HDF5, and as a save directory that Paddle loads.
 *
 *     cc build_and_save.c $(pkg-config --cflags --libs h5ckpt) -o build_and_save
 *     ./build_and_save            # writes built.h5 and built_dir/ here
 *     ./build_and_save FILE DIR   # or there; neither may exist
 */
#include <h5ckpt.h>

#include <stdio.h>
#include <string.h>

static int fail(h5ckpt_error *err)
{
    fprintf(stderr, "build_and_save: %s\n", err ? err->message : "out of memory");
    h5ckpt_error_free(err);
    return 1;
}

/* A field of a decay. Plain data: the library copies it. */
static h5ckpt_field field(const char *name, h5ckpt_value value)
{
    h5ckpt_field f = {.key = {.type = H5CKPT_STR, .count = strlen(name), .as.str = name}, .value = value};
    return f;
}

static h5ckpt_value integer(int64_t i)
{
    return (h5ckpt_value){.type = H5CKPT_INT, .as.i = i};
}

static h5ckpt_value number(double f)
{
    return (h5ckpt_value){.type = H5CKPT_FLOAT, .as.f = f};
}

static h5ckpt_value text(const char *s)
{
    return (h5ckpt_value){.type = H5CKPT_STR, .count = strlen(s), .as.str = s};
}

static int add_decay(h5ckpt_state *state, h5ckpt_error **err)
{
    const h5ckpt_field fields[] = {
        field("step_num", integer(1000)),
        field("step_size", integer(1)),
        field("dtype", text("float32")),
        field("learning_rate", number(0.1)),
        field("decay_steps", integer(10000)),
        field("decay_rate", number(0.5)),
        field("staircase", (h5ckpt_value){.type = H5CKPT_BOOL, .as.i = 1}),
    };
    const h5ckpt_object object = {.class_name = "NaturalExpDecay", /* module NULL: Paddle's own */
                                  .count = sizeof fields / sizeof *fields,
                                  .fields = fields};
    const h5ckpt_value value = {.type = H5CKPT_OBJECT, .as.object = &object};
    return h5ckpt_state_add_decay(state, "None", &value, err);
}

static int build(h5ckpt_state *state, h5ckpt_error **err)
{
    /* These bytes are not copied: static, because they must outlive the state. */
    static const float weight[2][3] = {{1, 2, 3}, {4, 5, 6}};
    static const float bias[3] = {0.5f, -0.5f, 0};
    static const uint64_t weight_shape[] = {2, 3}, bias_shape[] = {3};
    const h5ckpt_tensor_info w = {
        .name = "mlp/FC_0.w_0", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 2, .shape = weight_shape};
    const h5ckpt_tensor_info b = {
        .name = "mlp/FC_0.b_0", .dtype = H5CKPT_DTYPE_FLOAT32, .rank = 1, .shape = bias_shape};
    int rc = h5ckpt_state_add_tensor(state, 0, &w, weight, err);
    if (rc == H5CKPT_OK)
        rc = h5ckpt_state_add_tensor(state, 0, &b, bias, err);
    if (rc == H5CKPT_OK)
        rc = add_decay(state, err);
    return rc;
}

int main(int argc, char **argv)
{
    const char *file = argc > 2 ? argv[1] : "built.h5";
    const char *dir = argc > 2 ? argv[2] : "built_dir";
    h5ckpt_options options = H5CKPT_OPTIONS_INIT;
    h5ckpt_error *err = NULL;
    h5ckpt_state *state = h5ckpt_state_new();
    if (!state)
        return fail(NULL);

    int rc = build(state, &err);
    options.to = "hdf5";
    if (rc == H5CKPT_OK)
        rc = h5ckpt_state_write(state, file, &options, &err);
    options.to = "paddle-dir";
    if (rc == H5CKPT_OK)
        rc = h5ckpt_state_write(state, dir, &options, &err);
    if (rc == H5CKPT_OK)
        printf("wrote %s and %s\n", file, dir);
    h5ckpt_state_free(state);
    return rc == H5CKPT_OK ? 0 : fail(err);
}
