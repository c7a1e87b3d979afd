/*
 * cmd_verify - h5ckpt verify PATH. The library finds; here a finding becomes a line, and at the end a line says what was
 * verified, with how much of it nothing could be held against: "all is well" must not sound like more than it is.
 */
#include "json.h"
#include "progress.h"
#include "term.h"
#include "units.h"
#include "verbs.h"

#include <inttypes.h>
#include <stdio.h>

typedef struct output {
    int json;
    size_t count; /* of findings so far */
} output;

/* ---- For people ---- */

static void print_finding(const h5ckpt_finding *f)
{
    term_set(f->differs ? TERM_ALARM : TERM_PLAIN);
    term_put(stdout, f->name);
    term_set(TERM_PLAIN);
    printf(": %s: ", f->what);
    if (f->expected) {
        fputs("expected ", stdout);
        term_put(stdout, f->expected);
        fputs(", found ", stdout);
    }
    term_put(stdout, f->found);
    if (f->path && f->expected) { /* a message says its file itself */
        fputs(" in ", stdout);
        term_put(stdout, f->path);
    }
    puts(f->differs ? "" : "; its digest proves the elements unchanged");
}

static void print_sum(const char *path, const h5ckpt_verified *v)
{
    char bytes[UNITS_TEXT];
    units_bytes(v->bytes, bytes);
    term_put(stdout, path);
    printf(": %s: %zu tensor%s (%s) and %zu decay%s read; ", v->format, v->tensors, v->tensors == 1 ? "" : "s", bytes,
           v->decays, v->decays == 1 ? "" : "s");
    if (v->undigested == 0)
        printf("%zu held against %s", v->digests, v->digests == 1 ? "its digest" : "their digests");
    else if (v->digests == 0)
        fputs("no digest to hold them against", stdout);
    else
        printf("%zu held against %s, %zu without one", v->digests, v->digests == 1 ? "its digest" : "their digests",
               v->undigested);
    if (v->linked)
        printf("; %zu in other files", v->linked);
    printf(": %zu difference%s\n", v->differences, v->differences == 1 ? "" : "s");
}

/* ---- JSON ---- */

static void json_finding(const h5ckpt_finding *f, bool first)
{
    fputs(first ? "\n  {\"what\": " : ",\n  {\"what\": ", stdout);
    json_string(f->what);
    fputs(", \"name\": ", stdout);
    json_string(f->name);
    fputs(", \"path\": ", stdout);
    json_string(f->path);
    fputs(", \"expected\": ", stdout);
    json_string(f->expected);
    fputs(", \"found\": ", stdout);
    json_string(f->found);
    printf(", \"differs\": %s}", f->differs ? "true" : "false");
}

static void json_sum(const h5ckpt_verified *v, bool empty)
{
    fputs(empty ? "{\"findings\": [],\n \"format\": " : "\n ],\n \"format\": ", stdout);
    json_string(v->format);
    printf(", \"tensors\": %zu, \"decays\": %zu, \"bytes\": %" PRIu64 ",\n", v->tensors, v->decays, v->bytes);
    printf(" \"digests\": %zu, \"undigested\": %zu, \"linked\": %zu, \"differences\": %zu}\n", v->digests,
           v->undigested, v->linked, v->differences);
}

/* ---- The verb ---- */

static void take(void *user, const h5ckpt_finding *f)
{
    output *out = user;
    progress_erase();
    if (out->json && out->count == 0)
        fputs("{\"findings\": [", stdout);
    if (out->json)
        json_finding(f, out->count == 0);
    else
        print_finding(f);
    out->count++;
}

static int verify(cli_source *s, const char *path, output *out)
{
    h5ckpt_error *err = NULL;
    h5ckpt_verified sum = H5CKPT_VERIFIED_INIT;
    cli_source_ready(s);
    s->options.progress = progress_report;
    progress_start(!s->quiet);
    int rc = h5ckpt_verify(path, &s->options, take, out, &sum, &err);
    int signal_number = progress_end();
    if (signal_number && rc == H5CKPT_SYSTEM)
        return cli_stopped(signal_number, err);
    if (rc != H5CKPT_OK && rc != H5CKPT_DIFFERENT)
        return cli_fail(rc, err);
    if (out->json)
        json_sum(&sum, out->count == 0);
    else if (!s->quiet)
        print_sum(path, &sum);
    return rc;
}

int cmd_verify(const cli_verb *self, int argc, char **argv)
{
    cli_source s = CLI_SOURCE_INIT;
    output out = {0, 0};
    cli_operands path;
    int code = H5CKPT_OK;
    long jobs = 0;
    const cli_option options[] = {
        {.name = "json", .help = "print one object in JSON", .kind = CLI_FLAG, .to = &out.json},
        {.name = "jobs",
         .letter = 'j',
         .argument = "N",
         .help = "read with N threads; by default one per core, at most 8",
         .kind = CLI_NUMBER,
         .to = &jobs,
         .min = 1,
         .max = 256},
        CLI_SOURCE_OPTIONS(s),
        {.name = NULL}};
    if (cli_parse(self, options, argc, argv, &path, &code)) {
        s.options.jobs = (int)jobs;
        code = verify(&s, path.at[0], &out);
    }
    cli_source_free(&s);
    return code;
}
