/*
 * zip_plan.c - each member's local header and head are a piece of the plan, its elements a move; the directory is the
 * last piece. finish() joins the CRC of each head with that of the elements, which the mover found, and writes it to the
 * two places where it stands.
 *
 * Refused: names that unpack to outside of a folder (an absolute path, a part "..", or "\", which is "/" to some).
 * NumPy and PyTorch would write and read them; but the archive would be a trap, set in our users' names, for whoever
 * runs a careless unzip over it.
 */
#include "format/zip_plan.h"

#include "base/ckd.h"
#include "base/fs.h"
#include "base/le.h"
#include "model/dict.h"
#include "move/digest.h"
#include "parse/zip.h"

#include <string.h>

enum { ALIGNMENT = 64, FIRST_ROOM = 64 };

static const size_t NO_MOVE = SIZE_MAX;

typedef struct member {
    h5ck_zip_entry entry; /* its crc: of the head, until finish() */
    uint64_t central;     /* offset of its header in the directory */
    size_t move;          /* its elements', in the plan, or NO_MOVE */
} member;

struct h5ck_zip_plan {
    h5ck_plan *plan;
    size_t file;
    size_t count, room;
    member *members; /* in the plan's arena, as all that follows */
    h5ck_dict names;
    uint64_t at; /* where the next header goes; after the last one: where the directory stands */
};

/* ---- CRCs, after the moves ---- */

static int patch(int fd, uint64_t offset, uint32_t crc, h5ckpt_error **err)
{
    unsigned char bytes[4];
    h5ck_le_put(bytes, crc, sizeof bytes);
    return h5ck_fs_pwrite(fd, bytes, sizeof bytes, offset, err);
}

static int put_crc(const h5ck_zip_plan *z, const member *m, int fd, h5ckpt_error **err)
{
    const h5ck_plan_move *move = &z->plan->moves[m->move];
    uint32_t crc;
    if (!h5ck_digest_crc32(move->digest, &crc))
        return h5ck_fail(err, H5CKPT_SYSTEM, "expected the CRC of what was moved, found none");
    crc = h5ck_zip_crc_join(m->entry.crc, crc, move->tensor->info.nbytes);
    int rc = patch(fd, m->entry.header + H5CK_ZIP_LOCAL_CRC, crc, err);
    return rc ? rc : patch(fd, m->central + H5CK_ZIP_CENTRAL_CRC, crc, err);
}

static int finish(h5ck_plan *plan, h5ckpt_error **err)
{
    const h5ck_zip_plan *z = plan->user;
    int fd, rc = h5ck_fs_open_write(plan->stage, &fd, err);
    if (rc)
        return rc;
    for (size_t i = 0; rc == 0 && i < z->count; i++)
        if (z->members[i].move != NO_MOVE)
            rc = put_crc(z, &z->members[i], fd, err);
    int closed = h5ck_fs_close(fd, rc ? NULL : err);
    return rc ? rc : closed;
}

static void discard(h5ck_plan *plan)
{
    h5ck_zip_plan *z = plan->user;
    h5ck_dict_free(&z->names);
}

/* ---- Planning ---- */

int h5ck_zip_plan_begin(h5ck_plan *plan, h5ck_zip_plan **zip, h5ckpt_error **err)
{
    h5ck_plan_file file = {.relative = NULL};
    h5ck_zip_plan *z = h5ck_arena_zalloc(&plan->arena, 1, sizeof *z);
    if (!z)
        return h5ck_fail_nomem(err);
    z->plan = plan;
    plan->digest = H5CK_DIGEST_CRC32;
    plan->finish = finish;
    plan->discard = discard;
    plan->user = *zip = z;
    return h5ck_plan_add_file(plan, &file, &z->file, err);
}

static int check_name(const char *name, h5ckpt_error **err)
{
    bool leads_out = *name == '/' || strchr(name, '\\');
    if (strlen(name) > H5CK_ZIP_LONGEST_NAME)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a name of at most %d bytes for a zip archive, found %zu",
                         H5CK_ZIP_LONGEST_NAME, strlen(name));
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        leads_out = leads_out || (strncmp(part, "..", 2) == 0 && (part[2] == '/' || !part[2]));
    }
    if (leads_out)
        return h5ck_fail(err, H5CKPT_INVALID,
                         "expected a name that stays in the folder where a zip archive is unpacked, found one with a "
                         "leading '/', a part '..' or a '\\' (a schema's rules can rename it)");
    return 0;
}

static int new_member(h5ck_zip_plan *z, const char *name, member **out, h5ckpt_error **err)
{
    h5ck_arena *arena = &z->plan->arena;
    if (z->count == z->room) {
        size_t room = z->room ? 2 * z->room : FIRST_ROOM;
        member *more = h5ck_arena_zalloc(arena, room, sizeof *more);
        if (!more)
            return h5ck_fail_nomem(err);
        if (z->count)
            memcpy(more, z->members, z->count * sizeof *more);
        z->members = more;
        z->room = room;
    }
    member *m = &z->members[z->count];
    *m = (member){.entry.name = h5ck_arena_strdup(arena, name), .entry.header = z->at, .move = NO_MOVE};
    if (!m->entry.name)
        return h5ck_fail_nomem(err);
    switch (h5ck_dict_add(&z->names, m->entry.name, z)) {
    case H5CK_DICT_ADDED:
        z->count++;
        *out = m;
        return 0;
    case H5CK_DICT_EXISTS:
        return h5ck_fail(err, H5CKPT_INVALID, "expected a free name in the archive, found a second member '%s'", name);
    case H5CK_DICT_NOMEM:
        break;
    }
    return h5ck_fail_nomem(err);
}

/* A buffer's bytes as a piece of the file. */
static int add_piece(h5ck_zip_plan *z, uint64_t offset, const h5ck_buf *b, h5ckpt_error **err)
{
    const void *bytes = b->failed ? NULL : h5ck_arena_memdup(&z->plan->arena, b->data, b->len);
    return bytes ? h5ck_plan_add_piece(z->plan, z->file, offset, bytes, b->len, err) : h5ck_fail_nomem(err);
}

int h5ck_zip_plan_add(h5ck_zip_plan *z, const char *name, const void *head, size_t head_len,
                      const h5ckpt_tensor *tensor, h5ckpt_error **err)
{
    member *m = NULL;
    h5ck_buf b = H5CK_BUF_INIT;
    uint64_t size, end;
    int rc = check_name(name, err);
    if (rc == 0)
        rc = new_member(z, name, &m, err);
    if (rc)
        return rc;
    if (h5ck_ckd_add(head_len, tensor ? tensor->info.nbytes : 0, &size))
        return h5ck_fail(err, H5CKPT_INVALID, "expected a size that fits 64 bits, found more");
    m->entry.csize = m->entry.usize = size;
    m->entry.crc = h5ck_zip_crc(0, head, head_len);
    h5ck_zip_put_local(&b, &m->entry, ALIGNMENT);
    h5ck_buf_add(&b, head, head_len);
    if (h5ck_ckd_add(m->entry.data, size, &end))
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a size that fits 64 bits, found more");
    if (rc == 0)
        rc = add_piece(z, z->at, &b, err);
    if (rc == 0 && tensor && tensor->info.nbytes) {
        m->move = z->plan->move_count;
        rc = h5ck_plan_add_move(z->plan, tensor, z->file, m->entry.data + head_len, err);
    }
    z->at = end;
    h5ck_buf_free(&b);
    return rc;
}

int h5ck_zip_plan_end(h5ck_zip_plan *z, h5ckpt_error **err)
{
    h5ck_buf b = H5CK_BUF_INIT;
    for (size_t i = 0; i < z->count; i++) {
        z->members[i].central = z->at + b.len;
        h5ck_zip_put_central(&b, &z->members[i].entry);
    }
    h5ck_zip_put_end(&b, z->count, z->at, b.len);
    int rc = add_piece(z, z->at, &b, err);
    z->plan->files[z->file].size = z->at + b.len;
    h5ck_buf_free(&b);
    return rc;
}
