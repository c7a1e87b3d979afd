/*
 * fmt_torch_write.c - a checkpoint as torch.save writes it: a zip archive, all members stored, their bytes at multiples of
 * 64.
 *
 *     archive/data.pkl                   what fmt_torch_build.c puts together; protocol 2
 *     archive/byteorder                  "little"
 *     archive/data/0, /1, ...            storages, in the order in which the pickle names them
 *     archive/version                    "3\n"
 *     archive/.data/h5ckpt_metadata      the state's metadata, as a JSON object of strings; only where there is some
 *
 * torch.load passes over the last. Left out of what torch.save adds: ".format_version", for that promises miniz' own
 * headers, from which torch may compute where storages lie instead of looking; ".data/serialization_id", of which torch
 * says in its log whom it loaded: the same state gives the same bytes here. Read by torch.load from PyTorch 1.6 on;
 * storages of uint16, uint32, uint64 and float8 from 2.3 on, which has these types.
 */
#include "format/carrier.h"
#include "format/fmt_torch.h"
#include "format/zip_plan.h"
#include "parse/pickle.h"
#include "parse/value_json.h"

#include <stdio.h>
#include <string.h>

static bool allows(void *user, const char *module, const char *name)
{
    (void)user;
    return h5ck_torch_allows(module, name, NULL) == 0;
}

static int add_text(h5ck_zip_plan *zip, const char *name, const char *text, h5ckpt_error **err)
{
    return h5ck_zip_plan_add(zip, name, text, strlen(text), NULL, err);
}

static int add_pickle(h5ck_zip_plan *zip, const h5ckpt_value *root, h5ckpt_error **err)
{
    static const h5ck_pickle_policy policy = {.allows = allows, .persistent = true, .large = true};
    static const h5ck_pickle_style style = {.protocol = 2, .policy = &policy};
    h5ck_buf pickle = H5CK_BUF_INIT;
    int rc = h5ck_pickle_write_as(root, &style, &pickle, err);
    if (rc == 0)
        rc = h5ck_zip_plan_add(zip, "archive/data.pkl", pickle.data, pickle.len, NULL, err);
    h5ck_buf_free(&pickle);
    return rc;
}

static int add_storages(h5ck_zip_plan *zip, const h5ck_torch_content *content, h5ckpt_error **err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < content->count; i++) {
        const h5ckpt_tensor *t = content->storages[i];
        char name[48];
        snprintf(name, sizeof name, "archive/data/%zu", i);
        rc = h5ck_zip_plan_add(zip, name, NULL, 0, t, err);
        if (rc)
            h5ck_err_where(err, rc, NULL, t->info.name);
    }
    return rc;
}

/* All metadata but the skeleton that went into the pickle, and the decays as they were. */
static int add_metadata(h5ck_zip_plan *zip, const h5ckpt_state *state, const h5ck_torch_content *content,
                        h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ck_buf json = H5CK_BUF_INIT, decays = H5CK_BUF_INIT;
    h5ckpt_field *fields = h5ck_arena_zalloc(&scratch, state->metadata.count + 1, sizeof *fields);
    h5ckpt_value rest = {.type = H5CKPT_DICT, .as.fields = fields};
    int rc = fields ? 0 : h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < state->metadata.count; i++) {
        const h5ckpt_field *f = &state->metadata.as.fields[i];
        if (!content->used_skeleton || strcmp(f->key.as.str, "torch") != 0)
            fields[rest.count++] = *f;
    }
    if (rc == 0 && content->decays.count) {
        rc = h5ck_value_to_json(&content->decays, &decays, err);
        const char *text = rc ? NULL : h5ck_buf_cstr(&decays);
        if (rc == 0 && !text)
            rc = h5ck_fail_nomem(err);
        if (rc == 0)
            fields[rest.count++] = (h5ckpt_field){h5ck_value_str(H5CK_CARRIER_DECAYS), h5ck_value_str(text)};
    }
    if (rc == 0 && rest.count) {
        rc = h5ck_value_to_json(&rest, &json, err);
        if (rc == 0)
            rc = h5ck_zip_plan_add(zip, "archive/" H5CK_TORCH_METADATA, json.data, json.len, NULL, err);
    }
    h5ck_buf_free(&json);
    h5ck_buf_free(&decays);
    h5ck_arena_free(&scratch);
    return rc;
}

int h5ck_torch_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    h5ck_torch_content content = {0};
    h5ck_zip_plan *zip;
    int rc = h5ck_torch_build(state, plan, &content, err);
    if (rc == 0)
        rc = h5ck_zip_plan_begin(plan, &zip, err);
    if (rc)
        return rc;
    rc = add_pickle(zip, &content.root, err);
    if (rc == 0)
        rc = add_text(zip, "archive/byteorder", "little", err);
    if (rc == 0)
        rc = add_storages(zip, &content, err);
    if (rc == 0)
        rc = add_text(zip, "archive/version", "3\n", err);
    if (rc == 0)
        rc = add_metadata(zip, state, &content, err);
    return rc ? rc : h5ck_zip_plan_end(zip, err);
}
