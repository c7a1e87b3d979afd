/*
 * cmd_ls - h5ckpt ls PATH. Both outputs go entry by entry, so their time is linear and their memory none, whatever the
 * number of tensors. The table's columns are as wide as the widest entry (of names: up to NAME_COLUMN, longer ones push
 * the rest to the right); no name is ever cut.
 */
#include "json.h"
#include "term.h"
#include "units.h"
#include "value.h"
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>

enum { NAME_COLUMN = 60, FIELD_ITEMS = 6 };

static void heading(const char *text)
{
    term_set(TERM_BOLD);
    fputs(text, stdout);
    term_set(TERM_PLAIN);
    putchar('\n');
}

/* ---- The table ---- */

typedef struct columns {
    size_t name, dtype, shape;
} columns;

static void widen(size_t *column, size_t width, size_t most)
{
    width = width < most ? width : most;
    *column = width > *column ? width : *column;
}

static columns measure(const h5ckpt_tensors *tensors)
{
    columns c = {0, 0, 0};
    for (size_t i = 0; i < h5ckpt_tensors_count(tensors); i++) {
        const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(h5ckpt_tensors_at(tensors, i));
        widen(&c.name, term_put(NULL, t->name), NAME_COLUMN);
        widen(&c.dtype, term_put(NULL, h5ckpt_dtype_name(t->dtype)), NAME_COLUMN);
        widen(&c.shape, units_shape(NULL, t->rank, t->shape), NAME_COLUMN);
    }
    return c;
}

static void pad_to(size_t column, size_t width)
{
    units_pad(stdout, (width < column ? column - width : 0) + 2);
}

static void print_tensor(const h5ckpt_tensor_info *t, const columns *c)
{
    char bytes[UNITS_TEXT];
    fputs("  ", stdout);
    pad_to(c->name, term_put(stdout, t->name));
    pad_to(c->dtype, term_put(stdout, h5ckpt_dtype_name(t->dtype)));
    pad_to(c->shape, units_shape(stdout, t->rank, t->shape));
    units_bytes(t->nbytes, bytes);
    printf("%10s", bytes);
    if (t->lod_levels)
        printf("  LoD of %zu level%s", t->lod_levels, t->lod_levels == 1 ? "" : "s");
    putchar('\n');
}

static void print_tensors(const char *title, const char *one, const char *many, const h5ckpt_tensors *tensors)
{
    columns c = measure(tensors);
    size_t count = h5ckpt_tensors_count(tensors);
    uint64_t elements = 0, bytes = 0;
    char text[UNITS_TEXT];
    heading(title);
    for (size_t i = 0; i < count && !term_failed(); i++) {
        const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(h5ckpt_tensors_at(tensors, i));
        print_tensor(t, &c);
        elements += units_elements(t->rank, t->shape);
        bytes += t->nbytes;
    }
    units_bytes(bytes, text);
    printf("  %zu %s, %" PRIu64 " element%s, %s", count, count == 1 ? one : many, elements, elements == 1 ? "" : "s",
           text);
    if (bytes >= 1024)
        printf(" (%" PRIu64 " bytes)", bytes);
    putchar('\n');
}

static void print_decay(const h5ckpt_decay_info *d, size_t name_width, size_t class_width)
{
    const h5ckpt_object *object = d->value->as.object;
    fputs("  ", stdout);
    pad_to(name_width, term_put(stdout, d->name));
    pad_to(class_width, term_put(stdout, object->class_name));
    for (size_t i = 0; i < object->count; i++) {
        fputs(i ? ", " : "", stdout);
        term_put_n(stdout, object->fields[i].key.as.str, object->fields[i].key.count);
        putchar('=');
        value_put(stdout, &object->fields[i].value, FIELD_ITEMS);
    }
    putchar('\n');
}

static void print_decays(const h5ckpt_decays *decays)
{
    size_t name = 0, class_name = 0, count = h5ckpt_decays_count(decays);
    heading("learning rates");
    for (size_t i = 0; i < count; i++) {
        const h5ckpt_decay_info *d = h5ckpt_decay_get_info(h5ckpt_decays_at(decays, i));
        widen(&name, term_put(NULL, d->name), NAME_COLUMN);
        widen(&class_name, term_put(NULL, d->value->as.object->class_name), NAME_COLUMN);
    }
    for (size_t i = 0; i < count && !term_failed(); i++)
        print_decay(h5ckpt_decay_get_info(h5ckpt_decays_at(decays, i)), name, class_name);
    printf("  %zu decay%s\n", count, count == 1 ? "" : "s");
}

static void print_metadata(const h5ckpt_value *metadata)
{
    heading("metadata");
    for (size_t i = 0; i < metadata->count; i++) {
        const h5ckpt_field *f = &metadata->as.fields[i];
        fputs("  ", stdout);
        term_put_n(stdout, f->key.as.str, f->key.count);
        fputs(": ", stdout);
        value_put(stdout, &f->value, 64);
        putchar('\n');
    }
}

static void print_table(const char *path, const h5ckpt_state *state)
{
    term_put(stdout, path);
    printf(": %s\n\n", h5ckpt_state_format(state));
    print_tensors("parameters", "parameter", "parameters", h5ckpt_state_parameters(state));
    putchar('\n');
    print_decays(h5ckpt_state_decays(state));
    if (h5ckpt_tensors_count(h5ckpt_state_optimizer_state(state)) > 0) {
        putchar('\n');
        print_tensors("optimizer state", "tensor", "tensors", h5ckpt_state_optimizer_state(state));
    }
    if (h5ckpt_state_metadata(state)->count > 0) {
        putchar('\n');
        print_metadata(h5ckpt_state_metadata(state));
    }
}

/* ---- JSON ---- */

static void json_lod(const h5ckpt_tensor_info *t)
{
    fputs(", \"lod\": [", stdout);
    for (size_t i = 0; i < t->lod_levels; i++) {
        fputs(i ? ", [" : "[", stdout);
        for (size_t k = 0; k < t->lod[i].count; k++)
            printf("%s%" PRIu64, k ? ", " : "", t->lod[i].offsets[k]);
        putchar(']');
    }
    putchar(']');
}

static void json_tensors(const char *key, const h5ckpt_tensors *tensors)
{
    size_t count = h5ckpt_tensors_count(tensors);
    printf(" \"%s\": [", key);
    for (size_t i = 0; i < count && !term_failed(); i++) {
        const h5ckpt_tensor_info *t = h5ckpt_tensor_get_info(h5ckpt_tensors_at(tensors, i));
        fputs(i ? ",\n  {\"name\": " : "\n  {\"name\": ", stdout);
        json_string(t->name);
        printf(", \"dtype\": \"%s\", \"shape\": ", h5ckpt_dtype_name(t->dtype));
        units_shape(stdout, t->rank, t->shape);
        printf(", \"nbytes\": %" PRIu64, t->nbytes);
        if (t->lod_levels)
            json_lod(t);
        putchar('}');
    }
    fputs(count ? "\n ],\n" : "],\n", stdout);
}

static void json_decays(const h5ckpt_decays *decays)
{
    size_t count = h5ckpt_decays_count(decays);
    fputs(" \"learning_rates\": [", stdout);
    for (size_t i = 0; i < count && !term_failed(); i++) {
        const h5ckpt_decay_info *d = h5ckpt_decay_get_info(h5ckpt_decays_at(decays, i));
        fputs(i ? ",\n  {\"name\": " : "\n  {\"name\": ", stdout);
        json_string(d->name);
        fputs(", \"class\": ", stdout);
        json_string(d->value->as.object->class_name);
        fputs(", \"module\": ", stdout);
        json_string(d->value->as.object->module);
        fputs(", \"fields\": ", stdout);
        json_fields(d->value->as.object);
        putchar('}');
    }
    fputs(count ? "\n ],\n" : "],\n", stdout);
}

static void print_json(const h5ckpt_state *state)
{
    fputs("{\"format\": ", stdout);
    json_string(h5ckpt_state_format(state));
    fputs(",\n", stdout);
    json_tensors("parameters", h5ckpt_state_parameters(state));
    json_decays(h5ckpt_state_decays(state));
    json_tensors("optimizer_state", h5ckpt_state_optimizer_state(state));
    fputs(" \"metadata\": ", stdout);
    json_value(h5ckpt_state_metadata(state));
    puts("}");
}

int cmd_ls(const cli_verb *self, int argc, char **argv)
{
    cli_source s = CLI_SOURCE_INIT;
    cli_operands path;
    int code = H5CKPT_OK, json = 0;
    const cli_option options[] = {{.name = "json", .help = "print one object in JSON", .kind = CLI_FLAG, .to = &json},
                                  CLI_NAMES_OPTION(s),
                                  CLI_SOURCE_OPTIONS(s),
                                  {.name = NULL}};
    if (cli_parse(self, options, argc, argv, &path, &code)) {
        h5ckpt_state *state = cli_source_open(&s, path.at[0], &code);
        if (state && json)
            print_json(state);
        else if (state)
            print_table(path.at[0], state);
        h5ckpt_state_free(state);
    }
    cli_source_free(&s);
    return code;
}
