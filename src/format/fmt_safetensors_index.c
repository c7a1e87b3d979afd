/*
 * fmt_safetensors_index.c - a model spread over several safetensors files (shards) of one folder, and its index:
 *
 *     {"metadata": {"total_size": 24, ...}, "weight_map": {"w": "X-00001-of-00002.safetensors", ...}}
 *
 * Source: the files that Hugging Face's libraries write. The dictionary's order is that of the shards, in the order in which
 * the map names them first, and within a shard the header's. Strings stand in the index's metadata and in the shards';
 * what is no string ("total_size") is told by the files themselves.
 *
 * Refused: a shard's name that is no plain one of a .safetensors file (nothing leads out of the folder; a symbolic link does
 * the user's bidding, for a download cache is made of them); a tensor that the map has in another file than the one it is
 * in, or that one of the two does not have.
 */
#include "format/fmt_safetensors.h"

#include "base/fs.h"
#include "parse/json.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 1 << 30 }; /* bytes of an index: one of a million tensors has some 100 MB */

/* ---- Probing ---- */

static bool is_key(const h5ck_json_token *t, const char *key)
{
    return t->kind == H5CK_JSON_KEY && t->len == strlen(key) && memcmp(t->str, key, t->len) == 0;
}

/* An object that has a weight_map, or so much metadata in front of it that the head of the file does not reach it. */
bool h5ck_fmt_safetensors_is_index(const h5ck_probe *p)
{
    h5ck_json j;
    h5ck_json_token t;
    bool is = false;
    if (p->is_dir)
        return false;
    h5ck_json_begin(&j, (const char *)p->head, p->head_len, 0);
    bool going = h5ck_json_expect(&j, H5CK_JSON_OBJECT, &t, NULL) == 0;
    while (going && !is && h5ck_json_next(&j, &t, NULL) == 0 && t.kind == H5CK_JSON_KEY) {
        is = is_key(&t, "weight_map");
        going = h5ck_json_next(&j, &t, NULL) == 0;
        while (going && !is && t.kind == H5CK_JSON_OBJECT && h5ck_json_next(&j, &t, NULL) == 0 &&
               t.kind != H5CK_JSON_CLOSE) {
            is = is_key(&t, "total_size") && p->size > p->head_len;
            going = h5ck_json_next(&j, &t, NULL) == 0 && h5ck_json_skip(&j, &t, NULL) == 0;
            t.kind = H5CK_JSON_OBJECT;
        }
    }
    h5ck_json_end(&j);
    return is;
}

/* ---- Reading the index ---- */

typedef struct shard {
    const char *name;
    h5ck_file *file;
    size_t mapped, found; /* tensors */
} shard;

/* Where the map says that a tensor is. */
typedef struct place {
    shard *shard;
    bool found;
} place;

typedef struct reader {
    h5ckpt_state *state;
    const h5ck_log *log;
    h5ck_carrier carrier;
    h5ck_arena scratch;
    h5ck_file *index;
    h5ck_dict shards; /* name -> shard */
    h5ck_dict places; /* tensor -> place */
    shard *now;
    bool had_map;
} reader;

static const char *copied(reader *r, const h5ck_json_token *t)
{
    return h5ck_arena_strndup(&r->scratch, t->str, t->len);
}

/* The file's name as a part of a path. */
static int check_shard_name(const char *name, size_t len, uint64_t at, h5ckpt_error **err)
{
    size_t suffix = strlen(H5CK_SAFETENSORS_SUFFIX);
    if (strlen(name) != len || strchr(name, '/') || len <= suffix || len > 255)
        return h5ck_fail_at(err, at, "expected the plain name of a file in the index's folder, found '%s'", name);
    if (strcmp(name + len - suffix, H5CK_SAFETENSORS_SUFFIX) != 0)
        return h5ck_fail_at(err, at, "expected a file whose name ends in " H5CK_SAFETENSORS_SUFFIX ", found '%s'",
                            name);
    return 0;
}

/* The shard of that name; *found is NULL where it cannot be had. */
static int shard_of(reader *r, const h5ck_json_token *t, shard **found, h5ckpt_error **err)
{
    const char *name = copied(r, t);
    int rc = name ? check_shard_name(name, t->len, t->begin, err) : h5ck_fail_nomem(err);
    if (rc || (*found = h5ck_dict_get(&r->shards, name)))
        return rc;
    *found = h5ck_arena_zalloc(&r->scratch, 1, sizeof **found);
    if (!*found || h5ck_dict_add(&r->shards, name, *found) != H5CK_DICT_ADDED)
        return h5ck_fail_nomem(err);
    (*found)->name = name;
    return 0;
}

static int read_map(reader *r, h5ck_json *j, h5ckpt_error **err)
{
    h5ck_json_token t;
    int rc = h5ck_json_expect(j, H5CK_JSON_OBJECT, &t, err);
    while (rc == 0 && (rc = h5ck_json_next(j, &t, err)) == 0 && t.kind == H5CK_JSON_KEY) {
        place *p = h5ck_arena_zalloc(&r->scratch, 1, sizeof *p);
        const char *name = copied(r, &t);
        if (!p || !name)
            return h5ck_fail_nomem(err);
        if (strlen(name) != t.len)
            return h5ck_fail_at(err, t.begin, "expected a name without zero bytes, found one with some");
        h5ck_dict_result added = h5ck_dict_add(&r->places, name, p);
        if (added == H5CK_DICT_NOMEM)
            return h5ck_fail_nomem(err);
        if (added == H5CK_DICT_EXISTS)
            return h5ck_err_where(err, h5ck_fail_at(err, t.begin, "expected each name once, found it a second time"),
                                  NULL, name);
        rc = h5ck_json_expect(j, H5CK_JSON_STRING, &t, err);
        if (rc == 0)
            rc = shard_of(r, &t, &p->shard, err);
        if (rc)
            return h5ck_err_where(err, rc, NULL, name);
        p->shard->mapped++;
    }
    return rc;
}

/* Strings are the state's; of the rest "total_size" is known, and others are noted. */
static int read_metadata(reader *r, h5ck_json *j, h5ckpt_error **err)
{
    h5ck_json_token t;
    int rc = h5ck_json_expect(j, H5CK_JSON_OBJECT, &t, err);
    while (rc == 0 && (rc = h5ck_json_next(j, &t, err)) == 0 && t.kind == H5CK_JSON_KEY) {
        size_t len = t.len;
        const char *key = copied(r, &t), *text;
        if (!key)
            return h5ck_fail_nomem(err);
        rc = h5ck_json_next(j, &t, err);
        if (rc == 0 && t.kind == H5CK_JSON_STRING) {
            text = copied(r, &t);
            rc = text ? h5ck_fmt_safetensors_string(&r->carrier, key, len, text, t.len, err) : h5ck_fail_nomem(err);
        } else if (rc == 0) {
            if (strcmp(key, "total_size") != 0)
                h5ck_log_note(r->log, "metadata '%s': left out: it is no string", key);
            rc = h5ck_json_skip(j, &t, err);
        }
    }
    return rc;
}

static int read_index(reader *r, const char *text, size_t len, h5ckpt_error **err)
{
    h5ck_json j;
    h5ck_json_token t;
    bool had_metadata = false;
    h5ck_json_begin(&j, text, len, 0);
    int rc = h5ck_json_expect(&j, H5CK_JSON_OBJECT, &t, err);
    while (rc == 0 && (rc = h5ck_json_next(&j, &t, err)) == 0 && t.kind == H5CK_JSON_KEY) {
        bool map = is_key(&t, "weight_map"), metadata = is_key(&t, "metadata");
        if ((map && r->had_map) || (metadata && had_metadata)) {
            rc = h5ck_fail_at(err, t.begin, "expected each key once, found one a second time");
        } else if (map) {
            r->had_map = true;
            rc = read_map(r, &j, err);
        } else if (metadata) {
            had_metadata = true;
            rc = read_metadata(r, &j, err);
        } else if ((rc = h5ck_json_next(&j, &t, err)) == 0) {
            rc = h5ck_json_skip(&j, &t, err);
        }
    }
    if (rc == 0)
        rc = h5ck_json_expect(&j, H5CK_JSON_END, &t, err);
    if (rc == 0 && !r->had_map)
        rc = h5ck_fail_at(err, 0, "expected the key \"weight_map\", found none");
    h5ck_json_end(&j);
    return rc;
}

/* ---- Reading the shards ---- */

/* "folder/name", as the index's own path leads there. */
static int open_shard(reader *r, shard *s, int *fd, h5ckpt_error **err)
{
    if (s->file)
        return h5ck_fs_reopen(s->file, fd, err);
    const char *slash = strrchr(r->index->root, '/');
    h5ck_buf path = H5CK_BUF_INIT;
    h5ck_buf_add(&path, r->index->root, slash ? (size_t)(slash + 1 - r->index->root) : 0);
    h5ck_buf_str(&path, s->name);
    const char *text = h5ck_buf_cstr(&path);
    s->file = text ? h5ck_state_new_file(r->state, text, NULL) : NULL;
    h5ck_buf_free(&path);
    if (!s->file)
        return h5ck_fail_nomem(err);
    int rc = h5ck_fs_open_source(s->file->root, NULL, s->file, fd, err);
    return rc ? h5ck_file_where(err, rc, s->file) : 0;
}

static int expected(void *user, const char *name, h5ckpt_error **err)
{
    reader *r = user;
    place *p = h5ck_dict_get(&r->places, name);
    if (!p)
        return h5ck_fail(err, H5CKPT_INVALID, "expected only tensors that the index's weight_map has, found another");
    if (p->shard != r->now)
        return h5ck_fail(err, H5CKPT_INVALID, "expected it in %s, as the index's weight_map says, found it here",
                         p->shard->name);
    r->now->found += !p->found;
    p->found = true;
    return 0;
}

static int check_found(reader *r, const shard *s, h5ckpt_error **err)
{
    for (size_t i = 0; s->found < s->mapped && i < r->places.count; i++) {
        const place *p = r->places.entries[i].value;
        if (p->shard == s && !p->found) {
            int rc = h5ck_fail(err, H5CKPT_INVALID,
                               "expected the tensor, which the index's weight_map puts here, found none");
            return h5ck_err_where(err, rc, s->file->root, r->places.entries[i].key);
        }
    }
    return 0;
}

static int read_shard(reader *r, shard *s, bool strings, h5ckpt_error **err)
{
    h5ck_safetensors_header h;
    int fd, rc = open_shard(r, s, &fd, err);
    if (rc)
        return rc;
    r->now = s;
    rc = h5ck_fmt_safetensors_load(s->file, fd, &h, err);
    if (rc == 0)
        rc = strings ? h5ck_fmt_safetensors_strings(&h, &r->carrier, err)
                     : h5ck_fmt_safetensors_tensors(&h, &r->carrier, expected, r, err);
    if (rc == 0 && !strings)
        rc = check_found(r, s, err);
    h5ck_fmt_safetensors_unload(&h);
    close(fd);
    return rc ? h5ck_file_where(err, rc, s->file) : 0;
}

/* A header is in memory twice for a short time each, rather than all at once: strings first, for those of one shard may
 * speak of another's tensors. */
static int read_shards(reader *r, h5ckpt_error **err)
{
    int rc = 0;
    for (int strings = 1; rc == 0 && strings >= 0; strings--)
        for (size_t i = 0; rc == 0 && i < r->shards.count; i++)
            rc = read_shard(r, r->shards.entries[i].value, strings, err);
    return rc;
}

int h5ck_fmt_safetensors_read_index(h5ck_file *file, int fd, h5ckpt_state *state, const h5ck_log *log,
                                    h5ckpt_error **err)
{
    reader r = {.state = state, .log = log, .index = file};
    if (file->size > MOST)
        return h5ck_fail(err, H5CKPT_INVALID, "expected an index of at most %d bytes, found %" PRIu64, MOST,
                         file->size);
    char *text = malloc((size_t)file->size + 1);
    h5ck_carrier_begin(&r.carrier, state, file, log);
    int rc = text ? h5ck_fs_pread(fd, text, (size_t)file->size, 0, err) : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = read_index(&r, text, (size_t)file->size, err);
    free(text);
    if (rc == 0)
        rc = read_shards(&r, err);
    rc = h5ck_carrier_end(&r.carrier, rc);
    h5ck_dict_free(&r.shards);
    h5ck_dict_free(&r.places);
    h5ck_arena_free(&r.scratch);
    return rc;
}
