/*
 * schema.c - YAML text to nodes, and the life of a schema. The only user of yaml.h.
 *
 * A schema is one YAML document (UTF-8, at most 1 MiB): mappings, lists and texts, as docs/schema.md says. What the
 * words mean is bind.c's and check.c's business; here every value only gets its place, so that whatever is wrong with
 * it can be told as file:line:column.
 *
 * Refused: anchors and aliases (a small file could stand for a huge one), tags, a second document, values more than
 * H5CK_SCHEMA_DEPTH deep, more than H5CK_SCHEMA_NODES of them, and texts with a zero byte in them. The parser is
 * event-driven and its stack is an array, so depth costs nothing.
 *
 * A document whose first key is `names` holds name rules alone; all others are schemas. Either may extend a built-in one of
 * its kind.
 *
 * Built-in schemas are texts too, but not read when h5ckpt runs: precompile.c has done it. Where it could not run (h5ckpt
 * is being cross-compiled), and for a schema that extends one, the text is read.
 */
#include "base/fs.h"
#include "schema/builtin.h"
#include "schema/draft.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { H5CK_SCHEMA_BYTES = 1 << 20, H5CK_SCHEMA_DEPTH = 16, H5CK_SCHEMA_NODES = 1 << 17 };

/* ---- Messages ---- */

/* As much of a text as a message can take, whole characters only. */
static void shorten(const char *text, size_t length, char *out, size_t size)
{
    size_t n = length < size - 6 ? length : size - 6;
    bool cut = n < length;
    while (cut && n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
        n--;
    snprintf(out, size, "'%.*s%s'", (int)n, text, cut ? "..." : "");
}

static const char *describe(const h5ck_node *node, char *out, size_t size)
{
    if (node->kind == H5CK_NODE_LIST)
        return "a list";
    if (node->kind == H5CK_NODE_MAP)
        return "a mapping";
    if (node->length == 0)
        return node->plain ? "nothing" : "an empty text";
    shorten(node->text, node->length, out, size);
    return out;
}

static int wrong_at(h5ck_draft *d, const char *path, const h5ck_node *node, const char *found, const char *fmt,
                    va_list args)
{
    char expected[256], own[96];
    vsnprintf(expected, sizeof expected, fmt, args);
    if (!found)
        found = describe(node, own, sizeof own);
    return h5ck_fail(d->err, H5CKPT_USAGE, "%s:%zu:%zu: expected %s, found %s", path, node->line, node->column,
                     expected, found);
}

int h5ck_draft_wrong(h5ck_draft *d, const h5ck_node *node, const char *found, const char *expected, ...)
{
    va_list args;
    va_start(args, expected);
    int rc = wrong_at(d, d->path, node, found, expected, args);
    va_end(args);
    return rc;
}

int h5ck_draft_wrong_text(h5ck_draft *d, const char *text, const char *found, const char *expected, ...)
{
    static const h5ck_node unknown = {.line = 1, .column = 1};
    const h5ck_mark *m = d->marks;
    while (m && m->text != text)
        m = m->next;
    va_list args;
    va_start(args, expected);
    int rc = wrong_at(d, m ? m->path : d->path, m ? m->node : &unknown, found, expected, args);
    va_end(args);
    return rc;
}

/* ---- Events to nodes ---- */

typedef struct reader {
    h5ck_draft *draft;
    yaml_parser_t parser;
    h5ck_node *root;
    h5ck_node *open[H5CK_SCHEMA_DEPTH]; /* the lists and mappings around the next event */
    size_t depth, nodes;
} reader;

/* What libyaml says of a file that is no YAML. A bad byte has an offset only, being found before there are lines. */
static int syntax_error(reader *r, const unsigned char *data)
{
    const yaml_parser_t *p = &r->parser;
    if (p->error == YAML_MEMORY_ERROR)
        return h5ck_fail_nomem(r->draft->err);
    h5ck_node at = {.line = p->problem_mark.line + 1, .column = p->problem_mark.column + 1};
    char found[160];
    if (p->error == YAML_READER_ERROR) {
        at.line = at.column = 1;
        for (size_t i = 0; i < p->problem_offset; i++) {
            at.column += (data[i] & 0xc0) != 0x80;
            if (data[i] == '\n') {
                at.line++;
                at.column = 1;
            }
        }
        snprintf(found, sizeof found, "a byte that is not (%s)", p->problem);
        return h5ck_draft_wrong(r->draft, &at, found, "printable UTF-8");
    }
    bool says_found = strncmp(p->problem, "found ", 6) == 0;
    snprintf(found, sizeof found, "%s%s%s%s%s", says_found ? "" : "an error: ", p->problem + (says_found ? 6 : 0),
             p->context ? " (" : "", p->context ? p->context : "", p->context ? ")" : "");
    return h5ck_draft_wrong(r->draft, &at, found, "valid YAML");
}

static int new_node(reader *r, const yaml_event_t *e, h5ck_node **node)
{
    h5ck_node at = {.line = e->start_mark.line + 1, .column = e->start_mark.column + 1};
    if (++r->nodes > H5CK_SCHEMA_NODES)
        return h5ck_draft_wrong(r->draft, &at, "more", "at most %d values", H5CK_SCHEMA_NODES);
    h5ck_node *n = h5ck_arena_memdup(&r->draft->arena, &at, sizeof at);
    if (!n)
        return h5ck_fail_nomem(r->draft->err);
    *node = n;
    if (r->depth == 0) {
        r->root = n;
        return 0;
    }
    h5ck_node *around = r->open[r->depth - 1];
    *(around->first ? &around->last->next : &around->first) = n;
    around->last = n;
    around->count++;
    return 0;
}

static int take_text(reader *r, const yaml_event_t *e)
{
    h5ck_node *n;
    int rc = new_node(r, e, &n);
    if (rc)
        return rc;
    n->kind = H5CK_NODE_TEXT;
    n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->length = e->data.scalar.length;
    n->text = h5ck_arena_strndup(&r->draft->arena, (const char *)e->data.scalar.value, n->length);
    if (!n->text)
        return h5ck_fail_nomem(r->draft->err);
    if (strlen(n->text) != n->length)
        return h5ck_draft_wrong(r->draft, n, "one", "a text without zero bytes");
    return 0;
}

static int open_node(reader *r, const yaml_event_t *e, h5ck_node_kind kind)
{
    h5ck_node *n;
    int rc = new_node(r, e, &n);
    if (rc)
        return rc;
    n->kind = kind;
    if (r->depth == H5CK_SCHEMA_DEPTH)
        return h5ck_draft_wrong(r->draft, n, "a deeper one", "values at most %d deep", H5CK_SCHEMA_DEPTH);
    r->open[r->depth++] = n;
    return 0;
}

/* Anchors and tags are refused where they stand; what they would mean is then of no interest. */
static int check_properties(reader *r, const yaml_event_t *e)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    h5ck_node at = {.line = e->start_mark.line + 1, .column = e->start_mark.column + 1};
    if (e->type == YAML_ALIAS_EVENT || anchor)
        return h5ck_draft_wrong(r->draft, &at, e->type == YAML_ALIAS_EVENT ? "an alias" : "an anchor",
                                "values written out");
    if (tag)
        return h5ck_draft_wrong(r->draft, &at, "a tag", "values without tags");
    return 0;
}

static int take_event(reader *r, const yaml_event_t *e)
{
    h5ck_node at = {.line = e->start_mark.line + 1, .column = e->start_mark.column + 1};
    int rc = check_properties(r, e);
    if (rc)
        return rc;
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return r->root ? h5ck_draft_wrong(r->draft, &at, "a second document", "the end of the file") : 0;
    case YAML_SCALAR_EVENT:
        return take_text(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return open_node(r, e, H5CK_NODE_LIST);
    case YAML_MAPPING_START_EVENT:
        return open_node(r, e, H5CK_NODE_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return 0;
    default:
        return 0;
    }
}

/* Parses a whole file; *root lies in the draft's arena. */
static int read_nodes(h5ck_draft *d, const unsigned char *data, size_t size, const h5ck_node **root)
{
    reader r = {.draft = d};
    if (size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) { /* a byte order mark says nothing in UTF-8 */
        data += 3;
        size -= 3;
    }
    if (!yaml_parser_initialize(&r.parser))
        return h5ck_fail_nomem(d->err);
    yaml_parser_set_input_string(&r.parser, data, size);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING); /* so that an offset is a place in `data` */
    int rc = 0;
    for (bool end = false; rc == 0 && !end;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r.parser, &e)) {
            rc = syntax_error(&r, data);
            break;
        }
        rc = take_event(&r, &e);
        end = e.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&e);
    }
    yaml_parser_delete(&r.parser);
    if (rc == 0 && !r.root) {
        h5ck_node start = {.line = 1, .column = 1};
        rc = h5ck_draft_wrong(d, &start, "an empty file", "a schema");
    }
    *root = r.root;
    return rc;
}

/* ---- Loading ---- */

typedef enum wanted { SCHEMA = 1, NAMES = 2, EITHER = SCHEMA | NAMES } wanted;

static const h5ck_schema_builtin_row *builtin_row(const char *name)
{
    for (const h5ck_schema_builtin_row *b = h5ck_schema_builtins; b->info.name; b++)
        if (strcmp(b->info.name, name ? name : "paddle") == 0)
            return b;
    return NULL;
}

const char *h5ck_schema_builtin_text(const char *name)
{
    const h5ck_schema_builtin_row *b = builtin_row(name);
    return b ? b->text : NULL;
}

const h5ckpt_schema_info *h5ck_schema_builtin_at(size_t i)
{
    for (const h5ck_schema_builtin_row *b = h5ck_schema_builtins; b->info.name; b++)
        if (i-- == 0)
            return &b->info;
    return NULL;
}

/* "paddle, keras": those of one kind, for messages. */
static const char *list_builtins(bool names, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (const h5ck_schema_builtin_row *b = h5ck_schema_builtins; b->info.name && used < size; b++)
        if (!b->info.is_names == !names)
            used += (size_t)snprintf(out + used, size - used, "%s%s", used ? ", " : "", b->info.name);
    return out;
}

static const char *kind_name(bool names)
{
    return names ? "built-in name rules" : "a built-in schema";
}

static const h5ck_node *value_of(const h5ck_node *map, const char *key)
{
    if (map->kind == H5CK_NODE_MAP)
        for (const h5ck_node *k = map->first; k; k = k->next->next)
            if (k->kind == H5CK_NODE_TEXT && strcmp(k->text, key) == 0)
                return k->next;
    return NULL;
}

/* One's own rules are asked before those that they extend: the first that is for a parameter decides. */
static int own_rules_first(h5ck_schema *s, size_t extended, h5ckpt_error **err)
{
    size_t own = s->rule_count - extended;
    if (own == 0 || extended == 0)
        return 0;
    h5ck_rule *all = h5ck_arena_zalloc(&s->owner->arena, s->rule_count, sizeof *all);
    if (!all)
        return h5ck_fail_nomem(err);
    memcpy(all, s->rules + extended, own * sizeof *all);
    memcpy(all + own, s->rules, extended * sizeof *all);
    s->rules = all;
    return 0;
}

/* Binds a file, and before it the built-in one that it extends, which may extend another. */
static int bind_document(h5ck_draft *d, const h5ck_node *root, int depth)
{
    enum { CHAIN = 4 }; /* built-in ones are ours: the longest chain of them is known */
    const h5ck_node *extends = value_of(root, "extends"), *base;
    const char *path = d->path;
    int rc = 0;
    if (extends) {
        char names[200];
        const h5ck_schema_builtin_row *b = extends->kind == H5CK_NODE_TEXT ? builtin_row(extends->text) : NULL;
        if (!b || !b->info.is_names != !d->schema->is_names || depth == CHAIN)
            return h5ck_draft_wrong(d, extends, NULL, "the name of %s (%s)", kind_name(d->schema->is_names),
                                    list_builtins(d->schema->is_names, names, sizeof names));
        d->path = b->info.name;
        rc = read_nodes(d, (const unsigned char *)b->text, b->size, &base);
        if (rc == 0)
            rc = bind_document(d, base, depth + 1);
        d->path = path;
        d->extending = true;
    }
    size_t extended = d->schema->rule_count;
    if (rc == 0)
        rc = h5ck_draft_bind(d, root);
    return rc ? rc : own_rules_first(d->schema, extended, d->err);
}

/* HDF5 files say by which schema they were written; a file that is another must not say that it is a built-in one. */
static int check_own_name(h5ck_draft *d, const unsigned char *data, size_t size)
{
    const char *name = d->schema->name;
    const h5ck_schema_builtin_row *b = builtin_row(name);
    if (b && (b->size != size || memcmp(b->text, data, size) != 0))
        return h5ck_draft_wrong_text(d, name, "the name of a built-in one", "a name of its own for %s",
                                     d->schema->is_names ? "these name rules" : "this schema");
    return 0;
}

/* The first key tells the two kinds of documents apart. */
static int check_kind(h5ck_draft *d, const h5ck_node *root, wanted kind)
{
    bool names = value_of(root, "names") != NULL;
    d->schema->is_names = names;
    if (kind & (names ? NAMES : SCHEMA))
        return 0;
    return h5ck_draft_wrong(d, root, names ? "name rules (for --names)" : "a schema (for --schema)", "%s",
                            names ? "a schema" : "name rules ('names: ...')");
}

static int load(const char *path, const unsigned char *data, size_t size, wanted kind, const h5ck_schema **schema,
                h5ckpt_error **err)
{
    h5ck_draft d = {.path = path, .err = err};
    const h5ck_node *root;
    *schema = NULL;
    h5ck_schema_owner *owner = calloc(1, sizeof *owner);
    if (!owner)
        return h5ck_fail_nomem(err);
    owner->schema.owner = owner;
    d.schema = &owner->schema;
    int rc = read_nodes(&d, data, size, &root);
    if (rc == 0)
        rc = check_kind(&d, root, kind);
    if (rc == 0)
        rc = bind_document(&d, root, 0);
    if (rc == 0)
        rc = check_own_name(&d, data, size);
    if (rc == 0)
        rc = h5ck_draft_finish(&d);
    h5ck_arena_free(&d.arena);
    if (rc)
        h5ck_schema_free(d.schema);
    else
        *schema = d.schema;
    return rc;
}

static int load_builtin(const h5ck_schema_builtin_row *b, const h5ck_schema **schema, h5ckpt_error **err)
{
    for (size_t i = 0; h5ck_schema_compiled[i]; i++)
        if (strcmp(h5ck_schema_compiled[i]->name, b->info.name) == 0) {
            *schema = h5ck_schema_compiled[i];
            return 0;
        }
    return load(b->info.name, (const unsigned char *)b->text, b->size, EITHER, schema, err);
}

int h5ck_schema_builtin(const char *name, const h5ck_schema **schema, h5ckpt_error **err)
{
    char names[200];
    const h5ck_schema_builtin_row *b = builtin_row(name);
    *schema = NULL;
    if (b && !b->info.is_names)
        return load_builtin(b, schema, err);
    return h5ck_fail(err, H5CKPT_USAGE, "expected the name of a built-in schema (%s), found %s'%s'",
                     list_builtins(false, names, sizeof names), b ? "the name rules " : "", name);
}

static int load_file(const char *path, wanted kind, const h5ck_schema **schema, h5ckpt_error **err)
{
    h5ck_arena arena = {NULL};
    h5ck_fs_stat st;
    h5ck_file file = {0};
    unsigned char *data;
    *schema = NULL;
    int rc = h5ck_fs_status(path, &st, err);
    if (rc == 0 && !st.is_file)
        rc = h5ck_fail(err, H5CKPT_USAGE, "%s: expected a %s file, found %s", path,
                       kind == NAMES ? "name rules" : "schema",
                       !st.exists  ? "nothing"
                       : st.is_dir ? "a directory"
                                   : "no regular file");
    if (rc == 0 && st.size > H5CK_SCHEMA_BYTES)
        rc = h5ck_fail(err, H5CKPT_USAGE, "%s: expected a schema of at most %d bytes, found %" PRIu64, path,
                       H5CK_SCHEMA_BYTES, st.size);
    if (rc == 0)
        rc = h5ck_fs_slurp(path, NULL, H5CK_SCHEMA_BYTES, &arena, &file, &data, err);
    if (rc == 0)
        rc = load(path, data, (size_t)file.size, kind, schema, err);
    h5ck_arena_free(&arena);
    return rc;
}

int h5ck_schema_load(const char *path, const h5ck_schema **schema, h5ckpt_error **err)
{
    return load_file(path, SCHEMA, schema, err);
}

int h5ck_schema_load_any(const char *path, const h5ck_schema **schema, h5ckpt_error **err)
{
    return load_file(path, EITHER, schema, err);
}

/* A name that no built-in one has is a path; if nothing is there the message lists the names. */
int h5ck_names_load(const char *name_or_path, const h5ck_schema **names, h5ckpt_error **err)
{
    char known[200];
    h5ck_fs_stat st;
    const h5ck_schema_builtin_row *b = builtin_row(name_or_path);
    *names = NULL;
    if (b && b->info.is_names)
        return load_builtin(b, names, err);
    int rc = h5ck_fs_status(name_or_path, &st, err);
    if (rc)
        return rc;
    if (b || !st.exists)
        return h5ck_fail(err, H5CKPT_USAGE, "expected name rules (%s, or a file), found %s'%s'",
                         list_builtins(true, known, sizeof known), b ? "the schema " : "nothing at ", name_or_path);
    return load_file(name_or_path, NAMES, names, err);
}

/* Here, too. What cannot be the name of one is only a path. */
int h5ck_schema_find(const char *name_or_path, const h5ck_schema **schema, h5ckpt_error **err)
{
    char known[200];
    h5ck_fs_stat st = {.exists = true};
    const h5ck_schema_builtin_row *b = builtin_row(name_or_path);
    *schema = NULL;
    if (b && !b->info.is_names)
        return load_builtin(b, schema, err);
    int rc = strpbrk(name_or_path, "/.") ? 0 : h5ck_fs_status(name_or_path, &st, err);
    if (rc == 0 && (b || !st.exists))
        return h5ck_fail(err, H5CKPT_USAGE, "expected a schema (%s, or a file), found %s'%s'",
                         list_builtins(false, known, sizeof known), b ? "the name rules " : "nothing at ",
                         name_or_path);
    return rc ? rc : h5ck_schema_load(name_or_path, schema, err);
}

void h5ck_schema_free(const h5ck_schema *schema)
{
    h5ck_schema_owner *owner = schema ? schema->owner : NULL;
    if (!owner)
        return;
    h5ck_arena_free(&owner->arena);
    free(owner);
}
