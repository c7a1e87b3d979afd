/* cmd_formats - h5ckpt formats. */
#include "json.h"
#include "term.h"
#include "verbs.h"

#include <stdio.h>

static const char *yes(int flag)
{
    return flag ? "yes" : "-";
}

static void print_table(void)
{
    const h5ckpt_format_info *f;
    int width = 6;
    for (size_t i = 0; (f = h5ckpt_format_at(i)); i++) {
        int n = (int)term_put(NULL, f->name);
        width = n > width ? n : width;
    }
    term_set(TERM_BOLD);
    printf("%-*s  suffix        reads  writes  rates  state  metadata", width, "format");
    term_set(TERM_PLAIN);
    puts("");
    for (size_t i = 0; (f = h5ckpt_format_at(i)); i++)
        printf("%-*s  %-12s  %-5s  %-6s  %-5s  %-5s  %-8s  %s\n", width, f->name, f->suffix ? f->suffix : "-",
               yes(f->reads), yes(f->writes), yes(f->holds_decays), yes(f->holds_optimizer_state),
               yes(f->holds_metadata), f->doc ? f->doc : "");
}

static const char *json_bool(int flag)
{
    return flag ? "true" : "false";
}

static void print_json(void)
{
    const h5ckpt_format_info *f;
    putchar('[');
    for (size_t i = 0; (f = h5ckpt_format_at(i)); i++) {
        fputs(i ? ",\n {\"name\": " : "\n {\"name\": ", stdout);
        json_string(f->name);
        fputs(", \"suffix\": ", stdout);
        json_string(f->suffix);
        fputs(", \"doc\": ", stdout);
        json_string(f->doc);
        printf(", \"reads\": %s, \"writes\": %s, \"holds\": {\"learning_rates\": %s, \"optimizer_state\": %s, "
               "\"metadata\": %s}}",
               json_bool(f->reads), json_bool(f->writes), json_bool(f->holds_decays),
               json_bool(f->holds_optimizer_state), json_bool(f->holds_metadata));
    }
    puts("\n]");
}

int cmd_formats(const cli_verb *self, int argc, char **argv)
{
    cli_operands none;
    int json = 0, code = H5CKPT_OK;
    const cli_option options[] = {
        {.name = "json", .help = "print a list of objects in JSON", .kind = CLI_FLAG, .to = &json}, {.name = NULL}};
    if (!cli_parse(self, options, argc, argv, &none, &code))
        return code;
    if (json)
        print_json();
    else
        print_table();
    return code;
}
