/*
 * verify.c - is a checkpoint whole? Opening it checks its structure and holds it against the schema. Then all elements
 * are read, and what the file says of them is held against what is there: digests, and of a tensor that lies in another
 * file that file's size and time of modification. At last each decay whose class has a formula is asked for a rate, so
 * that a field which is missing or of a wrong type shows.
 *
 * A file that was only touched is no longer the file that was linked; but a digest that fits proves that the elements
 * are: then its new size or time is told, and makes no difference. Without a digest nothing proves it: a difference.
 *
 * A tensor's elements that cannot be had (a chunk that does not unpack) are a finding among others. A file that changes
 * while it is read is none: nothing that was found in it holds, and verifying ends. A refusal of the system is none: it says nothing of the checkpoint.
 */
#include "move/check.h"
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct verifier {
    h5ckpt_state *state;
    h5ckpt_finding_fn *tell;
    void *user;
    h5ckpt_verified sum;
    h5ck_check *checks;
    size_t count;
} verifier;

enum { TEXT = 64 };

/* ---- Findings ---- */

static void tell(verifier *v, const h5ckpt_finding *f)
{
    v->sum.differences += f->differs != 0;
    v->sum.findings++;
    if (v->tell)
        v->tell(v->user, f);
}

/* "2026-05-17T08:30:00.123456789Z" */
static void time_text(int64_t mtime, char text[TEXT])
{
    const int64_t second = 1000000000;
    int64_t rest = mtime % second;
    time_t seconds = (time_t)(mtime / second - (rest < 0));
    struct tm t;
    char date[TEXT];
    if (gmtime_r(&seconds, &t) && strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &t))
        snprintf(text, TEXT, "%.40s.%09dZ", date, (int)(rest < 0 ? rest + second : rest));
    else
        snprintf(text, TEXT, "%" PRId64, mtime);
}

/* The file behind a tensor, against what is kept of it. `proved`: the elements are what they were all the same. */
static void tell_mark(verifier *v, const h5ckpt_tensor *t, const char *path, bool proved)
{
    const h5ck_file_mark *mark = t->extent.mark;
    char expected[TEXT], found[TEXT];
    h5ckpt_finding f = {.name = t->info.name, .path = path, .expected = expected, .found = found, .differs = !proved};
    if ((uint64_t)mark->size != t->extent.file->size) {
        f.kind = H5CKPT_FINDING_SOURCE_SIZE;
        f.what = "source_size";
        snprintf(expected, sizeof expected, "%" PRId64, mark->size);
        snprintf(found, sizeof found, "%" PRIu64, t->extent.file->size);
        tell(v, &f);
    }
    if (mark->mtime != h5ck_file_mtime(t->extent.file)) {
        f.kind = H5CKPT_FINDING_SOURCE_MTIME;
        f.what = "source_mtime";
        time_text(mark->mtime, expected);
        time_text(h5ck_file_mtime(t->extent.file), found);
        tell(v, &f);
    }
}

static void tell_check(verifier *v, const h5ck_check *k)
{
    h5ck_arena scratch = {NULL};
    const h5ckpt_tensor *t = k->tensor;
    const char *path = t->extent.file ? h5ck_file_path(t->extent.file, &scratch) : NULL;
    h5ckpt_finding f = {.name = t->info.name, .path = path, .differs = 1};
    if (k->err) {
        f.kind = H5CKPT_FINDING_ELEMENTS;
        f.what = "elements";
        f.found = k->err->message;
        tell(v, &f);
    } else if (k->differs) {
        f.kind = H5CKPT_FINDING_DIGEST;
        f.what = "digest";
        f.expected = t->digest;
        f.found = k->found;
        tell(v, &f);
    }
    if (t->extent.mark)
        tell_mark(v, t, path, k->held && !k->differs);
    h5ck_arena_free(&scratch);
}

/* ---- Looking ---- */

static void add_checks(verifier *v, const h5ck_dict *dict)
{
    for (size_t i = 0; i < dict->count; i++)
        v->checks[v->count++].tensor = dict->entries[i].value;
}

static int check_tensors(verifier *v, const h5ckpt_options *o, h5ckpt_error **err)
{
    const h5ck_move_options how = {o->jobs, false, o->progress, o->progress_user};
    const h5ck_dict *parameters = &v->state->parameters.dict, *others = &v->state->optimizer_state.dict;
    v->checks = calloc(parameters->count + others->count + 1, sizeof *v->checks);
    if (!v->checks)
        return h5ck_fail_nomem(err);
    add_checks(v, parameters);
    add_checks(v, others);
    int rc = h5ck_checks_run(v->checks, v->count, &how, err);
    for (size_t i = 0; rc == 0 && i < v->count; i++) {
        const h5ck_check *k = &v->checks[i];
        v->sum.tensors++;
        v->sum.bytes += k->tensor->info.nbytes;
        v->sum.digests += k->held;
        v->sum.undigested += !k->held && k->tensor->info.nbytes;
        v->sum.linked += k->tensor->extent.mark != NULL;
        tell_check(v, k);
    }
    return rc;
}

static int check_decay(verifier *v, const h5ckpt_decay *d, h5ckpt_error **err)
{
    h5ckpt_error *why = NULL;
    h5ck_arena scratch = {NULL};
    double rate;
    int rc = d->info.has_rates ? h5ckpt_decay_rates(d, 1, &rate, &why) : 0;
    v->sum.decays++;
    if (rc == H5CKPT_SYSTEM) {
        h5ckpt_error_free(why);
        return h5ck_fail_nomem(err);
    }
    if (rc) {
        const h5ckpt_finding f = {.kind = H5CKPT_FINDING_DECAY,
                                  .what = "decay",
                                  .name = d->info.name,
                                  .path = d->file ? h5ck_file_path(d->file, &scratch) : NULL,
                                  .found = why ? why->message : "",
                                  .differs = 1};
        tell(v, &f);
    }
    h5ck_arena_free(&scratch);
    h5ckpt_error_free(why);
    return 0;
}

/* The caller's struct may be an older one's, and shorter. */
static void hand_out(const h5ckpt_verified *sum, h5ckpt_verified *to)
{
    if (!to)
        return;
    size_t size = to->size < sizeof *to ? to->size : sizeof *to;
    memcpy(to, sum, size);
    to->size = size;
}

int h5ckpt_verify(const char *path, const h5ckpt_options *options, h5ckpt_finding_fn *tell_finding, void *user,
                  h5ckpt_verified *verified, h5ckpt_error **err)
{
    const h5ckpt_options o = h5ck_options_complete(options);
    h5ckpt_error *own = NULL, **e = err ? err : &own;
    verifier v = {.tell = tell_finding, .user = user, .sum = H5CKPT_VERIFIED_INIT};
    int rc = 0;
    if (!(v.state = h5ck_open(path, &o, e)))
        rc = *e ? (int)(*e)->code : H5CKPT_SYSTEM;
    if (rc == 0) {
        v.sum.format = h5ckpt_state_format(v.state);
        rc = check_tensors(&v, &o, e);
    }
    for (size_t i = 0; rc == 0 && i < h5ckpt_decays_count(&v.state->decays); i++)
        rc = check_decay(&v, h5ckpt_decays_at(&v.state->decays, i), e);
    if (rc == 0)
        hand_out(&v.sum, verified);
    if (v.checks)
        h5ck_checks_free(v.checks, v.count);
    free(v.checks);
    h5ckpt_state_free(v.state);
    h5ckpt_error_free(own);
    return rc ? rc : v.sum.differences ? H5CKPT_DIFFERENT : H5CKPT_OK;
}
