/*
 * h5 - what the rest of h5ckpt needs of HDF5, on top of libhdf5. This header is the only one that includes hdf5.h;
 * beside this room only format/fmt_hdf5.c includes it.
 *
 * Nothing here knows a schema: names of attributes come in h5ck_hdf5_names. Every call but enter() needs the guard
 * held. Ids are libhdf5's (hid_t, negative for none), closed by whoever opened them.
 */
#ifndef H5CK_HDF5_H5_H
#define H5CK_HDF5_H5_H

#define H5_USE_110_API /* newer libraries keep the 1.10 forms of calls under this name */
#include <hdf5.h>

#include "base/buf.h"
#include "base/log.h"
#include "model/state.h"

#include <stdbool.h>

/* ---- h5_session.c: the lock, the host's error handler, files ---- */

/* libhdf5 is used by one thread of h5ckpt at a time. Between enter and leave the host's error printer is silenced. */
typedef struct h5ck_hdf5_guard {
    H5E_auto2_t report;
    void *report_data;
} h5ck_hdf5_guard;

void h5ck_hdf5_enter(h5ck_hdf5_guard *guard);
void h5ck_hdf5_leave(const h5ck_hdf5_guard *guard);

/* Fails with "<what>: <libhdf5's innermost reason>", on one line; with "out of memory" where that is the reason. */
int h5ck_hdf5_fail(h5ckpt_error **err, int code, const char *what);

/* Makes a file or group creation list track the order of attributes and, where asked, of links. Negative on failure. */
int h5ck_hdf5_track_order(hid_t list, bool links);
/* What a group's links, or its attributes, are walked by: their creation where it tracks that, else their names. */
int h5ck_hdf5_order(hid_t group, bool links, H5_index_t *by, h5ckpt_error **err);

/* How groups are created: order of links and attributes tracked, no times. A new id, or negative. */
hid_t h5ck_hdf5_group_list(void);
/* How links are made: their names are UTF-8. A new id, or negative. */
hid_t h5ck_hdf5_link_list(void);

/* Closes any id but a file's; negative ones are none. */
void h5ck_hdf5_close(hid_t id);

/* ---- h5_file.c: an open file, behind a driver of our own ---- */

typedef struct h5ck_hdf5_file {
    int fd;
    hid_t id;     /* for libhdf5's calls; negative for none */
    hid_t driver; /* its registration */
    void *driven; /* the part of it that libhdf5 has; NULL once libhdf5 closed it */
    bool writing;
    uint64_t size;              /* when it was opened */
    uint64_t block;             /* of a file being written: bytes of metadata that are put together */
    uint64_t asked, answer;     /* h5ck_hdf5_file_ask: the size, the offset */
    uint64_t placed_at, placed; /* h5ck_hdf5_file_place: the offset, the size; 0 for none */
    bool taken;                 /* libhdf5 asked for that room, and got it */
    h5ckpt_error *err;          /* the first failure of the system, which libhdf5 only hears of while reading */
} h5ck_hdf5_file;

/* Creates `path`, which must not exist, for some `datasets` datasets; reads the file of `size` bytes that is open at
 * `fd`, which stays the caller's. The structure must not move until it is closed, which the caller does also where these
 * fail. */
int h5ck_hdf5_file_create(h5ck_hdf5_file *file, const char *path, size_t datasets, h5ckpt_error **err);
int h5ck_hdf5_file_read(h5ck_hdf5_file *file, int fd, uint64_t size, h5ckpt_error **err);
/* libhdf5's next read of `size` bytes of elements reads nothing: `asked` says at which offset it would have, so that
 * h5ckpt reads there without the lock. False where there was no such read. */
void h5ck_hdf5_file_ask(h5ck_hdf5_file *file, uint64_t size);
bool h5ck_hdf5_file_asked(h5ck_hdf5_file *file, uint64_t *offset);
/* Of a file being written: the offset behind all that libhdf5 has allocated; from there on h5ckpt writes elements by
 * itself, up to `end`, which libhdf5 learns by `reserve` before it is called again; what it allocates next for `size`
 * bytes of elements is put where they are already, and its write of them is none. */
uint64_t h5ck_hdf5_file_end(const h5ck_hdf5_file *file);
void h5ck_hdf5_file_reserve(h5ck_hdf5_file *file, uint64_t end);
void h5ck_hdf5_file_place(h5ck_hdf5_file *file, uint64_t offset, uint64_t size);
/* Whether libhdf5 took that place since. */
bool h5ck_hdf5_file_placed(const h5ck_hdf5_file *file);
/* How it really went: where the system failed, that is the error, whatever libhdf5 made of it (`rc`, *err). */
int h5ck_hdf5_file_told(h5ck_hdf5_file *file, int rc, h5ckpt_error **err);
/* Closes it, and says the same. */
int h5ck_hdf5_file_close(h5ck_hdf5_file *file, int rc, h5ckpt_error **err);

/* ---- h5_type.c: the dtype table and HDF5's types ---- */

/* The HDF5 type of a dtype, little-endian, as h5py and NumPy users expect it. A new id, or negative. */
hid_t h5ck_hdf5_type_new(const h5ck_dtype *dtype);

/* The dtype of an HDF5 type; NULL where it is none. *plain: its bytes are those that h5ckpt uses (little-endian, no
 * gaps). *memory, a new id, is the type to read it as; negative where there is no dtype. Not made where `memory` is
 * NULL. */
int h5ck_hdf5_type_find(hid_t type, const h5ck_dtype **dtype, bool *plain, hid_t *memory, h5ckpt_error **err);

/* "little-endian 32-bit float", for messages and --explain. */
const char *h5ck_hdf5_type_text(hid_t type, char *text, size_t room);

/* A variable-length UTF-8 string. A new id, or negative. */
hid_t h5ck_hdf5_type_text_new(void);

/* ---- h5_heap.c: variable-length text ---- */

/* The file that attributes are read from. */
typedef struct h5ck_hdf5_heap h5ck_hdf5_heap;

typedef struct h5ck_hdf5_source {
    int fd;
    uint64_t size; /* of the file: what bounds any content */
    uint64_t base; /* where HDF5's addresses count from (behind a user block) */
    unsigned address_size, length_size;
    h5ck_hdf5_heap *heap; /* the texts that were read last (h5_heap.c) */
} h5ck_hdf5_source;

/* Freed by h5ck_hdf5_source_free, also where this fails. */
int h5ck_hdf5_source_make(hid_t file, int fd, uint64_t size, h5ck_hdf5_source *from, h5ckpt_error **err);
/* Of a file that h5ck_hdf5_file_create made, once libhdf5 has closed it. */
int h5ck_hdf5_source_again(int fd, uint64_t size, h5ck_hdf5_source *from, h5ckpt_error **err);
void h5ck_hdf5_source_free(h5ck_hdf5_source *from);

/* The `count` texts of an attribute of a variable-length string type, up to each one's first zero. */
int h5ck_hdf5_heap_texts(hid_t attr, hid_t type, size_t count, const h5ck_hdf5_source *from, h5ck_arena *arena,
                         const char **texts, size_t *lengths, h5ckpt_error **err);

/* A text that is written later, in a file of our own: where it will be, as an attribute of one text says it; and the
 * text, of the very length that stands there; flush writes what is not yet in the file. The first needs libhdf5, the
 * others only a source made again. */
enum { H5CK_HDF5_REFERENCE = 16 };
int h5ck_hdf5_heap_reference(hid_t attr, hid_t type, const h5ck_hdf5_source *from,
                             unsigned char reference[H5CK_HDF5_REFERENCE], h5ckpt_error **err);
int h5ck_hdf5_heap_overwrite(const unsigned char reference[H5CK_HDF5_REFERENCE], const char *text,
                             const h5ck_hdf5_source *from, h5ckpt_error **err);
int h5ck_hdf5_heap_flush(const h5ck_hdf5_source *from, h5ckpt_error **err);

/* ---- h5_attr.c: attributes, one at a time ---- */

/* What an attribute holds. */
typedef enum h5ck_hdf5_content {
    H5CK_HDF5_NULL,
    H5CK_HDF5_TEXT,
    H5CK_HDF5_ELEMENTS,
    H5CK_HDF5_OTHER
} h5ck_hdf5_content;

typedef struct h5ck_hdf5_attr {
    h5ck_hdf5_content content;
    size_t rank;
    uint64_t shape[H5CK_MAX_RANK];
    size_t count;            /* of elements */
    const h5ck_dtype *dtype; /* of ELEMENTS */
    const void *data;        /* of ELEMENTS: little-endian */
    const char **texts;      /* of TEXT */
    char type[64];           /* the type in words */
} h5ck_hdf5_attr;

/* Reads an open attribute, or the one called `name` (*found false where there is none), into the arena. Refused:
 * content larger than the file. */
int h5ck_hdf5_attr_read(hid_t attr, const h5ck_hdf5_source *from, h5ck_arena *arena, h5ck_hdf5_attr *a,
                        h5ckpt_error **err);
int h5ck_hdf5_attr_get(hid_t object, const char *name, const h5ck_hdf5_source *from, h5ck_arena *arena,
                       h5ck_hdf5_attr *a, bool *found, h5ckpt_error **err);
/* One string; anything else is H5CKPT_INVALID. Of the attribute called `name`: NULL where there is none. */
int h5ck_hdf5_attr_as_text(const h5ck_hdf5_attr *a, const char **text, h5ckpt_error **err);
int h5ck_hdf5_attr_text(hid_t object, const char *name, const h5ck_hdf5_source *from, h5ck_arena *arena,
                        const char **text, h5ckpt_error **err);
/* One integer of any size. */
bool h5ck_hdf5_attr_as_int(const h5ck_hdf5_attr *a, int64_t *i);
/* The i-th element of integers of any size as 64 bits; false where it does not fit or `a` holds no integers. */
bool h5ck_hdf5_attr_int_at(const h5ck_hdf5_attr *a, size_t i, int64_t *value);

/* Writes an attribute: `rank` -1 for an empty dataspace. `type` is used for file and memory, and stays the caller's. */
int h5ck_hdf5_attr_put(hid_t object, const char *name, hid_t type, int rank, const uint64_t *shape, const void *data,
                       h5ckpt_error **err);
/* One int64. */
int h5ck_hdf5_attr_put_int(hid_t object, const char *name, int64_t number, h5ckpt_error **err);
int h5ck_hdf5_attr_put_text(hid_t object, const char *name, const char *text, h5ckpt_error **err);
/* A text of this length, to be written later where *reference says (h5_heap.c). `type` is the texts', `space` a scalar. */
int h5ck_hdf5_attr_put_later(hid_t object, const char *name, hid_t type, hid_t space, size_t length,
                             const h5ck_hdf5_source *from, unsigned char reference[H5CK_HDF5_REFERENCE],
                             h5ckpt_error **err);
int h5ck_hdf5_attr_put_dtype(hid_t object, const char *name, h5ckpt_dtype dtype, int rank, const uint64_t *shape,
                             const void *data, h5ckpt_error **err);

/* Calls `visit` with each attribute of an object, in the order of creation where the object tracks it, else by name. */
typedef int h5ck_hdf5_attr_visit(void *user, hid_t attr, const char *name, h5ckpt_error **err);
int h5ck_hdf5_attr_each(hid_t object, h5ck_hdf5_attr_visit *visit, void *user, h5ckpt_error **err);

/* ---- h5_name.c: names that attributes and links can hold ---- */

/* Encodes a name so that it is neither empty, ".", "..", one of `reserved` (NULL-terminated), nor ends in `suffix` (may
 * be NULL), nor holds '/'; decodes it. Decoding takes any name. NULL when out of memory. */
const char *h5ck_hdf5_name_encode(const char *name, const char *const *reserved, const char *suffix, h5ck_arena *arena);
const char *h5ck_hdf5_name_decode(const char *name, h5ck_arena *arena);
/* False for an empty end. */
bool h5ck_hdf5_name_ends_with(const char *name, const char *end);

/* ---- h5_tree.c: the links of a dictionary's names, before any is made ---- */

typedef struct h5ck_hdf5_node {
    struct h5ck_hdf5_node *parent; /* NULL: the dictionary's own group */
    const char *part;              /* of the true name */
    const char *link;              /* its group's link */
    const char *leaf;              /* its dataset's link */
    bool has_group, has_leaf;
    bool odd;       /* its group's link, or one above it, is not its part */
    bool made;      /* for the writer: its group exists */
    unsigned depth; /* 1: right below the dictionary's group */
    size_t id;
} h5ck_hdf5_node;

typedef struct h5ck_hdf5_tree {
    h5ck_hdf5_node **leaves; /* by the tensor's place in the dictionary */
    bool reordered;          /* a walk in order of creation would not find the dictionary's order */
    unsigned depth;          /* of the deepest leaf */
} h5ck_hdf5_tree;

enum { H5CK_HDF5_DEPTH = 1024 };

int h5ck_hdf5_tree_make(const h5ck_dict *dict, const char *separator, h5ck_arena *arena, h5ck_hdf5_tree *tree,
                        h5ckpt_error **err);

/* ---- h5_external.c: elements in other files ---- */

/* What a reader may take from other files, and those that it has taken. The dictionary is freed by its owner. */
typedef struct h5ck_hdf5_external {
    h5ckpt_external allowed;
    const char *path;   /* of the HDF5 file */
    const char *folder; /* that it really lies in; NULL until it is needed */
    h5ck_dict files;    /* name in the HDF5 file -> h5ck_file, of the state */
} h5ck_hdf5_external;

/* ---- h5_dataset.c: a dataset's extent ---- */

/* Where an object stands in the file. Its strings live in the state's arena. */
typedef struct h5ck_hdf5_place {
    haddr_t address, parent; /* object headers: its own, and that of the group that links to it */
    const char *link;        /* its link in that group */
    const char *path;        /* all links from the root: for people */
} h5ck_hdf5_place;

enum { H5CK_HDF5_OPEN = 16 };

/* What a state that was read from HDF5 keeps (h5_decode.c). The file stays open only where tensors have to be decoded. Where a tensor
 * or a decay stands in it is its `origin`, a h5ck_hdf5_place. */
typedef struct h5ck_hdf5_reader {
    h5ck_file *file;
    h5ck_hdf5_external *external; /* NULL: elements in other files are refused */
    h5ck_hdf5_file hdf5;          /* its id is negative once it is closed */
    size_t decoders;
    struct h5ck_hdf5_cache *cache; /* of the decoders of chunks (h5_cache.c), or NULL */
    struct {
        hid_t id; /* 0: none yet */
        const h5ck_dtype *dtype;
        bool plain;
    } last_type; /* what the dataset before was of: the next one often is, too */
    struct {
        const h5ck_decoder *owner; /* of an open dataset, the one used last in front */
        hid_t id;
    } open[H5CK_HDF5_OPEN];
} h5ck_hdf5_reader;

/* Reads `file`, which is open at `fd`. Lives in the state and is closed with it; *reader is NULL only when out of
 * memory. */
int h5ck_hdf5_reader_new(h5ckpt_state *state, h5ck_file *file, int fd, h5ck_hdf5_reader **reader, h5ckpt_error **err);
/* The reader of a state, or NULL where it was not read from HDF5. */
h5ck_hdf5_reader *h5ck_hdf5_reader_of(const h5ckpt_state *state);
/* Closes the file where no decoder needs it. */
void h5ck_hdf5_reader_rest(h5ck_hdf5_reader *reader);

/* Describes an open dataset: dtype, shape (in `shape`) and extent. *is_tensor is false, with a reason, where its type
 * or dataspace is none of a tensor's. Refused: external storage that reader->external does not allow, virtual datasets, filters that this libhdf5 does not
 * have, chunks larger than the file can explain. */
int h5ck_hdf5_dataset(h5ckpt_state *state, h5ck_hdf5_reader *reader, hid_t dataset, const h5ck_hdf5_place *place,
                      h5ckpt_tensor_info *info, uint64_t shape[H5CK_MAX_RANK], h5ck_extent *extent, bool *is_tensor,
                      char reason[128], h5ckpt_error **err);
/* Appends lines on a dataset's storage: layout, chunks, filters, offset, type. */
void h5ck_hdf5_dataset_explain(hid_t dataset, h5ck_buf *out);

/* ---- h5_links.c: the links of a group ---- */

typedef struct h5ck_hdf5_link {
    const char *name;
    H5L_type_t type;
    haddr_t address; /* of a hard link */
    int64_t order;   /* of creation, where the group tracks it */
} h5ck_hdf5_link;

/* In the order of creation where the group tracks it, else by name. */
int h5ck_hdf5_links(hid_t group, h5ck_arena *arena, h5ck_hdf5_link **links, size_t *count, h5ckpt_error **err);

/* Whether a link may be followed: hard ones are; soft ones are passed over with a note; those that lead out of the file
 * are H5CKPT_INVALID. */
int h5ck_hdf5_check_link(const char *file_path, const h5ck_hdf5_link *link, const char *path, const h5ck_log *log,
                         bool *follow, h5ckpt_error **err);

/* ---- h5_walk.c: all datasets below a group ---- */

typedef struct h5ck_hdf5_walk {
    hid_t file;
    const char *file_path; /* for notes */
    const char *separator; /* joins links to names */
    const h5ck_log *log;
    h5ck_arena *strings; /* where the places' strings go */
    h5ck_arena *scratch;
    h5ck_dict *groups; /* addresses of the groups that were walked: no group twice */
    /* Called with each dataset, open, and its name: the links below the walk's group, joined. */
    int (*dataset)(void *user, hid_t dataset, const h5ck_hdf5_place *place, const char *name, h5ckpt_error **err);
    /* Called with each group that is entered, open; depth 0 is the walk's own. May be NULL. */
    int (*group)(void *user, hid_t group, const char *path, const char *name, unsigned depth, h5ckpt_error **err);
    /* Called before each link; depth 1 is the walk's own group. *taken: it has been seen to, and is left alone. */
    int (*link)(void *user, const h5ck_hdf5_link *link, unsigned depth, bool *taken, h5ckpt_error **err);
    void *user;
} h5ck_hdf5_walk;

/* Depth first, in order of creation, without recursion. `path` is the group's, "" for the root. */
int h5ck_hdf5_walk_group(const h5ck_hdf5_walk *walk, haddr_t address, const char *path, h5ckpt_error **err);

/* ---- h5_value_write.c, h5_value_read.c: a decay object and its group ---- */

/* The attributes' names, from the schema. */
typedef struct h5ck_hdf5_names {
    const char *class_name, *module, *python, *fields, *type_suffix;
    const char *reserved[5]; /* the first four of these, NULL-terminated */
} h5ck_hdf5_names;

h5ck_hdf5_names h5ck_hdf5_names_make(const char *class_name, const char *module, const char *python, const char *fields,
                                     const char *type_suffix);

int h5ck_hdf5_value_write(hid_t group, const h5ck_hdf5_names *names, const h5ckpt_object *object, h5ckpt_error **err);

/* One attribute of somebody else's file as a value, without any marker: text and lists of text, int64, float64 and bool and
 * lists of them, other numbers as NumPy's, an empty dataspace as None. *is_value is false for what is none of these. What
 * the value points to is the attribute's own, or lies in the arena. */
int h5ck_hdf5_value_of_attr(const h5ck_hdf5_attr *a, h5ck_arena *arena, h5ckpt_value *value, bool *is_value,
                            h5ckpt_error **err);
/* And back; *is_attr is false, and nothing is written, for what would need a marker or a group. */
int h5ck_hdf5_value_put_attr(hid_t object, const char *name, const h5ckpt_value *value, bool *is_attr,
                             h5ckpt_error **err);

/* `check` says whether an object may be read (it has its class and fields). */
typedef struct h5ck_hdf5_policy {
    int (*check)(void *user, const h5ckpt_object *object, h5ckpt_error **err);
    void *user;
} h5ck_hdf5_policy;

/* Reads the object in `group`; all of it lies in the arena. */
int h5ck_hdf5_value_read(hid_t group, const h5ck_hdf5_names *names, const h5ck_hdf5_policy *policy,
                         const h5ck_hdf5_source *from, h5ck_arena *arena, h5ckpt_value *value, h5ckpt_error **err);

#endif
