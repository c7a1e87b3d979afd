/* show_decay - see show.h: class, doc, fields with their types, the next rates. */
#include "cli.h"
#include "json.h"
#include "num.h"
#include "show.h"
#include "term.h"
#include "units.h"
#include "value.h"

#include <stdio.h>

enum { RATES = 5, ITEMS = 20, LINE_ITEMS = 4 };

/* The next rates; false where there are none, with the reason in *err where it is a broken field, else NULL there. */
static bool next_rates(const h5ckpt_decay *decay, double rates[RATES], h5ckpt_error **err)
{
    return h5ckpt_decay_get_info(decay)->has_rates && h5ckpt_decay_rates(decay, RATES, rates, err) == H5CKPT_OK;
}

static void put_rates(const double rates[RATES], num_style style)
{
    for (int i = 0; i < RATES; i++) {
        char text[NUM_TEXT];
        num_rate_text(rates[i], style, text);
        printf("%s%s", i ? ", " : "", text);
    }
}

static void print_field(const h5ckpt_field *f, size_t width)
{
    fputs("    ", stdout);
    size_t n = term_put_n(stdout, f->key.as.str, f->key.count);
    units_pad(stdout, (n < width ? width - n : 0) + 2);
    value_put(stdout, &f->value, ITEMS);
    fputs("  (", stdout);
    value_put_type(stdout, &f->value);
    puts(")");
}

int show_decay(const h5ckpt_decay *decay)
{
    const h5ckpt_decay_info *d = h5ckpt_decay_get_info(decay);
    const h5ckpt_object *object = d->value->as.object;
    size_t width = 0;
    term_set(TERM_BOLD);
    term_put(stdout, d->name);
    term_set(TERM_PLAIN);
    fputs("\n  class    ", stdout);
    term_put(stdout, object->class_name);
    fputs("\n  module   ", stdout);
    term_put(stdout, object->module);
    fputs("\n  doc      ", stdout);
    term_put(stdout, d->doc ? d->doc : "(the schema does not know this class)");
    puts("\n  fields");
    for (size_t i = 0; i < object->count; i++) {
        size_t n = term_put_n(NULL, object->fields[i].key.as.str, object->fields[i].key.count);
        width = n > width && n <= 40 ? n : width;
    }
    for (size_t i = 0; i < object->count && !term_failed(); i++)
        print_field(&object->fields[i], width);

    double rates[RATES];
    h5ckpt_error *err = NULL;
    fputs("  next     ", stdout);
    if (next_rates(decay, rates, &err))
        put_rates(rates, NUM_PLAIN);
    else if (err)
        term_put(stdout, err->message);
    else
        fputs(d->framework ? "a scheduler's state holds no formula"
                           : "no formula known for this class, or for one in it",
              stdout);
    putchar('\n');
    h5ckpt_error_free(err);
    return H5CKPT_OK;
}

int show_decay_json(const h5ckpt_decay *decay, const char *before)
{
    const h5ckpt_decay_info *d = h5ckpt_decay_get_info(decay);
    double rates[RATES];
    bool known = next_rates(decay, rates, NULL);
    printf("%s{\"name\": ", before);
    json_string(d->name);
    fputs(", \"class\": ", stdout);
    json_string(d->value->as.object->class_name);
    fputs(", \"module\": ", stdout);
    json_string(d->value->as.object->module);
    fputs(", \"doc\": ", stdout);
    json_string(d->doc);
    fputs(", \"fields\": ", stdout);
    json_fields(d->value->as.object);
    fputs(known ? ", \"rates\": [" : ", \"rates\": null}", stdout);
    if (known) {
        put_rates(rates, NUM_JSON);
        fputs("]}", stdout);
    }
    return H5CKPT_OK;
}

int show_decay_line(const h5ckpt_decay *decay, bool first)
{
    const h5ckpt_decay_info *d = h5ckpt_decay_get_info(decay);
    if (first) {
        term_set(TERM_BOLD);
        fputs("learning rates", stdout);
        term_set(TERM_PLAIN);
        putchar('\n');
    }
    term_put(stdout, d->name);
    fputs("  ", stdout);
    value_put(stdout, d->value, LINE_ITEMS);
    putchar('\n');
    return H5CKPT_OK;
}
