/*
 * zip - the directory of a zip archive, read and written; the members' bytes are others' business.
 *
 * Reading takes two steps: h5ck_zip_list reads the central directory, which is all that a probe needs;
 * h5ck_zip_locate then holds each member's local header against it, and finds where its bytes begin.
 */
#ifndef H5CK_PARSE_ZIP_H
#define H5CK_PARSE_ZIP_H

#include "base/arena.h"
#include "base/buf.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct h5ck_zip_entry {
    const char *name; /* UTF-8; a folder's ends in '/' */
    uint64_t header;  /* offset of the local header */
    uint64_t data;    /* offset of the first byte; 0 before h5ck_zip_locate */
    uint64_t csize;   /* bytes in the archive */
    uint64_t usize;   /* of the member; the same where it is stored */
    uint32_t crc;     /* CRC-32 of the member */
    bool deflated;    /* else stored */
} h5ck_zip_entry;

typedef struct h5ck_zip {
    size_t count;
    h5ck_zip_entry *entries; /* in the directory's order; in the arena, with their names */
    uint64_t directory;      /* where the central directory begins */
} h5ck_zip;

/* True where a file's first bytes are those of a zip archive without anything before it. */
bool h5ck_zip_begins(const unsigned char *head, size_t n);

/* Reads the central directory of a file of `size` bytes. What is no zip archive, or one of a kind that is refused
 * (zip.c says which), is H5CKPT_INVALID. */
int h5ck_zip_list(int fd, uint64_t size, h5ck_arena *arena, h5ck_zip *zip, h5ckpt_error **err);

/* Sets each entry's `data`; a local header that says other than the directory, or members that overlap, are
 * H5CKPT_INVALID. */
int h5ck_zip_locate(int fd, h5ck_zip *zip, h5ckpt_error **err);

/* The member of that name, or NULL; looks at each. */
const h5ck_zip_entry *h5ck_zip_find(const h5ck_zip *zip, const char *name);

/* ---- Writing ---- */

/* Where the CRC stands in what put_local and put_central append, for who learns it only later. */
enum { H5CK_ZIP_LOCAL_CRC = 14, H5CK_ZIP_CENTRAL_CRC = 16 };
enum { H5CK_ZIP_MOST_ENTRIES_OLD = 0xffff, H5CK_ZIP_LONGEST_NAME = 0xffff };

/* Append the local header, which is to stand at entry->header, padded so that the data begins at a multiple of `align`
 * (0: not padded; at most 4096), and sets entry->data; the central header; what follows all of these. The same entries
 * give the same bytes: times are 1980-01-01, what ZIP64 is not needed for has none. */
void h5ck_zip_put_local(h5ck_buf *out, h5ck_zip_entry *entry, unsigned align);
void h5ck_zip_put_central(h5ck_buf *out, const h5ck_zip_entry *entry);
void h5ck_zip_put_end(h5ck_buf *out, uint64_t count, uint64_t directory, uint64_t directory_size);

/* ---- CRC-32 ---- */

uint32_t h5ck_zip_crc(uint32_t crc, const void *data, size_t n); /* begins with 0 */
/* Of two runs of bytes one behind the other. */
uint32_t h5ck_zip_crc_join(uint32_t first, uint32_t second, uint64_t second_size);
/* Of the second run, from that of the whole. */
uint32_t h5ck_zip_crc_rest(uint32_t whole, uint32_t first, uint64_t second_size);

#endif
