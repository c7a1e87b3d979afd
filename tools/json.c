/* json - see json.h. */
#include "json.h"

#include "num.h"
#include "term.h"
#include "value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Strings ---- */

static void put_escape(uint32_t c)
{
    if (c == '"' || c == '\\')
        printf("\\%c", (int)c);
    else if (c == '\n')
        fputs("\\n", stdout);
    else if (c == '\t')
        fputs("\\t", stdout);
    else if (c < 0x10000)
        printf("\\u%04x", (unsigned)c);
    else
        printf("\\u%04x\\u%04x", (unsigned)(0xd800 + ((c - 0x10000) >> 10)), (unsigned)(0xdc00 + (c & 0x3ff)));
}

void json_string_n(const char *s, size_t n)
{
    bool ascii_only = term_is_tty(stdout) && !term_is_utf8_tty(stdout);
    putchar('"');
    for (size_t i = 0; i < n;) {
        size_t plain = i;
        while (plain < n && s[plain] >= 0x20 && s[plain] < 0x7f && s[plain] != '"' && s[plain] != '\\')
            plain++;
        fwrite(s + i, 1, plain - i, stdout);
        i = plain;
        if (i == n)
            break;
        uint32_t c = 0xfffd;
        size_t len = term_utf8(s + i, n - i, &c);
        if (len == 0 || c < 0x80 || ascii_only || term_is_hazard(c))
            put_escape(c);
        else
            fwrite(s + i, 1, len, stdout);
        i += len ? len : 1;
    }
    putchar('"');
}

void json_string(const char *s)
{
    if (s)
        json_string_n(s, strlen(s));
    else
        fputs("null", stdout);
}

/* ---- Values ---- */

static void put_value(const h5ckpt_value *v, unsigned depth);

static void put_array_axis(const h5ckpt_array *a, size_t axis, const unsigned char **p)
{
    char text[NUM_TEXT];
    if (axis == a->rank) {
        num_text(a->dtype, *p, NUM_JSON, text);
        fputs(text, stdout);
        *p += h5ckpt_dtype_size(a->dtype);
        return;
    }
    putchar('[');
    for (uint64_t i = 0; i < a->shape[axis]; i++) {
        if (i)
            fputs(", ", stdout);
        put_array_axis(a, axis + 1, p);
    }
    putchar(']');
}

static void put_array(const h5ckpt_array *a)
{
    const unsigned char *p = a->data;
    size_t axis = a->rank <= VALUE_MAX_RANK ? 0 : a->rank;
    if (axis)
        json_string("an array of too many dimensions");
    else
        put_array_axis(a, 0, &p);
}

static void put_items(const h5ckpt_value *v, unsigned depth)
{
    putchar('[');
    for (size_t i = 0; i < v->count && !term_failed(); i++) {
        if (i)
            fputs(", ", stdout);
        put_value(&v->as.items[i], depth);
    }
    putchar(']');
}

static void put_object_fields(const h5ckpt_field *fields, size_t count, unsigned depth)
{
    putchar('{');
    for (size_t i = 0; i < count && !term_failed(); i++) {
        if (i)
            fputs(", ", stdout);
        json_string_n(fields[i].key.as.str, fields[i].key.count);
        fputs(": ", stdout);
        put_value(&fields[i].value, depth);
    }
    putchar('}');
}

static void put_dict(const h5ckpt_value *v, unsigned depth)
{
    bool all_strings = true;
    for (size_t i = 0; i < v->count; i++)
        all_strings = all_strings && v->as.fields[i].key.type == H5CKPT_STR;
    if (all_strings) {
        put_object_fields(v->as.fields, v->count, depth);
        return;
    }
    putchar('[');
    for (size_t i = 0; i < v->count && !term_failed(); i++) {
        fputs(i ? ", [" : "[", stdout);
        put_value(&v->as.fields[i].key, depth);
        fputs(", ", stdout);
        put_value(&v->as.fields[i].value, depth);
        putchar(']');
    }
    putchar(']');
}

static void put_object(const h5ckpt_object *o, unsigned depth)
{
    fputs("{\"class\": ", stdout);
    json_string(o->class_name);
    fputs(", \"module\": ", stdout);
    json_string(o->module);
    fputs(", \"fields\": ", stdout);
    put_object_fields(o->fields, o->count, depth);
    putchar('}');
}

static void put_bytes(const h5ckpt_value *v)
{
    fputs("{\"bytes\": \"", stdout);
    for (size_t i = 0; i < v->count; i++)
        printf("%02x", v->as.bytes[i]);
    fputs("\"}", stdout);
}

static void put_value(const h5ckpt_value *v, unsigned depth)
{
    char text[NUM_TEXT], *decimal;
    if (depth == VALUE_MAX_DEPTH) {
        json_string("nested too deeply");
        return;
    }
    switch (v->type) {
    case H5CKPT_NONE:
        fputs("null", stdout);
        break;
    case H5CKPT_BOOL:
        fputs(v->as.i ? "true" : "false", stdout);
        break;
    case H5CKPT_INT:
        printf("%" PRId64, v->as.i);
        break;
    case H5CKPT_FLOAT:
        num_double_text(v->as.f, NUM_JSON, text);
        fputs(text, stdout);
        break;
    case H5CKPT_STR:
        json_string_n(v->as.str, v->count);
        break;
    case H5CKPT_BYTES:
        put_bytes(v);
        break;
    case H5CKPT_BIGINT:
        decimal = value_bigint(v);
        if (decimal && strncmp(decimal, "0x", 2) != 0)
            fputs(decimal, stdout);
        else
            json_string(decimal);
        free(decimal);
        break;
    case H5CKPT_LIST:
    case H5CKPT_TUPLE:
        put_items(v, depth + 1);
        break;
    case H5CKPT_DICT:
        put_dict(v, depth + 1);
        break;
    case H5CKPT_OBJECT:
        put_object(v->as.object, depth + 1);
        break;
    case H5CKPT_ARRAY:
        put_array(v->as.array);
        break;
    }
}

void json_value(const h5ckpt_value *v)
{
    put_value(v, 0);
}

void json_fields(const h5ckpt_object *object)
{
    put_object_fields(object->fields, object->count, 1);
}
