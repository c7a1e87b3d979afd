/*
 * pickle_text.c - text to bytes and numbers.
 *
 * STRING is Python 2's repr of a str: quotes, and the escapes of a string literal. UNICODE is Python's
 * raw-unicode-escape: latin1, in which only \uXXXX and \UXXXXXXXX are escapes. Both are refused where Python would
 * refuse them; \u escapes of surrogates too, as no UTF-8 can hold them.
 */
#include "parse/pickle_text.h"

#include "base/text.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Exactly `digits` hexadecimal digits, or -1. */
static int64_t hex(const unsigned char *s, size_t n, size_t digits)
{
    int64_t v = 0;
    if (n < digits)
        return -1;
    for (size_t i = 0; i < digits; i++) {
        int d = hex_digit(s[i]);
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* The escape behind a backslash: its value, or -1; *used is its length. Unknown ones are no escapes: *used 0. */
static int64_t literal_escape(const unsigned char *s, size_t n, size_t *used)
{
    static const char letters[] = "\\'\"abfnrtv", values[] = "\\'\"\a\b\f\n\r\t\v";
    const char *found = s[0] ? strchr(letters, s[0]) : NULL;
    if (found) {
        *used = 1;
        return values[found - letters];
    }
    if (s[0] == 'x') {
        *used = 3;
        return hex(s + 1, n - 1, 2);
    }
    int64_t v = 0;
    for (*used = 0; *used < 3 && *used < n && s[*used] >= '0' && s[*used] <= '7'; ++*used)
        v = v * 8 + (s[*used] - '0');
    return v & 0xff;
}

size_t h5ck_pickle_unquote(const unsigned char *s, size_t n, unsigned char *out)
{
    size_t len = 0;
    if (n < 2 || (s[0] != '\'' && s[0] != '"') || s[n - 1] != s[0])
        return SIZE_MAX;
    s++;
    n -= 2;
    for (size_t i = 0; i < n;) {
        unsigned char c = s[i++];
        if (c == '\\') {
            if (i == n)
                return SIZE_MAX; /* the backslash took the closing quote */
            size_t used;
            int64_t v = literal_escape(s + i, n - i, &used);
            if (v < 0)
                return SIZE_MAX;
            if (used)
                c = (unsigned char)v;
            i += used;
        }
        if (out)
            out[len] = c;
        len++;
    }
    return len;
}

/* Appends a character as UTF-8. */
static size_t put_utf8(uint32_t c, unsigned char *out)
{
    unsigned char u[4];
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n; i-- > 1; c >>= 6)
        u[i] = (unsigned char)(0x80 | (c & 0x3f));
    u[0] = (unsigned char)(lead[n] | c);
    if (out)
        memcpy(out, u, n);
    return n;
}

size_t h5ck_pickle_raw_escape(const unsigned char *s, size_t n, unsigned char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n;) {
        uint32_t c = s[i++];
        /* A backslash escapes only behind an even number of backslashes; those stay as they are. */
        if (c == '\\' && i < n && (s[i] == 'u' || s[i] == 'U')) {
            size_t digits = s[i] == 'u' ? 4 : 8;
            int64_t v = hex(s + i + 1, n - i - 1, digits);
            if (v < 0 || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff))
                return SIZE_MAX;
            c = (uint32_t)v;
            i += 1 + digits;
        } else if (c == '\\' && i < n && s[i] == '\\') {
            len += put_utf8(c, out ? out + len : NULL);
            i++;
        }
        len += put_utf8(c, out ? out + len : NULL);
    }
    return len;
}

size_t h5ck_pickle_latin1(const unsigned char *s, size_t n, unsigned char *out)
{
    size_t len = 0;
    for (size_t i = 0; i < n; len++) {
        unsigned char c = s[i++];
        if (c >= 0x80) {
            if ((c != 0xc2 && c != 0xc3) || i == n || (s[i] & 0xc0) != 0x80)
                return SIZE_MAX;
            c = (unsigned char)((c & 3) << 6 | (s[i++] & 0x3f));
        }
        if (out)
            out[len] = c;
    }
    return len;
}

size_t h5ck_pickle_trim(const unsigned char *bytes, size_t n)
{
    while (n > 1 && ((bytes[n - 1] == 0 && bytes[n - 2] < 0x80) || (bytes[n - 1] == 0xff && bytes[n - 2] >= 0x80)))
        n--;
    return n == 1 && bytes[0] == 0 ? 0 : n;
}

int64_t h5ck_pickle_int64(const unsigned char *bytes, size_t n)
{
    uint64_t v = n && bytes[n - 1] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = n; i-- > 0;)
        v = v << 8 | bytes[i];
    return (int64_t)v;
}

/* Limbs of 32 bits, least first; nine digits at a time. */
size_t h5ck_pickle_decimal(const unsigned char *s, size_t n, unsigned char *out)
{
    uint32_t limbs[H5CK_PICKLE_BIGINT / 4] = {0};
    size_t used = 0;
    bool negative = n && *s == '-';
    if (n && (*s == '-' || *s == '+')) {
        s++;
        n--;
    }
    if (n == 0 || n > H5CK_PICKLE_DIGITS)
        return SIZE_MAX;
    for (size_t i = 0; i < n;) {
        uint64_t scale = 1, carry = 0;
        for (; i < n && scale < 1000000000; scale *= 10) {
            unsigned char c = s[i++];
            if (c < '0' || c > '9')
                return SIZE_MAX;
            carry = carry * 10 + (c - '0');
        }
        for (size_t k = 0; k < used; k++) {
            carry += limbs[k] * scale;
            limbs[k] = (uint32_t)carry;
            carry >>= 32;
        }
        if (carry)
            limbs[used++] = (uint32_t)carry;
    }
    unsigned borrow = negative;
    for (size_t k = 0; k <= used; k++) { /* one limb more, for the sign */
        uint32_t limb = negative ? ~limbs[k] + borrow : limbs[k];
        borrow = borrow && limb == 0;
        for (int b = 0; b < 4; b++)
            out[4 * k + (size_t)b] = (unsigned char)(limb >> 8 * b);
    }
    return h5ck_pickle_trim(out, 4 * (used + 1));
}

/* [+-] digits [. digits] [e [+-] digits], with a digit somewhere before the exponent; or inf, nan. */
static bool is_float(const char *s)
{
    s += *s == '-' || *s == '+';
    if (strcmp(s, "inf") == 0 || strcmp(s, "nan") == 0)
        return true;
    size_t whole = strspn(s, "0123456789"), fraction = 0;
    s += whole;
    if (*s == '.') {
        fraction = strspn(++s, "0123456789");
        s += fraction;
    }
    if (whole + fraction == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        size_t digits = strspn(s, "0123456789");
        s += digits;
        return digits > 0 && *s == 0;
    }
    return *s == 0;
}

bool h5ck_pickle_float(const unsigned char *s, size_t n, double *value)
{
    char text[256];
    if (n >= sizeof text || memchr(s, 0, n))
        return false;
    memcpy(text, s, n);
    text[n] = 0;
    if (!is_float(text))
        return false;
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0); /* the host's may write the point as a comma */
    if (c == (locale_t)0)
        return false;
    *value = strtod_l(text, NULL, c);
    freelocale(c);
    return true;
}

const char *h5ck_pickle_shown(const unsigned char *s, size_t n, char *out, size_t room)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++) {
        if (len + 8 > room) { /* four for an escape, three dots, the zero */
            memcpy(out + len, "...", 3);
            len += 3;
            break;
        }
        if (s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\')
            out[len++] = (char)s[i];
        else
            len += (size_t)snprintf(out + len, 5, "\\x%02x", s[i]);
    }
    out[len] = 0;
    return out;
}
