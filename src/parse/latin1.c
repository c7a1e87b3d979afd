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

enum { STRIDE = 1 << 16, SLAB = 1 << 20 };

typedef struct latin1 {
    h5ck_decoder decoder;
    h5ck_file *file;
    uint64_t offset, nbytes;
    uint64_t *notes; /* where in the text byte i * STRIDE stands */
} latin1;

static int read_latin1(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    const latin1 *l = (const latin1 *)self;
    const unsigned char *data;
    unsigned char *out = buf;
    if (n == 0)
        return 0;
    int rc = h5ck_fs_map(l->file, &data, err);
    if (rc)
        return rc;
    const unsigned char *p = data + l->offset + l->notes[offset / STRIDE];
    for (uint64_t skip = offset % STRIDE; skip > 0; skip--)
        p += *p < 0x80 ? 1 : 2;
    for (size_t i = 0; i < n; i++) {
        if (*p < 0x80) {
            out[i] = *p++;
        } else {
            out[i] = (unsigned char)((p[0] & 3) << 6 | (p[1] & 0x3f));
            p += 2;
        }
    }
    return 0;
}

/* Counts the bytes and fills in the notes. */
static int check(latin1 *l, const unsigned char *text, uint64_t len, h5ckpt_error **err)
{
    uint64_t count = 0, at = 0;
    while (at < len) {
        bool two = text[at] >= 0x80;
        if (two && (at + 1 == len || (text[at] & 0xfe) != 0xc2 || (text[at + 1] & 0xc0) != 0x80))
            return h5ck_fail_at(err, l->offset + at, "expected text of latin1 characters for bytes, found others");
        if (count % STRIDE == 0 && count < l->nbytes)
            l->notes[count / STRIDE] = at;
        count++;
        at += two ? 2 : 1;
    }
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
    l->nbytes = nbytes;
    *extent = (h5ck_extent){.kind = H5CK_EXTENT_DECODER, .file = file, .decoder = &l->decoder};
    return check(l, text, len, err);
}
