/*
 * h5ckpt.h - model state (parameters and learning-rate decays) in C.
 *
 * A checkpoint is two dictionaries: parameters (name -> tensor) and learning-rate decays (optimizer name -> decay
 * object), as Paddle's load_persistables returns them; some formats add a third, the optimizers' own tensors.
 * h5ckpt reads both from a Paddle save directory or an HDF5 file, maps the tensors' bytes instead of copying them,
 * and writes either form. Nothing in a checkpoint is ever executed.
 *
 *     h5ckpt_tensors *params;
 *     h5ckpt_decays *decays;
 *     h5ckpt_error *err = NULL;
 *     if (h5ckpt_load_persistables(NULL, &params, &decays, &err))    // NULL: "save_dir", Paddle's default
 *         { fprintf(stderr, "%s\n", err->message); h5ckpt_error_free(err); return 1; }
 *     const h5ckpt_tensor *w = h5ckpt_tensors_get(params, "mlp/MLP_0/FC_0.w_0");
 *     const float *data = h5ckpt_tensor_data(w, &err);               // mapped: no copy
 *
 * Conventions
 *   Return codes  Every call that can fail returns an h5ckpt_code (0 is success) or NULL, and fills *err.
 *   Errors        Pass the address of a NULL h5ckpt_error pointer, or NULL for no details. The library sets it at most
 *                 once, to the first error; the caller frees it with h5ckpt_error_free.
 *   NULL          Pointers must not be NULL unless it is said. But what a look-up did not find may be passed on: it is
 *                 an H5CKPT_USAGE error where there is an `err`, and nothing (0, NULL) in look-ups.
 *   Strings       UTF-8, zero-terminated. Names never hold a zero byte.
 *   Ownership     Stated at each call. "Borrowed from X" means: do not free it; valid until X is freed.
 *   Threads       Any number of threads may read one state, its dictionaries, tensors and decays at once; building or
 *                 freeing a state takes one thread at a time. Calls on different states are independent. HDF5 is used
 *                 under a lock of h5ckpt's own: a host that calls a libhdf5 built without thread safety from another
 *                 thread must keep its calls apart from h5ckpt's. After a damaged HDF5 file libhdf5's printing of
 *                 errors is off while the process ends, for it would print of its own accord then.
 *   Manners       No global state that a caller could notice, no printing, no exit, no signal handlers, no locale.
 *   Mapped files  Tensor data of an uncompressed file is the file itself, mapped read-only (but read where it is of 16 KiB
 *                 or less: a process may have only so many mappings). A file that another process
 *                 shortens while it is mapped raises SIGBUS in whoever touches the lost pages, as with any mapping;
 *                 h5ckpt never shortens a file in place. h5ckpt_tensor_read copies through read(2) and reports an error
 *                 instead.
 */
#ifndef H5CKPT_H
#define H5CKPT_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) || defined(__clang__)
#define H5CKPT_API __attribute__((visibility("default")))
#else
#define H5CKPT_API
#endif

/* The library's version, "MAJOR.MINOR.PATCH". A static string. */
H5CKPT_API const char *h5ckpt_version(void);

/* ---- Errors ---------------------------------------------------------------------------------------------------- */

/* What a call returns, and the command's exit codes. */
typedef enum h5ckpt_code {
    H5CKPT_OK = 0,
    H5CKPT_DIFFERENT = 1, /* compared or checked, and found different */
    H5CKPT_USAGE = 2,     /* the call is wrong: unknown format, target exists, bad argument or schema */
    H5CKPT_INVALID = 3,   /* the input is not valid */
    H5CKPT_SYSTEM = 4     /* the system refused: I/O, space, permission, memory */
} h5ckpt_code;

#define H5CKPT_NO_OFFSET UINT64_MAX

/* One error. Read only; freed with h5ckpt_error_free. */
typedef struct h5ckpt_error {
    h5ckpt_code code;
    const char *message; /* one line, complete: file, tensor, offset, what was expected and what was found */
    const char *path;    /* the file, or NULL */
    const char *tensor;  /* the tensor or decay, or NULL */
    uint64_t offset;     /* byte offset in the file, or H5CKPT_NO_OFFSET */
} h5ckpt_error;

/* Frees an error; NULL is allowed. Its strings go with it. */
H5CKPT_API void h5ckpt_error_free(h5ckpt_error *err);

/* ---- Values: the fields of a decay, and metadata ----------------------------------------------------------------- */

typedef enum h5ckpt_value_type {
    H5CKPT_NONE,
    H5CKPT_BOOL,   /* as.i is 0 or 1 */
    H5CKPT_INT,    /* as.i */
    H5CKPT_FLOAT,  /* as.f */
    H5CKPT_STR,    /* as.str: UTF-8, `count` bytes (which may be zeros) and a closing zero */
    H5CKPT_BYTES,  /* as.bytes: `count` bytes */
    H5CKPT_BIGINT, /* as.bytes: an integer outside int64, two's complement, little-endian, `count` bytes */
    H5CKPT_LIST,   /* as.items: `count` values */
    H5CKPT_TUPLE,  /* as.items */
    H5CKPT_DICT,   /* as.fields: `count` keys and values in order; keys of any type but list and dict */
    H5CKPT_OBJECT, /* as.object: an instance of a class; `count` is unused */
    H5CKPT_ARRAY   /* as.array: a NumPy array, or a NumPy scalar; `count` is unused */
} h5ckpt_value_type;

typedef enum h5ckpt_dtype {
    H5CKPT_DTYPE_NONE,
    H5CKPT_DTYPE_BOOL,
    H5CKPT_DTYPE_INT8,
    H5CKPT_DTYPE_UINT8,
    H5CKPT_DTYPE_INT16,
    H5CKPT_DTYPE_UINT16,
    H5CKPT_DTYPE_INT32,
    H5CKPT_DTYPE_UINT32,
    H5CKPT_DTYPE_INT64,
    H5CKPT_DTYPE_UINT64,
    H5CKPT_DTYPE_FLOAT16,
    H5CKPT_DTYPE_BFLOAT16,
    H5CKPT_DTYPE_FLOAT32,
    H5CKPT_DTYPE_FLOAT64,
    H5CKPT_DTYPE_COMPLEX64,
    H5CKPT_DTYPE_COMPLEX128,
    H5CKPT_DTYPE_FLOAT8_E4M3FN,
    H5CKPT_DTYPE_FLOAT8_E5M2
} h5ckpt_dtype;

/* NumPy's (or ml_dtypes') name of a dtype, such as "float32"; NULL for a value that is no dtype. A static string. */
H5CKPT_API const char *h5ckpt_dtype_name(h5ckpt_dtype dtype);

/* Bytes an element, or 0 for a value that is no dtype. */
H5CKPT_API size_t h5ckpt_dtype_size(h5ckpt_dtype dtype);

typedef struct h5ckpt_value h5ckpt_value;
typedef struct h5ckpt_field h5ckpt_field;

/* An instance of a Python class: only its class's name and its fields, never its code. */
typedef struct h5ckpt_object {
    const char *module;         /* "paddle.fluid.dygraph.learning_rate_scheduler" */
    const char *class_name;     /* "NaturalExpDecay" */
    size_t count;               /* number of fields */
    const h5ckpt_field *fields; /* in order; keys are of type H5CKPT_STR */
} h5ckpt_object;

/* A NumPy array or scalar. `data` is row-major and little-endian. */
typedef struct h5ckpt_array {
    h5ckpt_dtype dtype;
    int scalar; /* 1: a NumPy scalar (rank 0), 0: an array */
    size_t rank;
    const uint64_t *shape;
    size_t nbytes;
    const void *data;
} h5ckpt_array;

/* Plain data: read it in place, or build it with initializers and hand it to h5ckpt_state_add_decay, which copies
 * it. */
struct h5ckpt_value {
    h5ckpt_value_type type;
    unsigned char python2;  /* 1: was Python 2's `str` (type STR or BYTES) or `long` (type INT or BIGINT) */
    unsigned char distinct; /* 1: a STR object of its own, though an equal one came before: a pickle tells them apart */
    size_t count;
    union {
        int64_t i;
        double f;
        const char *str;
        const unsigned char *bytes;
        const h5ckpt_value *items;
        const h5ckpt_field *fields;
        const h5ckpt_object *object;
        const h5ckpt_array *array;
    } as;
};

struct h5ckpt_field {
    h5ckpt_value key;
    h5ckpt_value value;
};

/* The value under the string `key` of a dict or object, or NULL. Borrowed from `container`. */
H5CKPT_API const h5ckpt_value *h5ckpt_value_get(const h5ckpt_value *container, const char *key);

/* ---- Tensors ----------------------------------------------------------------------------------------------------- */

typedef struct h5ckpt_state h5ckpt_state;
typedef struct h5ckpt_tensor h5ckpt_tensor;
typedef struct h5ckpt_tensors h5ckpt_tensors; /* an ordered dictionary: name -> tensor */
typedef struct h5ckpt_decay h5ckpt_decay;
typedef struct h5ckpt_decays h5ckpt_decays; /* an ordered dictionary: optimizer name -> decay */

/* One level of a LoD (level of detail): offsets, so sequence lengths [2,4] are {0,2,6}. */
typedef struct h5ckpt_lod_level {
    size_t count;
    const uint64_t *offsets;
} h5ckpt_lod_level;

typedef struct h5ckpt_tensor_info {
    const char *name;
    h5ckpt_dtype dtype;
    size_t rank; /* 0 for a scalar */
    const uint64_t *shape;
    uint64_t nbytes; /* of the elements: row-major, little-endian, without gaps */
    size_t lod_levels;
    const h5ckpt_lod_level *lod;
} h5ckpt_tensor_info;

/* A tensor's description. Borrowed from its state. */
H5CKPT_API const h5ckpt_tensor_info *h5ckpt_tensor_get_info(const h5ckpt_tensor *tensor);

/* The tensor's elements. The first call maps the file (or, where the file has no such bytes because they are compressed
 * or of the other byte order, decodes them into memory); later calls are free. NULL with *err on failure; never NULL on
 * success, even for a tensor without elements. From an HDF5 file that h5ckpt wrote the pointer is aligned to 64 bytes;
 * from a save directory it stands wherever the stream put it (often at an odd address: a C program that casts it to
 * float * relies on a CPU that allows that; h5ckpt_tensor_read has no such need). Borrowed from the state. */
H5CKPT_API const void *h5ckpt_tensor_data(const h5ckpt_tensor *tensor, h5ckpt_error **err);

/* Copies bytes [offset, offset + length) of the tensor's elements into the caller's buffer. */
H5CKPT_API int h5ckpt_tensor_read(const h5ckpt_tensor *tensor, uint64_t offset, void *buffer, size_t length,
                                  h5ckpt_error **err);

/* Number of tensors; the i-th in the dictionary's order (NULL past the end); the one of that name, or NULL.
 * Borrowed. */
H5CKPT_API size_t h5ckpt_tensors_count(const h5ckpt_tensors *tensors);
H5CKPT_API const h5ckpt_tensor *h5ckpt_tensors_at(const h5ckpt_tensors *tensors, size_t i);
H5CKPT_API const h5ckpt_tensor *h5ckpt_tensors_get(const h5ckpt_tensors *tensors, const char *name);

/* Frees a dictionary that h5ckpt_load_persistables returned, with all borrowed from it; NULL is allowed. */
H5CKPT_API void h5ckpt_tensors_free(h5ckpt_tensors *tensors);

/* ---- Learning-rate decays ---------------------------------------------------------------------------------------- */

typedef struct h5ckpt_decay_info {
    const char *name;          /* the optimizer's name, often "None" */
    const h5ckpt_value *value; /* an H5CKPT_OBJECT: module, class, fields in order */
    const char *doc;           /* the schema's one line on the class, or NULL for a class it does not know */
    int has_rates;             /* 1 where the schema names a formula for the class, and for each nested decay's */
    /* Of a scheduler's state, which holds no formula: its framework as the schema names it ("paddle", "torch"); else
     * NULL. */
    const char *framework;
    const h5ckpt_value *step; /* the field that is the step of the next update, or NULL */
    const h5ckpt_value *rate; /* the field that is its rate (a list: one for each group of parameters), or NULL */
} h5ckpt_decay_info;

/* A decay's description. Borrowed from its state. */
H5CKPT_API const h5ckpt_decay_info *h5ckpt_decay_get_info(const h5ckpt_decay *decay);

/* The next n learning rates, from the decay's own step_num on, as Paddle computes them (in the decay's dtype, most
 * often float32). H5CKPT_INVALID where a field is missing or of a wrong type, H5CKPT_USAGE where the class has no
 * formula. */
H5CKPT_API int h5ckpt_decay_rates(const h5ckpt_decay *decay, size_t n, double *rates, h5ckpt_error **err);

/* The learning rate at global step `step`. A nested decay is taken to have stepped along with the outer one. */
H5CKPT_API int h5ckpt_decay_rate_at(const h5ckpt_decay *decay, int64_t step, double *rate, h5ckpt_error **err);

/* As for tensors. */
H5CKPT_API size_t h5ckpt_decays_count(const h5ckpt_decays *decays);
H5CKPT_API const h5ckpt_decay *h5ckpt_decays_at(const h5ckpt_decays *decays, size_t i);
H5CKPT_API const h5ckpt_decay *h5ckpt_decays_get(const h5ckpt_decays *decays, const char *name);
H5CKPT_API void h5ckpt_decays_free(h5ckpt_decays *decays);

/* ---- Options ----------------------------------------------------------------------------------------------------- */

typedef enum h5ckpt_digest {
    H5CKPT_DIGEST_DEFAULT, /* XXH3; of a tensor that is linked, what its source holds: nothing is read for it */
    H5CKPT_DIGEST_XXH3,
    H5CKPT_DIGEST_SHA256,
    H5CKPT_DIGEST_NONE
} h5ckpt_digest;

typedef enum h5ckpt_compress {
    H5CKPT_COMPRESS_NONE,
    H5CKPT_COMPRESS_GZIP, /* every HDF5 library reads it */
    H5CKPT_COMPRESS_ZSTD  /* HDF5's registered filter 32015: faster, and h5py needs hdf5plugin for it */
} h5ckpt_compress;
/* A file may hold no elements but point at those in another one (a view instead of a copy). HDF5 does, by its external
 * storage: see docs/format.md. */
typedef enum h5ckpt_link {
    H5CKPT_LINK_NONE,     /* elements are copied */
    H5CKPT_LINK_RELATIVE, /* by names that count from the target's own folder */
    H5CKPT_LINK_ABSOLUTE  /* by names that begin with '/' */
} h5ckpt_link;

/* Which other files a file that is read may take elements from. */
typedef enum h5ckpt_external {
    H5CKPT_EXTERNAL_REFUSED, /* none: H5CKPT_INVALID */
    H5CKPT_EXTERNAL_BELOW,   /* those below its own folder, once all symbolic links are followed */
    H5CKPT_EXTERNAL_ANYWHERE /* all that the process may read */
} h5ckpt_external;

/* Where a conversion stands. Called from the calling thread only, a few times a second and once at the end.
 * A return other than 0 stops the conversion: H5CKPT_SYSTEM, and no target. */
typedef int h5ckpt_progress_fn(void *user, uint64_t bytes_done, uint64_t bytes_total);

/* One remark that is no error: something skipped, or something that the target cannot hold. One line, no newline;
 * valid during the call. */
typedef void h5ckpt_note_fn(void *user, const char *line);

/* Start from H5CKPT_OPTIONS_INIT and set what differs. All strings are borrowed for the call. */
typedef struct h5ckpt_options {
    size_t size;                /* sizeof(h5ckpt_options): lets the struct grow */
    const char *from;           /* source format's name, or NULL: by content */
    const char *to;             /* target format's name, or NULL: by suffix */
    const char *schema;         /* name of a built-in schema ("keras"; h5ckpt_schema_at lists them), or path of a file
                                   ("./keras" where one is called so), or NULL: "paddle" */
    const char *const *include; /* NULL, or globs ended by NULL: only tensors and decays that match one */
    const char *const *exclude; /* NULL, or globs ended by NULL: all but those that match one */
    int force;                  /* 1: replace an existing target */
    int no_sync;                /* 1: do not wait until the target is on disk */
    int jobs;                   /* threads; 0: as many as cores, at most 8 */
    h5ckpt_digest digest;       /* of each tensor, written into formats that hold it */
    h5ckpt_progress_fn *progress;
    void *progress_user;
    h5ckpt_note_fn *note;
    void *note_user;
    h5ckpt_compress compress;       /* of tensors, in a target that can (HDF5); elsewhere H5CKPT_USAGE */
    int compress_level;             /* gzip: 1 to 9, zstd: 1 to 22; 0: gzip 1, zstd 1 */
    h5ckpt_external allow_external; /* while reading */
    h5ckpt_link link;  /* the target points at the source's files; what has no plain bytes is copied, with a note */
    const char *names; /* name rules, applied while opening: built-in ones ("paddle-to-torch"), or a file; NULL: none */
    const char *to_schema; /* of the target alone, as ->schema; NULL: the same */
    /* Of h5ckpt_convert: casts tensors of floats to float16, bfloat16, float32 or float64, to nearest, ties to even. A
     * number that is too large becomes an infinity, and ->note says how many did; NaN stays NaN. Integers, bools and
     * complex numbers stay as they are. */
    h5ckpt_dtype dtype;      /* H5CKPT_DTYPE_NONE: casts nothing */
    const char *const *only; /* NULL: all parameters; or globs ended by NULL: the parameters, and the optimizers' own
                                tensors, that match one */
} h5ckpt_options;

#define H5CKPT_OPTIONS_INIT                                                                                            \
    {                                                                                                                  \
        sizeof(h5ckpt_options), 0, 0, 0, 0, 0, 0, 0, 0, H5CKPT_DIGEST_DEFAULT, 0, 0, 0, 0, H5CKPT_COMPRESS_NONE, 0,    \
            H5CKPT_EXTERNAL_REFUSED, H5CKPT_LINK_NONE, 0, 0, H5CKPT_DTYPE_NONE, 0                                      \
    }

/* ---- Loading into memory ----------------------------------------------------------------------------------------- */

/* Reads the elements of all tensors into memory, by options->jobs threads; holds them against the digests that the
 * source has (options->digest H5CKPT_DIGEST_NONE: does not); tells options->progress. NULL for the default options.
 *   buffers not NULL: buffers[i] is the caller's memory for the i-th tensor, of its nbytes, of any alignment; NULL there
 *     leaves that tensor out. On failure their contents are undefined.
 *   buffers NULL: into memory of the state, in huge pages where the system has them, each tensor aligned to 64 bytes.
 *     From then on h5ckpt_tensor_data gives those addresses, and neither it nor h5ckpt_tensor_read needs the file; what
 *     it gave before stays valid. What lies in memory already (h5ckpt_state_add_tensor, an earlier load) is passed
 *     over. On failure all is as it was before. This counts as building the state: one thread at a time.
 * Much faster than touching mapped elements one by one where the file is not in the page cache, and the way to have
 * them checked; where it is, h5ckpt_tensor_data alone costs no copy. */
H5CKPT_API int h5ckpt_load(const h5ckpt_tensors *tensors, void *const *buffers, const h5ckpt_options *options,
                           h5ckpt_error **err);

/* ---- Paddle's call and its twin --------------------------------------------------------------------------------- */

/* Paddle 1.5's fluid.dygraph.load_persistables: both dictionaries of a save directory, or of any file that h5ckpt
 * reads. `dirname` NULL means "save_dir". On success the caller frees *parameters and *decays, each on its own and in
 * any order; what h5ckpt_tensor_data gives stays valid until then, even if the files are deleted or replaced meanwhile.
 * Either may be NULL where it is not wanted. On failure both are set to NULL. A file that takes elements from others is
 * refused: h5ckpt_state_open can be told to allow it. */
H5CKPT_API int h5ckpt_load_persistables(const char *dirname, h5ckpt_tensors **parameters, h5ckpt_decays **decays,
                                        h5ckpt_error **err);

/* Paddle 1.5's fluid.dygraph.save_persistables: writes a save directory that Paddle reads. Unlike Paddle, never over an
 * existing target: H5CKPT_USAGE. `dirname` NULL means "save_dir"; `decays` may be NULL. */
H5CKPT_API int h5ckpt_save_persistables(const h5ckpt_tensors *parameters, const char *dirname,
                                        const h5ckpt_decays *decays, h5ckpt_error **err);

/* ---- States: any source, any target ------------------------------------------------------------------------------ */

/* Opens a checkpoint of any format (options->from, ->schema, ->names, ->include, ->exclude, ->note, ->allow_external
 * apply; NULL for defaults). Reads the metadata only. The caller frees the state with h5ckpt_state_free. NULL with *err
 * on failure. */
H5CKPT_API h5ckpt_state *h5ckpt_state_open(const char *path, const h5ckpt_options *options, h5ckpt_error **err);

/* An empty state, to be filled. The caller frees it. NULL when out of memory. */
H5CKPT_API h5ckpt_state *h5ckpt_state_new(void);

/* Frees a state and all borrowed from it; NULL is allowed. */
H5CKPT_API void h5ckpt_state_free(h5ckpt_state *state);

/* The dictionaries, and the metadata (an H5CKPT_DICT of strings). Never NULL. Borrowed from the state: do not free. */
H5CKPT_API const h5ckpt_tensors *h5ckpt_state_parameters(const h5ckpt_state *state);
H5CKPT_API const h5ckpt_tensors *h5ckpt_state_optimizer_state(const h5ckpt_state *state);
H5CKPT_API const h5ckpt_decays *h5ckpt_state_decays(const h5ckpt_state *state);
H5CKPT_API const h5ckpt_value *h5ckpt_state_metadata(const h5ckpt_state *state);

/* The name of the format the state was read from ("paddle-dir", "hdf5"), or "memory". A static string. */
H5CKPT_API const char *h5ckpt_state_format(const h5ckpt_state *state);

/* Adds a tensor at the end of a dictionary of `state`: parameters, or where `optimizer_state` is 1 the optimizers'.
 * `info` is copied (its nbytes is computed, and may be left 0). `data` is NOT copied: it must stay as it is until the
 * state is freed; elements are row-major and little-endian. */
H5CKPT_API int h5ckpt_state_add_tensor(h5ckpt_state *state, int optimizer_state, const h5ckpt_tensor_info *info,
                                       const void *data, h5ckpt_error **err);

/* Adds a decay under an optimizer's name (Paddle's default is "None"). `object` is of type H5CKPT_OBJECT; it is copied
 * with all below it. Where its own module is NULL Paddle's decay module is meant; an object nested in it names its
 * module. */
H5CKPT_API int h5ckpt_state_add_decay(h5ckpt_state *state, const char *name, const h5ckpt_value *object,
                                      h5ckpt_error **err);

/* Sets a metadata string (copied). */
H5CKPT_API int h5ckpt_state_set_metadata(h5ckpt_state *state, const char *key, const char *text, h5ckpt_error **err);

/* Writes a state to a new target (options->to, ->schema, ->to_schema, ->force, ->no_sync, ->jobs, ->digest, ->compress,
 * ->compress_level, ->link, ->progress, ->note). The
 * target appears whole, or not at all and an existing one stays as it was; when the call returns it is on disk unless
 * no_sync (should its folder's entry alone fail to reach the disk, the target stands and the error says so). An empty
 * folder makes room for a save directory without force. With force a folder is replaced only where it is a save
 * directory and nothing else. */
H5CKPT_API int h5ckpt_state_write(const h5ckpt_state *state, const char *path, const h5ckpt_options *options,
                                  h5ckpt_error **err);

/* h5ckpt_state_open and h5ckpt_state_write in one (and a cast between them: options->dtype, ->only), after checking that
 * the target is not the source or inside it.
 * Bounded memory, whatever the model's size. */
H5CKPT_API int h5ckpt_convert(const char *source, const char *target, const h5ckpt_options *options,
                              h5ckpt_error **err);

/* ---- Verifying --------------------------------------------------------------------------------------------------- */

typedef enum h5ckpt_finding_kind {
    H5CKPT_FINDING_DIGEST,       /* the elements do not give the digest that the checkpoint holds of them */
    H5CKPT_FINDING_ELEMENTS,     /* the elements cannot be had; `found` is the message that says why */
    H5CKPT_FINDING_SOURCE_SIZE,  /* the file that a linked tensor lies in has another size than when it was linked */
    H5CKPT_FINDING_SOURCE_MTIME, /* it was modified at another time */
    H5CKPT_FINDING_DECAY         /* a decay's fields give no rates; `found` is the message that says why */
} h5ckpt_finding_kind;

/* One thing that is not as the checkpoint says. Later versions may know more kinds. Valid during the call. */
typedef struct h5ckpt_finding {
    h5ckpt_finding_kind kind;
    const char *what;     /* the kind's name: "digest", "elements", "source_size", "source_mtime", "decay" */
    const char *name;     /* of the tensor or decay */
    const char *path;     /* of the file that it lies in, or NULL */
    const char *expected; /* a digest, a number of bytes, a time (2026-05-17T08:30:00.123456789Z); or NULL */
    const char *found;
    int differs; /* 1; 0 where a linked tensor's file is another, but its digest proves the elements to be the same */
} h5ckpt_finding;
typedef void h5ckpt_finding_fn(void *user, const h5ckpt_finding *finding);

/* What was verified. Start from H5CKPT_VERIFIED_INIT. */
typedef struct h5ckpt_verified {
    size_t size;        /* sizeof(h5ckpt_verified): lets the struct grow */
    const char *format; /* as h5ckpt_state_format */
    size_t tensors, decays;
    uint64_t bytes;    /* of elements, all of them read */
    size_t digests;    /* tensors that were held against a digest */
    size_t undigested; /* tensors that have elements and no digest (of a kind that is known here): only read */
    size_t linked;     /* tensors in other files, which were held against the size and time that are kept of them */
    size_t findings, differences; /* `differences` are the findings with `differs` */
} h5ckpt_verified;

#define H5CKPT_VERIFIED_INIT                                                                                           \
    {                                                                                                                  \
        sizeof(h5ckpt_verified), 0, 0, 0, 0, 0, 0, 0, 0, 0                                                             \
    }

/* Verifies a checkpoint: opens it (structure and schema; options as for h5ckpt_state_open, with ->jobs and ->progress;
 * NULL for defaults), reads all elements, and holds them against the digests that it keeps, linked tensors' files against
 * the size and time it keeps, and decays against their formulas. Calls `finding` (or NULL) with each finding, from the
 * calling thread, in the dictionaries' order, once all is read. H5CKPT_OK where nothing differs; H5CKPT_DIFFERENT, with
 * no error, where something does; H5CKPT_INVALID where it cannot be opened. `verified` (or NULL) is filled in by the
 * first two. A checkpoint without digests is H5CKPT_OK when it can be read: see verified->undigested. */
H5CKPT_API int h5ckpt_verify(const char *path, const h5ckpt_options *options, h5ckpt_finding_fn *finding, void *user,
                             h5ckpt_verified *verified, h5ckpt_error **err);

/* ---- Looking closer ---------------------------------------------------------------------------------------------- */

/* How the bytes of a tensor or a decay were read, as lines of text. The caller frees the text with free(3). */
H5CKPT_API char *h5ckpt_explain(const h5ckpt_state *state, const h5ckpt_tensor *tensor, const h5ckpt_decay *decay,
                                h5ckpt_error **err);

/* What a format can do; `i` counts from 0, NULL past the last. Borrowed: static. */
typedef struct h5ckpt_format_info {
    const char *name;
    const char *suffix; /* ".h5", or NULL */
    const char *doc;
    int reads, writes;
    int holds_decays, holds_optimizer_state, holds_metadata;
} h5ckpt_format_info;
H5CKPT_API const h5ckpt_format_info *h5ckpt_format_at(size_t i);

/* What h5ckpt brings along: schemas (options->schema), and name rules between frameworks (options->names). `i` counts from
 * 0, NULL past the last. Borrowed: static. */
typedef struct h5ckpt_schema_info {
    const char *name; /* "paddle", "paddle-to-torch" */
    const char *doc;  /* one line, or NULL */
    int is_names;     /* 1: name rules; 0: a schema */
} h5ckpt_schema_info;
H5CKPT_API const h5ckpt_schema_info *h5ckpt_schema_at(size_t i);

/* The text of a built-in one of either kind (NULL: "paddle"), or NULL for a name that is none. A static string. */
H5CKPT_API const char *h5ckpt_schema_text(const char *name);

/* Checks a file that is a schema or name rules: H5CKPT_OK, or H5CKPT_USAGE with file:line:column, what was found and what
 * was expected. */
H5CKPT_API int h5ckpt_schema_check(const char *path, h5ckpt_error **err);

#ifdef __cplusplus
}
#endif
#endif
