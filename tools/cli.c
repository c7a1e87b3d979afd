/* cli - see cli.h. */
#include "cli.h"

#include "progress.h"
#include "term.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Help ---- */

enum { HELP_WIDTH = 80, HELP_COLUMN = 24 };

/* Prints words from `column` on, broken before HELP_WIDTH, continued at `indent`. A newline begins a new paragraph. */
static void print_wrapped(const char *text, size_t column, size_t indent)
{
    bool line_start = true;
    while (*text) {
        if (*text == '\n') {
            printf("\n\n%*s", (int)indent, "");
            column = indent;
            line_start = true;
            text++;
        }
        size_t n = strcspn(text, " \n");
        if (!line_start && column + 1 + n > HELP_WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
            line_start = true;
        }
        column += (size_t)printf("%s%.*s", line_start ? "" : " ", (int)n, text);
        line_start = false;
        text += n;
        text += *text == ' ';
    }
    putchar('\n');
}

static void print_entry(const char *left, const char *help)
{
    int n = printf("  %s", left);
    if (n >= HELP_COLUMN - 1) {
        putchar('\n');
        n = 0;
    }
    printf("%*s", HELP_COLUMN - n, "");
    print_wrapped(help, HELP_COLUMN, HELP_COLUMN);
}

static void print_option(const cli_option *o)
{
    char left[64];
    const char *before = o->otherwise ? "[=" : o->argument ? " " : "", *behind = o->otherwise ? "]" : "";
    snprintf(left, sizeof left, "%s%c%s--%s%s%s%s", o->letter ? "-" : "", o->letter ? o->letter : ' ',
             o->letter ? ", " : "   ", o->name, before, o->argument ? o->argument : "", behind);
    print_entry(left, o->help);
}

static const cli_option help_option = {.name = "help", .letter = 'h', .help = "print this and exit"};

static void print_verb_help(const cli_verb *verb, const cli_option *options)
{
    printf("Usage: h5ckpt %s [OPTION]...%s%s\n\n", verb->name, *verb->operands ? " " : "", verb->operands);
    print_wrapped(verb->details, 0, 0);
    printf("\nOptions:\n");
    for (const cli_option *o = options; o->name; o++)
        print_option(o);
    print_option(&help_option);
}

void cli_print_help(const cli_verb *verbs)
{
    printf("Usage: h5ckpt VERB [OPTION]... [OPERAND]...\n\n");
    print_wrapped(
        "Reads model checkpoints (named tensors and learning-rate decays) without Python and without executing "
        "anything, prints what is in them, and converts them from one form to another.",
        0, 0);
    printf("\nVerbs:\n");
    for (const cli_verb *v = verbs; v->name; v++) {
        char left[64];
        snprintf(left, sizeof left, "%s %s", v->name, v->operands);
        print_entry(left, v->summary);
    }
    printf("\nOptions:\n");
    print_option(&help_option);
    print_entry("    --version", "print the version and exit");
    printf("\n\"h5ckpt VERB --help\" says more on each. Exit status: 0 done, 1 found different,\n"
           "2 wrong usage, 3 the input is not valid, 4 the system refused.\n");
}

/* ---- Parsing ---- */

static bool wrong(const cli_verb *verb, int *code, const char *what, const char *about, size_t n)
{
    term_complain("%s: %s '%.*s' (see h5ckpt %s --help)", verb->name, what, (int)n, about, verb->name);
    *code = H5CKPT_USAGE;
    return false;
}

static bool set_list(cli_list *list, const char *value, int *code)
{
    const char **items = realloc(list->items, (list->count + 2) * sizeof *items);
    if (!items) {
        term_complain("out of memory");
        *code = H5CKPT_SYSTEM;
        return false;
    }
    items[list->count++] = value;
    items[list->count] = NULL;
    list->items = items;
    return true;
}

static bool set_number(const cli_verb *verb, const cli_option *o, const char *value, int *code)
{
    char *end;
    errno = 0;
    long n = strtol(value, &end, 10);
    bool digits = value[0] >= '0' && value[0] <= '9' && *end == 0;
    if (!digits || errno != 0 || n < o->min || n > o->max) {
        term_complain("%s: --%s: expected a number from %ld to %ld, found '%s'", verb->name, o->name, o->min, o->max,
                      value);
        *code = H5CKPT_USAGE;
        return false;
    }
    *(long *)o->to = n;
    return true;
}

static bool set_choice(const cli_verb *verb, const cli_option *o, const char *value, int *code)
{
    if (!value) {
        *(int *)o->to = o->otherwise;
        return true;
    }
    for (int i = 0; o->choices[i]; i++)
        if (strcmp(o->choices[i], value) == 0) {
            *(int *)o->to = i;
            return true;
        }
    term_complain("%s: --%s: expected %s, found '%s'", verb->name, o->name, o->argument, value);
    *code = H5CKPT_USAGE;
    return false;
}

static bool set_option(const cli_verb *verb, const cli_option *o, const char *value, int *code)
{
    switch (o->kind) {
    case CLI_FLAG:
        *(int *)o->to = 1;
        return true;
    case CLI_STRING:
        *(const char **)o->to = value;
        return true;
    case CLI_LIST:
        return set_list(o->to, value, code);
    case CLI_NUMBER:
        return set_number(verb, o, value, code);
    case CLI_CHOICE:
        return set_choice(verb, o, value, code);
    }
    return false;
}

/* One argument that begins with '-'; *i moves past a value of its own. */
static bool parse_option(const cli_verb *verb, const cli_option *options, int argc, char **argv, int *i, int *code)
{
    const char *arg = argv[*i];
    bool is_long = arg[1] == '-';
    const char *name = arg + 1 + is_long;
    size_t n = is_long ? strcspn(name, "=") : 1;
    const char *value = is_long ? (name[n] == '=' ? name + n + 1 : NULL) : (name[1] ? name + 1 : NULL);

    if (strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0) {
        print_verb_help(verb, options);
        *code = H5CKPT_OK;
        return false;
    }
    const cli_option *o = options;
    while (o->name && !(is_long ? strncmp(o->name, name, n) == 0 && o->name[n] == 0 : o->letter == name[0]))
        o++;
    if (!o->name)
        return wrong(verb, code, "unknown option", arg, is_long ? n + 2 : strlen(arg));
    if (!o->argument && value)
        return wrong(verb, code, "this option takes no value:", arg, strlen(arg));
    bool needs = o->argument && !o->otherwise;
    if (needs && !value && *i + 1 == argc)
        return wrong(verb, code, "this option needs a value:", arg, strlen(arg));
    if (needs && !value)
        value = argv[++*i];
    return set_option(verb, o, value, code);
}

bool cli_parse(const cli_verb *verb, const cli_option *options, int argc, char **argv, cli_operands *operands,
               int *code)
{
    bool only_operands = false;
    operands->count = 0;
    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i];
        if (!only_operands && strcmp(arg, "--") == 0) {
            only_operands = true;
        } else if (!only_operands && arg[0] == '-' && arg[1]) {
            if (!parse_option(verb, options, argc, argv, &i, code))
                return false;
        } else if (operands->count == verb->max_operands) {
            return wrong(verb, code, "one operand too many:", arg, strlen(arg));
        } else {
            operands->at[operands->count++] = arg;
        }
    }
    if (operands->count < verb->min_operands)
        return wrong(verb, code, "too few operands: expected", verb->operands, strlen(verb->operands));
    for (size_t i = 0; i < operands->count; i++)
        if (!*operands->at[i])
            return wrong(verb, code, "an operand is empty:", "", 0);
    return true;
}

/* ---- Sources ---- */

static void print_note(void *user, const char *line)
{
    (void)user;
    progress_erase();
    term_complain("note: %s", line);
}

const char *const cli_external[] = {"no", "below", "anywhere", NULL};

void cli_source_ready(cli_source *s)
{
    s->options.allow_external = (h5ckpt_external)s->external;
    s->options.include = s->include.items;
    s->options.exclude = s->exclude.items;
    s->options.note = s->quiet ? NULL : print_note;
}

void cli_source_free(cli_source *s)
{
    free(s->include.items);
    free(s->exclude.items);
}

h5ckpt_state *cli_source_open(cli_source *s, const char *path, int *code)
{
    h5ckpt_error *err = NULL;
    cli_source_ready(s);
    h5ckpt_state *state = h5ckpt_state_open(path, &s->options, &err);
    if (!state)
        *code = cli_fail(err ? (int)err->code : H5CKPT_SYSTEM, err);
    return state;
}

int cli_stopped(int signal_number, h5ckpt_error *err)
{
    term_complain("interrupted: %s", err && err->message ? err->message : "nothing was done");
    h5ckpt_error_free(err);
    fflush(stdout);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
    return H5CKPT_SYSTEM;
}

int cli_fail(int code, h5ckpt_error *err)
{
    term_complain("%s", err && err->message ? err->message : code == H5CKPT_SYSTEM ? "out of memory" : "failed");
    h5ckpt_error_free(err);
    return code;
}
