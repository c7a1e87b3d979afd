/*
 * latin1.c - a decoder of latin1 text, which is read at any place in bounded memory.
 *
 * A byte below 0x80 is one byte of text, any other two: 0xc2 or 0xc3 and one that continues it. So where byte n stands
 * is only known by counting. The first reading, which checks the text, notes where each STRIDE-th byte stands, 8 bytes
 * in 65,536; a later one counts from the note before it.
 */
#include "parse/latin1.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

enum { STRIDE = 1 << 16, BLOCK = 1 << 15, SLAB = 1 << 20 };

typedef struct latin1 {
    h5ck_decoder decoder;
    h5ck_file *file;
    uint64_t offset, len, nbytes;
    uint64_t *notes; /* where in the text byte i * STRIDE stands */
} latin1;

/* Decodes `n` bytes at *text, which ends in two characters that may be read and are not meant. */
static const unsigned char *decode(const unsigned char *text, unsigned char *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned two = text[0] >> 7; /* no branch: in weights either is as likely */
        unsigned joined = (text[0] << 6 | (text[1] & 0x3fu)) & 0xffu;
        out[i] = (unsigned char)(two ? joined : text[0]);
        text += 1 + two;
    }
    return text;
}

/* Decodes some of the next `want` bytes, at least one, from a block of the text that is read at *at. A text that is not
 * the one that was checked, for the file was changed since, may be of longer characters: no step of the decoding can
 * take more than there is, and one byte more. */
static int decode_some(const latin1 *l, int fd, uint64_t *at, unsigned char *out, size_t want, size_t *got,
                       h5ckpt_error **err)
{
    unsigned char text[BLOCK + 2];
    bool last = l->len - *at <= BLOCK;
    size_t have = last ? (size_t)(l->len - *at) : BLOCK, used = 0;
    int rc = h5ck_fs_pread(fd, text, have, l->offset + *at, err);
    if (rc)
        return rc;
    *got = 0;
    text[have] = text[have + 1] = 0;
    do { /* two bytes of text each */
        size_t most = last ? (have - used + 1) / 2 : have / 2, n = want - *got < most ? want - *got : most;
        used = (size_t)(decode(text + used, out + *got, n) - text);
        *got += n;
    } while (last && *got < want && used < have);
    if (used > have || *got == 0)
        return h5ck_fail_at(err, l->offset + *at, "expected the text that was checked, found another");
    *at += used;
    return 0;
}

/* The file is read, not mapped: what is mapped counts as the process's memory. */
static int read_latin1(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const latin1 *l = (const latin1 *)self;
    unsigned char skipped[BLOCK], *out = buf;
    uint64_t at = l->notes[offset / STRIDE];
    size_t skip = offset % STRIDE, got;
    if (n == 0)
        return 0;
    int fd, rc = h5ck_fs_reopen(l->file, &fd, err);
    if (rc)
        return rc;
    for (; rc == 0 && skip > 0; skip -= rc ? 0 : got)
        rc = decode_some(l, fd, &at, skipped, skip, &got, err);
    for (; rc == 0 && n > 0; n -= rc ? 0 : got, out += rc ? 0 : got)
        rc = decode_some(l, fd, &at, out, n, &got, err);
    close(fd);
    return rc ? h5ck_file_where(err, rc, l->file) : 0;
}

/* Whether a run of text is latin1 characters only; how many begin in it. `before` is the byte before it. */
static bool check_run(const unsigned char *text, size_t n, unsigned char before, uint64_t *count)
{
    unsigned bad = 0, continued = 0, expected = before >= 0xc0;
    for (size_t i = 0; i < n; i++) {
        unsigned c = text[i], continues = (c & 0xc0) == 0x80, leads = c >= 0xc0;
        bad |= (continues ^ expected) | (leads & ((c & 0xfe) != 0xc2));
        expected = leads;
        continued += continues;
    }
    *count += n - continued;
    return !bad;
}

/* Counts the bytes and fills in the notes. What was looked at may leave memory again. */
static int check(latin1 *l, const unsigned char *text, h5ckpt_error **err)
{
    uint64_t count = 0, at = 0;
    while (at < l->len) {
        size_t n = l->len - at < BLOCK ? (size_t)(l->len - at) : BLOCK;
        uint64_t first = count, note = (first + STRIDE - 1) / STRIDE * STRIDE;
        if (!check_run(text + at, n, at ? text[at - 1] : 0, &count))
            return h5ck_fail_at(err, l->offset + at, "expected text of latin1 characters for bytes, found others");
        if (note < count && note < l->nbytes) { /* at most one in a block */
            size_t i = 0;
            for (uint64_t c = first + ((text[at] & 0xc0) != 0x80); c <= note; c += (text[at + i] & 0xc0) != 0x80)
                i++;
            l->notes[note / STRIDE] = at + i;
        }
        at += n;
        if (at % SLAB == 0 || at == l->len)
            h5ck_fs_forget(l->file, l->offset + (at - 1) / SLAB * SLAB, at - (at - 1) / SLAB * SLAB);
    }
    if (l->len && text[l->len - 1] >= 0xc0)
        return h5ck_fail_at(err, l->offset + l->len, "expected text of latin1 characters for bytes, found others");
    if (count != l->nbytes)
        return h5ck_fail_at(err, l->offset, "expected %" PRIu64 " bytes of NumPy elements, found %" PRIu64, l->nbytes,
                            count);
    return 0;
}

int h5ck_latin1_make(h5ck_arena *arena, h5ck_file *file, uint64_t offset, const unsigned char *text, uint64_t len,
                     uint64_t nbytes, h5ck_extent *extent, h5ckpt_error **err)
{
    if (nbytes > len || nbytes < len / 2) /* before memory is taken for it */
        return h5ck_fail_at(err, offset, "expected %" PRIu64 " bytes of NumPy elements, found %" PRIu64 " of text",
                            nbytes, len);
    latin1 *l = h5ck_arena_zalloc(arena, 1, sizeof *l);
    if (!l || !(l->notes = h5ck_arena_zalloc(arena, (size_t)(nbytes / STRIDE) + 1, sizeof *l->notes)))
        return h5ck_fail_nomem(err);
    l->decoder = (h5ck_decoder){read_latin1, "text of latin1 characters", SLAB};
    l->file = file;
    l->offset = offset;
    l->len = len;
    l->nbytes = nbytes;
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER, .file = file, .decoder = &l->decoder};
    return check(l, text, err);
}
