/*
 * cmd_lr - h5ckpt lr PATH. A class without a formula has no rates (null), and no error. A decay with a broken field has
 * none either; the others are printed all the same, then the first such field is told, exit 3.
 */
#include "json.h"
#include "num.h"
#include "term.h"
#include "value.h"
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_STEPS = 1000000, ITEMS = 8 };

/* What is printed of one decay. */
typedef struct row {
    const h5ckpt_decay_info *info;
    double *rates;       /* `steps` of them, or NULL where there are none */
    h5ckpt_error *error; /* the broken field */
} row;

/* H5CKPT_OK, or the code of the first decay that has a formula and no rates. */
static int fill(row *rows, const h5ckpt_decays *decays, size_t steps, double *room)
{
    int first = H5CKPT_OK;
    for (size_t i = 0; i < h5ckpt_decays_count(decays); i++, room += steps) {
        const h5ckpt_decay *decay = h5ckpt_decays_at(decays, i);
        rows[i].info = h5ckpt_decay_get_info(decay);
        if (!rows[i].info->has_rates)
            continue;
        int rc = h5ckpt_decay_rates(decay, steps, room, &rows[i].error);
        if (rc == H5CKPT_OK)
            rows[i].rates = room;
        else if (first == H5CKPT_OK)
            first = rc;
    }
    return first;
}

static const char *rate_text(double rate, num_style style)
{
    static char text[NUM_TEXT];
    num_rate_text(rate, style, text);
    return text;
}

/* The global step of the k-th rate; false where the fields do not tell. */
static bool step_at(const h5ckpt_value *object, size_t k, int64_t *step)
{
    const h5ckpt_value *num = h5ckpt_value_get(object, "step_num"), *size = h5ckpt_value_get(object, "step_size");
    if (!num || !size || num->type != H5CKPT_INT || size->type != H5CKPT_INT)
        return false;
    const int64_t safe = INT64_MAX / (2 * (int64_t)MAX_STEPS);
    if (num->as.i > INT64_MAX / 2 || num->as.i < INT64_MIN / 2 || size->as.i > safe || size->as.i < -safe)
        return false;
    *step = num->as.i + size->as.i * (int64_t)k;
    return true;
}

/* A scheduler's state says where it stands, not how it goes on. */
static void print_state(const h5ckpt_decay_info *info)
{
    fputs("  a scheduler's state:", stdout);
    if (info->step) {
        fputs(" step ", stdout);
        value_put(stdout, info->step, ITEMS);
    }
    if (info->rate) {
        fputs(info->step ? ", rate " : " rate ", stdout);
        value_put(stdout, info->rate, ITEMS);
    }
    printf("%s; the rates after it are the training program's to say\n", info->step || info->rate ? "" : " no step");
}

static void print_no_rates(const row *r)
{
    if (r->info->framework) {
        print_state(r->info);
        return;
    }
    const h5ckpt_object *object = r->info->value->as.object;
    bool nested = false;
    if (r->error) {
        puts("  no rates: a field is missing or wrong");
        return;
    }
    for (size_t i = 0; i < object->count; i++)
        nested |= object->fields[i].value.type == H5CKPT_OBJECT;
    fputs("  no formula known for class ", stdout);
    term_put(stdout, object->class_name);
    fputs(" (", stdout);
    term_put(stdout, object->module);
    puts(nested ? "), or for a decay in it" : ")");
}

static void print_row(const row *r, size_t steps)
{
    term_set(TERM_BOLD);
    term_put(stdout, r->info->name);
    term_set(TERM_PLAIN);
    if (!r->rates) {
        print_no_rates(r);
        return;
    }
    fputs("  ", stdout);
    term_put(stdout, r->info->value->as.object->class_name);
    putchar('\n');
    for (size_t k = 0; k < steps; k++) {
        int64_t step;
        if (step_at(r->info->value, k, &step))
            printf("  step %10" PRId64 "  %s\n", step, rate_text(r->rates[k], NUM_PLAIN));
        else
            printf("  next %10zu  %s\n", k + 1, rate_text(r->rates[k], NUM_PLAIN));
    }
}

static void print_json(const row *rows, size_t count, size_t steps)
{
    putchar('{');
    for (size_t i = 0; i < count && !term_failed(); i++) {
        const double *rates = rows[i].rates;
        fputs(i ? ",\n " : "", stdout);
        json_string(rows[i].info->name);
        fputs(rates ? ": [" : ": null", stdout);
        for (size_t k = 0; rates && k < steps; k++)
            printf("%s%s", k ? ", " : "", rate_text(rates[k], NUM_JSON));
        fputs(rates ? "]" : "", stdout);
    }
    puts("}");
}

/* Tells the first broken field (one line is enough), and frees all. */
static void complain(row *rows, size_t count, int code)
{
    bool told = false;
    for (size_t i = 0; i < count; i++) {
        if (rows[i].error && !told)
            cli_fail(code, rows[i].error);
        else
            h5ckpt_error_free(rows[i].error);
        told |= rows[i].error != NULL;
    }
}

static int print(const h5ckpt_decays *decays, size_t steps, int json)
{
    size_t count = h5ckpt_decays_count(decays);
    int code = H5CKPT_SYSTEM;
    row *rows = calloc(count + 1, sizeof *rows);
    double *room = calloc(count + 1, steps * sizeof *room);
    if (!rows || !room) {
        cli_fail(code, NULL);
        goto out;
    }
    code = fill(rows, decays, steps, room);
    if (json)
        print_json(rows, count, steps);
    for (size_t i = 0; !json && i < count && !term_failed(); i++)
        print_row(&rows[i], steps);
    complain(rows, count, code);
out:
    free(rows);
    free(room);
    return code;
}

int cmd_lr(const cli_verb *self, int argc, char **argv)
{
    cli_source s = CLI_SOURCE_INIT;
    cli_operands path;
    int code = H5CKPT_OK, json = 0;
    long steps = 10;
    const cli_option options[] = {
        {.name = "steps",
         .letter = 'n',
         .argument = "N",
         .help = "how many rates of each decay; 10 by default",
         .kind = CLI_NUMBER,
         .to = &steps,
         .min = 1,
         .max = MAX_STEPS},
        {.name = "json", .help = "print an object in JSON: name -> list of rates", .kind = CLI_FLAG, .to = &json},
        CLI_SOURCE_OPTIONS(s),
        {.name = NULL}};
    if (cli_parse(self, options, argc, argv, &path, &code)) {
        h5ckpt_state *state = cli_source_open(&s, path.at[0], &code);
        if (state)
            code = print(h5ckpt_state_decays(state), (size_t)steps, json);
        h5ckpt_state_free(state);
    }
    cli_source_free(&s);
    return code;
}
