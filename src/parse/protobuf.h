/*
 * protobuf - a reader that walks a protobuf message where it lies: a range of a file, or of memory.
 *
 * It knows no schema and copies nothing: the caller asks for the next field, and takes its value as what he knows it to
 * be. A nested message, a string or a blob is a range, in which one may go on reading: so a model of gigabytes is walked
 * through a window of a few kilobytes, and the offset of a tensor's bytes in the file is known, which is all that is
 * needed of them. No memory is allocated, and depth is the caller's nesting of readers.
 *
 *     h5ck_pb_reader r = h5ck_pb_all(&source, "the model");
 *     h5ck_pb_field f;
 *     while ((rc = h5ck_pb_next(&r, &f, err)) == 0 && f.number) {
 *         if (f.number == 7 && f.wire == H5CK_PB_LENGTH)
 *             rc = h5ck_pb_enter(&r, "the graph", &graph, err);
 *         else
 *             rc = h5ck_pb_skip(&r, &f, err);
 *
 * Refused, each H5CKPT_INVALID with the offset in the file: varints of more than 64 bits, lengths past the end of what
 * holds them, field numbers out of range, groups (long deprecated; no format here has any) and unknown wire types.
 *
 * Why not protobuf-c: it needs a schema compiled into code for each message, builds the whole message in memory, weights
 * and all, and does not say where in the file a field stood. Source: protobuf's description of its encoding.
 */
#ifndef H5CK_PARSE_PROTOBUF_H
#define H5CK_PARSE_PROTOBUF_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { H5CK_PB_WINDOW = 4096 };

/* What readers read: a file, through a window of one thread, or memory. Set up by one of the two calls. */
typedef struct h5ck_pb_source {
    int fd;
    const unsigned char *memory; /* NULL: a file */
    uint64_t start, end;         /* the range of the file, or where in it the memory was read from (for messages) */
    uint64_t window_at;
    size_t window_len;
    unsigned char window[H5CK_PB_WINDOW];
} h5ck_pb_source;

void h5ck_pb_of_file(h5ck_pb_source *source, int fd, uint64_t offset, uint64_t len);
void h5ck_pb_of_memory(h5ck_pb_source *source, const void *data, size_t len, uint64_t file_offset);

/* A message being read: what is left of it. May be copied, and set back to a copy. */
typedef struct h5ck_pb_reader {
    h5ck_pb_source *source;
    uint64_t at, end;
    const char *what; /* for messages: "the graph" */
} h5ck_pb_reader;

typedef enum h5ck_pb_wire {
    H5CK_PB_VARINT = 0,
    H5CK_PB_FIXED64 = 1,
    H5CK_PB_LENGTH = 2,
    H5CK_PB_FIXED32 = 5
} h5ck_pb_wire;

typedef struct h5ck_pb_field {
    uint64_t at;     /* offset of its tag */
    uint32_t number; /* 0: the message ends */
    h5ck_pb_wire wire;
} h5ck_pb_field;

h5ck_pb_reader h5ck_pb_all(h5ck_pb_source *source, const char *what);

/* The next field's tag; then its value is to be taken by one of the calls below it. */
int h5ck_pb_next(h5ck_pb_reader *r, h5ck_pb_field *field, h5ckpt_error **err);

int h5ck_pb_varint(h5ck_pb_reader *r, uint64_t *v, h5ckpt_error **err);
int h5ck_pb_fixed(h5ck_pb_reader *r, unsigned bytes, uint64_t *v, h5ckpt_error **err); /* 4 or 8 */
/* The next n bytes as a reader of their own, and behind them; `at` is where their length stands. */
int h5ck_pb_take(h5ck_pb_reader *r, uint64_t at, uint64_t n, const char *what, h5ck_pb_reader *in, h5ckpt_error **err);

/* A message, a string, bytes or packed numbers: what is in it, to be read on. `what` outlives the reader. */
int h5ck_pb_enter(h5ck_pb_reader *r, const char *what, h5ck_pb_reader *in, h5ckpt_error **err);
int h5ck_pb_skip(h5ck_pb_reader *r, const h5ck_pb_field *field, h5ckpt_error **err);

/* All that is left of a reader, as a string in the arena: UTF-8 without zero bytes, of at most `limit` bytes. */
int h5ck_pb_string(h5ck_pb_reader *r, size_t limit, h5ck_arena *arena, const char **s, h5ckpt_error **err);
/* The same bytes, unchecked, into `buf`, which has room for h5ck_pb_left. */
int h5ck_pb_bytes(h5ck_pb_reader *r, void *buf, h5ckpt_error **err);
static inline uint64_t h5ck_pb_left(const h5ck_pb_reader *r)
{
    return r->end - r->at;
}

/* Writing: a varint; a tag. */
void h5ck_pb_put_varint(h5ck_buf *out, uint64_t v);
void h5ck_pb_put_tag(h5ck_buf *out, uint32_t number, h5ck_pb_wire wire);

#endif
