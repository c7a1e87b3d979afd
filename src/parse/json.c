/*
 * json.c - JSON text (RFC 8259), token by token.
 *
 * Why a small one of our own: a safetensors header may have 100 MB, and what Debian has makes a tree of it. Of a header of
 * 99.8 MB with 940,000 tensors json-c 0.16 makes one in 3.1 s that takes 1442 MB, jansson 2.14 one in 3.2 s that takes 919
 * MB; this goes through its tokens in 0.14 s and takes nothing. Neither of them says where in the file a value stands, and
 * json-c lets a second value take a key's place in silence, which is how two readers come to see two different files.
 *
 * A state machine: what may come next is one of five things, and a bit for each open level says whether it is an object. No
 * recursion. A string without an escape is handed out where it lies; one with escapes is put together in a buffer that
 * the next one uses again.
 */
#include "parse/json.h"

#include "base/text.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum state {
    VALUE,          /* a value */
    VALUE_OR_CLOSE, /* behind '[' */
    KEY,            /* behind ',' in an object */
    KEY_OR_CLOSE,   /* behind '{' */
    MORE_OR_CLOSE,  /* behind a value: ',' or what closes the level; at the outermost, the end */
};

void h5ck_json_begin(h5ck_json *j, const char *text, size_t len, uint64_t base)
{
    *j = (h5ck_json){.text = text, .len = len, .base = base, .state = VALUE, .unescaped = H5CK_BUF_INIT};
}

void h5ck_json_end(h5ck_json *j)
{
    h5ck_buf_free(&j->unescaped);
    if (j->c != (locale_t)0)
        freelocale(j->c);
    j->c = (locale_t)0;
}

/* ---- Refusing ---- */

/* What stands at `at`, for a message. */
static int refuse_at(const h5ck_json *j, size_t at, const char *expected, h5ckpt_error **err)
{
    if (at >= j->len)
        return h5ck_fail_at(err, j->base + at, "expected %s, found the end of the JSON text", expected);
    unsigned char c = (unsigned char)j->text[at];
    if (c > 0x20 && c < 0x7f)
        return h5ck_fail_at(err, j->base + at, "expected %s, found '%c'", expected, c);
    return h5ck_fail_at(err, j->base + at, "expected %s, found the byte 0x%02x", expected, c);
}

static const char *kind_name(h5ck_json_kind kind)
{
    static const char *const names[] = {"the end of the JSON text",
                                        "an object",
                                        "an array",
                                        "the end of a list",
                                        "a key",
                                        "a string",
                                        "a number",
                                        "a number",
                                        "a number",
                                        "true",
                                        "false",
                                        "null"};
    return names[kind];
}

int h5ck_json_refuse(const h5ck_json *j, const h5ck_json_token *t, const char *expected, h5ckpt_error **err)
{
    return h5ck_fail_at(err, j->base + t->begin, "expected %s, found %s", expected, kind_name(t->kind));
}

/* ---- Strings ---- */

/* The value of four hexadecimal digits, or -1. */
static long hex4(const char *s, size_t n)
{
    long v = 0;
    for (size_t i = 0; i < 4; i++) {
        int c = i < n ? (unsigned char)s[i] : 0;
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0)
            return -1;
        v = 16 * v + digit;
    }
    return v;
}

static void put_utf8(h5ck_buf *b, unsigned long c)
{
    if (c < 0x80) {
        h5ck_buf_u8(b, (unsigned)c);
    } else if (c < 0x800) {
        h5ck_buf_u8(b, 0xc0 | (unsigned)(c >> 6));
        h5ck_buf_u8(b, 0x80 | (unsigned)(c & 0x3f));
    } else if (c < 0x10000) {
        h5ck_buf_u8(b, 0xe0 | (unsigned)(c >> 12));
        h5ck_buf_u8(b, 0x80 | (unsigned)(c >> 6 & 0x3f));
        h5ck_buf_u8(b, 0x80 | (unsigned)(c & 0x3f));
    } else {
        h5ck_buf_u8(b, 0xf0 | (unsigned)(c >> 18));
        h5ck_buf_u8(b, 0x80 | (unsigned)(c >> 12 & 0x3f));
        h5ck_buf_u8(b, 0x80 | (unsigned)(c >> 6 & 0x3f));
        h5ck_buf_u8(b, 0x80 | (unsigned)(c & 0x3f));
    }
}

/* "\uXXXX", or the pair of surrogates that it begins; `at` is at the 'u'. */
static int unescape_u(h5ck_json *j, size_t *at, h5ckpt_error **err)
{
    long c = hex4(j->text + *at + 1, j->len - *at - 1), low;
    if (c < 0)
        return h5ck_fail_at(err, j->base + *at - 1, "expected four hexadecimal digits behind \\u, found others");
    *at += 5;
    if (c >= 0xd800 && c < 0xdc00) {
        bool pair = j->len - *at >= 6 && j->text[*at] == '\\' && j->text[*at + 1] == 'u';
        low = pair ? hex4(j->text + *at + 2, 4) : -1;
        if (low < 0xdc00 || low > 0xdfff)
            return h5ck_fail_at(err, j->base + *at - 6,
                                "expected both halves of a surrogate pair, found the first alone");
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        *at += 6;
    } else if (c >= 0xdc00 && c < 0xe000) {
        return h5ck_fail_at(err, j->base + *at - 6, "expected both halves of a surrogate pair, found the second alone");
    }
    put_utf8(&j->unescaped, (unsigned long)c);
    return 0;
}

static int unescape(h5ck_json *j, size_t *at, h5ckpt_error **err)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *at < j->len ? j->text[*at] : 0;
    const char *p = c ? strchr(from, c) : NULL;
    if (c == 'u')
        return unescape_u(j, at, err);
    if (!p)
        return refuse_at(j, *at, "one of \"\\/bfnrtu behind \\", err);
    h5ck_buf_u8(&j->unescaped, (unsigned char)to[p - from]);
    ++*at;
    return 0;
}

/* The first byte from `at` on that is not plain: '"', '\\', a control character, or the end. */
static size_t plain_end(const h5ck_json *j, size_t at, bool *ascii)
{
    unsigned char all = 0;
    for (; at < j->len; at++) {
        unsigned char c = (unsigned char)j->text[at];
        if (c == '"' || c == '\\' || c < 0x20)
            break;
        all |= c;
    }
    *ascii = all < 0x80;
    return at;
}

static int check_utf8(const h5ck_json *j, size_t from, size_t to, h5ckpt_error **err)
{
    if (h5ck_text_is_utf8(j->text + from, to - from))
        return 0;
    return h5ck_fail_at(err, j->base + from, "expected a string in UTF-8, found other bytes");
}

/* j->at is at the opening quote. */
static int read_string(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err)
{
    size_t at = j->at + 1, from = at;
    bool escaped = false, ascii;
    int rc = 0;
    j->unescaped.len = 0;
    for (;;) {
        at = plain_end(j, from, &ascii);
        if (!ascii && (rc = check_utf8(j, from, at, err)))
            return rc;
        if (at >= j->len || (unsigned char)j->text[at] < 0x20)
            return refuse_at(j, at, "the closing '\"' of a string", err);
        if (j->text[at] == '"' && !escaped)
            break;
        h5ck_buf_add(&j->unescaped, j->text + from, at - from);
        if (j->text[at] == '"')
            break;
        escaped = true;
        at++;
        if ((rc = unescape(j, &at, err)))
            return rc;
        from = at;
    }
    if (j->unescaped.failed)
        return h5ck_fail_nomem(err);
    t->str = escaped ? h5ck_buf_cstr(&j->unescaped) : j->text + from;
    t->len = escaped ? j->unescaped.len : at - from;
    j->at = at + 1;
    return t->str ? 0 : h5ck_fail_nomem(err);
}

/* ---- Numbers ---- */

static size_t digits_end(const h5ck_json *j, size_t at)
{
    while (at < j->len && j->text[at] >= '0' && j->text[at] <= '9')
        at++;
    return at;
}

/* Where a number ends by the grammar: -? (0 | [1-9][0-9]*) (. [0-9]+)? ([eE] [+-]? [0-9]+)? */
static int number_end(const h5ck_json *j, size_t *end, bool *whole, h5ckpt_error **err)
{
    size_t first = j->at + (j->text[j->at] == '-'), at = digits_end(j, first);
    *whole = true;
    if (at == first)
        return refuse_at(j, at, "a digit", err);
    if (j->text[first] == '0' && at > first + 1)
        return h5ck_fail_at(err, j->base + j->at, "expected a number without leading zeros, found one");
    if (at < j->len && j->text[at] == '.') {
        *whole = false;
        first = at + 1;
        if ((at = digits_end(j, first)) == first)
            return refuse_at(j, at, "a digit behind the point", err);
    }
    if (at < j->len && (j->text[at] == 'e' || j->text[at] == 'E')) {
        *whole = false;
        first = at + 1;
        first += first < j->len && (j->text[first] == '+' || j->text[first] == '-');
        if ((at = digits_end(j, first)) == first)
            return refuse_at(j, at, "a digit of the exponent", err);
    }
    *end = at;
    return 0;
}

/* The digits as an integer; false where no 64 bits hold it. */
static bool whole_number(const h5ck_json *j, size_t end, h5ck_json_token *t)
{
    bool negative = j->text[j->at] == '-';
    uint64_t v = 0;
    for (size_t at = j->at + negative; at < end; at++) {
        unsigned digit = (unsigned char)j->text[at] - '0';
        if (v > (UINT64_MAX - digit) / 10)
            return false;
        v = 10 * v + digit;
    }
    if (negative ? v > (uint64_t)INT64_MAX + 1 : v > (uint64_t)INT64_MAX) {
        t->kind = H5CK_JSON_UINT;
        t->u = v;
        t->d = (double)v;
        return !negative;
    }
    t->kind = H5CK_JSON_INT;
    t->i = !negative ? (int64_t)v : v ? -(int64_t)(v - 1) - 1 : 0;
    t->u = negative ? 0 : v;
    t->d = (double)t->i;
    return true;
}

/* A closing zero is needed behind the digits, and the host's locale may want a comma for the point. */
static int real_number(h5ck_json *j, size_t end, h5ck_json_token *t, h5ckpt_error **err)
{
    if (j->c == (locale_t)0 && (j->c = newlocale(LC_ALL_MASK, "C", (locale_t)0)) == (locale_t)0)
        return h5ck_fail_nomem(err);
    j->unescaped.len = 0;
    h5ck_buf_add(&j->unescaped, j->text + j->at, end - j->at);
    const char *text = h5ck_buf_cstr(&j->unescaped);
    if (!text)
        return h5ck_fail_nomem(err);
    t->kind = H5CK_JSON_DOUBLE;
    t->d = strtod_l(text, NULL, j->c);
    return 0;
}

static int read_number(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err)
{
    size_t end = j->at;
    bool whole = false;
    int rc = number_end(j, &end, &whole, err);
    if (rc == 0 && !(whole && whole_number(j, end, t)))
        rc = real_number(j, end, t, err);
    if (rc == 0)
        j->at = end;
    return rc;
}

/* ---- The machine ---- */

static bool in_object(const h5ck_json *j)
{
    unsigned level = j->depth - 1;
    return j->depth && (j->objects[level / 64] >> level % 64 & 1);
}

static int open_level(h5ck_json *j, h5ck_json_token *t, bool object, h5ckpt_error **err)
{
    if (j->depth == H5CK_JSON_DEPTH)
        return h5ck_fail_at(err, j->base + j->at, "expected at most %d levels of JSON, found more", H5CK_JSON_DEPTH);
    uint64_t bit = (uint64_t)1 << j->depth % 64, *word = &j->objects[j->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    j->depth++;
    t->kind = object ? H5CK_JSON_OBJECT : H5CK_JSON_ARRAY;
    j->state = object ? KEY_OR_CLOSE : VALUE_OR_CLOSE;
    j->at++;
    return 0;
}

static int read_word(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err)
{
    static const struct {
        const char *word;
        h5ck_json_kind kind;
    } words[] = {{"true", H5CK_JSON_TRUE}, {"false", H5CK_JSON_FALSE}, {"null", H5CK_JSON_NULL}};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i].word);
        if (j->len - j->at >= n && memcmp(j->text + j->at, words[i].word, n) == 0) {
            t->kind = words[i].kind;
            j->at += n;
            return 0;
        }
    }
    return refuse_at(j, j->at, "a value", err);
}

static int read_value(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err)
{
    char c = j->at < j->len ? j->text[j->at] : 0;
    if (c == '{' || c == '[')
        return open_level(j, t, c == '{', err);
    j->state = MORE_OR_CLOSE;
    if (c == '"') {
        t->kind = H5CK_JSON_STRING;
        return read_string(j, t, err);
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return read_number(j, t, err);
    return read_word(j, t, err);
}

static void pass_blanks(h5ck_json *j)
{
    while (j->at < j->len &&
           (j->text[j->at] == ' ' || j->text[j->at] == '\t' || j->text[j->at] == '\n' || j->text[j->at] == '\r'))
        j->at++;
}

static int read_key(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err)
{
    if (j->at >= j->len || j->text[j->at] != '"')
        return refuse_at(j, j->at, j->state == KEY ? "a key" : "a key or '}'", err);
    t->kind = H5CK_JSON_KEY;
    int rc = read_string(j, t, err);
    if (rc)
        return rc;
    t->end = j->at;
    pass_blanks(j);
    if (j->at >= j->len || j->text[j->at] != ':')
        return refuse_at(j, j->at, "':' behind a key", err);
    j->at++;
    j->state = VALUE;
    return 0;
}

static void close_level(h5ck_json *j, h5ck_json_token *t)
{
    t->kind = H5CK_JSON_CLOSE;
    j->depth--;
    j->at++;
    j->state = MORE_OR_CLOSE;
}

int h5ck_json_next(h5ck_json *j, h5ck_json_token *t, h5ckpt_error **err)
{
    pass_blanks(j);
    if (j->state == MORE_OR_CLOSE && j->depth && j->at < j->len && j->text[j->at] == ',') {
        j->at++;
        j->state = in_object(j) ? KEY : VALUE;
        pass_blanks(j);
    }
    *t = (h5ck_json_token){.begin = j->at, .end = j->at};
    char c = j->at < j->len ? j->text[j->at] : 0;
    int rc = 0;
    if (j->state == MORE_OR_CLOSE && !j->depth) {
        if (j->at < j->len)
            rc = refuse_at(j, j->at, "the end of the JSON text", err);
    } else if ((j->state == VALUE_OR_CLOSE || j->state == KEY_OR_CLOSE || j->state == MORE_OR_CLOSE) &&
               c == (in_object(j) ? '}' : ']')) {
        close_level(j, t);
    } else if (j->state == MORE_OR_CLOSE) {
        rc = refuse_at(j, j->at, in_object(j) ? "',' or '}'" : "',' or ']'", err);
    } else if (j->state == KEY || j->state == KEY_OR_CLOSE) {
        return read_key(j, t, err);
    } else {
        rc = read_value(j, t, err);
    }
    t->end = j->at;
    return rc;
}

int h5ck_json_expect(h5ck_json *j, h5ck_json_kind kind, h5ck_json_token *t, h5ckpt_error **err)
{
    int rc = h5ck_json_next(j, t, err);
    return rc || t->kind == kind ? rc : h5ck_json_refuse(j, t, kind_name(kind), err);
}

int h5ck_json_skip(h5ck_json *j, const h5ck_json_token *t, h5ckpt_error **err)
{
    h5ck_json_token in;
    int rc = 0;
    if (t->kind != H5CK_JSON_OBJECT && t->kind != H5CK_JSON_ARRAY)
        return 0;
    for (unsigned outside = j->depth - 1; rc == 0 && j->depth > outside;)
        rc = h5ck_json_next(j, &in, err);
    return rc;
}

/* ---- Writing ---- */

static void put_escape(h5ck_buf *out, unsigned char c)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *p = c ? strchr(from, c) : NULL;
    if (p)
        h5ck_buf_printf(out, "\\%c", to[p - from]);
    else
        h5ck_buf_printf(out, "\\u%04x", c);
}

void h5ck_json_put_string(h5ck_buf *out, const char *s, size_t n)
{
    h5ck_buf_u8(out, '"');
    for (size_t i = 0; i < n;) {
        size_t from = i;
        while (i < n && (unsigned char)s[i] >= 0x20 && s[i] != '"' && s[i] != '\\')
            i++;
        h5ck_buf_add(out, s + from, i - from);
        if (i < n)
            put_escape(out, (unsigned char)s[i++]);
    }
    h5ck_buf_u8(out, '"');
}

/* 17 digits always do; most numbers that people write need fewer. */
void h5ck_json_put_double(h5ck_buf *out, double d)
{
    char text[40] = "";
    locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), before;
    if (c == (locale_t)0) {
        out->failed = true;
        return;
    }
    before = uselocale(c);
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, d);
        if (strtod(text, NULL) == d)
            break;
    }
    uselocale(before);
    freelocale(c);
    h5ck_buf_str(out, text);
    if (!strpbrk(text, ".e"))
        h5ck_buf_str(out, ".0");
}
