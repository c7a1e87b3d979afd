/* formats.c - THE table of formats, and how one is chosen: a source by its content, a target by its suffix. */
#include "format/format.h"

#include "base/buf.h"
#include "base/fs.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

/* clang-format off */
static const h5ck_format *const table[] = {
    &h5ck_fmt_paddle_dir,
    &h5ck_fmt_paddle_combined,
    &h5ck_fmt_hdf5,
    &h5ck_fmt_safetensors,
    &h5ck_fmt_pdparams,
    &h5ck_fmt_npz,
    &h5ck_fmt_npy,
    &h5ck_fmt_torch,
    &h5ck_fmt_gguf,
    &h5ck_fmt_onnx,
};
/* clang-format on */

enum { ROWS = sizeof table / sizeof *table, HEAD = 4096 };

const h5ckpt_format_info *h5ckpt_format_at(size_t i)
{
    return i < ROWS ? &table[i]->info : NULL;
}

static int fail_listing(h5ckpt_error **err, int code, const char *before, const char *found)
{
    h5ck_buf names = H5CK_BUF_INIT;
    for (size_t i = 0; i < ROWS; i++)
        h5ck_buf_printf(&names, "%s%s", i ? ", " : "", table[i]->info.name);
    const char *text = h5ck_buf_cstr(&names);
    h5ck_fail(err, code, "%s%s, found %s", before, text ? text : "", found);
    h5ck_buf_free(&names);
    return code;
}

int h5ck_format_by_name(const char *name, const h5ck_format **format, h5ckpt_error **err)
{
    for (size_t i = 0; i < ROWS; i++)
        if (strcmp(table[i]->info.name, name) == 0) {
            *format = table[i];
            return 0;
        }
    return fail_listing(err, H5CKPT_USAGE, "expected a format of: ", name);
}

/* The name that a path ends in; empty behind a trailing '/'. */
static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* How much of a name's end is a suffix of the format; 0 for none. "" is a suffix of what has no dot, and counts 1. */
static size_t suffix_length(const h5ck_format *f, const char *name)
{
    size_t longest = 0, length = strlen(name);
    const char *dot = *name ? strchr(name + 1, '.') : NULL;
    for (const char *const *s = f->suffixes; *s; s++) {
        size_t n = strlen(*s);
        bool ends = n ? n < length && strcasecmp(*s, name + length - n) == 0 : !dot;
        if (ends && n + (n == 0) > longest)
            longest = n + (n == 0);
    }
    return longest;
}

/* The format of the longest suffix, among those of `in` (NULL: all). NULL where there is none, or a tie. */
static const h5ck_format *by_suffix(const char *path, const bool *in)
{
    const h5ck_format *best = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < ROWS; i++) {
        size_t n = !in || in[i] ? suffix_length(table[i], last_part(path)) : 0;
        if (n > longest) {
            longest = n;
            best = table[i];
        } else if (n && n == longest) {
            best = NULL;
        }
    }
    return best;
}

/* What a source is that is none of the formats, in words that help. */
static const char *what_else(const h5ck_probe *probe)
{
    if (probe->size == 0)
        return "an empty file";
    if (probe->head_len >= 4 && memcmp(probe->head, "PK\3\4", 4) == 0)
        return "a zip archive that is none of them, or that is cut short";
    return "none of them";
}

/* Content decides; the suffix breaks ties. */
static int choose(const h5ck_probe *probe, const h5ck_format **format, h5ckpt_error **err)
{
    bool fits[ROWS];
    const h5ck_format *first = NULL, *second = NULL;
    for (size_t i = 0; i < ROWS; i++) {
        fits[i] = table[i]->probe(probe);
        if (fits[i] && first && !second)
            second = table[i];
        if (fits[i] && !first)
            first = table[i];
    }
    *format = second ? by_suffix(probe->path, fits) : first;
    if (*format)
        return 0;
    if (second)
        return h5ck_fail(err, H5CKPT_USAGE, "both %s and %s by its content; say which with --from", first->info.name,
                         second->info.name);
    return fail_listing(err, H5CKPT_INVALID, "expected the content of: ", what_else(probe));
}

int h5ck_format_of_source(const char *path, const h5ck_format **format, h5ckpt_error **err)
{
    h5ck_fs_stat st;
    unsigned char head[HEAD];
    h5ck_probe probe = {.path = path, .fd = -1, .head = head};
    int rc = h5ck_fs_status(path, &st, err);
    if (rc)
        return rc;
    probe.is_dir = st.is_dir;
    if (!st.is_dir) {
        h5ck_file f;
        if ((rc = h5ck_fs_open_source(path, NULL, &f, &probe.fd, err)))
            return rc;
        probe.size = f.size;
        probe.head_len = f.size < HEAD ? (size_t)f.size : HEAD;
        rc = h5ck_fs_pread(probe.fd, head, probe.head_len, 0, err);
    }
    if (rc == 0)
        rc = choose(&probe, format, err);
    if (probe.fd >= 0)
        close(probe.fd);
    return rc ? h5ck_err_where(err, rc, path, NULL) : 0;
}

const h5ck_format *h5ck_format_of_folders(void)
{
    for (size_t i = 0; i < ROWS; i++)
        if (table[i]->is_dir)
            return table[i];
    return table[0];
}

int h5ck_format_of_target(const char *path, const h5ck_format **format, h5ckpt_error **err)
{
    const char *dot = strrchr(last_part(path), '.');
    if ((*format = by_suffix(path, NULL)))
        return 0;
    fail_listing(err, H5CKPT_USAGE, "the suffix names no format; say one with --to: ", dot ? dot : "none");
    return h5ck_err_where(err, H5CKPT_USAGE, path, NULL);
}
