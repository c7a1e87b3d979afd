/* test_zip.c - zip archives: their directory read and written, deflated members as decoders, and archives planned. */
#include "base/fs.h"
#include "base/le.h"
#include "format/zip_plan.h"
#include "move/check.h"
#include "move/move.h"
#include "parse/inflate.h"
#include "parse/zip.h"
#include "test.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

/* ---- Making archives ---- */

static const char abc[] = "abcabcabcabcabcabcabcabcabcabc";

/* Two members: "a", stored, 30 bytes; "dir/b", deflated to 7 bytes. */
typedef struct archive {
    h5ck_buf bytes;
    size_t local[2], central[2], end;
} archive;

static size_t deflate_raw(const void *data, size_t n, unsigned char *out, size_t room)
{
    z_stream z = {.next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n, .next_out = out, .avail_out = (uInt)room};
    CU_ASSERT_EQUAL(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
    CU_ASSERT_EQUAL(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return room - z.avail_out;
}

static archive two_members(void)
{
    archive a = {.bytes = H5CK_BUF_INIT};
    unsigned char packed[64];
    h5ck_zip_entry e[2] = {
        {.name = "a", .csize = 30, .usize = 30, .crc = h5ck_zip_crc(0, abc, 30)},
        {.name = "dir/b", .usize = 30, .crc = h5ck_zip_crc(0, abc, 30), .deflated = true},
    };
    e[1].csize = deflate_raw(abc, 30, packed, sizeof packed);
    for (size_t i = 0; i < 2; i++) {
        e[i].header = a.local[i] = a.bytes.len;
        h5ck_zip_put_local(&a.bytes, &e[i], 0);
        h5ck_buf_add(&a.bytes, i ? (const void *)packed : abc, e[i].csize);
    }
    size_t directory = a.bytes.len;
    for (size_t i = 0; i < 2; i++) {
        a.central[i] = a.bytes.len;
        h5ck_zip_put_central(&a.bytes, &e[i]);
    }
    a.end = a.bytes.len;
    h5ck_zip_put_end(&a.bytes, 2, directory, a.end - directory);
    return a;
}

/* Lists and locates; returns the code. */
static int read_zip(const void *bytes, size_t n, h5ck_arena *arena, h5ck_zip *zip, h5ckpt_error **err)
{
    const char *path = test_tmp("x.zip");
    h5ck_file f;
    int fd;
    test_write(path, bytes, n);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(path, NULL, &f, &fd, err), 0);
    int rc = h5ck_zip_list(fd, f.size, arena, zip, err);
    if (rc == 0)
        rc = h5ck_zip_locate(fd, zip, err);
    close(fd);
    return rc;
}

static void refuses(const void *bytes, size_t n, const char *part)
{
    h5ck_arena arena = {NULL};
    h5ck_zip zip;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(read_zip(bytes, n, &arena, &zip, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, part);
    h5ck_arena_free(&arena);
}

/* The two members with some bytes changed. */
static void refuses_patched(size_t offset, uint64_t value, unsigned bytes, const char *part)
{
    archive a = two_members();
    h5ck_le_put(a.bytes.data + offset, value, bytes);
    refuses(a.bytes.data, a.bytes.len, part);
    h5ck_buf_free(&a.bytes);
}

/* ---- Reading the directory ---- */

static void reads_what_it_wrote(void)
{
    archive a = two_members();
    h5ck_arena arena = {NULL};
    h5ck_zip zip;
    h5ckpt_error *err = NULL;
    CU_ASSERT_TRUE(h5ck_zip_begins(a.bytes.data, 4));
    CU_ASSERT_FALSE(h5ck_zip_begins(a.bytes.data, 3));
    CU_ASSERT_EQUAL_FATAL(read_zip(a.bytes.data, a.bytes.len, &arena, &zip, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL_FATAL(zip.count, 2);
    CU_ASSERT_STRING_EQUAL(zip.entries[0].name, "a");
    CU_ASSERT_EQUAL(zip.entries[0].data, 31);
    CU_ASSERT_EQUAL(zip.entries[0].usize, 30);
    CU_ASSERT_FALSE(zip.entries[0].deflated);
    CU_ASSERT_STRING_EQUAL(zip.entries[1].name, "dir/b");
    CU_ASSERT_EQUAL(zip.entries[1].header, 61);
    CU_ASSERT_EQUAL(zip.entries[1].data, 96);
    CU_ASSERT_TRUE(zip.entries[1].deflated);
    CU_ASSERT_EQUAL(zip.entries[1].crc, 0x48b1fc81);
    CU_ASSERT_PTR_EQUAL(h5ck_zip_find(&zip, "dir/b"), &zip.entries[1]);
    CU_ASSERT_PTR_NULL(h5ck_zip_find(&zip, "b"));
    h5ck_arena_free(&arena);
    h5ck_buf_free(&a.bytes);
}

static void writes_these_bytes(void)
{
    static const unsigned char local[] = {'P',  'K',  3, 4, 20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0, 0xef, 0xcd,
                                          0xab, 0x89, 3, 0, 0,  0, 3, 0, 0, 0, 1, 0, 0,    0, 'w'};
    static const unsigned char central[] = {'P',  'K',  1,    2,    20, 3, 20, 0, 0,    0,    0, 0, 0, 0, 0x21, 0,
                                            0xef, 0xcd, 0xab, 0x89, 3,  0, 0,  0, 3,    0,    0, 0, 1, 0, 0,    0,
                                            0,    0,    0,    0,    0,  0, 0,  0, 0xa4, 0x81, 7, 0, 0, 0, 'w'};
    static const unsigned char end[] = {'P', 'K', 5, 6, 0, 0, 0, 0, 1, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0};
    h5ck_zip_entry e = {.name = "w", .header = 7, .csize = 3, .usize = 3, .crc = 0x89abcdef};
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_zip_put_local(&b, &e, 0);
    CU_ASSERT_EQUAL(b.len, sizeof local);
    CU_ASSERT_EQUAL(memcmp(b.data, local, sizeof local), 0);
    b.len = 0;
    h5ck_zip_put_central(&b, &e);
    CU_ASSERT_EQUAL(b.len, sizeof central);
    CU_ASSERT_EQUAL(memcmp(b.data, central, sizeof central), 0);
    b.len = 0;
    h5ck_zip_put_end(&b, 1, 1, 2);
    CU_ASSERT_EQUAL(b.len, sizeof end);
    CU_ASSERT_EQUAL(memcmp(b.data, end, sizeof end), 0);
    h5ck_buf_free(&b);
}

/* The extra field "FB" fills up to the next multiple, wherever the header stands. */
static void pads_to_the_alignment(void)
{
    for (uint64_t at = 0; at < 200; at++) {
        h5ck_zip_entry e = {.name = "name", .header = at};
        h5ck_buf b = H5CK_BUF_INIT;
        h5ck_zip_put_local(&b, &e, 64);
        CU_ASSERT_EQUAL(e.data % 64, 0);
        CU_ASSERT_EQUAL(e.data, at + b.len);
        CU_ASSERT_TRUE(b.len < 34 + 68);
        CU_ASSERT_EQUAL(h5ck_le_get(b.data + 28, 2), b.len - 34);
        if (b.len > 34) {
            CU_ASSERT_EQUAL(memcmp(b.data + 34, "FB", 2), 0);
            CU_ASSERT_EQUAL(h5ck_le_get(b.data + 36, 2), b.len - 38);
        }
        h5ck_buf_free(&b);
    }
}

static void reads_a_comment_and_what_others_leave_out(void)
{
    archive a = two_members();
    h5ck_arena arena = {NULL};
    h5ck_zip zip;
    h5ckpt_error *err = NULL;
    h5ck_le_put(a.bytes.data + a.end + 20, 5, 2);
    h5ck_buf_add(&a.bytes, "PK\5\6!", 5); /* looks like an end record, but none fits in there */
    /* a data descriptor follows: the local header says nothing of sizes and CRC */
    a.bytes.data[a.local[0] + 6] = 1 << 3;
    memset(a.bytes.data + a.local[0] + 14, 0, 12);
    CU_ASSERT_EQUAL(read_zip(a.bytes.data, a.bytes.len, &arena, &zip, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL(zip.entries[0].csize, 30);
    h5ck_arena_free(&arena);
    h5ck_buf_free(&a.bytes);
}

/* ZIP64 wherever a number does not fit; the file has a hole of 5 GiB. */
static void reads_and_writes_zip64(void)
{
    const uint64_t big = (uint64_t)5 << 30;
    h5ck_zip_entry e[2] = {{.name = "big", .csize = big, .usize = big, .crc = 1},
                           {.name = "far", .csize = 1, .usize = 1, .crc = 2}};
    const char *path = test_tmp("big.zip");
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_arena arena = {NULL};
    h5ck_zip zip;
    h5ck_file f;
    h5ckpt_error *err = NULL;
    int fd;
    h5ck_zip_put_local(&b, &e[0], 64);
    CU_ASSERT_EQUAL(e[0].data, 64);
    test_write(path, b.data, b.len);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_write(path, &fd, &err), 0);
    b.len = 0;
    e[1].header = e[0].data + big;
    h5ck_zip_put_local(&b, &e[1], 64);
    h5ck_buf_u8(&b, 'x');
    size_t before = b.len;
    h5ck_zip_put_central(&b, &e[0]);
    h5ck_zip_put_central(&b, &e[1]);
    h5ck_zip_put_end(&b, 2, e[1].header + before, b.len - before);
    CU_ASSERT_EQUAL(h5ck_fs_pwrite(fd, b.data, b.len, e[1].header, &err), 0);
    close(fd);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(path, NULL, &f, &fd, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_list(fd, f.size, &arena, &zip, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_locate(fd, &zip, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL_FATAL(zip.count, 2);
    CU_ASSERT_EQUAL(zip.entries[0].usize, big);
    CU_ASSERT_EQUAL(zip.entries[0].data, 64);
    CU_ASSERT_EQUAL(zip.entries[1].header, e[1].header);
    CU_ASSERT_EQUAL(zip.entries[1].data, e[1].data);
    /* the locator says where ZIP64's end record is */
    unsigned char nonsense[8] = {1};
    int out;
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_write(path, &out, &err), 0);
    CU_ASSERT_EQUAL(h5ck_fs_pwrite(out, nonsense, 8, f.size - 22 - 12, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_list(fd, f.size, &arena, &zip, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected a ZIP64 end record");
    close(out);
    close(fd);
    unlink(path);
    h5ck_arena_free(&arena);
    h5ck_buf_free(&b);
}

/* ---- Refusals ---- */

static void refuses_every_cut_of_an_archive(void)
{
    archive a = two_members();
    for (size_t n = 0; n < a.bytes.len; n++)
        refuses(a.bytes.data, n, "expected");
    h5ck_buf_free(&a.bytes);
}

static void refuses_bytes_around_the_archive(void)
{
    archive a = two_members();
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_buf_str(&b, "#!/bin/sh\n");
    h5ck_buf_add(&b, a.bytes.data, a.bytes.len);
    refuses(b.data, b.len, "is something before the archive?");
    b.len = 0;
    h5ck_buf_add(&b, a.bytes.data, a.bytes.len);
    h5ck_buf_u8(&b, 0);
    refuses(b.data, b.len, "end record");
    h5ck_buf_free(&b);
    h5ck_buf_free(&a.bytes);
}

static void refuses_what_the_end_record_cannot_mean(void)
{
    archive a = two_members();
    refuses_patched(a.end + 4, 1, 2, "one disk");
    refuses_patched(a.end + 8, 1, 2, "one disk");
    refuses_patched(a.end + 8, 0x10001, 4, "expected the end of the central directory");
    refuses_patched(a.end + 8, 0x30003, 4, "at most 2 members, found 3");
    refuses_patched(a.end + 12, 1, 4, "expected the central directory to end here");
    refuses_patched(a.end + 16, 0xfffffffe, 4, "expected the central directory to end here");
    h5ck_buf_free(&a.bytes);
}

static void refuses_what_a_central_header_cannot_mean(void)
{
    archive a = two_members();
    size_t c = a.central[0];
    refuses_patched(c, 0, 1, "expected a header of the central directory");
    refuses_patched(c + 8, 1, 2, "encrypted");
    refuses_patched(c + 8, 1 << 6, 2, "encrypted");
    refuses_patched(c + 8, 1 << 13, 2, "encrypted");
    refuses_patched(c + 8, 1 << 5, 2, "patch");
    refuses_patched(c + 10, 12, 2, "found method 12");
    refuses_patched(c + 20, 31, 4, "two sizes to be equal");
    refuses_patched(a.central[1] + 24, 1000000, 4, "deflate can reach");
    refuses_patched(c + 20, 0xffffffff, 4, "expected a ZIP64 field");
    refuses_patched(c + 28, 0, 2, "expected a member's name in ASCII");
    refuses_patched(c + 28, 0xfff0, 2, "past its end");
    refuses_patched(c + 34, 1, 2, "one disk");
    refuses_patched(c + 42, 0xfffffff0, 4, "before the central directory");
    refuses_patched(c + 46, 0xe9, 1, "ASCII");
    refuses_patched(c + 46, 0, 1, "ASCII");
    h5ck_buf_free(&a.bytes);
}

static void refuses_a_name_that_is_not_utf8(void)
{
    archive a = two_members();
    a.bytes.data[a.central[0] + 9] = 1 << 3; /* bit 11 */
    a.bytes.data[a.central[0] + 46] = 0xe9;
    refuses(a.bytes.data, a.bytes.len, "UTF-8");
    h5ck_buf_free(&a.bytes);
}

static void refuses_an_extra_field_past_its_end(void)
{
    archive a = two_members();
    /* the second member's name becomes its extra field, and says that it is longer */
    h5ck_le_put(a.bytes.data + a.central[1] + 28, 1, 2);
    h5ck_le_put(a.bytes.data + a.central[1] + 30, 4, 2);
    refuses(a.bytes.data, a.bytes.len, "expected an extra field of at most 0 bytes");
    h5ck_buf_free(&a.bytes);
}

static void refuses_two_members_of_one_name(void)
{
    archive a = two_members();
    h5ck_le_put(a.bytes.data + a.central[1] + 28, 1, 2); /* its name is "a", and "ir/b" a comment */
    h5ck_le_put(a.bytes.data + a.central[1] + 32, 4, 2);
    a.bytes.data[a.central[1] + 46] = 'a';
    refuses(a.bytes.data, a.bytes.len, "found two of 'a'");
    h5ck_buf_free(&a.bytes);
}

static void refuses_a_local_header_that_says_other(void)
{
    archive a = two_members();
    size_t l = a.local[0];
    refuses_patched(l, 0, 1, "expected a local header, found other bytes");
    refuses_patched(l + 6, 1, 2, "encrypted");
    refuses_patched(l + 8, 8, 2, "method in the local header");
    refuses_patched(l + 14, 0, 4, "CRC in the local header");
    refuses_patched(l + 18, 29, 4, "sizes in the local header");
    refuses_patched(l + 22, 31, 4, "sizes in the local header");
    refuses_patched(l + 30, 'b', 1, "name in the local header");
    refuses_patched(l + 28, 0xf000, 2, "before the central directory");
    h5ck_buf_free(&a.bytes);
}

static void refuses_members_that_overlap(void)
{
    archive a = two_members();
    size_t moved = 40; /* into the first one's bytes */
    memmove(a.bytes.data + moved, a.bytes.data + a.local[1], 35);
    h5ck_le_put(a.bytes.data + a.central[1] + 42, moved, 4);
    refuses(a.bytes.data, a.bytes.len, "expected a member behind 'a', found it to overlap");
    h5ck_buf_free(&a.bytes);
}

/* ---- CRC ---- */

static void joins_crcs(void)
{
    uint32_t whole = h5ck_zip_crc(0, abc, 30), first = h5ck_zip_crc(0, abc, 11), rest = h5ck_zip_crc(0, abc + 11, 19);
    CU_ASSERT_EQUAL(h5ck_zip_crc(0, "123456789", 9), 0xcbf43926);
    CU_ASSERT_EQUAL(h5ck_zip_crc_join(first, rest, 19), whole);
    CU_ASSERT_EQUAL(h5ck_zip_crc_rest(whole, first, 19), rest);
    CU_ASSERT_EQUAL(h5ck_zip_crc_join(first, 0, 0), first);
    /* 3 GiB of zeros behind "abc", as Python's zlib.crc32 counts them */
    CU_ASSERT_EQUAL(h5ck_zip_crc_join(h5ck_zip_crc(0, "abc", 3), 0x480bbe37, (uint64_t)3 << 30), 0x4604a702);
}

/* ---- Inflating ---- */

enum { LONG = (20 << 20) + 77, HEAD = 128 }; /* long enough for points to go back to */

/* Compresses to about a half, and no part is like another. */
static unsigned char *long_text(void)
{
    unsigned char *p = malloc(LONG);
    uint32_t x = 1;
    for (size_t i = 0; i < LONG; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (unsigned char)('a' + (x >> 28));
    }
    return p;
}

typedef struct deflated {
    unsigned char *plain, *packed;
    size_t packed_size;
    h5ckpt_state *state;
    h5ck_inflate_range range;
} deflated;

/* The file holds `kept` bytes of the stream, and 3 more. */
static deflated make_deflated(uint64_t usize, size_t kept)
{
    deflated d = {.plain = long_text(), .packed = calloc(1, LONG + 4096)};
    const char *path = test_tmp("deflated");
    h5ckpt_error *err = NULL;
    int fd;
    d.packed_size = deflate_raw(d.plain, LONG, d.packed + 7, LONG + 4000);
    if (kept > d.packed_size)
        kept = d.packed_size;
    test_write(path, d.packed, 7 + kept + 3);
    CU_ASSERT_PTR_NOT_NULL_FATAL(d.state = h5ckpt_state_new());
    h5ck_file *f = h5ck_state_new_file(d.state, path, NULL);
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(f->root, NULL, f, &fd, &err), 0);
    close(fd);
    d.range = (h5ck_inflate_range){f, 7, kept, usize};
    return d;
}

static void free_deflated(deflated *d)
{
    h5ckpt_state_free(d->state);
    free(d->plain);
    free(d->packed);
}

static const h5ck_decoder *decoder_of(deflated *d)
{
    h5ckpt_error *err = NULL;
    const h5ck_decoder *decoder;
    CU_ASSERT_EQUAL_FATAL(h5ck_inflate_new(d->state, &d->range, HEAD, &decoder, &err), 0);
    return decoder;
}

static void inflates_in_any_order(void)
{
    deflated d = make_deflated(LONG, LONG);
    const h5ck_decoder *decoder = decoder_of(&d);
    unsigned char *out = malloc(LONG);
    h5ckpt_error *err = NULL;
    static const struct {
        size_t offset, n;
    } reads[] = {{0, 10},
                 {10, 1},
                 {2 << 20, (3 << 20) - 51},
                 {100, 1 << 20},
                 {1 << 20, 1 << 20},
                 {0, LONG - HEAD},
                 {LONG - HEAD - 1, 1},
                 {17 << 20, 1 << 20},
                 {9 << 20, 100},
                 {10 << 20, 2 << 20},
                 {3, 9},
                 {16 << 20, 3 << 20},
                 {0, 1},
                 {LONG - HEAD, 0}};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        CU_ASSERT_EQUAL(decoder->read(decoder, reads[i].offset, out, reads[i].n, &err), 0);
        test_expect_none(&err);
        CU_ASSERT_EQUAL(memcmp(out, d.plain + HEAD + reads[i].offset, reads[i].n), 0);
    }
    CU_ASSERT_EQUAL(decoder->read(decoder, LONG - HEAD, out, 1, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected a range within");
    free(out);
    free_deflated(&d);
}

static void gives_the_head_alone(void)
{
    deflated d = make_deflated(LONG, LONG);
    unsigned char head[HEAD];
    size_t got;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(h5ck_inflate_head(&d.range, head, HEAD, &got, &err), 0);
    CU_ASSERT_EQUAL(got, HEAD);
    CU_ASSERT_EQUAL(memcmp(head, d.plain, HEAD), 0);
    d.range.usize = 5;
    CU_ASSERT_EQUAL(h5ck_inflate_head(&d.range, head, HEAD, &got, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected a deflated stream of 5 bytes, found more");
    free_deflated(&d);
}

/* Threads take slabs as the mover's do: in order, but they come to the lock as they come. */
typedef struct runner {
    const h5ck_decoder *decoder;
    const unsigned char *plain;
    atomic_size_t next;
    atomic_int wrong;
} runner;

static void *run_slabs(void *arg)
{
    runner *r = arg;
    enum { SLAB = 100000 };
    unsigned char *buf = malloc(SLAB);
    for (size_t at; (at = atomic_fetch_add(&r->next, SLAB)) < LONG - HEAD;) {
        size_t n = LONG - HEAD - at < SLAB ? LONG - HEAD - at : SLAB;
        if (r->decoder->read(r->decoder, at, buf, n, NULL) || memcmp(buf, r->plain + HEAD + at, n) != 0)
            atomic_fetch_add(&r->wrong, 1);
    }
    free(buf);
    return NULL;
}

static void inflates_for_several_threads(void)
{
    deflated d = make_deflated(LONG, LONG);
    runner r = {.decoder = decoder_of(&d), .plain = d.plain};
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        CU_ASSERT_EQUAL_FATAL(pthread_create(&threads[i], NULL, run_slabs, &r), 0);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    CU_ASSERT_EQUAL(atomic_load(&r.wrong), 0);
    free_deflated(&d);
}

static void refuses_to_inflate(uint64_t usize, size_t kept, const char *part)
{
    deflated d = make_deflated(usize, kept);
    const h5ck_decoder *decoder = decoder_of(&d);
    unsigned char *out = malloc((size_t)usize);
    h5ckpt_error *err = NULL;
    for (int again = 0; again < 2; again++) {
        CU_ASSERT_EQUAL(decoder->read(decoder, 0, out, (size_t)usize - HEAD, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, part);
    }
    free(out);
    free_deflated(&d);
}

static void refuses_streams_of_another_length(void)
{
    refuses_to_inflate(LONG - 1, LONG, "expected a deflated stream of 20971596 bytes, found more");
    refuses_to_inflate(LONG + 1, LONG, "found it to end after 20971597");
    refuses_to_inflate(LONG, 1 << 20, "found its data to end after");
}

static void refuses_bytes_behind_a_stream(void)
{
    deflated d = make_deflated(LONG, LONG);
    d.range.csize += 3;
    const h5ck_decoder *decoder = decoder_of(&d);
    unsigned char one;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL(decoder->read(decoder, LONG - HEAD - 1, &one, 1, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "expected the deflated stream to take");
    free_deflated(&d);
}

static void refuses_a_damaged_stream(void)
{
    deflated d = make_deflated(LONG, LONG);
    const char *path = test_tmp("deflated");
    memset(d.packed + 7 + 100000, 0xff, 300);
    test_write(path, d.packed, 7 + d.packed_size + 3);
    int fd;
    h5ckpt_error *err = NULL;
    CU_ASSERT_EQUAL_FATAL(h5ck_fs_open_source(path, NULL, d.range.file, &fd, &err), 0);
    close(fd);
    const h5ck_decoder *decoder = decoder_of(&d);
    unsigned char *out = malloc(LONG);
    int rc = decoder->read(decoder, 0, out, LONG - HEAD, &err);
    CU_ASSERT_EQUAL(rc, H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "deflated");
    free(out);
    free_deflated(&d);
}

/* ---- Planning ---- */

static void plans_an_archive(void)
{
    const uint64_t shape = 30;
    const h5ckpt_tensor_info info = {.name = "t", .dtype = H5CKPT_DTYPE_UINT8, .rank = 1, .shape = &shape};
    const h5ck_extent extent = {.kind = H5CK_EXTENT_MEMORY, .memory = abc};
    h5ckpt_error *err = NULL;
    h5ckpt_state *s;
    h5ckpt_tensor *t;
    h5ck_zip_plan *z;
    h5ck_plan plan = {.target = "x.zip", .stage = test_tmp("planned.zip")};
    CU_ASSERT_PTR_NOT_NULL_FATAL(s = h5ckpt_state_new());
    CU_ASSERT_EQUAL_FATAL(h5ck_state_make_tensor(s, &info, &extent, NULL, &t, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_plan_begin(&plan, &z, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_plan_add(z, "t", "12345", 5, t, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_plan_add(z, "version", "3\n", 2, NULL, &err), 0);
    CU_ASSERT_EQUAL(h5ck_zip_plan_add(z, "t", NULL, 0, t, &err), H5CKPT_INVALID);
    test_expect_error(&err, H5CKPT_INVALID, "found a second member 't'");
    CU_ASSERT_EQUAL(h5ck_zip_plan_end(z, &err), 0);
    CU_ASSERT_EQUAL(h5ck_move(&plan, &(h5ck_move_options){.jobs = 2}, &err), 0);
    test_expect_none(&err);

    h5ck_arena arena = {NULL};
    h5ck_zip zip;
    size_t n;
    unsigned char *bytes = test_read(plan.stage, &n);
    CU_ASSERT_EQUAL(read_zip(bytes, n, &arena, &zip, &err), 0);
    test_expect_none(&err);
    CU_ASSERT_EQUAL_FATAL(zip.count, 2);
    CU_ASSERT_EQUAL(zip.entries[0].data, 64);
    CU_ASSERT_EQUAL(zip.entries[0].usize, 35);
    CU_ASSERT_EQUAL(zip.entries[0].crc, h5ck_zip_crc(0, bytes + 64, 35));
    CU_ASSERT_EQUAL(memcmp(bytes + 64, "12345", 5), 0);
    CU_ASSERT_EQUAL(memcmp(bytes + 69, abc, 30), 0);
    CU_ASSERT_EQUAL(zip.entries[1].data % 64, 0);
    CU_ASSERT_EQUAL(zip.entries[1].crc, h5ck_zip_crc(0, "3\n", 2));
    free(bytes);
    h5ck_arena_free(&arena);
    h5ck_plan_free(&plan);
    h5ckpt_state_free(s);
}

static void plans_no_trap(void)
{
    static const char *const traps[] = {"/etc/passwd", "..", "../x", "a/../b", "a/..", "a\\b"};
    static const char *const harmless[] = {"a/b", "...", "a..b", "..a", "a/..b"};
    h5ckpt_error *err = NULL;
    h5ck_zip_plan *z;
    h5ck_plan plan = {.target = "x.zip", .stage = test_tmp("traps.zip")};
    CU_ASSERT_EQUAL(h5ck_zip_plan_begin(&plan, &z, &err), 0);
    for (size_t i = 0; i < sizeof traps / sizeof *traps; i++) {
        CU_ASSERT_EQUAL(h5ck_zip_plan_add(z, traps[i], NULL, 0, NULL, &err), H5CKPT_INVALID);
        test_expect_error(&err, H5CKPT_INVALID, "expected a name that stays in the folder");
    }
    for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
        CU_ASSERT_EQUAL(h5ck_zip_plan_add(z, harmless[i], NULL, 0, NULL, &err), 0);
    test_expect_none(&err);
    h5ck_plan_free(&plan);
}

int main(void)
{
    static const test_case cases[] = {
        {"reads what it wrote", reads_what_it_wrote},
        {"writes these bytes", writes_these_bytes},
        {"pads to the alignment", pads_to_the_alignment},
        {"reads a comment, and what others leave out", reads_a_comment_and_what_others_leave_out},
        {"reads and writes ZIP64", reads_and_writes_zip64},
        {"refuses every cut of an archive", refuses_every_cut_of_an_archive},
        {"refuses bytes around the archive", refuses_bytes_around_the_archive},
        {"refuses what the end record cannot mean", refuses_what_the_end_record_cannot_mean},
        {"refuses what a central header cannot mean", refuses_what_a_central_header_cannot_mean},
        {"refuses a name that is not UTF-8", refuses_a_name_that_is_not_utf8},
        {"refuses an extra field past its end", refuses_an_extra_field_past_its_end},
        {"refuses two members of one name", refuses_two_members_of_one_name},
        {"refuses a local header that says other", refuses_a_local_header_that_says_other},
        {"refuses members that overlap", refuses_members_that_overlap},
        {"joins CRCs", joins_crcs},
        {"inflates in any order", inflates_in_any_order},
        {"gives the head alone", gives_the_head_alone},
        {"inflates for several threads", inflates_for_several_threads},
        {"refuses streams of another length", refuses_streams_of_another_length},
        {"refuses bytes behind a stream", refuses_bytes_behind_a_stream},
        {"refuses a damaged stream", refuses_a_damaged_stream},
        {"plans an archive", plans_an_archive},
        {"plans no trap", plans_no_trap},
        {NULL, NULL},
    };
    return test_run("zip", cases);
}
