/* cmd_convert - h5ckpt convert SRC DST. All the work is the library's; here are the options, the bar and the
 * signals. */
#include "progress.h"
#include "term.h"
#include "verbs.h"

#include <stdlib.h>
#include <string.h>

static int convert(cli_source *s, const char *from, const char *to)
{
    h5ckpt_error *err = NULL;
    cli_source_ready(s);
    s->options.progress = progress_report;
    progress_start(!s->quiet);
    int rc = h5ckpt_convert(from, to, &s->options, &err);
    int signal_number = progress_end();
    if (rc == H5CKPT_OK)
        return rc;
    if (signal_number && rc == H5CKPT_SYSTEM)
        return cli_stopped(signal_number, err);
    return cli_fail(rc, err);
}

/* gzip, gzip:N, zstd, zstd:N. The library checks the range of N. */
static bool read_compression(const char *text, h5ckpt_options *o)
{
    static const char *const names[] = {"gzip", "zstd"};
    static const h5ckpt_compress ids[] = {H5CKPT_COMPRESS_GZIP, H5CKPT_COMPRESS_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        size_t n = strlen(names[i]);
        const char *level = text + n + 1;
        if (strncmp(text, names[i], n) != 0 || (text[n] != 0 && text[n] != ':'))
            continue;
        o->compress = ids[i];
        if (text[n] == 0)
            return true;
        o->compress_level = atoi(level);
        return strspn(level, "0123456789") == strlen(level) && strlen(level) <= 2 && o->compress_level > 0;
    }
    return false;
}

int cmd_convert(const cli_verb *self, int argc, char **argv)
{
    static const char *const digests[] = {"xxh3", "sha256", "none", NULL};
    static const h5ckpt_digest digest_ids[] = {H5CKPT_DIGEST_XXH3, H5CKPT_DIGEST_SHA256, H5CKPT_DIGEST_NONE};
    cli_source s = CLI_SOURCE_INIT;
    cli_operands paths;
    static const char *const links[] = {"no", "relative", "absolute", NULL}; /* by h5ckpt_link */
    int code = H5CKPT_OK, digest = -1, link = H5CKPT_LINK_NONE;
    static const char *const dtypes[] = {"bfloat16", "float16", "float32", "float64", NULL};
    static const h5ckpt_dtype dtype_ids[] = {H5CKPT_DTYPE_BFLOAT16, H5CKPT_DTYPE_FLOAT16, H5CKPT_DTYPE_FLOAT32,
                                             H5CKPT_DTYPE_FLOAT64};
    int dtype = -1;
    cli_list only = {0};
    const char *compress = NULL;
    long jobs = 0;
    const cli_option options[] = {
        {.name = "to",
         .argument = "FORMAT",
         .help = "write DST as this format; by default its name tells",
         .kind = CLI_STRING,
         .to = &s.options.to},
        {.name = "force",
         .letter = 'f',
         .help = "replace an existing DST, which stays until the new one is whole",
         .kind = CLI_FLAG,
         .to = &s.options.force},
        {.name = "jobs",
         .letter = 'j',
         .argument = "N",
         .help = "copy with N threads; by default one per core, at most 8",
         .kind = CLI_NUMBER,
         .to = &jobs,
         .min = 1,
         .max = 256},
        {.name = "digest",
         .argument = "xxh3|sha256|none",
         .help = "of each tensor, into formats that hold it; xxh3 by default",
         .kind = CLI_CHOICE,
         .to = &digest,
         .choices = digests},
        {.name = "dtype",
         .argument = "bfloat16|float16|float32|float64",
         .help = "cast parameters of other float types to this one, rounding to nearest",
         .kind = CLI_CHOICE,
         .to = &dtype,
         .choices = dtypes},
        {.name = "only",
         .argument = "GLOB",
         .help = "with --dtype: only tensors whose name matches, the optimizers' too; may be given again",
         .kind = CLI_LIST,
         .to = &only},
        {.name = "compress",
         .argument = "gzip[:N]|zstd[:N]",
         .help = "compress an HDF5 DST; N is the level, gzip 1 to 9, zstd 1 to 22, by default 1",
         .kind = CLI_STRING,
         .to = &compress},
        {.name = "link",
         .argument = "no|relative|absolute",
         .help =
             "make DST, which is HDF5, a small file that points at the elements in SRC's own files; named from DST's "
             "folder by default",
         .kind = CLI_CHOICE,
         .to = &link,
         .choices = links,
         .otherwise = H5CKPT_LINK_RELATIVE},
        {.name = "to-schema",
         .argument = "NAME|FILE",
         .help = "write DST by this schema, and not by that of --schema",
         .kind = CLI_STRING,
         .to = &s.options.to_schema},
        {.name = "no-sync", .help = "do not wait until DST is on disk", .kind = CLI_FLAG, .to = &s.options.no_sync},
        CLI_NAMES_OPTION(s),
        CLI_SOURCE_OPTIONS(s),
        {.name = NULL}};
    if (cli_parse(self, options, argc, argv, &paths, &code)) {
        s.options.jobs = (int)jobs;
        s.options.digest = digest < 0 ? H5CKPT_DIGEST_DEFAULT : digest_ids[digest];
        s.options.link = (h5ckpt_link)link;
        s.options.dtype = dtype < 0 ? H5CKPT_DTYPE_NONE : dtype_ids[dtype];
        s.options.only = only.items;
        if (compress && !read_compression(compress, &s.options)) {
            term_complain("convert: --compress: expected gzip, gzip:N (1 to 9), zstd or zstd:N (1 to 22), found '%s'",
                          compress);
            code = H5CKPT_USAGE;
        } else {
            code = convert(&s, paths.at[0], paths.at[1]);
        }
    }
    free(only.items);
    cli_source_free(&s);
    return code;
}
