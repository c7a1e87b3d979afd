/* digest.c - the table of algorithms; each is a library's. */
#include "move/digest.h"

#include "model/tensor.h"

#include <libdeflate.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#ifdef HAVE_LIBCRYPTO
#include <openssl/evp.h>
#endif

struct h5ck_digest {
    h5ckpt_digest algorithm;
    bool failed;
    XXH3_state_t *xxh3;
    uint32_t crc32;
#ifdef HAVE_LIBCRYPTO
    EVP_MD_CTX *sha256;
#endif
};

static const struct {
    h5ckpt_digest algorithm;
    const char *prefix;
    size_t bytes;
    bool available;
} algorithms[] = {
    {H5CKPT_DIGEST_XXH3, "xxh3-128:", 16, true},
#ifdef HAVE_LIBCRYPTO
    {H5CKPT_DIGEST_SHA256, "sha256:", 32, true},
#else
    {H5CKPT_DIGEST_SHA256, "sha256:", 32, false},
#endif
    {H5CK_DIGEST_CRC32, "crc32:", 4, true},
};

enum { ALGORITHMS = sizeof algorithms / sizeof *algorithms, LARGEST = 32 };
_Static_assert((int)ALGORITHMS == (int)H5CK_DIGEST_KINDS, "each has a number");

bool h5ck_digest_available(h5ckpt_digest algorithm)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        if (algorithms[i].algorithm == algorithm)
            return algorithms[i].available;
    return algorithm == H5CKPT_DIGEST_NONE;
}

size_t h5ck_digest_kind(h5ckpt_digest algorithm)
{
    size_t i = 0;
    while (i + 1 < ALGORITHMS && algorithms[i].algorithm != algorithm)
        i++;
    return i;
}

size_t h5ck_digest_length(h5ckpt_digest algorithm)
{
    for (size_t i = 0; i < ALGORITHMS; i++)
        if (algorithms[i].algorithm == algorithm)
            return strlen(algorithms[i].prefix) + 2 * algorithms[i].bytes;
    return 0;
}

h5ck_digest_form h5ck_digest_parse(const char *text, h5ckpt_digest *algorithm)
{
    for (size_t i = 0; i < ALGORITHMS; i++) {
        size_t n = strlen(algorithms[i].prefix), digits = 2 * algorithms[i].bytes;
        if (strncmp(text, algorithms[i].prefix, n) != 0)
            continue;
        if (strspn(text + n, "0123456789abcdef") != digits || text[n + digits])
            return H5CK_DIGEST_BROKEN;
        *algorithm = algorithms[i].algorithm;
        return H5CK_DIGEST_KNOWN;
    }
    return strchr(text, ':') ? H5CK_DIGEST_UNKNOWN : H5CK_DIGEST_BROKEN;
}

h5ck_digest *h5ck_digest_new(h5ckpt_digest algorithm)
{
    h5ck_digest *d = h5ck_digest_available(algorithm) ? calloc(1, sizeof *d) : NULL;
    if (!d)
        return NULL;
    d->algorithm = algorithm;
    bool made = algorithm == H5CKPT_DIGEST_NONE || algorithm == H5CK_DIGEST_CRC32;
    if (algorithm == H5CKPT_DIGEST_XXH3)
        made = (d->xxh3 = XXH3_createState()) != NULL;
#ifdef HAVE_LIBCRYPTO
    if (algorithm == H5CKPT_DIGEST_SHA256)
        made = (d->sha256 = EVP_MD_CTX_new()) != NULL;
#endif
    if (!made) {
        free(d);
        return NULL;
    }
    h5ck_digest_reset(d);
    return d;
}

void h5ck_digest_reset(h5ck_digest *d)
{
    d->failed = false;
    d->crc32 = 0;
    if (d->xxh3)
        d->failed = XXH3_128bits_reset(d->xxh3) != XXH_OK;
#ifdef HAVE_LIBCRYPTO
    if (d->sha256)
        d->failed = EVP_DigestInit_ex(d->sha256, EVP_sha256(), NULL) != 1;
#endif
}

void h5ck_digest_update(h5ck_digest *d, const void *data, size_t n)
{
    if (d->xxh3)
        d->failed |= XXH3_128bits_update(d->xxh3, data, n) != XXH_OK;
#ifdef HAVE_LIBCRYPTO
    if (d->sha256)
        d->failed |= EVP_DigestUpdate(d->sha256, data, n) != 1;
#endif
    if (d->algorithm == H5CK_DIGEST_CRC32)
        d->crc32 = libdeflate_crc32(d->crc32, data, n);
}

int h5ck_digest_text(h5ck_digest *d, char *text, h5ckpt_error **err)
{
    unsigned char bytes[LARGEST] = {0};
    text[0] = 0;
    if (d->xxh3) {
        XXH128_canonical_t canonical;
        XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(d->xxh3));
        memcpy(bytes, canonical.digest, sizeof canonical.digest);
    }
#ifdef HAVE_LIBCRYPTO
    if (d->sha256)
        d->failed |= EVP_DigestFinal_ex(d->sha256, bytes, NULL) != 1;
#endif
    if (d->algorithm == H5CK_DIGEST_CRC32)
        for (size_t i = 0; i < 4; i++)
            bytes[i] = (unsigned char)(d->crc32 >> (24 - 8 * i));
    if (d->failed)
        return h5ck_fail(err, H5CKPT_SYSTEM, "the digest's library failed");
    for (size_t i = 0; i < ALGORITHMS; i++) {
        if (algorithms[i].algorithm != d->algorithm)
            continue;
        size_t n = strlen(algorithms[i].prefix);
        memcpy(text, algorithms[i].prefix, n);
        for (size_t b = 0; b < algorithms[i].bytes; b++) {
            text[n++] = "0123456789abcdef"[bytes[b] >> 4];
            text[n++] = "0123456789abcdef"[bytes[b] & 15];
        }
        text[n] = 0;
    }
    return 0;
}

bool h5ck_digest_crc32(const char *text, uint32_t *crc)
{
    h5ckpt_digest algorithm;
    if (h5ck_digest_parse(text, &algorithm) != H5CK_DIGEST_KNOWN || algorithm != H5CK_DIGEST_CRC32)
        return false;
    *crc = (uint32_t)strtoul(strchr(text, ':') + 1, NULL, 16);
    return true;
}

void h5ck_digest_free(h5ck_digest *d)
{
    if (!d)
        return;
    XXH3_freeState(d->xxh3);
#ifdef HAVE_LIBCRYPTO
    EVP_MD_CTX_free(d->sha256);
#endif
    free(d);
}
