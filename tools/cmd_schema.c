/* cmd_schema - h5ckpt schema [NAME], h5ckpt schema --check FILE. */
#include "term.h"
#include "verbs.h"

#include <stdio.h>

static int print_builtin(const char *name)
{
    const char *text = h5ckpt_schema_text(name);
    if (!text) {
        term_complain("schema: no built-in schema '%s'; there is: paddle", name ? name : "");
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
    int code = H5CKPT_OK;
    const cli_option options[] = {
        {.name = "check", .argument = "FILE", .help = "check the schema in FILE", .kind = CLI_STRING, .to = &file},
        {.name = NULL}};
    if (!cli_parse(self, options, argc, argv, &name, &code))
        return code;
    if (file && name.count > 0) {
        term_complain("schema: give either a NAME or --check FILE");
        return H5CKPT_USAGE;
    }
    return file ? check(file) : print_builtin(name.count ? name.at[0] : NULL);
}
