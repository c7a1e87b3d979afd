/*
 * convert_with_progress - converts a checkpoint, counting per cent as it goes.
 *
 *     cc convert_with_progress.c $(pkg-config --cflags --libs h5ckpt) -o convert_with_progress
 *     ./convert_with_progress                     # save_dir to model.h5
 *     ./convert_with_progress model.h5 save_dir2/
 */
#include <h5ckpt.h>

#include <stdio.h>

/* Called a few times a second, and once at the end. Anything but 0 would stop the conversion and leave no target. */
static int progress(void *user, uint64_t done, uint64_t total)
{
    int *shown = user;
    int percent = total ? (int)((double)done / (double)total * 100) : 100;
    if (percent > *shown)
        printf("%3d%% of %llu bytes\n", percent, (unsigned long long)total);
    *shown = percent;
    return 0;
}

/* What is no error and yet worth knowing, such as a file that was passed over. */
static void note(void *user, const char *line)
{
    (void)user;
    printf("note: %s\n", line);
}

int main(int argc, char **argv)
{
    const char *source = argc > 2 ? argv[1] : "save_dir";
    const char *target = argc > 2 ? argv[2] : "model.h5";
    int shown = -1;
    h5ckpt_error *err = NULL;
    h5ckpt_options options = H5CKPT_OPTIONS_INIT;
    options.progress = progress;
    options.progress_user = &shown;
    options.note = note;
    options.force = 1; /* replaces a target from the last run; the old one stays until the new one is whole */
    if (h5ckpt_convert(source, target, &options, &err)) {
        fprintf(stderr, "convert_with_progress: %s\n", err ? err->message : "out of memory");
        h5ckpt_error_free(err);
        return 1;
    }
    printf("%s -> %s\n", source, target);
    return 0;
}
