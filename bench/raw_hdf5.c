/*
 * raw_hdf5 - what many parameters cost before h5ckpt adds anything: libhdf5 alone, and the file system alone.
 *
 *     raw_hdf5 create FILE COUNT [PER_GROUP [ELEMENTS]]  a dataset each, allocated and not written (a sparse file where
 *                                                   there are many ELEMENTS), with its digest attribute
 *     raw_hdf5 open FILE                            each dataset opened by its address: name, type, shape, offset, digest
 *     raw_hdf5 links FILE                           only the links walked: the part of `open` that is names
 *     raw_hdf5 read-files DIRECTORY                 each file below it opened, read, closed
 *     raw_hdf5 write-files DIRECTORY COUNT [PER_GROUP]   each file created, written, closed
 *
 * Each prints "SECONDS PEAK_KIB COUNT". So the baseline of converting a save directory to HDF5 is read-files + create, of
 * converting back open + write-files, of opening open. `open` and `links` take the files of `create`, and h5ckpt's with the
 * same parameters; `read-files` takes save directories. FILE and DIRECTORY of the modes that write must not exist.
 *
 * libhdf5's settings are the fastest that are known for h5ckpt's form of the file: metadata in blocks of 1 MiB, no times,
 * lists made once, a cache of metadata of 512 KiB that does not grow (by default it grows to 32 MiB, which is 20 times
 * that in memory, and slower).
 */
#define H5_USE_110_API
#include <hdf5.h>

#include "many.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIGEST "xxh3-128:0123456789abcdef0123456789abcdef"

static void need(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "raw_hdf5: cannot %s\n", what);
    exit(1);
}

/* ---- libhdf5: creating ---- */

typedef struct lists {
    hid_t text, type, space, scalar, dataset, group, link;
} lists;

static lists make_lists(size_t elements)
{
    const hsize_t shape[1] = {elements};
    lists l = {.text = H5Tcopy(H5T_C_S1),
               .type = H5Tcopy(H5T_IEEE_F32LE),
               .space = H5Screate_simple(1, shape, NULL),
               .scalar = H5Screate(H5S_SCALAR),
               .dataset = H5Pcreate(H5P_DATASET_CREATE),
               .group = H5Pcreate(H5P_GROUP_CREATE),
               .link = H5Pcreate(H5P_LINK_CREATE)};
    need(H5Tset_size(l.text, H5T_VARIABLE) >= 0 && H5Tset_cset(l.text, H5T_CSET_UTF8) >= 0 &&
             H5Pset_obj_track_times(l.dataset, 0) >= 0 && H5Pset_alloc_time(l.dataset, H5D_ALLOC_TIME_EARLY) >= 0 &&
             H5Pset_fill_time(l.dataset, H5D_FILL_TIME_NEVER) >= 0 && H5Pset_obj_track_times(l.group, 0) >= 0 &&
             H5Pset_link_creation_order(l.group, H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED) >= 0 &&
             H5Pset_char_encoding(l.link, H5T_CSET_UTF8) >= 0,
         "make HDF5's lists");
    return l;
}

static void create_dataset(const lists *l, hid_t group, const char *link)
{
    static const char *digest = DIGEST;
    hid_t dataset = H5Dcreate2(group, link, l->type, l->space, l->link, l->dataset, H5P_DEFAULT);
    hid_t attr = H5Acreate2(dataset, "digest", l->text, l->scalar, H5P_DEFAULT, H5P_DEFAULT);
    need(attr >= 0 && H5Awrite(attr, l->text, &digest) >= 0, "create a dataset");
    H5Aclose(attr);
    H5Dclose(dataset);
}

static hid_t access_list(void)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5AC_cache_config_t c = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    need(H5Pget_mdc_config(access, &c) >= 0, "make HDF5's lists");
    c.set_initial_size = 1;
    c.initial_size = c.min_size = c.max_size = 512 << 10;
    c.incr_mode = H5C_incr__off;
    c.flash_incr_mode = H5C_flash_incr__off;
    c.decr_mode = H5C_decr__off;
    need(H5Pset_mdc_config(access, &c) >= 0 && H5Pset_meta_block_size(access, 1 << 20) >= 0 &&
             H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0,
         "make HDF5's lists");
    return access;
}

static void create(const char *path, size_t count, size_t per_group, size_t elements)
{
    lists l = make_lists(elements);
    hid_t file = H5Fcreate(path, H5F_ACC_EXCL, H5P_DEFAULT, access_list());
    need(file >= 0, "create the file");
    hid_t parameters = H5Gcreate2(file, "parameters", l.link, l.group, H5P_DEFAULT), group = parameters;
    for (size_t i = 0; i < count; i++) {
        char name[MANY_NAME];
        many_name(name, i, per_group);
        char *slash = strchr(name, '/');
        if (slash && i % per_group == 0) {
            *slash = 0;
            if (i)
                H5Gclose(group);
            group = H5Gcreate2(parameters, name, l.link, l.group, H5P_DEFAULT);
        }
        create_dataset(&l, group, slash ? slash + 1 : name);
    }
    if (group != parameters)
        H5Gclose(group);
    H5Gclose(parameters);
    need(H5Fclose(file) >= 0, "finish the file");
}

/* ---- libhdf5: opening ---- */

/* What was met and is still to be opened: nothing is while libhdf5 iterates. */
typedef struct objects {
    haddr_t *addresses;
    size_t count, room;
} objects;

static herr_t meet(hid_t group, const char *name, const H5L_info_t *info, void *user)
{
    objects *o = user;
    (void)group;
    (void)name;
    if (o->count == o->room) {
        o->room = o->room ? 2 * o->room : 1024;
        o->addresses = realloc(o->addresses, o->room * sizeof *o->addresses);
        need(o->addresses != NULL, "get memory");
    }
    o->addresses[o->count++] = info->u.address;
    return 0;
}

static size_t open_dataset(hid_t dataset, hid_t text)
{
    hsize_t shape[H5S_MAX_RANK];
    char *digest = NULL;
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset), attr = H5Aopen(dataset, "digest", H5P_DEFAULT);
    need(type >= 0 && H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) == 4 &&
             H5Sget_simple_extent_dims(space, shape, NULL) >= 0 && H5Dget_offset(dataset) != HADDR_UNDEF && attr >= 0 &&
             H5Aread(attr, text, &digest) >= 0,
         "read a dataset");
    H5free_memory(digest);
    H5Aclose(attr);
    H5Sclose(space);
    H5Tclose(type);
    return 1;
}

/* Depth first by a list that grows: groups add what they hold. */
static size_t open_all(const char *path, int links_only)
{
    objects o = {NULL, 0, 0};
    size_t count = 0;
    lists l = make_lists(MANY_ELEMENTS);
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access_list());
    hid_t group = H5Gopen2(file, "parameters", H5P_DEFAULT);
    need(group >= 0 && H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, meet, &o) >= 0, "read the file");
    H5Gclose(group);
    /* All of a group are of one kind here. */
    for (size_t i = 0; i < o.count; i++) {
        hid_t object = H5Oopen_by_addr(file, o.addresses[i]);
        int is_group = H5Iget_type(object) == H5I_GROUP;
        if (is_group)
            need(H5Literate(object, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, meet, &o) >= 0, "read a group");
        else if (!links_only)
            count += open_dataset(object, l.text);
        H5Oclose(object);
        if (links_only && !is_group) {
            count = o.count - i;
            break;
        }
    }
    need(H5Fclose(file) >= 0, "close the file");
    free(o.addresses);
    return count;
}

/* ---- The file system ---- */

enum { DEPTH = 8, FILE_ROOM = 4096 };

static size_t read_files(const char *path)
{
    DIR *open[DEPTH] = {opendir(path)};
    size_t depth = 1, count = 0;
    need(open[0] != NULL, "open the directory");
    while (depth) {
        struct dirent *e = readdir(open[depth - 1]);
        char bytes[FILE_ROOM];
        if (!e) {
            closedir(open[--depth]);
        } else if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            int fd = openat(dirfd(open[depth - 1]), e->d_name, O_RDONLY | O_DIRECTORY);
            need(depth < DEPTH && (open[depth++] = fdopendir(fd)) != NULL, "open a directory");
        } else if (e->d_type == DT_REG) {
            int fd = openat(dirfd(open[depth - 1]), e->d_name, O_RDONLY);
            need(fd >= 0 && read(fd, bytes, sizeof bytes) >= 0, "read a file");
            close(fd);
            count++;
        }
    }
    return count;
}

static void write_files(const char *path, size_t count, size_t per_group)
{
    static const char stream[24 + 4 * MANY_ELEMENTS]; /* as long as a LoDTensor stream of that shape */
    need(mkdir(path, 0777) == 0, "make the directory");
    int top = open(path, O_RDONLY | O_DIRECTORY), in = top;
    for (size_t i = 0; i < count; i++) {
        char name[MANY_NAME];
        many_name(name, i, per_group);
        char *slash = strchr(name, '/');
        if (slash && i % per_group == 0) {
            *slash = 0;
            if (i)
                close(in);
            need(mkdirat(top, name, 0777) == 0, "make a directory");
            in = openat(top, name, O_RDONLY | O_DIRECTORY);
        }
        int fd = openat(in, slash ? slash + 1 : name, O_WRONLY | O_CREAT | O_EXCL, 0666);
        need(fd >= 0 && write(fd, stream, sizeof stream) == (ssize_t)sizeof stream, "write a file");
        close(fd);
    }
}

int main(int argc, char **argv)
{
    const char *mode = argc > 2 ? argv[1] : "", *path = argc > 2 ? argv[2] : "";
    size_t count = argc > 3 ? strtoull(argv[3], NULL, 10) : 0;
    size_t per_group = argc > 4 ? strtoull(argv[4], NULL, 10) : 0;
    size_t elements = argc > 5 ? strtoull(argv[5], NULL, 10) : MANY_ELEMENTS;
    double start = many_now();
    if (strcmp(mode, "create") == 0 && count)
        create(path, count, per_group, elements);
    else if (strcmp(mode, "open") == 0 || strcmp(mode, "links") == 0)
        count = open_all(path, *mode == 'l');
    else if (strcmp(mode, "read-files") == 0)
        count = read_files(path);
    else if (strcmp(mode, "write-files") == 0 && count)
        write_files(path, count, per_group);
    else {
        fputs("usage: raw_hdf5 create|open|links|read-files|write-files PATH [COUNT [PER_GROUP [ELEMENTS]]]\n", stderr);
        return 2;
    }
    many_report(start, count);
    return 0;
}
