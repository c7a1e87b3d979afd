/* cmd_schema - h5ckpt schema [NAME], h5ckpt schema --list, h5ckpt schema --check FILE. */
#include "term.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

/* Schemas first, then name rules. */
static int list_builtins(void)
{
    int width = 0;
    for (size_t i = 0; h5ckpt_schema_at(i); i++)
        width = (int)strlen(h5ckpt_schema_at(i)->name) > width ? (int)strlen(h5ckpt_schema_at(i)->name) : width;
    for (int names = 0; names < 2; names++) {
        term_set(TERM_BOLD);
        fputs(names ? "name rules (--names)" : "schemas", stdout);
        term_set(TERM_PLAIN);
        putchar('\n');
        for (size_t i = 0; h5ckpt_schema_at(i); i++)
            if (h5ckpt_schema_at(i)->is_names == names)
                printf("  %-*s  %s\n", width, h5ckpt_schema_at(i)->name,
                       h5ckpt_schema_at(i)->doc ? h5ckpt_schema_at(i)->doc : "");
    }
    return H5CKPT_OK;
}

static int print_builtin(const char *name)
{
    const char *text = h5ckpt_schema_text(name);
    if (!text) {
        term_complain("schema: no built-in schema '%s'; 'h5ckpt schema --list' lists them", name);
        return H5CKPT_USAGE;
    }
    fputs(text, stdout);
    return H5CKPT_OK;
}

static int check(const char *path)
{
    h5ckpt_error *err = NULL;
    int rc = h5ckpt_schema_check(path, &err);
    return rc == H5CKPT_OK ? rc : cli_fail(rc, err);
}

int cmd_schema(const cli_verb *self, int argc, char **argv)
{
    cli_operands name;
    const char *file = NULL;
    int list = 0, code = H5CKPT_OK;
    const cli_option options[] = {
        {.name = "list", .help = "list the built-in schemas and name rules", .kind = CLI_FLAG, .to = &list},
        {.name = "check", .argument = "FILE", .help = "check the schema in FILE", .kind = CLI_STRING, .to = &file},
        {.name = NULL}};
    if (!cli_parse(self, options, argc, argv, &name, &code))
        return code;
    if ((file != NULL) + list + (name.count > 0) > 1) {
        term_complain("schema: give one of NAME, --list and --check FILE");
        return H5CKPT_USAGE;
    }
    return file ? check(file) : list ? list_builtins() : print_builtin(name.count ? name.at[0] : NULL);
}
