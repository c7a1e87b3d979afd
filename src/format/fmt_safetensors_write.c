/*
 * fmt_safetensors_write.c - plans a safetensors file, or shards and their index.
 *
 * The elements lie as safetensors itself lays them: by dtype, those of the largest elements first, then by name; the header
 * is padded with blanks to 8 bytes. So all of one dtype are aligned, and the file is, byte for byte, what safetensors' own
 * save_file gives for the same tensors: where the dictionary is in that order too. In any other order the header's keys
 * follow the dictionary, and nothing else differs: every reader goes by the offsets, which are the same, and we give the
 * order back. That takes no string of ours, which a plain user would wonder about.
 *
 * No digests: a header stands before the elements and has its length in front, and what would be in it is known only when
 * the elements have been moved. A place kept free for them would make each file another than safetensors' own.
 *
 * A target X.safetensors.index.json is the index; its shards X-00001-of-0000N.safetensors are companions, each of at most
 * 5 GB (as Hugging Face's libraries make them) or of one tensor that is larger. The state's strings stand in each
 * shard, where those libraries look for them; the carrier's stand in the index's metadata.
 *
 * Refused: complex128, for which the format has no name; a header of more than 100 MB, which no reader takes.
 */
#include "format/fmt_safetensors.h"

#include "base/ckd.h"
#include "base/fs.h"
#include "base/le.h"
#include "parse/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SHARD_BYTES UINT64_C(5000000000)

/* ---- Order ---- */

/* The dtypes as the library sorts them. */
static const char *const dtype_order[] = {"U64", "I64", "F64", "C64",     "F32",     "U32", "I32", "BF16",
                                          "F16", "U16", "I16", "F8_E4M3", "F8_E5M2", "I8",  "U8",  "BOOL"};
enum { DTYPES = sizeof dtype_order / sizeof *dtype_order };

/* A tensor on its way to its place. */
typedef struct item {
    const h5ck_carrier_tensor *from;
    const h5ck_dtype *dtype;
    size_t rank; /* in dtype_order */
    uint64_t begin, end;
} item;

static int by_dtype_and_name(const void *a, const void *b)
{
    const item *x = *(item *const *)a, *y = *(item *const *)b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    return strcmp(x->from->name, y->from->name);
}

static int make_item(const h5ck_carrier_tensor *from, item *it, h5ckpt_error **err)
{
    const h5ckpt_tensor_info *info = &from->tensor->info;
    *it = (item){.from = from, .dtype = h5ck_dtype_get(info->dtype)};
    if (!it->dtype || !it->dtype->safetensors)
        return h5ck_err_where(err,
                              h5ck_fail(err, H5CKPT_INVALID, "expected a dtype that safetensors has, found %s",
                                        h5ckpt_dtype_name(info->dtype)),
                              NULL, info->name);
    while (it->rank < DTYPES && strcmp(dtype_order[it->rank], it->dtype->safetensors) != 0)
        it->rank++;
    return 0;
}

/* ---- One file ---- */

/* Headers, which the plan points at. */
typedef struct heads {
    size_t count;
    h5ck_buf *bufs;
} heads;

static void discard(h5ck_plan *plan)
{
    heads *all = plan->user;
    for (size_t i = 0; all && i < all->count; i++)
        h5ck_buf_free(&all->bufs[i]);
}

static int make_heads(h5ck_plan *plan, size_t count, heads **all, h5ckpt_error **err)
{
    *all = h5ck_arena_zalloc(&plan->arena, 1, sizeof **all);
    if (!*all || !((*all)->bufs = h5ck_arena_zalloc(&plan->arena, count, sizeof *(*all)->bufs)))
        return h5ck_fail_nomem(err);
    (*all)->count = count;
    plan->user = *all;
    plan->discard = discard;
    return 0;
}

static void put_text(h5ck_buf *b, const char *s)
{
    h5ck_json_put_string(b, s, strlen(s));
}

static bool is_carriers(const h5ck_carrier_string *s)
{
    return strncmp(s->key, "h5ckpt.", 7) == 0;
}

/* "__metadata__", without the carrier's strings where `own_only`. */
static void put_metadata(h5ck_buf *b, const h5ck_carrier_list *list, bool own_only)
{
    bool any = false;
    for (size_t i = 0; i < list->string_count; i++) {
        if (own_only && is_carriers(&list->strings[i]))
            continue;
        h5ck_buf_str(b, any ? "," : "\"" H5CK_SAFETENSORS_METADATA "\":{");
        put_text(b, list->strings[i].key);
        h5ck_buf_u8(b, ':');
        put_text(b, list->strings[i].text);
        any = true;
    }
    h5ck_buf_str(b, any ? "}" : "");
}

static void put_tensor(h5ck_buf *b, const item *it)
{
    const h5ckpt_tensor_info *info = &it->from->tensor->info;
    put_text(b, it->from->name);
    h5ck_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[", it->dtype->safetensors);
    for (size_t d = 0; d < info->rank; d++)
        h5ck_buf_printf(b, "%s%" PRIu64, d ? "," : "", info->shape[d]);
    h5ck_buf_printf(b, "],\"data_offsets\":[%" PRIu64 ",%" PRIu64 "]}", it->begin, it->end);
}

static int put_head(h5ck_buf *b, const h5ck_carrier_list *list, const item *items, size_t count, bool own_only,
                    h5ckpt_error **err)
{
    static const char blanks[8] = "        ";
    h5ck_buf_le(b, 0, H5CK_SAFETENSORS_LENGTH); /* known at the end */
    h5ck_buf_u8(b, '{');
    put_metadata(b, list, own_only);
    for (size_t i = 0; i < count; i++) {
        h5ck_buf_str(b, b->len > H5CK_SAFETENSORS_LENGTH + 1 ? "," : "");
        put_tensor(b, &items[i]);
    }
    h5ck_buf_u8(b, '}');
    h5ck_buf_add(b, blanks, (8 - b->len % 8) % 8);
    if (b->failed)
        return h5ck_fail_nomem(err);
    size_t length = b->len - H5CK_SAFETENSORS_LENGTH;
    if (length > H5CK_SAFETENSORS_MOST)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a header of at most %d bytes, found that %zu tensors take %zu",
                         H5CK_SAFETENSORS_MOST, count, length);
    h5ck_le_put(b->data, length, H5CK_SAFETENSORS_LENGTH);
    return 0;
}

/* Gives each its place. `sorted` has room for all. */
static int place(item *items, size_t count, item **sorted, uint64_t *size, h5ckpt_error **err)
{
    *size = 0;
    for (size_t i = 0; i < count; i++)
        sorted[i] = &items[i];
    if (count)
        qsort(sorted, count, sizeof *sorted, by_dtype_and_name);
    for (size_t i = 0; i < count; i++) {
        sorted[i]->begin = *size;
        if (h5ck_ckd_add(*size, sorted[i]->from->tensor->info.nbytes, size))
            return h5ck_fail(err, H5CKPT_INVALID, "expected elements of a file's size, found more");
        sorted[i]->end = *size;
    }
    return 0;
}

/* Plans one file of these tensors. */
static int plan_file(h5ck_plan *plan, h5ck_plan_file *file, h5ck_buf *head, const h5ck_carrier_list *list, item *items,
                     size_t count, h5ckpt_error **err)
{
    item **sorted = h5ck_arena_zalloc(&plan->arena, count, sizeof *sorted);
    uint64_t size;
    size_t index;
    if (!sorted)
        return h5ck_fail_nomem(err);
    int rc = place(items, count, sorted, &size, err);
    if (rc == 0)
        rc = put_head(head, list, items, count, file->companion != NULL, err);
    if (rc)
        return rc;
    file->head = head->data;
    file->head_len = head->len;
    if (h5ck_ckd_add(head->len, size, &file->size))
        return h5ck_fail(err, H5CKPT_INVALID, "expected elements of a file's size, found more");
    rc = h5ck_plan_add_file(plan, file, &index, err);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (sorted[i]->end > sorted[i]->begin)
            rc = h5ck_plan_add_move(plan, sorted[i]->from->tensor, index, head->len + sorted[i]->begin, err);
    return rc;
}

static int plan_single(h5ck_plan *plan, const h5ck_carrier_list *list, item *items, h5ckpt_error **err)
{
    h5ck_plan_file file = {0};
    heads *all;
    int rc = make_heads(plan, 1, &all, err);
    return rc ? rc : plan_file(plan, &file, &all->bufs[0], list, items, list->tensor_count, err);
}

/* ---- Shards ---- */

/* The first tensor behind the shard that begins with tensor `first`. */
static size_t shard_end(const item *items, size_t count, size_t first, uint64_t most)
{
    uint64_t size = 0;
    size_t i = first;
    for (; i < count; i++) {
        uint64_t nbytes = items[i].from->tensor->info.nbytes;
        if (i > first && (size > most || nbytes > most - size))
            break;
        size = nbytes > UINT64_MAX - size ? UINT64_MAX : size + nbytes;
    }
    return i;
}

/* "folder/X-00001-of-00002.safetensors" of the target "folder/X.safetensors.index.json" */
static int shard_path(h5ck_plan *plan, size_t number, size_t shards, const char **path, h5ckpt_error **err)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_add(&b, plan->target, strlen(plan->target) - strlen(H5CK_SAFETENSORS_INDEX));
    h5ck_buf_printf(&b, "-%05zu-of-%05zu" H5CK_SAFETENSORS_SUFFIX, number, shards);
    const char *text = h5ck_buf_cstr(&b);
    *path = text ? h5ck_arena_strdup(&plan->arena, text) : NULL;
    h5ck_buf_free(&b);
    return *path ? 0 : h5ck_fail_nomem(err);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void put_index_metadata(h5ck_buf *b, const h5ck_carrier_list *list)
{
    uint64_t size = 0;
    for (size_t i = 0; i < list->tensor_count; i++)
        size += list->tensors[i].tensor->info.nbytes;
    h5ck_buf_printf(b, "{\n  \"metadata\": {\n    \"total_size\": %" PRIu64, size);
    for (size_t i = 0; i < list->string_count; i++)
        if (is_carriers(&list->strings[i]) || list->tensor_count == 0) { /* there is no shard then */
            h5ck_buf_str(b, ",\n    ");
            put_text(b, list->strings[i].key);
            h5ck_buf_str(b, ": ");
            put_text(b, list->strings[i].text);
        }
    h5ck_buf_str(b, "\n  },\n  \"weight_map\": {");
}

/* Plans shard `number` of the items from `first` to `end`, and adds them to the index. */
static int plan_shard(h5ck_plan *plan, const h5ck_carrier_list *list, item *items, size_t count, size_t number,
                      size_t shards, h5ckpt_error **err)
{
    heads *all = plan->user;
    h5ck_buf *index = &all->bufs[0];
    h5ck_plan_file file = {0};
    const char *path;
    int rc = shard_path(plan, number, shards, &path, err);
    if (rc == 0)
        rc = h5ck_plan_new_companion(plan, path, &file.companion, err);
    if (rc == 0)
        rc = plan_file(plan, &file, &all->bufs[number], list, items, count, err);
    for (size_t i = 0; rc == 0 && i < count; i++) {
        h5ck_buf_str(index, number == 1 && i == 0 ? "\n    " : ",\n    ");
        put_text(index, items[i].from->name);
        h5ck_buf_str(index, ": ");
        put_text(index, last_part(path));
    }
    return rc;
}

static int plan_index(h5ck_plan *plan, const h5ck_carrier_list *list, item *items, uint64_t most, h5ckpt_error **err)
{
    size_t shards = 0, first = 0, count = list->tensor_count;
    h5ck_plan_file file = {0};
    heads *all;
    for (; first < count; shards++)
        first = shard_end(items, count, first, most);
    int rc = make_heads(plan, shards + 1, &all, err);
    if (rc)
        return rc;
    h5ck_buf *index = &all->bufs[0];
    put_index_metadata(index, list);
    first = 0;
    for (size_t number = 1; rc == 0 && number <= shards; number++) {
        size_t end = shard_end(items, count, first, most);
        rc = plan_shard(plan, list, items + first, end - first, number, shards, err);
        first = end;
    }
    if (rc)
        return rc;
    h5ck_buf_str(index, count ? "\n  }\n}\n" : "}\n}\n");
    if (index->failed)
        return h5ck_fail_nomem(err);
    file.head = index->data;
    file.size = file.head_len = index->len;
    return h5ck_plan_add_file(plan, &file, &first, err);
}

/* ---- A state ---- */

static bool is_index(const char *target)
{
    size_t n = strlen(target), suffix = strlen(H5CK_SAFETENSORS_INDEX);
    return n > suffix && strcasecmp(target + n - suffix, H5CK_SAFETENSORS_INDEX) == 0;
}

int h5ck_fmt_safetensors_plan_shards(const h5ckpt_state *state, h5ck_plan *plan, uint64_t most, h5ckpt_error **err)
{
    static const h5ck_carrier_rules rules = {.reserved = H5CK_SAFETENSORS_METADATA};
    h5ck_carrier_list list;
    plan->is_dir = false;
    plan->digest = H5CKPT_DIGEST_NONE;
    int rc = h5ck_carrier_list_state(state, &rules, &plan->arena, &list, err);
    if (rc)
        return rc;
    item *items = h5ck_arena_zalloc(&plan->arena, list.tensor_count, sizeof *items);
    if (!items)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < list.tensor_count; i++)
        rc = make_item(&list.tensors[i], &items[i], err);
    if (rc == 0)
        rc = is_index(plan->target) ? plan_index(plan, &list, items, most, err) : plan_single(plan, &list, items, err);
    if (rc == 0)
        h5ck_carrier_note(state, plan->target, &plan->log);
    return rc;
}

int h5ck_fmt_safetensors_plan(const h5ckpt_state *state, h5ck_plan *plan, h5ckpt_error **err)
{
    return h5ck_fmt_safetensors_plan_shards(state, plan, SHARD_BYTES, err);
}
