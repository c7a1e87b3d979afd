/*
 * inflate.c - deflate (RFC 1951) by zlib, whose streams are fed piece by piece: libdeflate, which unpacks HDF5's chunks,
 * wants all of one in memory, and a member of an archive may be larger than that.
 *
 * A stream has one direction. So a decoder keeps its stream where the last read ended, and goes on from there; a read
 * from before that goes back to a point where the stream was copied on its way (every 8 MiB, at most 32 of them), or to
 * the begin. Two readers that are not together cost each other as much, and no more. The mover's threads ask for slabs in order, but which of two comes first to the lock
 * is chance: what a read passes over is kept until it is asked for, in blocks of a slab, at most KEPT bytes. A read from
 * farther ahead is none of theirs; what it passes over is dropped.
 *
 * Unpacking is done under the decoder's lock, straight into the caller's memory, while other threads write what they
 * have. Between reads a decoder holds a stream (40 KiB) and a piece of the file (64 KiB); one that came to its end
 * holds nothing, so that an archive of many members needs the memory of those that are being read.
 *
 * Refused, with the offset in the file: a stream that is damaged, ends before it made all the bytes it must, makes more,
 * or leaves bytes over.
 */
#include "parse/inflate.h"

#include "base/fs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { INPUT = 64 << 10, HEAD_INPUT = 1 << 10, BLOCK = 1 << 20, KEPT = 64 << 20, STEP = 8 << 20, POINTS = 32 };

/* ---- A stream ---- */

typedef struct stream {
    h5ck_inflate_range range;
    z_stream z;
    bool open, ended;
    uint64_t in, out; /* bytes read of the file, and made */
    unsigned char *input;
    size_t input_size;
    int fd; /* during a read */
} stream;

static void stream_close(stream *s)
{
    if (s->open)
        inflateEnd(&s->z);
    free(s->input);
    s->input = NULL;
    s->open = false;
}

static int stream_open(stream *s, size_t input_size, h5ckpt_error **err)
{
    stream_close(s);
    s->in = s->out = 0;
    s->ended = false;
    s->input_size = input_size;
    memset(&s->z, 0, sizeof s->z);
    if (!(s->input = malloc(input_size)) || inflateInit2(&s->z, -MAX_WBITS) != Z_OK) {
        stream_close(s);
        return h5ck_fail_nomem(err);
    }
    s->open = true;
    return 0;
}

/* Where in the file it has come to. */
static uint64_t position(const stream *s)
{
    return s->range.offset + s->in - s->z.avail_in;
}

static int refill(stream *s, h5ckpt_error **err)
{
    uint64_t left = s->range.csize - s->in;
    size_t n = left < s->input_size ? (size_t)left : s->input_size;
    const unsigned char *kept = h5ck_fs_kept(s->range.file);
    int rc = 0;
    if (kept)
        memcpy(s->input, kept + s->range.offset + s->in, n);
    else
        rc = h5ck_fs_pread(s->fd, s->input, n, s->range.offset + s->in, err);
    s->in += n;
    s->z.next_in = s->input;
    s->z.avail_in = (uInt)n;
    return rc;
}

/* Makes up to n bytes; fewer only where the stream ends. */
static int pull(stream *s, unsigned char *buf, size_t n, size_t *made, h5ckpt_error **err)
{
    int rc = 0;
    s->z.next_out = buf;
    s->z.avail_out = (uInt)n;
    while (rc == 0 && s->z.avail_out > 0 && !s->ended) {
        if (s->z.avail_in == 0 && s->in < s->range.csize && (rc = refill(s, err)))
            break;
        int z = inflate(&s->z, Z_NO_FLUSH); /* which may have more to give when all is taken in */
        if (z == Z_STREAM_END)
            s->ended = true;
        else if (z == Z_MEM_ERROR)
            rc = h5ck_fail_nomem(err);
        else if (z == Z_BUF_ERROR && s->z.avail_in == 0 && s->in == s->range.csize)
            rc = h5ck_fail_at(err, position(s),
                              "expected a deflated stream of %" PRIu64 " bytes, found its data to end after %" PRIu64,
                              s->range.usize, s->out + n - s->z.avail_out);
        else if (z != Z_OK && z != Z_BUF_ERROR)
            rc = h5ck_fail_at(err, position(s), "expected a deflated stream, found damage in it (%s)",
                              s->z.msg ? s->z.msg : "zlib says no more");
    }
    *made = n - s->z.avail_out;
    s->out += *made;
    return rc;
}

/* After the last byte: nothing may follow, in the stream or behind it. */
static int check_end(stream *s, h5ckpt_error **err)
{
    unsigned char more;
    size_t made = 0;
    int rc = s->ended ? 0 : pull(s, &more, 1, &made, err);
    if (rc)
        return rc;
    if (made)
        return h5ck_fail_at(err, position(s), "expected a deflated stream of %" PRIu64 " bytes, found more",
                            s->range.usize);
    if (position(s) != s->range.offset + s->range.csize)
        return h5ck_fail_at(err, position(s), "expected the deflated stream to take %" PRIu64 " bytes, found %" PRIu64,
                            s->range.csize, position(s) - s->range.offset);
    return 0;
}

/* n bytes, which must be there; n is at most what a uInt holds. The end of the stream is checked with its last byte. */
static int make(stream *s, unsigned char *buf, size_t n, h5ckpt_error **err)
{
    size_t made;
    int rc = pull(s, buf, n, &made, err);
    if (rc == 0 && made < n)
        rc = h5ck_fail_at(err, position(s),
                          "expected a deflated stream of %" PRIu64 " bytes, found it to end after %" PRIu64,
                          s->range.usize, s->out);
    if (rc == 0 && s->out == s->range.usize)
        rc = check_end(s, err);
    return rc;
}

static int open_file(stream *s, h5ckpt_error **err)
{
    s->fd = -1;
    return h5ck_fs_kept(s->range.file) ? 0 : h5ck_fs_reopen(s->range.file, &s->fd, err);
}

static int close_file(stream *s, int rc, h5ckpt_error **err)
{
    if (s->fd >= 0)
        close(s->fd);
    return rc ? h5ck_file_where(err, rc, s->range.file) : 0;
}

int h5ck_inflate_head(const h5ck_inflate_range *range, void *buf, size_t n, size_t *got, h5ckpt_error **err)
{
    stream s = {.range = *range};
    *got = range->usize < n ? (size_t)range->usize : n;
    int rc = open_file(&s, err);
    if (rc)
        return rc;
    rc = stream_open(&s, HEAD_INPUT, err);
    if (rc == 0)
        rc = make(&s, buf, *got, err);
    stream_close(&s);
    return close_file(&s, rc, err);
}

/* ---- Points to go back to ---- */

/* A copy of the stream between two bytes. */
typedef struct point {
    z_stream z;
    uint64_t in, out;
} point;

typedef struct points {
    point *at; /* POINTS of them, made when first needed */
    size_t count;
    bool wanted; /* a read went back: they are kept when the stream has come to its end */
} points;

static void points_free(points *p)
{
    while (p->count)
        inflateEnd(&p->at[--p->count].z);
    free(p->at);
    p->at = NULL;
}

/* Where it has come far enough since the last one. Without memory for it there is none: it only saves time. */
static void mark_point(points *p, stream *s)
{
    uint64_t step = s->range.usize / POINTS > STEP ? s->range.usize / POINTS : STEP;
    uint64_t last = p->count ? p->at[p->count - 1].out : 0;
    if (s->ended || p->count == POINTS || s->out < last || s->out - last < step)
        return;
    if (!p->at && !(p->at = malloc(POINTS * sizeof *p->at)))
        return;
    point *new = &p->at[p->count];
    if (inflateCopy(&new->z, &s->z) == Z_OK) {
        new->in = s->in - s->z.avail_in;
        new->out = s->out;
        p->count++;
    }
}

/* Takes the stream back to the last point at or before `offset`, or opens it. */
static int go_back(const points *p, stream *s, uint64_t offset, h5ckpt_error **err)
{
    size_t n = p->count;
    while (n > 0 && p->at[n - 1].out > offset)
        n--;
    int rc = stream_open(s, INPUT, err);
    if (rc || n == 0)
        return rc;
    inflateEnd(&s->z);
    if (inflateCopy(&s->z, &p->at[n - 1].z) != Z_OK) {
        s->open = false;
        return h5ck_fail_nomem(err);
    }
    s->z.avail_in = 0;
    s->in = p->at[n - 1].in;
    s->out = p->at[n - 1].out;
    return 0;
}

/* ---- What was passed over ---- */

typedef struct block {
    struct block *next;
    uint64_t first; /* of the stream */
    size_t size, unread;
    unsigned char data[];
} block;

typedef struct inflater {
    h5ck_decoder decoder; /* first: the two have one address */
    uint64_t skip;
    pthread_mutex_t lock;
    stream s;
    points points;
    block *oldest, *newest;
    size_t kept;
} inflater;

static void unlink_block(inflater *f, block **at)
{
    block *b = *at;
    *at = b->next;
    if (f->newest == b) {
        f->newest = f->oldest;
        while (f->newest && f->newest->next)
            f->newest = f->newest->next;
    }
    f->kept -= b->size;
    free(b);
}

static void drop_blocks(inflater *f)
{
    while (f->oldest)
        unlink_block(f, &f->oldest);
}

/* Of the block that holds byte `offset`: as many bytes as it has from there on, at most n; 0 where none holds it. */
static size_t take_kept(inflater *f, uint64_t offset, unsigned char *buf, size_t n)
{
    block **at = &f->oldest;
    while (*at && !(offset >= (*at)->first && offset - (*at)->first < (*at)->size))
        at = &(*at)->next;
    if (!*at)
        return 0;
    block *b = *at;
    size_t from = (size_t)(offset - b->first);
    n = b->size - from < n ? b->size - from : n;
    memcpy(buf, b->data + from, n);
    b->unread -= n < b->unread ? n : b->unread;
    if (b->unread == 0)
        unlink_block(f, at);
    return n;
}

/* Makes the next bytes, up to `until`, and keeps them where that is `near`. */
static int pass_over(inflater *f, uint64_t until, bool near, h5ckpt_error **err)
{
    uint64_t gap = until - f->s.out;
    size_t n = gap < BLOCK ? (size_t)gap : BLOCK;
    block *b = malloc(sizeof *b + n);
    if (!b)
        return h5ck_fail_nomem(err);
    *b = (block){NULL, f->s.out, n, n};
    int rc = make(&f->s, b->data, n, err);
    if (rc || !near) {
        free(b);
        return rc;
    }
    while (f->oldest && f->kept + n > KEPT)
        unlink_block(f, &f->oldest);
    *(f->newest ? &f->newest->next : &f->oldest) = b;
    f->newest = b;
    f->kept += n;
    return 0;
}

/* ---- The decoder ---- */

/* With the lock held; the file is open. `offset` counts from the stream's first byte. */
static int read_stream(inflater *f, uint64_t offset, unsigned char *buf, size_t n, h5ckpt_error **err)
{
    int rc = 0;
    bool fresh = !f->s.open && f->s.out == 0, near = offset <= f->s.out + KEPT;
    while (rc == 0 && n > 0) {
        size_t got = offset < f->s.out ? take_kept(f, offset, buf, n) : 0;
        if (got == 0 && (fresh || offset < f->s.out)) {
            drop_blocks(f);
            f->points.wanted = f->points.wanted || !fresh;
            rc = go_back(&f->points, &f->s, offset, err);
            near = near && fresh;
            fresh = false;
        } else if (got == 0 && offset > f->s.out) {
            rc = pass_over(f, f->s.out < f->skip ? f->skip : offset, near && f->s.out >= f->skip, err);
        } else if (got == 0) {
            got = n < BLOCK ? n : BLOCK;
            rc = make(&f->s, buf, got, err);
        }
        if (rc == 0) {
            mark_point(&f->points, &f->s);
            offset += got;
            buf += got;
            n -= got;
        }
    }
    return rc;
}

static int read_inflated(const h5ck_decoder *self, uint64_t offset, void *buf, size_t n, h5ckpt_error **err)
{
    inflater *f = (inflater *)(uintptr_t)self; /* made non-const; what changes is under its lock */
    uint64_t has = f->s.range.usize - f->skip;
    if (offset > has || n > has - offset)
        return h5ck_fail(err, H5CKPT_INVALID, "expected a range within %" PRIu64 " bytes, found one past them", has);
    pthread_mutex_lock(&f->lock);
    int rc = open_file(&f->s, err);
    if (rc == 0)
        rc = close_file(&f->s, read_stream(f, f->skip + offset, buf, n, err), err);
    if (rc || f->s.out == f->s.range.usize) /* at its end: only what was passed over is of use yet */
        stream_close(&f->s);
    if (rc) { /* the next who asks begins anew, and learns the same */
        drop_blocks(f);
        points_free(&f->points);
        f->s.out = 0;
    }
    if (f->s.out == f->s.range.usize && !f->points.wanted)
        points_free(&f->points);
    pthread_mutex_unlock(&f->lock);
    return rc;
}

static void inflater_close(void *what)
{
    inflater *f = what;
    drop_blocks(f);
    points_free(&f->points);
    stream_close(&f->s);
    pthread_mutex_destroy(&f->lock);
}

int h5ck_inflate_new(h5ckpt_state *state, const h5ck_inflate_range *range, uint64_t skip, const h5ck_decoder **decoder,
                     h5ckpt_error **err)
{
    inflater *f = h5ck_arena_zalloc(&state->arena, 1, sizeof *f);
    if (!f)
        return h5ck_fail_nomem(err);
    if (skip > range->usize)
        return h5ck_fail_at(err, range->offset, "expected a member of at least %" PRIu64 " bytes, found %" PRIu64, skip,
                            range->usize);
    f->decoder = (h5ck_decoder){read_inflated, "deflated", BLOCK};
    f->skip = skip;
    f->s.range = *range;
    pthread_mutex_init(&f->lock, NULL);
    *decoder = &f->decoder;
    return h5ck_state_on_close(state, inflater_close, f, err);
}
