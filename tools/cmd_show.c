/*
 * cmd_show - h5ckpt show PATH [NAME]: finds what NAME is and picks the view. What one tensor or one decay looks like is
 * in show_tensor.c and show_decay.c.
 *
 * A name may stand in more than one dictionary: the first of parameters, optimizer state and decays is shown, and a
 * note says that there is another; --kind asks for that one.
 */
#include "json.h"
#include "show.h"
#include "suggest.h"
#include "term.h"
#include "verbs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum kind { KIND_ANY, KIND_PARAMETER, KIND_STATE, KIND_DECAY };

typedef struct show_call {
    const char *path;
    const h5ckpt_state *state;
    const h5ckpt_tensors *parameters, *optimizer_state;
    const h5ckpt_decays *decays;
    int json, explain, quiet, kind;
} show_call;

static bool wants(const show_call *c, enum kind kind)
{
    return c->kind == KIND_ANY || c->kind == (int)kind;
}

/* ---- --explain ---- */

static int explain(const show_call *c, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay)
{
    h5ckpt_error *err = NULL;
    char *text = h5ckpt_explain(c->state, tensor, decay, &err);
    if (!text)
        return cli_fail(err ? (int)err->code : H5CKPT_SYSTEM, err);
    term_put_lines(stdout, text);
    free(text);
    return H5CKPT_OK;
}

/* ---- One NAME ---- */

static int not_there(const show_call *c, const char *name)
{
    suggestions s = {.wanted = name};
    for (size_t i = 0; wants(c, KIND_PARAMETER) && i < h5ckpt_tensors_count(c->parameters); i++)
        suggest_consider(&s, h5ckpt_tensor_get_info(h5ckpt_tensors_at(c->parameters, i))->name);
    for (size_t i = 0; wants(c, KIND_STATE) && i < h5ckpt_tensors_count(c->optimizer_state); i++)
        suggest_consider(&s, h5ckpt_tensor_get_info(h5ckpt_tensors_at(c->optimizer_state, i))->name);
    for (size_t i = 0; wants(c, KIND_DECAY) && i < h5ckpt_decays_count(c->decays); i++)
        suggest_consider(&s, h5ckpt_decay_get_info(h5ckpt_decays_at(c->decays, i))->name);

    static const char *const what[] = {"tensor or decay", "parameter", "optimizer state", "decay"};
    if (s.count == 0)
        term_complain("%s: no %s '%s' (h5ckpt ls lists all)", c->path, what[c->kind], name);
    else if (s.count == 1)
        term_complain("%s: no %s '%s'; did you mean '%s'?", c->path, what[c->kind], name, s.names[0]);
    else if (s.count == 2)
        term_complain("%s: no %s '%s'; did you mean '%s' or '%s'?", c->path, what[c->kind], name, s.names[0],
                      s.names[1]);
    else
        term_complain("%s: no %s '%s'; did you mean '%s', '%s' or '%s'?", c->path, what[c->kind], name, s.names[0],
                      s.names[1], s.names[2]);
    return H5CKPT_USAGE;
}

static int show_one(const show_call *c, const char *name)
{
    const h5ckpt_tensor *parameter = wants(c, KIND_PARAMETER) ? h5ckpt_tensors_get(c->parameters, name) : NULL;
    const h5ckpt_tensor *slot = wants(c, KIND_STATE) ? h5ckpt_tensors_get(c->optimizer_state, name) : NULL;
    const h5ckpt_decay *decay = wants(c, KIND_DECAY) ? h5ckpt_decays_get(c->decays, name) : NULL;
    const h5ckpt_tensor *tensor = parameter ? parameter : slot;
    if (!tensor && !decay)
        return not_there(c, name);
    if (tensor && decay && !c->quiet)
        term_complain("note: '%s' is a decay, too (--kind decay)", name);
    if (parameter && slot && !c->quiet)
        term_complain("note: '%s' is in the optimizer state, too (--kind state)", name);
    if (c->explain)
        return tensor ? explain(c, tensor, NULL) : explain(c, NULL, decay);
    if (tensor)
        return c->json ? show_tensor_json(tensor, "") : show_tensor(tensor);
    return c->json ? show_decay_json(decay, "") : show_decay(decay);
}

/* ---- All of them ---- */

static int explain_tensors(const show_call *c, const h5ckpt_tensors *tensors)
{
    int code = H5CKPT_OK;
    for (size_t i = 0; i < h5ckpt_tensors_count(tensors) && code == H5CKPT_OK && !term_failed(); i++)
        code = explain(c, h5ckpt_tensors_at(tensors, i), NULL);
    return code;
}

static int explain_all(const show_call *c)
{
    int code = wants(c, KIND_PARAMETER) ? explain_tensors(c, c->parameters) : H5CKPT_OK;
    if (code == H5CKPT_OK && wants(c, KIND_STATE))
        code = explain_tensors(c, c->optimizer_state);
    for (size_t i = 0; wants(c, KIND_DECAY) && i < h5ckpt_decays_count(c->decays) && code == H5CKPT_OK; i++)
        code = explain(c, NULL, h5ckpt_decays_at(c->decays, i));
    return code;
}

static int json_tensors(const char *key, const h5ckpt_tensors *tensors)
{
    int code = H5CKPT_OK;
    size_t count = h5ckpt_tensors_count(tensors);
    printf("\"%s\": [", key);
    for (size_t i = 0; i < count && code == H5CKPT_OK && !term_failed(); i++)
        code = show_tensor_json(h5ckpt_tensors_at(tensors, i), i ? ",\n  " : "\n  ");
    fputs(count ? "\n ]" : "]", stdout);
    return code;
}

/* A file that fails half way leaves half a document on stdout, with exit 3 or 4: the elements are read as it goes. */
static int json_all(const show_call *c)
{
    size_t count = h5ckpt_decays_count(c->decays);
    putchar('{');
    int code = json_tensors("parameters", c->parameters);
    fputs(",\n \"learning_rates\": [", stdout);
    for (size_t i = 0; i < count && code == H5CKPT_OK && !term_failed(); i++)
        code = show_decay_json(h5ckpt_decays_at(c->decays, i), i ? ",\n  " : "\n  ");
    fputs(count ? "\n ],\n " : "],\n ", stdout);
    if (code == H5CKPT_OK)
        code = json_tensors("optimizer_state", c->optimizer_state);
    puts("}");
    return code;
}

static int sum_up_tensors(const char *title, const h5ckpt_tensors *tensors)
{
    int code = H5CKPT_OK;
    size_t count = h5ckpt_tensors_count(tensors), width = show_name_width(tensors);
    if (count > 0)
        show_tensor_heading(title, width);
    for (size_t i = 0; i < count && code == H5CKPT_OK && !term_failed(); i++)
        code = show_tensor_line(h5ckpt_tensors_at(tensors, i), width);
    if (count > 0 && code == H5CKPT_OK)
        putchar('\n');
    return code;
}

static int sum_up_all(const show_call *c)
{
    int code = wants(c, KIND_PARAMETER) ? sum_up_tensors("parameters", c->parameters) : H5CKPT_OK;
    if (code == H5CKPT_OK && wants(c, KIND_STATE))
        code = sum_up_tensors("optimizer state", c->optimizer_state);
    for (size_t i = 0; wants(c, KIND_DECAY) && i < h5ckpt_decays_count(c->decays) && code == H5CKPT_OK; i++)
        code = show_decay_line(h5ckpt_decays_at(c->decays, i), i == 0);
    return code;
}

static int show(show_call *c, const char *name)
{
    c->parameters = h5ckpt_state_parameters(c->state);
    c->optimizer_state = h5ckpt_state_optimizer_state(c->state);
    c->decays = h5ckpt_state_decays(c->state);
    if (name) {
        int code = show_one(c, name);
        if (c->json && !c->explain && code == H5CKPT_OK)
            putchar('\n');
        return code;
    }
    return c->explain ? explain_all(c) : c->json ? json_all(c) : sum_up_all(c);
}

int cmd_show(const cli_verb *self, int argc, char **argv)
{
    static const char *const kinds[] = {"any", "parameter", "state", "decay", NULL};
    cli_source s = CLI_SOURCE_INIT;
    cli_operands at;
    show_call c = {.json = 0};
    int code = H5CKPT_OK;
    const cli_option options[] = {
        {.name = "json", .help = "print JSON", .kind = CLI_FLAG, .to = &c.json},
        {.name = "explain",
         .help = "say how the bytes were read, instead of what they hold",
         .kind = CLI_FLAG,
         .to = &c.explain},
        {.name = "kind",
         .argument = "any|parameter|state|decay",
         .help = "look for NAME there only: among the parameters, the optimizer state, the decays",
         .kind = CLI_CHOICE,
         .to = &c.kind,
         .choices = kinds},
        CLI_NAMES_OPTION(s),
        CLI_SOURCE_OPTIONS(s),
        {.name = NULL}};
    if (cli_parse(self, options, argc, argv, &at, &code)) {
        if (c.json && c.explain) {
            term_complain("show: --explain is text: leave out --json");
            code = H5CKPT_USAGE;
        } else {
            h5ckpt_state *state = cli_source_open(&s, at.at[0], &code);
            c.path = at.at[0];
            c.quiet = s.quiet;
            c.state = state;
            if (state)
                code = show(&c, at.count > 1 ? at.at[1] : NULL);
            h5ckpt_state_free(state);
        }
    }
    cli_source_free(&s);
    return code;
}
