/*
 * protobuf.c - walking a message (what is read and refused is in protobuf.h).
 *
 *     message:  field*          field:  tag value         tag:  varint of number << 3 | wire type
 *     value:    wire 0: varint  1: 8 bytes  2: varint length, as many bytes  5: 4 bytes
 *
 * A varint holds 7 bits a byte, the lowest first; all but the last byte have their top bit set.
 */
#include "parse/protobuf.h"

#include "base/fs.h"
#include "base/le.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

enum { MAX_NUMBER = (1 << 29) - 1 };

void h5ck_pb_of_file(h5ck_pb_source *source, int fd, uint64_t offset, uint64_t len)
{
    source->fd = fd; /* the window is not cleared */
    source->memory = NULL;
    source->start = offset;
    source->end = offset + len;
    source->window_at = 0;
    source->window_len = 0;
}

void h5ck_pb_of_memory(h5ck_pb_source *source, const void *data, size_t len, uint64_t file_offset)
{
    h5ck_pb_of_file(source, -1, file_offset, len);
    source->memory = data;
}

h5ck_pb_reader h5ck_pb_all(h5ck_pb_source *source, const char *what)
{
    return (h5ck_pb_reader){source, source->start, source->end, what};
}

/* Points at the byte at offset `at`, which lies inside of the source, and at those behind it: *n of them, at least
 * one. */
static int look(h5ck_pb_source *s, uint64_t at, const unsigned char **p, size_t *n, h5ckpt_error **err)
{
    if (s->memory) {
        *p = s->memory + (at - s->start);
        *n = (size_t)(s->end - at);
        return 0;
    }
    if (at < s->window_at || at - s->window_at >= s->window_len) {
        uint64_t left = s->end - at;
        s->window_len = 0;
        size_t len = left < H5CK_PB_WINDOW ? (size_t)left : H5CK_PB_WINDOW;
        int rc = h5ck_fs_pread(s->fd, s->window, len, at, err);
        if (rc)
            return rc;
        s->window_at = at;
        s->window_len = len;
    }
    *p = s->window + (at - s->window_at);
    *n = s->window_len - (size_t)(at - s->window_at);
    return 0;
}

int h5ck_pb_varint(h5ck_pb_reader *r, uint64_t *v, h5ckpt_error **err)
{
    uint64_t start = r->at;
    const unsigned char *p = NULL;
    size_t n = 0;
    *v = 0;
    for (unsigned shift = 0; r->at < r->end; shift += 7) {
        int rc = n ? 0 : look(r->source, r->at, &p, &n, err);
        if (rc)
            return rc;
        unsigned char c = *p++;
        n--;
        r->at++;
        if (shift > 63 || (shift == 63 && c > 1))
            return h5ck_fail_at(err, start, "expected a varint of at most 64 bits, found a longer one");
        *v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80)
            return 0;
    }
    return h5ck_fail_at(err, start, "expected a varint in %s, found its end", r->what);
}

int h5ck_pb_bytes(h5ck_pb_reader *r, void *buf, h5ckpt_error **err)
{
    unsigned char *to = buf;
    while (r->at < r->end) {
        const unsigned char *p;
        size_t n;
        uint64_t left = r->end - r->at;
        int rc = look(r->source, r->at, &p, &n, err);
        if (rc)
            return rc;
        if (n > left)
            n = (size_t)left;
        memcpy(to, p, n);
        to += n;
        r->at += n;
    }
    return 0;
}

int h5ck_pb_fixed(h5ck_pb_reader *r, unsigned bytes, uint64_t *v, h5ckpt_error **err)
{
    unsigned char raw[8];
    if (h5ck_pb_left(r) < bytes)
        return h5ck_fail_at(err, r->at, "expected a number of %u bytes in %s, found %" PRIu64 " bytes", bytes, r->what,
                            h5ck_pb_left(r));
    h5ck_pb_reader number = {r->source, r->at, r->at + bytes, r->what};
    int rc = h5ck_pb_bytes(&number, raw, err);
    r->at += bytes;
    if (rc == 0)
        *v = h5ck_le_get(raw, bytes);
    return rc;
}

int h5ck_pb_next(h5ck_pb_reader *r, h5ck_pb_field *field, h5ckpt_error **err)
{
    uint64_t tag;
    *field = (h5ck_pb_field){.at = r->at};
    if (r->at == r->end)
        return 0;
    int rc = h5ck_pb_varint(r, &tag, err);
    if (rc)
        return rc;
    if (tag >> 3 == 0 || tag >> 3 > MAX_NUMBER)
        return h5ck_fail_at(err, field->at, "expected the number of a field in %s, found %" PRIu64, r->what, tag >> 3);
    field->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case H5CK_PB_VARINT:
    case H5CK_PB_FIXED64:
    case H5CK_PB_LENGTH:
    case H5CK_PB_FIXED32:
        field->wire = (h5ck_pb_wire)(tag & 7);
        return 0;
    default:
        return h5ck_fail_at(err, field->at, "expected a field of wire type 0, 1, 2 or 5 in %s, found type %u", r->what,
                            (unsigned)(tag & 7));
    }
}

int h5ck_pb_take(h5ck_pb_reader *r, uint64_t at, uint64_t n, const char *what, h5ck_pb_reader *in, h5ckpt_error **err)
{
    if (n > h5ck_pb_left(r))
        return h5ck_fail_at(err, at, "expected %s of at most %" PRIu64 " bytes, found %" PRIu64, what, h5ck_pb_left(r),
                            n);
    *in = (h5ck_pb_reader){r->source, r->at, r->at + n, what};
    r->at += n;
    return 0;
}

int h5ck_pb_enter(h5ck_pb_reader *r, const char *what, h5ck_pb_reader *in, h5ckpt_error **err)
{
    uint64_t at = r->at, n;
    int rc = h5ck_pb_varint(r, &n, err);
    return rc ? rc : h5ck_pb_take(r, at, n, what, in, err);
}

int h5ck_pb_skip(h5ck_pb_reader *r, const h5ck_pb_field *field, h5ckpt_error **err)
{
    uint64_t v;
    h5ck_pb_reader in;
    switch (field->wire) {
    case H5CK_PB_VARINT:
        return h5ck_pb_varint(r, &v, err);
    case H5CK_PB_LENGTH:
        return h5ck_pb_enter(r, "a field", &in, err);
    case H5CK_PB_FIXED64:
    case H5CK_PB_FIXED32:
        break;
    }
    return h5ck_pb_fixed(r, field->wire == H5CK_PB_FIXED64 ? 8 : 4, &v, err);
}

int h5ck_pb_string(h5ck_pb_reader *r, size_t limit, h5ck_arena *arena, const char **s, h5ckpt_error **err)
{
    uint64_t at = r->at, n = h5ck_pb_left(r);
    if (n > limit)
        return h5ck_fail_at(err, at, "expected %s of at most %zu bytes, found %" PRIu64, r->what, limit, n);
    char *text = h5ck_arena_alloc(arena, (size_t)n + 1);
    if (!text)
        return h5ck_fail_nomem(err);
    int rc = h5ck_pb_bytes(r, text, err);
    if (rc)
        return rc;
    text[n] = 0;
    if (!h5ck_text_is_utf8(text, (size_t)n))
        return h5ck_fail_at(err, at, "expected %s in UTF-8, found other bytes", r->what);
    *s = text;
    return 0;
}

/* ---- Writing ---- */

void h5ck_pb_put_varint(h5ck_buf *out, uint64_t v)
{
    for (; v >= 0x80; v >>= 7)
        h5ck_buf_u8(out, (unsigned)(v & 0x7f) | 0x80);
    h5ck_buf_u8(out, (unsigned)v);
}

void h5ck_pb_put_tag(h5ck_buf *out, uint32_t number, h5ck_pb_wire wire)
{
    h5ck_pb_put_varint(out, (uint64_t)number << 3 | wire);
}
