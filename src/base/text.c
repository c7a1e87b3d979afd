/* text.c - names: UTF-8 (RFC 3629), globs, identifiers. */
#include "base/text.h"

#include <stdint.h>
#include <string.h>

/* Length of the well-formed UTF-8 character at s (of n bytes), or 0. */
static size_t utf8_char(const unsigned char *s, size_t n)
{
    unsigned char c = s[0];
    size_t len = c < 0x80                 ? 1
                 : c >= 0xc2 && c <= 0xdf ? 2
                 : c >= 0xe0 && c <= 0xef ? 3
                 : c >= 0xf0 && c <= 0xf4 ? 4
                                          : 0;
    if (len == 0 || len > n || c == 0)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* overlong forms, surrogates, beyond U+10FFFF */
    if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) ||
        (c == 0xf4 && s[1] > 0x8f))
        return 0;
    return len;
}

bool h5ck_text_is_utf8(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t i = 0, len; i < n; i += len)
        if ((len = utf8_char(p + i, n - i)) == 0)
            return false;
    return true;
}

bool h5ck_text_is_utf8_with_zeros(const char *s, size_t n)
{
    while (n) {
        const char *zero = memchr(s, 0, n);
        size_t part = zero ? (size_t)(zero - s) : n, step = part + (zero != NULL);
        if (!h5ck_text_is_utf8(s, part))
            return false;
        s += step;
        n -= step;
    }
    return true;
}

/* Matches one pattern element (not '*') against byte c; returns the element's length, 0 for no match. */
static size_t match_one(const char *p, char c)
{
    if (*p == '?')
        return 1;
    if (*p == '\\' && p[1])
        return p[1] == c ? 2 : 0;
    if (*p == '[') {
        bool negate = p[1] == '!' || p[1] == '^', in = false;
        size_t start = negate ? 2 : 1, i = start;
        for (; p[i] && (p[i] != ']' || i == start); i++) {
            if (p[i + 1] == '-' && p[i + 2] && p[i + 2] != ']') {
                in |= (unsigned char)p[i] <= (unsigned char)c && (unsigned char)c <= (unsigned char)p[i + 2];
                i += 2;
            } else {
                in |= p[i] == c;
            }
        }
        if (p[i] == ']')
            return in != negate ? i + 1 : 0;
        /* an unclosed bracket stands for itself */
    }
    return *p == c ? 1 : 0;
}

/* On a mismatch only the last '*' needs to take one byte more, which keeps this at |pattern| * |name|. */
bool h5ck_text_glob(const char *pattern, const char *name)
{
    const char *star = NULL, *star_name = NULL;
    while (*name) {
        size_t n;
        if (*pattern == '*') {
            star = ++pattern;
            star_name = name;
        } else if (*pattern && (n = match_one(pattern, *name)) > 0) {
            pattern += n;
            name++;
        } else if (star) {
            pattern = star;
            name = ++star_name;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == 0;
}

bool h5ck_text_is_identifier(const char *s, bool dots)
{
    bool first = true;
    for (; *s; s++) {
        bool letter = (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || *s == '_';
        if (*s == '.' && dots && !first)
            first = true;
        else if (letter || (*s >= '0' && *s <= '9' && !first))
            first = false;
        else
            return false;
    }
    return !first;
}
