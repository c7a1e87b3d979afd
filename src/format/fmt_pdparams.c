/*
 * fmt_pdparams.c - Paddle's pickled states: X.pdparams, and the X.pdopt beside it.
 *
 *     X.pdparams   a dictionary: structured name -> array; StructuredToParameterName@@: structured name -> variable
 *     X.pdopt      a dictionary: accumulator -> array; LR_Scheduler: a scheduler's state; master_weights: a dictionary
 *                  of arrays; global_step (1.x)
 *
 * Paddle 1.6 to 1.8 (fluid.save_dygraph) write protocol 2, where Python 3 makes text of an array's bytes: those are
 * decoded while they move (src/parse/latin1.c). Paddle 2 and 3 (paddle.save) write protocols 2 to 4. A state_dict is
 * written as above, an array that has more than 1 GiB in pieces of which UnpackBigParamInfor@@ tells (protocols 2 and
 * 3); any other object keeps its shape, and a tensor in it becomes a tuple (name, array), or, of a static program, an
 * array (by a call of eval that is understood, not made). So one file may hold all of a training run: {"model": ...,
 * "opt": ..., "epoch": 3}.
 *
 * Arrays become tensors, named by the keys that lead to them; those of a dictionary that shows itself to be an
 * optimizer's are the optimizer's state. LR_Scheduler becomes a decay. All else is kept in the metadata, as the text of
 * a value (src/parse/value_json.h) that says where the tensors and decays belong, so that writing gives it all back.
 *
 * Paddle has no uint16: uint16 in such a file are the bits of bfloat16, for NumPy has none. paddle.load sees it so, too.
 *
 * Written is protocol 4, array bytes as they are at multiples of 64 bytes; optimizers' tensors, decays and what was in a
 * .pdopt go to the .pdopt beside the target. Paddle 1.8.5 (Python 3) and 3.3.1 read both.
 *
 * Facts: files of Paddle 1.8.5 and 3.3.1, and the behaviour of their load functions (tests/peers/). Reading is in
 * fmt_pdparams_read.c, writing in fmt_pdparams_write.c; here is what a file is known by, and the table's row.
 *
 * Refused: what parse/pickle.h refuses, any global but those below, objects that are no decays; a file without a tensor
 * that is no dictionary. In writing: dtypes that NumPy cannot pickle (float8).
 */
#include "format/fmt_pdparams.h"

#include "parse/pickle.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

static const char *const suffixes[] = {".pdparams", ".pdopt", NULL};

/* A pickle of protocol 2 to 5. One that begins with a long is PyTorch's of before 1.6. */
static bool probe(const h5ck_probe *p)
{
    if (p->is_dir || p->head_len < 3 || p->head[0] != 0x80 || p->head[1] < 2 || p->head[1] > 5)
        return false;
    return p->head[2] != 0x8a;
}

bool h5ck_fmt_pdparams_allows(void *user, const char *module, const char *name)
{
    static const char *const builtins[] = {"set", "frozenset", NULL};
    (void)user;
    if (strcmp(module, "collections") == 0)
        return strcmp(name, "OrderedDict") == 0;
    if (strcmp(module, "builtins") != 0 && strcmp(module, "__builtin__") != 0)
        return false;
    for (const char *const *b = builtins; *b; b++)
        if (strcmp(*b, name) == 0)
            return true;
    return false;
}

static bool ends_in(const char *path, const char *suffix)
{
    size_t n = strlen(path), m = strlen(suffix);
    return n > m && strcasecmp(path + n - m, suffix) == 0;
}

bool h5ck_fmt_pdparams_is_optimizer(const char *path)
{
    return ends_in(path, suffixes[1]);
}

const char *h5ck_fmt_pdparams_beside(const char *path, h5ck_arena *arena, bool *failed)
{
    *failed = false;
    if (!ends_in(path, suffixes[0]))
        return NULL;
    size_t stem = strlen(path) - strlen(suffixes[0]);
    char *beside = h5ck_arena_alloc(arena, stem + strlen(suffixes[1]) + 1);
    *failed = !beside;
    if (beside) {
        memcpy(beside, path, stem);
        memcpy(beside + stem, suffixes[1], strlen(suffixes[1]) + 1);
    }
    return beside;
}

static int explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay, h5ck_buf *out,
                   h5ckpt_error **err)
{
    (void)state;
    (void)err;
    const h5ck_file *file = tensor ? tensor->extent.file : decay ? decay->file : NULL;
    if (file)
        h5ck_buf_printf(out, "file %s, %" PRIu64 " bytes: a pickle\n", file->root, file->size);
    if (!tensor)
        return 0;
    const h5ck_extent *e = &tensor->extent;
    if (e->kind == H5CK_EXTENT_FILE)
        h5ck_buf_printf(out, "elements: as they are, at offset %" PRIu64 "\n", e->offset);
    else if (e->kind == H5CK_EXTENT_DECODER)
        h5ck_buf_printf(out, "elements: decoded while they are read: %s\n", e->decoder->what);
    else
        h5ck_buf_str(out, "elements: decoded from text with escapes\n");
    return 0;
}

const h5ck_format h5ck_fmt_pdparams = {
    .info = {.name = "pdparams",
             .suffix = ".pdparams",
             .doc = "Paddle 1.6 to 3: a pickled state, and the optimizer's in the .pdopt beside it",
             .reads = 1,
             .writes = 1,
             .holds_decays = 1,
             .holds_optimizer_state = 1,
             .holds_metadata = 0},
    .suffixes = suffixes,
    .probe = probe,
    .read = h5ck_fmt_pdparams_read,
    .plan = h5ck_fmt_pdparams_plan,
    .explain = explain,
};
