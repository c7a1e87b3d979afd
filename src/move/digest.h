/* digest - a tensor's digest as text: "xxh3-128:<32 hex>", "sha256:<64 hex>" or "crc32:<8 hex>", over its elements,
 * row-major and little-endian. xxHash is the system's library; SHA-256 is libcrypto's where configure found it, else
 * refused. CRC-32 is zip's, for formats that are zip archives: no user chooses it. */
#ifndef H5CK_MOVE_DIGEST_H
#define H5CK_MOVE_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define H5CK_DIGEST_CRC32 ((h5ckpt_digest)(H5CKPT_DIGEST_NONE + 1))

typedef struct h5ck_digest h5ck_digest;

/* NULL when out of memory, or for an algorithm that this build does not have (h5ck_digest_available). */
h5ck_digest *h5ck_digest_new(h5ckpt_digest algorithm);
bool h5ck_digest_available(h5ckpt_digest algorithm);

/* A number for each algorithm, below H5CK_DIGEST_KINDS. */
enum { H5CK_DIGEST_KINDS = 3 };
size_t h5ck_digest_kind(h5ckpt_digest algorithm);

/* The length of an algorithm's texts; 0 for none. */
size_t h5ck_digest_length(h5ckpt_digest algorithm);

/* What a text is: a digest that this build knows by name (*algorithm), one of another kind, or none at all. */
typedef enum h5ck_digest_form { H5CK_DIGEST_KNOWN, H5CK_DIGEST_UNKNOWN, H5CK_DIGEST_BROKEN } h5ck_digest_form;
h5ck_digest_form h5ck_digest_parse(const char *text, h5ckpt_digest *algorithm);

/* A library that fails on the way (out of memory, a policy) is remembered and told at the end. */
void h5ck_digest_reset(h5ck_digest *d);
void h5ck_digest_update(h5ck_digest *d, const void *data, size_t n);
/* Writes the text with its zero; `text` has room for H5CK_DIGEST_TEXT bytes. */
int h5ck_digest_text(h5ck_digest *d, char *text, h5ckpt_error **err);
/* The number of a "crc32:" text; false for any other. */
bool h5ck_digest_crc32(const char *text, uint32_t *crc);
void h5ck_digest_free(h5ck_digest *d);

#endif
