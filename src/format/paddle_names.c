/* paddle_names.c - the neighbours of a file of parameters (paddle_names.h says which, and in which order). */
#include "format/paddle_names.h"

#include "base/fs.h"
#include "model/value.h"
#include "parse/pickle.h"

#include <string.h>
#include <unistd.h>

enum { MAX_TEXT = 64 << 20 };

typedef enum made_of { STEM, WHOLE, FOLDER } made_of;

typedef struct neighbour {
    made_of made_of; /* what stands in front of `name`: X, X.pdiparams, or the folder alone */
    const char *name;
    const char *only_for; /* the last part of the parameters' path; NULL: whatever it is */
    bool program;
    int (*read)(const char *path, h5ck_arena *arena, h5ck_program *vars, h5ckpt_error **err);
} neighbour;

/* ---- Reading each kind ---- */

static int read_desc(const char *path, h5ck_arena *arena, h5ck_program *vars, h5ckpt_error **err)
{
    h5ck_file f;
    int fd, rc = h5ck_fs_open_source(path, NULL, &f, &fd, err);
    if (rc)
        return rc;
    rc = h5ck_program_read_desc(fd, f.size, arena, vars, err);
    close(fd);
    return rc;
}

static int refuse_object(void *user, const h5ckpt_object *object, h5ckpt_error **err)
{
    (void)user;
    return h5ck_fail(err, H5CKPT_INVALID, "expected plain data, found an instance of %s.%s", object->module,
                     object->class_name);
}

static int read_pir(const char *path, h5ck_arena *arena, h5ck_program *vars, h5ckpt_error **err)
{
    h5ck_arena scratch = {NULL};
    h5ck_file f;
    unsigned char *text;
    int rc = h5ck_fs_slurp(path, NULL, MAX_TEXT, &scratch, &f, &text, err);
    if (rc == 0)
        rc = h5ck_program_read_pir((const char *)text, (size_t)f.size, arena, vars, err);
    h5ck_arena_free(&scratch);
    return rc;
}

/* A dict by names, of plain data. */
static int load_info(const char *path, h5ck_arena *arena, h5ckpt_value *value, h5ckpt_error **err)
{
    const h5ck_pickle_policy policy = {.check_object = refuse_object};
    h5ck_arena scratch = {NULL};
    h5ck_file f;
    unsigned char *bytes;
    int rc = h5ck_fs_slurp(path, NULL, MAX_TEXT, &scratch, &f, &bytes, err);
    if (rc == 0)
        rc = h5ck_pickle_read(bytes, (size_t)f.size, &policy, arena, value, err);
    h5ck_arena_free(&scratch);
    if (rc == 0 && value->type != H5CKPT_DICT)
        rc = h5ck_fail(err, H5CKPT_INVALID, "expected a pickled dict of names, found %s", h5ck_value_type_name(value));
    for (size_t i = 0; rc == 0 && i < value->count; i++)
        if (value->as.fields[i].key.type != H5CKPT_STR)
            rc = h5ck_fail(err, H5CKPT_INVALID, "expected a name as each key, found %s",
                           h5ck_value_type_name(&value->as.fields[i].key));
    return rc;
}

/* Its keys are the names. */
static int read_info(const char *path, h5ck_arena *arena, h5ck_program *vars, h5ckpt_error **err)
{
    h5ckpt_value value;
    int rc = load_info(path, arena, &value, err);
    for (size_t i = 0; rc == 0 && i < value.count; i++) {
        const h5ck_program_var var = {.name = value.as.fields[i].key.as.str};
        rc = h5ck_program_add(vars, &var, arena, err);
    }
    h5ck_program_sort(vars);
    return rc;
}

int h5ck_paddle_info_read(const char *path, h5ck_arena *arena, h5ckpt_value *info, h5ckpt_error **err)
{
    h5ck_buf b = H5CK_BUF_INIT;
    h5ck_fs_stat st;
    *info = (h5ckpt_value){.type = H5CKPT_NONE};
    h5ck_buf_printf(&b, "%s.info", path);
    const char *own = h5ck_buf_cstr(&b);
    int rc = own ? h5ck_fs_status(own, &st, err) : h5ck_fail_nomem(err);
    if (rc == 0 && st.is_file)
        rc = h5ck_err_where(err, load_info(own, arena, info, err), own, NULL);
    h5ck_buf_free(&b);
    return rc;
}

/* In the file's own order: Paddle's is sorted, and whoever writes one by hand knows what he does. */
static int read_lines(const char *path, h5ck_arena *arena, h5ck_program *vars, h5ckpt_error **err)
{
    h5ck_file f;
    unsigned char *bytes;
    int rc = h5ck_fs_slurp(path, NULL, MAX_TEXT, arena, &f, &bytes, err);
    if (rc)
        return rc;
    if (memchr(bytes, 0, (size_t)f.size))
        return h5ck_fail(err, H5CKPT_INVALID, "expected names, one a line, found a zero byte");
    for (char *line = (char *)bytes, *end; rc == 0 && *line; line = end) {
        const h5ck_program_var var = {.name = line};
        end = line + strcspn(line, "\n");
        if (*end)
            *end++ = 0;
        rc = h5ck_program_add(vars, &var, arena, err);
    }
    return rc;
}

/* ---- Finding them ---- */

static const char ending[] = ".pdiparams";

static const neighbour neighbours[] = {
    {STEM, ".pdmodel", NULL, true, read_desc},    {STEM, ".json", NULL, true, read_pir},
    {WHOLE, ".info", NULL, false, read_info},     {FOLDER, "__model__", NULL, true, read_desc},
    {FOLDER, "model", "params", true, read_desc}, {FOLDER, "var_names.pdvar", NULL, false, read_lines},
};

enum { NEIGHBOURS = sizeof neighbours / sizeof *neighbours };

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The length of X in X.pdiparams; 0 for another name. */
static size_t stem_length(const char *path)
{
    const char *last = last_part(path);
    size_t n = strlen(last), m = sizeof ending - 1;
    return n > m && strcmp(last + n - m, ending) == 0 ? (size_t)(last - path) + n - m : 0;
}

/* How much of `path` stands in front of the neighbour's name; false where the path has no such neighbour. */
static bool applies(const neighbour *n, const char *path, size_t *keep)
{
    const char *last = last_part(path);
    if (n->only_for && strcmp(n->only_for, last) != 0)
        return false;
    *keep = n->made_of == STEM ? stem_length(path) : n->made_of == WHOLE ? strlen(path) : (size_t)(last - path);
    return n->made_of != STEM || *keep > 0;
}

int h5ck_paddle_names_find(const char *path, bool programs, h5ck_arena *arena, h5ck_paddle_names *names,
                           h5ckpt_error **err)
{
    *names = (h5ck_paddle_names){NULL, {NULL, 0, 0}};
    for (size_t i = 0; i < NEIGHBOURS; i++) {
        const neighbour *n = &neighbours[i];
        h5ck_buf b = H5CK_BUF_INIT;
        h5ck_fs_stat st = {.exists = false};
        size_t keep;
        if (!applies(n, path, &keep) || (programs && (!n->program || (n->made_of != STEM && stem_length(path)))))
            continue;
        h5ck_buf_add(&b, path, keep);
        h5ck_buf_str(&b, n->name);
        const char *text = h5ck_buf_cstr(&b), *own = text ? h5ck_arena_strdup(arena, text) : NULL;
        h5ck_buf_free(&b);
        if (!own)
            return h5ck_fail_nomem(err);
        int rc = h5ck_fs_status(own, &st, err);
        if (rc)
            return rc;
        if (!st.is_file)
            continue;
        names->path = own;
        rc = n->read(own, arena, &names->vars, err);
        return h5ck_err_where(err, rc, own, NULL);
    }
    return 0;
}

void h5ck_paddle_names_wanted(const char *path, h5ck_buf *out)
{
    size_t keep, folder = (size_t)(last_part(path) - path);
    for (size_t i = 0, count = 0; i < NEIGHBOURS; i++) {
        if (!applies(&neighbours[i], path, &keep))
            continue;
        h5ck_buf_str(out, count++ ? ", " : "");
        h5ck_buf_add(out, path + folder, keep - folder);
        h5ck_buf_str(out, neighbours[i].name);
    }
}
