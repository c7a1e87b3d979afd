/*
 * make_bert - writes a save directory with the shapes of a BERT-large (387 parameters, 1.34 GB) or a fraction of it.
 *
 *     make_bert DIRECTORY [HIDDEN]      HIDDEN: 1024 by default; 64 makes a small one for a try
 *
 * The values are pseudo-random float32 in (-0.05, 0.05), so that nothing on the way can be clever about zeros.
 */
#include <h5ckpt.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float *weights(size_t count)
{
    static uint64_t x = 88172645463325252u;
    float *w = malloc(count * sizeof *w);
    for (size_t i = 0; w && i < count; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* Marsaglia's xorshift */
        w[i] = ((float)(x >> 40) / 16777216.0f - 0.5f) * 0.1f;
    }
    return w;
}

static h5ckpt_error *error;

static int add(h5ckpt_state *state, const char *name, uint64_t rows, uint64_t columns)
{
    const uint64_t shape[2] = {rows, columns};
    const h5ckpt_tensor_info info = {
        .name = name, .dtype = H5CKPT_DTYPE_FLOAT32, .rank = columns ? 2 : 1, .shape = shape};
    float *data = weights((size_t)(rows * (columns ? columns : 1)));
    return data ? h5ckpt_state_add_tensor(state, 0, &info, data, &error) : H5CKPT_SYSTEM;
}

static int add_layer(h5ckpt_state *state, int layer, uint64_t h)
{
    static const struct {
        const char *name;
        int rows, columns; /* in units of the hidden size */
    } parameters[] = {
        {"multi_head_att_query_fc.w_0", 1, 1},
        {"multi_head_att_query_fc.b_0", 1, 0},
        {"multi_head_att_key_fc.w_0", 1, 1},
        {"multi_head_att_key_fc.b_0", 1, 0},
        {"multi_head_att_value_fc.w_0", 1, 1},
        {"multi_head_att_value_fc.b_0", 1, 0},
        {"multi_head_att_output_fc.w_0", 1, 1},
        {"multi_head_att_output_fc.b_0", 1, 0},
        {"post_att_layer_norm_scale", 1, 0},
        {"post_att_layer_norm_bias", 1, 0},
        {"ffn_fc_0.w_0", 1, 4},
        {"ffn_fc_0.b_0", 4, 0},
        {"ffn_fc_1.w_0", 4, 1},
        {"ffn_fc_1.b_0", 1, 0},
        {"post_ffn_layer_norm_scale", 1, 0},
        {"post_ffn_layer_norm_bias", 1, 0},
    };
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof parameters / sizeof *parameters; i++) {
        char name[96];
        snprintf(name, sizeof name, "encoder_layer_%d_%s", layer, parameters[i].name);
        rc = add(state, name, h * (uint64_t)parameters[i].rows, h * (uint64_t)parameters[i].columns);
    }
    return rc;
}

int main(int argc, char **argv)
{
    h5ckpt_state *state = h5ckpt_state_new();
    uint64_t h = argc > 2 ? strtoull(argv[2], NULL, 10) : 1024;
    h5ckpt_options options = H5CKPT_OPTIONS_INIT;
    options.to = "paddle-dir";
    int rc = argc < 2 || !state || h == 0 ? H5CKPT_USAGE : 0;
    if (rc == 0)
        rc = add(state, "word_embedding", 30522, h);
    if (rc == 0)
        rc = add(state, "pos_embedding", 512, h);
    if (rc == 0)
        rc = add(state, "sent_embedding", 2, h);
    for (int layer = 0; rc == 0 && layer < 24; layer++)
        rc = add_layer(state, layer, h);
    if (rc == 0)
        rc = h5ckpt_state_write(state, argv[1], &options, &error);
    if (rc)
        fprintf(stderr, "make_bert: %s\n", error ? error->message : "usage: make_bert DIRECTORY [HIDDEN]");
    return rc; /* the weights go with the process */
}
