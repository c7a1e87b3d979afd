/*
 * h5_name.c - names that an attribute or a link can hold. Most are as they are; otherwise bytes become %XX:
 *
 *     ""               %
 *     "." and ".."     %2E  %2E%2E
 *     a '/' anywhere   %2F                   (a link cannot hold it)
 *     "%41"            %2541                 (a '%' that would be taken for an escape)
 *     "class"          %63lass               (the first byte of a reserved name)
 *     "rate:type"      rate%3Atype           (the first byte of the end that markers have)
 *
 * No two names become one, and decoding takes any name: what is no escape stands for itself.
 */
#include "base/buf.h"
#include "hdf5/h5.h"

#include <string.h>

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

static bool is_escape(const char *p)
{
    return p[0] == '%' && hex(p[1]) >= 0 && hex(p[2]) >= 0;
}

bool h5ck_hdf5_name_ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), m = strlen(end);
    return m && n >= m && strcmp(s + n - m, end) == 0;
}

static bool is_reserved(const char *name, const char *const *reserved)
{
    for (; reserved && *reserved; reserved++)
        if (strcmp(name, *reserved) == 0)
            return true;
    return false;
}

const char *h5ck_hdf5_name_encode(const char *name, const char *const *reserved, const char *suffix, h5ck_arena *arena)
{
    if (!*name)
        return h5ck_arena_strdup(arena, "%");
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    bool first = is_reserved(name, reserved) || strcmp(name, "%") == 0;
    const char *end = suffix && h5ck_hdf5_name_ends_with(name, suffix) ? name + strlen(name) - strlen(suffix) : NULL;
    char *out = h5ck_arena_alloc(arena, 3 * strlen(name) + 1), *to = out;
    for (const char *p = name; out && *p; p++) {
        if (dots || (first && p == name) || p == end || *p == '/' || is_escape(p)) {
            *to++ = '%';
            *to++ = "0123456789ABCDEF"[(unsigned char)*p >> 4];
            *to++ = "0123456789ABCDEF"[*p & 15];
        } else {
            *to++ = *p;
        }
    }
    if (out)
        *to = 0;
    return out;
}

const char *h5ck_hdf5_name_decode(const char *name, h5ck_arena *arena)
{
    if (strcmp(name, "%") == 0)
        return h5ck_arena_strdup(arena, "");
    char *out = h5ck_arena_alloc(arena, strlen(name) + 1), *to = out;
    for (const char *p = name; out && *p;) {
        if (is_escape(p) && (hex(p[1]) || hex(p[2]))) {
            *to++ = (char)(hex(p[1]) << 4 | hex(p[2]));
            p += 3;
        } else {
            *to++ = *p++;
        }
    }
    if (out)
        *to = 0;
    return out;
}
