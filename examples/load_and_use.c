/*
 * load_and_use - loads a checkpoint and uses it, without Paddle and without building a graph.
 *
 *     cc load_and_use.c $(pkg-config --cflags --libs h5ckpt) -o load_and_use
 *     ./load_and_use              # "save_dir", as Paddle's load_persistables does
 *     ./load_and_use model.h5     # or any file that h5ckpt reads
 *
 * The model is one layer, 784 inputs to 10 outputs: x W + b (the softmax behind it changes no order, and is left out).
 * The image is gray all over (0.5). Prints the ten outputs, and the learning rate with which training would go on.
 */
#include <h5ckpt.h>

#include <stdio.h>
#include <string.h>

enum { INPUTS = 784, OUTPUTS = 10 };

static int fail(h5ckpt_error *err)
{
    fprintf(stderr, "load_and_use: %s\n", err ? err->message : "out of memory");
    h5ckpt_error_free(err);
    return 1;
}

/* The elements of the parameter `name`, if it is what the model needs. They are the mapped file itself: no copy. */
static const unsigned char *weights(const h5ckpt_tensors *params, const char *name, uint64_t count, h5ckpt_error **err)
{
    const h5ckpt_tensor *tensor = h5ckpt_tensors_get(params, name);
    if (!tensor) {
        fprintf(stderr, "load_and_use: no parameter %s\n", name);
        return NULL;
    }
    const h5ckpt_tensor_info *info = h5ckpt_tensor_get_info(tensor);
    if (info->dtype != H5CKPT_DTYPE_FLOAT32 || info->nbytes != count * sizeof(float)) {
        fprintf(stderr, "load_and_use: %s: not a float32 tensor of the expected size\n", name);
        return NULL;
    }
    return h5ckpt_tensor_data(tensor, err);
}

/* In a save directory the elements stand behind a header of any length, so perhaps at an odd address. */
static float at(const unsigned char *data, size_t i)
{
    float f;
    memcpy(&f, data + i * sizeof f, sizeof f);
    return f;
}

static int forward(const h5ckpt_tensors *params)
{
    h5ckpt_error *err = NULL;
    const unsigned char *w = weights(params, "mlp/MLP_0/FC_0.w_0", INPUTS * OUTPUTS, &err);
    const unsigned char *b = w ? weights(params, "mlp/MLP_0/FC_0.b_0", OUTPUTS, &err) : NULL;
    if (!w || !b)
        return err ? fail(err) : 1;
    for (size_t o = 0; o < OUTPUTS; o++) {
        double y = (double)at(b, o);
        for (size_t i = 0; i < INPUTS; i++)
            y += 0.5 * (double)at(w, i * OUTPUTS + o);
        printf("output %zu: %9.6f\n", o, y);
    }
    return 0;
}

static int next_rate(const h5ckpt_decays *decays)
{
    h5ckpt_error *err = NULL;
    for (size_t i = 0; i < h5ckpt_decays_count(decays); i++) {
        const h5ckpt_decay *decay = h5ckpt_decays_at(decays, i);
        const h5ckpt_decay_info *info = h5ckpt_decay_get_info(decay);
        double rate;
        if (!info->has_rates) /* a class of the user's own */
            continue;
        if (h5ckpt_decay_rates(decay, 1, &rate, &err))
            return fail(err);
        printf("optimizer %s: %s, next learning rate %.6g\n", info->name, info->value->as.object->class_name, rate);
    }
    return 0;
}

int main(int argc, char **argv)
{
    h5ckpt_tensors *params;
    h5ckpt_decays *decays;
    h5ckpt_error *err = NULL;
    if (h5ckpt_load_persistables(argc > 1 ? argv[1] : NULL, &params, &decays, &err))
        return fail(err);
    int rc = forward(params);
    if (rc == 0)
        rc = next_rate(decays);
    h5ckpt_tensors_free(params); /* until here the weights were valid */
    h5ckpt_decays_free(decays);
    return rc;
}
