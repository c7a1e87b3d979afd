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
    for (const h5ck_schema_builtin_row *b = h5ck_schema_builtins; b->name; b++) {
        const h5ck_schema *s;
        h5ckpt_error *err = NULL;
        if (h5ck_schema_builtin(b->name, &s, &err)) {
            fprintf(stderr, "precompile: schema/%s.yaml: %s\n", b->name, err->message);
            h5ckpt_error_free(err);
            return 1;
        }
        printf("static const h5ck_schema schema_%zu = {\n", ++count);
        print_members(&h5ck_schema_keys, s, 1);
        puts("};\n");
        h5ck_schema_free(s);
    }
    puts("const h5ck_schema *const h5ck_schema_compiled[] = {");
    for (size_t i = 1; i <= count; i++)
        printf("    &schema_%zu,\n", i);
    puts("    NULL,\n};");
    return fflush(stdout) || ferror(stdout);
}
