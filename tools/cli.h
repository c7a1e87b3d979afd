/*
 * cli - the command line: verbs, options, help, messages, and opening what a verb reads.
 *
 * A verb's options are one table in its function: name, argument, help, and where the value goes. The parser and --help
 * read the same table. Long options take "--opt=value" or "--opt value"; options and operands mix; "--" ends options.
 */
#ifndef H5CKPT_TOOLS_CLI_H
#define H5CKPT_TOOLS_CLI_H

#include <h5ckpt.h>

#include <stdbool.h>

typedef struct cli_list {
    const char **items; /* ended by NULL; NULL where there is none */
    size_t count;
} cli_list;

typedef enum cli_kind {
    CLI_FLAG,   /* to: int *, set to 1 */
    CLI_STRING, /* to: const char ** */
    CLI_LIST,   /* to: cli_list *, each use adds one */
    CLI_NUMBER, /* to: long *, from min to max */
    CLI_CHOICE  /* to: int *, the index into choices */
} cli_kind;

typedef struct cli_option {
    const char *name;     /* "from" for --from; NULL ends a table */
    char letter;          /* 'q' for -q, or 0 */
    const char *argument; /* "FORMAT", or NULL for a flag */
    const char *help;
    cli_kind kind;
    void *to;
    long min, max;
    const char *const *choices; /* ended by NULL */
    int otherwise;              /* of a CLI_CHOICE, where not 0: "--opt" alone means this one, and only "--opt=value"
                                   gives another */
} cli_option;

typedef struct cli_verb {
    const char *name;
    const char *operands; /* "SRC DST" */
    size_t min_operands, max_operands;
    const char *summary; /* for the list of verbs */
    const char *details; /* for its own help: paragraphs, "\n" between them */
    int (*run)(const struct cli_verb *self, int argc, char **argv); /* argv[0] is the verb */
} cli_verb;

enum { CLI_MAX_OPERANDS = 2 };

typedef struct cli_operands {
    size_t count;
    const char *at[CLI_MAX_OPERANDS];
} cli_operands;

/* True to go on. False: the verb is done with exit code *code (help was asked for, or the call is wrong). */
bool cli_parse(const cli_verb *verb, const cli_option *options, int argc, char **argv, cli_operands *operands,
               int *code);

/* The program's help, from the table of verbs (ended by a NULL name). */
void cli_print_help(const cli_verb *verbs);

/* What every reading verb takes: h5ckpt_options with the lists behind it. */
typedef struct cli_source {
    h5ckpt_options options;
    cli_list include, exclude;
    int quiet, external;
} cli_source;

#define CLI_SOURCE_INIT                                                                                                \
    {                                                                                                                  \
        .options = H5CKPT_OPTIONS_INIT                                                                                 \
    }

extern const char *const cli_external[]; /* by h5ckpt_external */

/* Rows for a verb's table. */
#define CLI_SOURCE_OPTIONS(s)                                                                                          \
    {.name = "from",                                                                                                   \
     .argument = "FORMAT",                                                                                             \
     .help = "read as this format; by default the content tells",                                                      \
     .kind = CLI_STRING,                                                                                               \
     .to = &(s).options.from},                                                                                         \
        {.name = "schema",                                                                                             \
         .argument = "NAME|FILE",                                                                                      \
         .help = "use this schema: a built-in one (h5ckpt schema --list), or in a file; by default paddle",            \
         .kind = CLI_STRING,                                                                                           \
         .to = &(s).options.schema},                                                                                   \
        {.name = "include",                                                                                            \
         .argument = "GLOB",                                                                                           \
         .help = "only tensors and decays whose name matches; may be repeated",                                        \
         .kind = CLI_LIST,                                                                                             \
         .to = &(s).include},                                                                                          \
        {.name = "exclude",                                                                                            \
         .argument = "GLOB",                                                                                           \
         .help = "none whose name matches; may be repeated",                                                           \
         .kind = CLI_LIST,                                                                                             \
         .to = &(s).exclude},                                                                                          \
        {.name = "allow-external",                                                                                     \
         .argument = "no|below|anywhere",                                                                              \
         .help = "read elements from the other files that PATH points at: those below its own folder, or all",         \
         .kind = CLI_CHOICE,                                                                                           \
         .to = &(s).external,                                                                                          \
         .choices = cli_external,                                                                                      \
         .otherwise = H5CKPT_EXTERNAL_BELOW},                                                                          \
    {                                                                                                                  \
        .name = "quiet", .letter = 'q', .help = "no notes, no progress bar", .kind = CLI_FLAG, .to = &(s).quiet        \
    }

/* A row for the verbs that show or write what is read. */
#define CLI_NAMES_OPTION(s)                                                                                            \
    {                                                                                                                  \
        .name = "names", .argument = "NAME|FILE",                                                                      \
        .help = "rename and transpose parameters by these name rules: built-in ones (h5ckpt schema --list), or in a "  \
                "file",                                                                                                \
        .kind = CLI_STRING, .to = &(s).options.names                                                                   \
    }

/* Puts lists and the note printer into s->options, after cli_parse. */
void cli_source_ready(cli_source *s);
void cli_source_free(cli_source *s);
/* Opens; on failure prints why, sets *code and returns NULL. */
h5ckpt_state *cli_source_open(cli_source *s, const char *path, int *code);

/* Dies of the signal that stopped a long verb, as a shell expects. Frees the error. */
int cli_stopped(int signal_number, h5ckpt_error *err);

/* Prints the error, frees it and returns its code. */
int cli_fail(int code, h5ckpt_error *err);

#endif
