/*
 * precompile.c - a program of the build, no part of the library: prints the built-in schemas as C.
 *
 *     precompile > schema_compiled.c
 *
 * It is linked to the code that reads a user's schema, so there is one parser, and one meaning: each built-in text is
 * parsed, bound and checked by it, and the finished h5ck_schema is printed as a constant, member by member, as the table
 * of keys.c names them. Members that are zero are left out. What comes out depends on no machine: a native precompile
 * serves any target (./configure PRECOMPILE=...).
 */
#include "schema/builtin.h"
#include "schema/keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* None yet: so h5ck_schema_builtin reads the text. */
const h5ck_schema *const h5ck_schema_compiled[] = {NULL};

/* Everything but plain letters by number; three digits, so that one that follows is not taken for a fourth. */
static void print_text(const char *text)
{
    putchar('"');
    for (const char *p = text; *p; p++)
        if (*p >= ' ' && *p <= '~' && !strchr("\"\\?", *p))
            putchar(*p);
        else
            printf("\\%03o", (unsigned)(unsigned char)*p);
    putchar('"');
}

static void print_members(const h5ck_keys *t, const void *from, int depth);

static void print_list(const h5ck_key *k, const void *from, int depth)
{
    const h5ck_keys *t = k->table;
    const char *array = h5ck_key_pointer(k, from);
    size_t count = H5CK_KEY_GET(size_t, from, k->beside);
    int indent = 4 * depth;
    if (count == 0)
        return;
    printf("%*s.%s = %zu,\n%*s.%s = (const %s[]){\n", indent, "", k->beside_member, count, indent, "", k->member,
           t->type);
    for (size_t i = 0; i < count; i++) {
        printf("%*s{\n", indent + 4, "");
        print_members(t, array + i * t->size, depth + 2);
        printf("%*s},\n", indent + 4, "");
    }
    printf("%*s},\n", indent, "");
}

static void print_texts(const h5ck_key *k, const void *from, int depth)
{
    const char *const *texts = h5ck_key_pointer(k, from);
    size_t count = H5CK_KEY_GET(size_t, from, k->beside);
    int indent = 4 * depth;
    if (count == 0)
        return;
    printf("%*s.%s = %zu,\n%*s.%s = (const char *const[]){", indent, "", k->beside_member, count, indent, "",
           k->member);
    for (size_t i = 0; i < count; i++) {
        fputs(i ? ", " : "", stdout);
        print_text(texts[i]);
    }
    puts("},");
}

static void print_wholes(const h5ck_key *k, const void *from, int depth)
{
    const uint64_t *numbers = h5ck_key_pointer(k, from);
    size_t count = H5CK_KEY_GET(size_t, from, k->beside);
    int indent = 4 * depth;
    if (count == 0)
        return;
    printf("%*s.%s = %zu,\n%*s.%s = (const uint64_t[]){", indent, "", k->beside_member, count, indent, "", k->member);
    for (size_t i = 0; i < count; i++)
        printf("%s%" PRIu64, i ? ", " : "", numbers[i]);
    puts("},");
}

static void print_axes(const h5ck_key *k, const h5ck_axes *axes, int depth)
{
    if (!axes->reverse && axes->count == 0)
        return;
    printf("%*s.%s = {%d, %zu, {", 4 * depth, "", k->member, axes->reverse, axes->count);
    for (size_t i = 0; i < axes->count; i++)
        printf("%s%d", i ? ", " : "", axes->at[i]);
    puts(axes->count ? "}}," : "0}},");
}

static void print_member(const h5ck_key *k, const void *from, int depth)
{
    int indent = 4 * depth;
    switch (k->kind) {
    case H5CK_KEY_TEXT:
        if (h5ck_key_pointer(k, from)) {
            printf("%*s.%s = ", indent, "", k->member);
            print_text(h5ck_key_pointer(k, from));
            puts(",");
        }
        break;
    case H5CK_KEY_TEXTS:
        print_texts(k, from, depth);
        break;
    case H5CK_KEY_FLAG:
        if (H5CK_KEY_GET(bool, from, k->offset))
            printf("%*s.%s = true,\n", indent, "", k->member);
        break;
    case H5CK_KEY_NUMBER: /* in hexadecimal: exact, and without a locale's comma */
        if (H5CK_KEY_GET(bool, from, k->beside))
            printf("%*s.%s = %a,\n%*s.%s = true,\n", indent, "", k->member, H5CK_KEY_GET(double, from, k->offset),
                   indent, "", k->beside_member);
        break;
    case H5CK_KEY_WHOLE:
        if (H5CK_KEY_GET(bool, from, k->beside))
            printf("%*s.%s = %" PRIu64 ",\n%*s.%s = true,\n", indent, "", k->member,
                   H5CK_KEY_GET(uint64_t, from, k->offset), indent, "", k->beside_member);
        break;
    case H5CK_KEY_WHOLES:
        print_wholes(k, from, depth);
        break;
    case H5CK_KEY_AXES: {
        const h5ck_axes axes = H5CK_KEY_GET(h5ck_axes, from, k->offset);
        print_axes(k, &axes, depth);
        break;
    }
    case H5CK_KEY_DTYPE:
        printf("%*s.%s = %d,\n", indent, "", k->member, (int)H5CK_KEY_GET(h5ckpt_dtype, from, k->offset));
        break;
    case H5CK_KEY_TYPE:
        printf("%*s.%s = %d,\n", indent, "", k->member, (int)H5CK_KEY_GET(h5ck_field_type, from, k->offset));
        break;
    case H5CK_KEY_MEANS:
        printf("%*s.%s = %d,\n", indent, "", k->member, (int)H5CK_KEY_GET(h5ck_meaning, from, k->offset));
        break;
    case H5CK_KEY_MAP:
        print_members(k->table, from, depth);
        break;
    case H5CK_KEY_LIST:
        print_list(k, from, depth);
        break;
    }
}

/* Recursion is as deep as the tables are nested: five. */
static void print_members(const h5ck_keys *t, const void *from, int depth)
{
    for (size_t i = 0; i < t->count; i++)
        print_member(&t->keys[i], from, depth);
}

int main(void)
{
    puts("/* Made by src/schema/precompile.c from the files in schema/: do not edit. */\n#include "
         "\"schema/builtin.h\"\n");
    size_t count = 0;
    for (const h5ck_schema_builtin_row *b = h5ck_schema_builtins; b->info.name; b++) {
        const h5ck_schema *s;
        h5ckpt_error *err = NULL;
        if (b->info.is_names ? h5ck_names_load(b->info.name, &s, &err) : h5ck_schema_builtin(b->info.name, &s, &err)) {
            fprintf(stderr, "precompile: built-in %s: %s\n", b->info.name, err->message);
            h5ckpt_error_free(err);
            return 1;
        }
        printf("static const h5ck_schema schema_%zu = {\n", ++count);
        if (s->is_names)
            puts("    .is_names = true,");
        print_members(s->is_names ? &h5ck_names_keys : &h5ck_schema_keys, s, 1);
        puts("};\n");
        h5ck_schema_free(s);
    }
    puts("const h5ck_schema *const h5ck_schema_compiled[] = {");
    for (size_t i = 1; i <= count; i++)
        printf("    &schema_%zu,\n", i);
    puts("    NULL,\n};");
    return fflush(stdout) || ferror(stdout);
}
