/* digest - a tensor's digest as text: "xxh3-128:<32 hex>" or "sha256:<64 hex>", over its elements, row-major and
 * little-endian. xxHash is the system's library; SHA-256 is libcrypto's where configure found it, else refused. */
#ifndef H5CK_MOVE_DIGEST_H
#define H5CK_MOVE_DIGEST_H

#include "base/err.h"

#include <stdbool.h>

typedef struct h5ck_digest h5ck_digest;

/* NULL when out of memory, or for an algorithm that this build does not have (h5ck_digest_available). */
h5ck_digest *h5ck_digest_new(h5ckpt_digest algorithm);
bool h5ck_digest_available(h5ckpt_digest algorithm);
/* The algorithm that a text names; false where it is unknown (then the text is passed over with a note). */
bool h5ck_digest_parse(const char *text, h5ckpt_digest *algorithm);
void h5ck_digest_reset(h5ck_digest *d);
void h5ck_digest_update(h5ck_digest *d, const void *data, size_t n);
/* Writes the text with its zero; `text` has room for H5CK_DIGEST_TEXT bytes. */
void h5ck_digest_text(h5ck_digest *d, char *text);
void h5ck_digest_free(h5ck_digest *d);

#endif
