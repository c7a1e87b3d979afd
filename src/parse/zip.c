/*
 * zip.c - zip archives as npz files and PyTorch's checkpoints are: members stored or deflated, a central directory.
 *
 *     local header, name, extra, data [, data descriptor]     for each member
 *     central header, name, extra, comment                    for each member: the central directory
 *     [ZIP64 end record, ZIP64 locator]                       where counts, sizes or offsets need it, or always
 *     end record, comment                                     at the end of the file
 *
 * Source: PKWARE's APPNOTE.TXT 6.3.10; archives of CPython's zipfile (np.savez), of miniz (torch.save), of Info-ZIP.
 *
 * The central directory is the authority. It must end where the end record begins: bytes before the archive are
 * accepted only where all offsets count them. A local header is held against it in all that both say; where a data
 * descriptor follows the data (flag bit 3), a local header may say 0 of sizes and CRC. Members must lie one behind the
 * other, in any order, before the directory: two that share bytes are how archives expand without bound, or show
 * different things to different readers.
 *
 * Refused: encryption, patches, methods other than stored and deflate, several disks, two members of one name, names
 * that are not UTF-8 (without flag bit 11: not ASCII, for then no one can tell which letters they are), and sizes that
 * deflate cannot reach (it makes at most 1,032 bytes of one).
 */
#include "parse/zip.h"

#include "base/ckd.h"
#include "base/fs.h"
#include "base/le.h"
#include "base/text.h"
#include "model/dict.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    LOCAL = 30,
    CENTRAL = 46,
    END = 22,
    END64 = 56,
    LOCATOR = 20,
    MOST_COMMENT = 0xffff,
    EXTRA_ZIP64 = 1,
    EXTRA_PADDING = 0x4246, /* "FB", as PyTorch pads */
    STORED = 0,
    DEFLATED = 8,
    RATIO = 1032, /* deflate's largest */
    /* flags */
    ENCRYPTED = 1 << 0,
    DESCRIPTOR = 1 << 3,
    PATCH = 1 << 5,
    STRONG = 1 << 6,
    UTF8 = 1 << 11,
    MASKED = 1 << 13,
};

#define SIG_LOCAL   0x04034b50u
#define SIG_CENTRAL 0x02014b50u
#define SIG_END     0x06054b50u
#define SIG_END64   0x06064b50u
#define SIG_LOCATOR 0x07064b50u
#define MAX16       0xffffu
#define MAX32       0xffffffffu

static uint32_t u32(const unsigned char *p)
{
    return (uint32_t)h5ck_le_get(p, 4);
}

static uint32_t u16(const unsigned char *p)
{
    return (uint32_t)h5ck_le_get(p, 2);
}

bool h5ck_zip_begins(const unsigned char *head, size_t n)
{
    return n >= 4 && (u32(head) == SIG_LOCAL || u32(head) == SIG_END || u32(head) == SIG_END64);
}

/* ---- The end of the archive ---- */

typedef struct ending {
    uint64_t count, directory, directory_size;
    uint64_t at; /* where the directory must end */
} ending;

/* The last end record whose comment reaches to the end of the file; `tail` are the file's last n bytes. */
static const unsigned char *find_end(const unsigned char *tail, size_t n)
{
    for (size_t at = n >= END ? n - END + 1 : 0; at-- > 0;)
        if (u32(tail + at) == SIG_END && at + END + u16(tail + at + 20) == n)
            return tail + at;
    return NULL;
}

/* The old record's number, which ZIP64's must repeat unless it did not fit. */
static bool agrees(uint64_t old, uint64_t most, uint64_t new)
{
    return old == most || old == new;
}

/* `locator` stands at `at`, before the end record `old`. */
static int read_end64(int fd, const unsigned char *locator, uint64_t at, const unsigned char *old, ending *e,
                      h5ckpt_error **err)
{
    unsigned char r[END64];
    uint64_t record = h5ck_le_get(locator + 8, 8), size;
    if (u32(locator + 4) != 0 || u32(locator + 16) > 1)
        return h5ck_fail_at(err, at, "expected an archive of one disk, found several");
    if (at < END64 || record > at - END64)
        return h5ck_fail_at(err, at, "expected the ZIP64 end record before its locator, found the offset %" PRIu64,
                            record);
    int rc = h5ck_fs_pread(fd, r, sizeof r, record, err);
    if (rc)
        return rc;
    size = h5ck_le_get(r + 4, 8);
    if (u32(r) != SIG_END64 || size < END64 - 12 || size != at - record - 12)
        return h5ck_fail_at(err, record, "expected a ZIP64 end record that reaches to its locator, found other bytes");
    if (u32(r + 16) || u32(r + 20) || h5ck_le_get(r + 24, 8) != h5ck_le_get(r + 32, 8))
        return h5ck_fail_at(err, record, "expected an archive of one disk, found several");
    *e = (ending){h5ck_le_get(r + 32, 8), h5ck_le_get(r + 48, 8), h5ck_le_get(r + 40, 8), record};
    if (!agrees(u16(old + 10), MAX16, e->count) || !agrees(u32(old + 12), MAX32, e->directory_size) ||
        !agrees(u32(old + 16), MAX32, e->directory))
        return h5ck_fail_at(err, record, "expected the end record's numbers in ZIP64's, found others");
    return 0;
}

static int read_ending(int fd, uint64_t size, ending *e, h5ckpt_error **err)
{
    size_t n = size < LOCATOR + END + MOST_COMMENT ? (size_t)size : LOCATOR + END + MOST_COMMENT;
    unsigned char *tail = malloc(n + 1);
    if (!tail)
        return h5ck_fail_nomem(err);
    const unsigned char *end = NULL;
    uint64_t base = size - n, at = 0;
    int rc = h5ck_fs_pread(fd, tail, n, base, err);
    if (rc)
        goto out;
    if (!(end = find_end(tail, n))) {
        rc = h5ck_fail_at(err, size, "expected a zip archive's end record at the end of the file, found none");
        goto out;
    }
    at = base + (uint64_t)(end - tail);
    if (end - tail >= LOCATOR && u32(end - LOCATOR) == SIG_LOCATOR) {
        rc = read_end64(fd, end - LOCATOR, at - LOCATOR, end, e, err);
        goto out;
    }
    *e = (ending){u16(end + 10), u32(end + 16), u32(end + 12), at};
    if (u16(end + 4) || u16(end + 6) || u16(end + 8) != u16(end + 10))
        rc = h5ck_fail_at(err, at, "expected an archive of one disk, found several");
out:
    free(tail);
    return rc;
}

/* ---- The central directory ---- */

/* The first field of an extra block with this id: its bytes, or NULL. Too few bytes for a field's head are padding. */
static int find_extra(const unsigned char *extra, size_t n, unsigned id, const unsigned char **field, size_t *len,
                      uint64_t at, h5ckpt_error **err)
{
    *field = NULL;
    *len = 0;
    while (n >= 4) {
        size_t size = u16(extra + 2);
        if (size > n - 4)
            return h5ck_fail_at(err, at, "expected an extra field of at most %zu bytes, found %zu", n - 4, size);
        if (u16(extra) == id) {
            *field = extra + 4;
            *len = size;
            return 0;
        }
        extra += 4 + size;
        n -= 4 + size;
    }
    return 0;
}

/* A 32-bit number that is all ones stands in the ZIP64 field, as its next 8 bytes. */
static int widen(uint64_t *number, const unsigned char **field, size_t *left, uint64_t at, h5ckpt_error **err)
{
    if (*number != MAX32)
        return 0;
    if (*left < 8)
        return h5ck_fail_at(err, at, "expected a ZIP64 field that holds the size or offset, found none or a short one");
    *number = h5ck_le_get(*field, 8);
    *field += 8;
    *left -= 8;
    return 0;
}

static int check_flags(unsigned flags, unsigned method, uint64_t at, h5ckpt_error **err)
{
    if (flags & (ENCRYPTED | STRONG | MASKED))
        return h5ck_fail_at(err, at, "expected a member that is not encrypted, found an encrypted one");
    if (flags & PATCH)
        return h5ck_fail_at(err, at, "expected a whole member, found a patch");
    if (method != STORED && method != DEFLATED)
        return h5ck_fail_at(err, at, "expected a member that is stored (0) or deflated (8), found method %u", method);
    return 0;
}

static int take_name(const unsigned char *name, size_t n, unsigned flags, h5ck_arena *arena, const char **out,
                     uint64_t at, h5ckpt_error **err)
{
    bool good = n > 0 && h5ck_text_is_utf8((const char *)name, n);
    for (size_t i = 0; good && !(flags & UTF8) && i < n; i++)
        good = name[i] < 0x80;
    if (!good)
        return h5ck_fail_at(err, at, "expected a member's name in %s, found other bytes",
                            flags & UTF8 ? "UTF-8" : "ASCII (it is not marked as UTF-8)");
    *out = h5ck_arena_strndup(arena, (const char *)name, n);
    return *out ? 0 : h5ck_fail_nomem(err);
}

/* One central header: `p` has `left` bytes, and stands at `at`. *used: how many it takes. */
static int read_central(const unsigned char *p, uint64_t left, uint64_t at, h5ck_arena *arena, h5ck_zip_entry *e,
                        size_t *used, h5ckpt_error **err)
{
    if (left < CENTRAL || u32(p) != SIG_CENTRAL)
        return h5ck_fail_at(err, at, "expected a header of the central directory, found other bytes");
    unsigned flags = u16(p + 8), method = u16(p + 10);
    size_t name = u16(p + 28), extra = u16(p + 30), len;
    const unsigned char *field;
    *used = CENTRAL + name + extra + u16(p + 32);
    if (*used > left)
        return h5ck_fail_at(err, at, "expected a header inside of the central directory, found one past its end");
    *e = (h5ck_zip_entry){
        .header = u32(p + 42), .csize = u32(p + 20), .usize = u32(p + 24), .crc = u32(p + 16), .deflated = method != 0};
    int rc = take_name(p + CENTRAL, name, flags, arena, &e->name, at, err);
    if (rc == 0)
        rc = check_flags(flags, method, at, err);
    if (rc == 0)
        rc = find_extra(p + CENTRAL + name, extra, EXTRA_ZIP64, &field, &len, at, err);
    if (rc == 0)
        rc = widen(&e->usize, &field, &len, at, err);
    if (rc == 0)
        rc = widen(&e->csize, &field, &len, at, err);
    if (rc == 0)
        rc = widen(&e->header, &field, &len, at, err);
    if (rc == 0 && u16(p + 34) != 0 && u16(p + 34) != MAX16)
        rc = h5ck_fail_at(err, at, "expected an archive of one disk, found several");
    if (rc == 0 && !e->deflated && e->csize != e->usize)
        rc = h5ck_fail_at(err, at, "expected a stored member's two sizes to be equal, found %" PRIu64 " and %" PRIu64,
                          e->csize, e->usize);
    if (rc == 0 && e->deflated && e->usize / RATIO > e->csize)
        rc = h5ck_fail_at(err, at, "expected a size that deflate can reach, found %" PRIu64 " bytes from %" PRIu64,
                          e->usize, e->csize);
    return h5ck_err_where(err, rc, NULL, e->name);
}

/* All headers; they fill the directory exactly. */
static int read_directory(const unsigned char *bytes, const ending *e, h5ck_arena *arena, h5ck_zip *zip,
                          h5ckpt_error **err)
{
    h5ck_dict names = {0};
    uint64_t at = 0;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < zip->count; i++) {
        size_t used = 0;
        h5ck_zip_entry *entry = &zip->entries[i];
        rc = read_central(bytes + at, e->directory_size - at, e->directory + at, arena, entry, &used, err);
        if (rc)
            break;
        switch (h5ck_dict_add(&names, entry->name, entry)) {
        case H5CK_DICT_ADDED:
            break;
        case H5CK_DICT_EXISTS:
            rc = h5ck_fail_at(err, e->directory + at, "expected one member of each name, found two of '%s'",
                              entry->name);
            break;
        case H5CK_DICT_NOMEM:
            rc = h5ck_fail_nomem(err);
        }
        at += used;
    }
    if (rc == 0 && at != e->directory_size)
        rc = h5ck_fail_at(err, e->directory + at,
                          "expected the end of the central directory, found %" PRIu64 " more bytes",
                          e->directory_size - at);
    h5ck_dict_free(&names);
    return rc;
}

int h5ck_zip_list(int fd, uint64_t size, h5ck_arena *arena, h5ck_zip *zip, h5ckpt_error **err)
{
    ending e = {0};
    uint64_t end;
    int rc = read_ending(fd, size, &e, err);
    if (rc)
        return rc;
    if (h5ck_ckd_add(e.directory, e.directory_size, &end) || end != e.at)
        return h5ck_fail_at(err, e.at,
                            "expected the central directory to end here, found it to be %" PRIu64 " bytes at %" PRIu64
                            " (is something before the archive?)",
                            e.directory_size, e.directory);
    if (e.count > e.directory_size / CENTRAL || e.directory_size > SIZE_MAX)
        return h5ck_fail_at(err, e.at, "expected a directory of at most %" PRIu64 " members, found %" PRIu64,
                            e.directory_size / CENTRAL, e.count);
    *zip = (h5ck_zip){.count = (size_t)e.count, .directory = e.directory};
    unsigned char *bytes = malloc((size_t)e.directory_size + 1);
    zip->entries = h5ck_arena_zalloc(arena, zip->count, sizeof *zip->entries);
    rc = bytes && zip->entries ? 0 : h5ck_fail_nomem(err);
    if (rc == 0)
        rc = h5ck_fs_pread(fd, bytes, (size_t)e.directory_size, e.directory, err);
    if (rc == 0)
        rc = read_directory(bytes, &e, arena, zip, err);
    free(bytes);
    return rc;
}

const h5ck_zip_entry *h5ck_zip_find(const h5ck_zip *zip, const char *name)
{
    for (size_t i = 0; i < zip->count; i++)
        if (strcmp(zip->entries[i].name, name) == 0)
            return &zip->entries[i];
    return NULL;
}

/* ---- Local headers ---- */

/* What the local header at `p` says of sizes and CRC; `variable` are its name and extra fields. */
static int check_numbers(const unsigned char *p, const unsigned char *extra, size_t extra_len, const h5ck_zip_entry *e,
                         h5ckpt_error **err)
{
    uint64_t usize = u32(p + 22), csize = u32(p + 18);
    uint32_t crc = u32(p + 14);
    const unsigned char *field;
    size_t len;
    bool later = u16(p + 6) & DESCRIPTOR;
    int rc = find_extra(extra, extra_len, EXTRA_ZIP64, &field, &len, e->header, err);
    if (rc == 0)
        rc = widen(&usize, &field, &len, e->header, err);
    if (rc == 0)
        rc = widen(&csize, &field, &len, e->header, err);
    if (rc || (later && usize == 0 && csize == 0 && crc == 0))
        return rc;
    if (usize != e->usize || csize != e->csize)
        return h5ck_fail_at(err, e->header,
                            "expected the directory's sizes in the local header, %" PRIu64 " and %" PRIu64
                            ", found %" PRIu64 " and %" PRIu64,
                            e->csize, e->usize, csize, usize);
    if (crc != e->crc)
        return h5ck_fail_at(err, e->header,
                            "expected the directory's CRC in the local header, %08" PRIx32 ", found %08" PRIx32, e->crc,
                            crc);
    return 0;
}

static int locate(int fd, const h5ck_zip *zip, h5ck_zip_entry *e, unsigned char *room, h5ckpt_error **err)
{
    unsigned char p[LOCAL];
    if (zip->directory < LOCAL || e->header > zip->directory - LOCAL)
        return h5ck_fail_at(err, e->header, "expected a local header before the central directory, found it past that");
    int rc = h5ck_fs_pread(fd, p, sizeof p, e->header, err);
    if (rc)
        return rc;
    size_t name = u16(p + 26), extra = u16(p + 28);
    if (u32(p) != SIG_LOCAL)
        return h5ck_fail_at(err, e->header, "expected a local header, found other bytes");
    e->data = e->header + LOCAL + name + extra;
    if (e->data > zip->directory || e->csize > zip->directory - e->data)
        return h5ck_fail_at(err, e->header, "expected %" PRIu64 " bytes before the central directory, found %" PRIu64,
                            e->csize, e->data > zip->directory ? 0 : zip->directory - e->data);
    if ((rc = h5ck_fs_pread(fd, room, name + extra, e->header + LOCAL, err)))
        return rc;
    if (name != strlen(e->name) || memcmp(room, e->name, name) != 0)
        return h5ck_fail_at(err, e->header, "expected the directory's name in the local header, found another");
    if ((rc = check_flags(u16(p + 6), u16(p + 8), e->header, err)))
        return rc;
    if ((u16(p + 8) == DEFLATED) != e->deflated)
        return h5ck_fail_at(err, e->header, "expected the directory's method in the local header, found another");
    return check_numbers(p, room + name, extra, e, err);
}

static int by_place(const void *a, const void *b)
{
    const h5ck_zip_entry *x = *(const h5ck_zip_entry *const *)a, *y = *(const h5ck_zip_entry *const *)b;
    return x->header < y->header ? -1 : x->header > y->header;
}

static int check_overlap(const h5ck_zip *zip, h5ckpt_error **err)
{
    const h5ck_zip_entry **sorted = malloc((zip->count + 1) * sizeof *sorted);
    int rc = 0;
    if (!sorted)
        return h5ck_fail_nomem(err);
    for (size_t i = 0; i < zip->count; i++)
        sorted[i] = &zip->entries[i];
    if (zip->count)
        qsort(sorted, zip->count, sizeof *sorted, by_place);
    for (size_t i = 1; rc == 0 && i < zip->count; i++)
        if (sorted[i]->header < sorted[i - 1]->data + sorted[i - 1]->csize) {
            rc = h5ck_fail_at(err, sorted[i]->header, "expected a member behind '%s', found it to overlap that",
                              sorted[i - 1]->name);
            h5ck_err_where(err, rc, NULL, sorted[i]->name);
        }
    free(sorted);
    return rc;
}

int h5ck_zip_locate(int fd, h5ck_zip *zip, h5ckpt_error **err)
{
    unsigned char *room = malloc(2 * MAX16);
    int rc = room ? 0 : h5ck_fail_nomem(err);
    for (size_t i = 0; rc == 0 && i < zip->count; i++)
        rc = h5ck_err_where(err, locate(fd, zip, &zip->entries[i], room, err), NULL, zip->entries[i].name);
    free(room);
    return rc ? rc : check_overlap(zip, err);
}

/* ---- Writing ---- */

static bool is_ascii(const char *s)
{
    while (*s && !(*s & 0x80))
        s++;
    return !*s;
}

/* Version needed, flags, method, time, date, CRC, sizes, length of the name: what both headers have. */
static void put_common(h5ck_buf *out, const h5ck_zip_entry *e, unsigned version, uint64_t csize, uint64_t usize)
{
    h5ck_buf_le(out, version, 2);
    h5ck_buf_le(out, is_ascii(e->name) ? 0 : UTF8, 2);
    h5ck_buf_le(out, e->deflated ? DEFLATED : STORED, 2);
    h5ck_buf_le(out, 0, 2);
    h5ck_buf_le(out, 1 << 5 | 1, 2); /* the first of January, 1980 */
    h5ck_buf_le(out, e->crc, 4);
    h5ck_buf_le(out, csize < MAX32 ? csize : MAX32, 4);
    h5ck_buf_le(out, usize < MAX32 ? usize : MAX32, 4);
    h5ck_buf_le(out, strlen(e->name), 2);
}

/* Where one of the two sizes needs ZIP64 both stand there. */
void h5ck_zip_put_local(h5ck_buf *out, h5ck_zip_entry *e, unsigned align)
{
    bool wide = e->csize >= MAX32 || e->usize >= MAX32;
    size_t sizes = wide ? 20 : 0, pad = 0;
    uint64_t data = e->header + LOCAL + strlen(e->name) + sizes;
    if (align && data % align) /* a field of its own, whose head takes 4 bytes */
        pad = (size_t)(align - (data + 4) % align) % align + 4;
    h5ck_buf_le(out, SIG_LOCAL, 4);
    put_common(out, e, wide ? 45 : 20, wide ? MAX32 : e->csize, wide ? MAX32 : e->usize);
    h5ck_buf_le(out, sizes + pad, 2);
    h5ck_buf_str(out, e->name);
    if (wide) {
        h5ck_buf_le(out, EXTRA_ZIP64, 2);
        h5ck_buf_le(out, 16, 2);
        h5ck_buf_le(out, e->usize, 8);
        h5ck_buf_le(out, e->csize, 8);
    }
    if (pad) {
        h5ck_buf_le(out, EXTRA_PADDING, 2);
        h5ck_buf_le(out, pad - 4, 2);
        for (size_t i = 4; i < pad; i++)
            h5ck_buf_u8(out, 0);
    }
    e->data = data + pad;
}

void h5ck_zip_put_central(h5ck_buf *out, const h5ck_zip_entry *e)
{
    bool u = e->usize >= MAX32, c = e->csize >= MAX32, h = e->header >= MAX32, wide = u || c || h;
    unsigned extra = 8 * (unsigned)(u + c + h);
    h5ck_buf_le(out, SIG_CENTRAL, 4);
    h5ck_buf_le(out, 3 << 8 | (wide ? 45 : 20), 2); /* made on Unix: */
    put_common(out, e, wide ? 45 : 20, e->csize, e->usize);
    h5ck_buf_le(out, wide ? extra + 4 : 0, 2);
    h5ck_buf_le(out, 0, 2 + 2 + 2);               /* comment, disk, internal attributes */
    h5ck_buf_le(out, (uint64_t)0100644 << 16, 4); /* a file, rw-r--r-- */
    h5ck_buf_le(out, h ? MAX32 : e->header, 4);
    h5ck_buf_str(out, e->name);
    if (wide) {
        h5ck_buf_le(out, EXTRA_ZIP64, 2);
        h5ck_buf_le(out, extra, 2);
    }
    if (u)
        h5ck_buf_le(out, e->usize, 8);
    if (c)
        h5ck_buf_le(out, e->csize, 8);
    if (h)
        h5ck_buf_le(out, e->header, 8);
}

void h5ck_zip_put_end(h5ck_buf *out, uint64_t count, uint64_t directory, uint64_t size)
{
    if (count >= MAX16 || directory >= MAX32 || size >= MAX32) {
        h5ck_buf_le(out, SIG_END64, 4);
        h5ck_buf_le(out, END64 - 12, 8);
        h5ck_buf_le(out, 3 << 8 | 45, 2);
        h5ck_buf_le(out, 45, 2);
        h5ck_buf_le(out, 0, 8); /* disks */
        h5ck_buf_le(out, count, 8);
        h5ck_buf_le(out, count, 8);
        h5ck_buf_le(out, size, 8);
        h5ck_buf_le(out, directory, 8);
        h5ck_buf_le(out, SIG_LOCATOR, 4);
        h5ck_buf_le(out, 0, 4);
        h5ck_buf_le(out, directory + size, 8);
        h5ck_buf_le(out, 1, 4);
    }
    h5ck_buf_le(out, SIG_END, 4);
    h5ck_buf_le(out, 0, 4);
    h5ck_buf_le(out, count < MAX16 ? count : MAX16, 2);
    h5ck_buf_le(out, count < MAX16 ? count : MAX16, 2);
    h5ck_buf_le(out, size < MAX32 ? size : MAX32, 4);
    h5ck_buf_le(out, directory < MAX32 ? directory : MAX32, 4);
    h5ck_buf_le(out, 0, 2);
}

/* ---- CRC-32 ---- */

uint32_t h5ck_zip_crc(uint32_t crc, const void *data, size_t n)
{
    uLong c = crc;
    for (const unsigned char *p = data; n > 0;) {
        uInt part = n < 1u << 30 ? (uInt)n : 1u << 30;
        c = crc32(c, p, part);
        p += part;
        n -= part;
    }
    return (uint32_t)c;
}

/* The CRC of a run as it counts in front of n more bytes. zlib takes a z_off_t, which may be of 32 bits. */
static uint32_t moved_up(uint32_t crc, uint64_t n)
{
    while (n > 0) {
        uint64_t part = n < 1u << 30 ? n : 1u << 30;
        crc = (uint32_t)crc32_combine(crc, 0, (z_off_t)part);
        n -= part;
    }
    return crc;
}

uint32_t h5ck_zip_crc_join(uint32_t first, uint32_t second, uint64_t second_size)
{
    return moved_up(first, second_size) ^ second;
}

uint32_t h5ck_zip_crc_rest(uint32_t whole, uint32_t first, uint64_t second_size)
{
    return moved_up(first, second_size) ^ whole;
}
