/*
 * npy.c - the header of a .npy file.
 *
 *     "\x93NUMPY", major, minor (0), length of the text (2 bytes; from version 2 on 4), little-endian
 *     the text: a Python dict display {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }
 *               padded by blanks and closed by a line feed, so that the elements begin at a multiple of 64
 *     the elements
 *
 * Sources: NumPy's format description (NEP 1, numpy.lib.format) and files that NumPy 1.21 and 2.4 and ml_dtypes 0.6 wrote. The
 * versions differ in the length and in how the text is encoded (latin-1, latin-1, UTF-8), of which no dtype here needs
 * anything.
 *
 * The text is Python, and NumPy evaluates it; here it is read by a parser of the one form that there is: these three
 * keys, once each, in any order, with a string, a bool, a tuple of numbers (with the "L" of Python 2). Escapes in
 * strings, other keys and other values are refused.
 *
 * A dtype of several bytes has an order: '<', '>', or as the writing machine, which is taken for little-endian, as
 * NumPy does on one. What NumPy has no name for is told by what ml_dtypes puts there: '<V2' is bfloat16 (void data is
 * '|V2') and '<f1' float8_e5m2, for no other of its types has these; but '<V1' are sixteen types, and is refused. The
 * names themselves ('float8_e4m3fn') are dtypes for NumPy once ml_dtypes is imported, and read here. Written are '<V2',
 * which np.load takes anywhere, and the names of the two float8, whose own strings are ambiguous or not even readable.
 *
 * Refused by name: Python objects (they are a pickle), text, dates, raw and structured data, long double.
 */
#include "parse/npy.h"

#include "base/ckd.h"
#include "base/le.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MAGIC = 6,
    ALIGNMENT = 64,
    MOST_TEXT = 1 << 20, /* 32 axes need 700 bytes; more can only be a structured dtype, or blanks */
    GROWTH = 21,         /* digits that NumPy leaves room for in the first axis, so that an array can grow in place */
};

static const char magic[] = "\x93NUMPY";

bool h5ck_npy_begins(const unsigned char *head, size_t n)
{
    return n >= MAGIC && memcmp(head, magic, MAGIC) == 0;
}

int h5ck_npy_length(const unsigned char *first, size_t n, uint64_t base, size_t *length, h5ckpt_error **err)
{
    if (!h5ck_npy_begins(first, n))
        return h5ck_fail_at(err, base, "expected a .npy header, found other bytes");
    if (n < MAGIC + 4)
        return h5ck_fail_at(err, base + n, "expected a .npy header, found the end of the data");
    unsigned version = first[MAGIC];
    if (version < 1 || version > 3 || first[MAGIC + 1] != 0)
        return h5ck_fail_at(err, base + MAGIC, "expected version 1.0, 2.0 or 3.0 of the .npy format, found %u.%u",
                            version, first[MAGIC + 1]);
    unsigned bytes = version == 1 ? 2 : 4;
    if (n < MAGIC + 2 + bytes)
        return h5ck_fail_at(err, base + n, "expected a .npy header, found the end of the data");
    uint64_t text = h5ck_le_get(first + MAGIC + 2, bytes);
    if (text > MOST_TEXT)
        return h5ck_fail_at(err, base + MAGIC + 2, "expected a .npy header of at most %d bytes, found %" PRIu64,
                            MOST_TEXT, text);
    *length = MAGIC + 2 + bytes + (size_t)text;
    return 0;
}

/* ---- The text ---- */

typedef struct scanner {
    const unsigned char *text;
    size_t at, end; /* offsets in the header */
    uint64_t base;  /* the header's in the file */
    h5ckpt_error **err;
} scanner;

/* The next character, which is not a blank; 0 at the end. */
static unsigned char peek(scanner *s)
{
    while (s->at < s->end && (s->text[s->at] == ' ' || s->text[s->at] == '\n' || s->text[s->at] == '\t'))
        s->at++;
    return s->at < s->end ? s->text[s->at] : 0;
}

static bool accept(scanner *s, unsigned char c)
{
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

static int expected(scanner *s, const char *what)
{
    peek(s);
    return h5ck_fail_at(s->err, s->base + s->at, "expected %s in the .npy header, found %s", what,
                        s->at < s->end ? "something else" : "its end");
}

static int expect(scanner *s, unsigned char c)
{
    char what[] = "' '";
    what[1] = (char)c;
    return accept(s, c) ? 0 : expected(s, what);
}

/* A string without escapes, into `out` with its zero. */
static int scan_string(scanner *s, char *out, size_t room, const char *what)
{
    unsigned char quote = peek(s);
    size_t n = 0;
    if (quote != '\'' && quote != '"')
        return expected(s, what);
    for (s->at++; s->at < s->end && s->text[s->at] != quote; s->at++) {
        unsigned char c = s->text[s->at];
        if (c < ' ' || c > '~' || c == '\\' || n + 1 >= room)
            return h5ck_fail_at(s->err, s->base + s->at,
                                "expected %s in the .npy header, found one that is too long or unusual", what);
        out[n++] = (char)c;
    }
    out[n] = 0;
    return expect(s, quote);
}

static int scan_bool(scanner *s, bool *value)
{
    const char *words[] = {"False", "True"};
    peek(s);
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(words[i]);
        if (s->end - s->at >= n && memcmp(s->text + s->at, words[i], n) == 0) {
            s->at += n;
            *value = i == 1;
            return 0;
        }
    }
    return expected(s, "True or False");
}

static int scan_number(scanner *s, uint64_t *value)
{
    unsigned char c = peek(s);
    size_t begin = s->at;
    *value = 0;
    for (; s->at < s->end && (c = s->text[s->at]) >= '0' && c <= '9'; s->at++)
        if (h5ck_ckd_mul(*value, 10, value) || h5ck_ckd_add(*value, (uint64_t)(c - '0'), value))
            return h5ck_fail_at(s->err, s->base + begin,
                                "expected an axis that fits 64 bits in the .npy header, found a longer");
    if (s->at == begin)
        return expected(s, "an axis (a number)");
    if (c == 'L' && s->at < s->end) /* Python 2's long */
        s->at++;
    return 0;
}

static int scan_shape(scanner *s, h5ck_npy *npy)
{
    int rc = expect(s, '(');
    while (rc == 0 && !accept(s, ')')) {
        size_t begin = s->at;
        if (npy->rank == H5CK_MAX_RANK)
            return h5ck_fail_at(s->err, s->base + begin, "expected at most %d axes, found more", H5CK_MAX_RANK);
        rc = scan_number(s, &npy->shape[npy->rank++]);
        /* (3) is a number for Python, and (3,) a tuple */
        if (rc == 0 && !accept(s, ',') && (npy->rank == 1 || peek(s) != ')'))
            rc = expected(s, "','");
    }
    return rc;
}

/* ---- The dtype ---- */

/* What a type string that is none of ours stands for. */
static const char *kind_of(const char *descr)
{
    static const struct {
        char letter;
        const char *what;
    } kinds[] = {
        {'O', "Python objects (a pickle)"},
        {'S', "bytes of text"},
        {'a', "bytes of text"},
        {'U', "text"},
        {'M', "dates"},
        {'m', "spans of time"},
        {'V', "raw bytes"},
        {'f', "floats"},
        {'c', "complex numbers"},
        {'W', "complex numbers"},
        {'i', "integers"},
        {'u', "integers"},
    };
    const char *letter = *descr && strchr("<>|=", *descr) ? descr + 1 : descr;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (kinds[i].letter == *letter && strspn(letter + 1, "0123456789") == strcspn(letter + 1, "["))
            return kinds[i].what;
    return "an unknown dtype";
}

static int take_descr(const char *descr, h5ck_npy *npy, uint64_t at, h5ckpt_error **err)
{
    const h5ck_dtype *type = h5ck_dtype_from_numpy(descr);
    if (!type)
        type = h5ck_dtype_from_name(descr);
    if (!type && (strcmp(descr, "<V2") == 0 || strcmp(descr, ">V2") == 0))
        type = h5ck_dtype_get(H5CKPT_DTYPE_BFLOAT16);
    if (!type && strcmp(descr + (*descr == '<' || *descr == '|'), "f1") == 0)
        type = h5ck_dtype_get(H5CKPT_DTYPE_FLOAT8_E5M2);
    if (!type && strcmp(descr, "<V1") == 0)
        return h5ck_fail_at(err, at,
                            "expected a dtype of plain numbers in the .npy header, found '<V1' (ml_dtypes writes that "
                            "for many types; save the array's .view('uint8') instead)");
    if (!type)
        return h5ck_fail_at(err, at, "expected a dtype of plain numbers in the .npy header, found '%s': %s", descr,
                            kind_of(descr));
    npy->dtype = type->id;
    npy->big_endian = *descr == '>' && type->size > 1;
    return 0;
}

static int scan_descr(scanner *s, h5ck_npy *npy)
{
    char descr[32];
    unsigned char first = peek(s);
    size_t at = s->at;
    if (first == '[' || first == '(')
        return h5ck_fail_at(s->err, s->base + at,
                            "expected a dtype of plain numbers in the .npy header, found a structured one");
    int rc = scan_string(s, descr, sizeof descr, "a dtype");
    return rc ? rc : take_descr(descr, npy, s->base + at, s->err);
}

/* ---- The whole ---- */

static int scan_dict(scanner *s, h5ck_npy *npy)
{
    static const char *const keys[] = {"descr", "fortran_order", "shape"};
    bool seen[3] = {false};
    int rc = expect(s, '{');
    while (rc == 0 && !accept(s, '}')) {
        char key[32];
        size_t i = 0, at = s->at;
        if ((rc = scan_string(s, key, sizeof key, "a key")))
            break;
        while (i < 3 && strcmp(keys[i], key) != 0)
            i++;
        if (i == 3 || seen[i])
            return h5ck_fail_at(s->err, s->base + at,
                                "expected the keys descr, fortran_order and shape in the .npy header, "
                                "found %s'%s'",
                                i == 3 ? "" : "a second ", key);
        seen[i] = true;
        rc = expect(s, ':');
        if (rc == 0)
            rc = i == 0 ? scan_descr(s, npy) : i == 1 ? scan_bool(s, &npy->fortran) : scan_shape(s, npy);
        if (rc == 0 && !accept(s, ',') && peek(s) != '}')
            rc = expected(s, "','");
    }
    for (size_t i = 0; rc == 0 && i < 3; i++)
        if (!seen[i])
            rc = h5ck_fail_at(s->err, s->base + s->at, "expected the key '%s' in the .npy header, found none", keys[i]);
    return rc;
}

int h5ck_npy_read(const unsigned char *header, size_t length, uint64_t base, h5ck_npy *npy, h5ckpt_error **err)
{
    *npy = (h5ck_npy){.length = length, .version = header[MAGIC]};
    scanner s = {header, npy->version == 1 ? MAGIC + 4 : MAGIC + 6, length, base, err};
    int rc = scan_dict(&s, npy);
    if (rc == 0 && (peek(&s) || s.at < s.end))
        rc = expected(&s, "only blanks behind the dict");
    return rc;
}

/* ---- Writing ---- */

static void put_descr(const h5ck_dtype *type, h5ck_buf *text)
{
    if (type->numpy)
        h5ck_buf_printf(text, "%c%s", type->size > 1 ? '<' : '|', type->numpy);
    else if (type->id == H5CKPT_DTYPE_BFLOAT16)
        h5ck_buf_str(text, "<V2");
    else
        h5ck_buf_str(text, type->name);
}

void h5ck_npy_write(const h5ckpt_tensor_info *info, h5ck_buf *out)
{
    h5ck_buf text = H5CK_BUF_INIT;
    char digits[24];
    h5ck_buf_str(&text, "{'descr': '");
    put_descr(h5ck_dtype_get(info->dtype), &text);
    h5ck_buf_str(&text, "', 'fortran_order': False, 'shape': (");
    for (size_t i = 0; i < info->rank; i++)
        h5ck_buf_printf(&text, "%s%" PRIu64 "%s", i ? ", " : "", info->shape[i], info->rank == 1 ? "," : "");
    h5ck_buf_str(&text, "), }");
    if (info->rank) {
        int first = snprintf(digits, sizeof digits, "%" PRIu64, info->shape[0]);
        for (int i = first; i < GROWTH; i++)
            h5ck_buf_u8(&text, ' ');
    }
    size_t pad = ALIGNMENT - (MAGIC + 4 + text.len + 1) % ALIGNMENT; /* 1 to 64, as NumPy has it */
    h5ck_buf_add(out, magic, MAGIC);
    h5ck_buf_le(out, 1, 2); /* version 1.0: 32 axes are far from 64 KiB */
    h5ck_buf_le(out, text.len + pad + 1, 2);
    h5ck_buf_add(out, text.data, text.len);
    for (size_t i = 0; i < pad; i++)
        h5ck_buf_u8(out, ' ');
    h5ck_buf_u8(out, '\n');
    out->failed = out->failed || text.failed;
    h5ck_buf_free(&text);
}
