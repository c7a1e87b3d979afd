/*
 * h5_target.c - the HDF5 file that is being written, behind a file driver of our own.
 *
 * libhdf5 does not bear a write that fails: it cannot close such a file, keeps trying when the process ends, and crashes
 * there (seen with 1.10.8 on a full disk). So this driver never tells it. The first failure of the system is kept, writes
 * after it go nowhere, libhdf5 closes the file content, and close() reports what the system said. The caller removes the
 * file anyway.
 *
 * The driver also says where things go, which libhdf5 allows a driver. Each dataset's elements begin at 64 bytes; metadata
 * is put together in blocks between them. libhdf5's own alignment would do the same to the elements, but it keeps every gap
 * in a list that it searches at each allocation: the square of the number of datasets (60 s for 30,000 small ones).
 *
 * Addresses are offsets, and nothing of the driver is stored in the file. It is registered for one file at a time: no
 * global state.
 */
#include "base/fs.h"
#include "hdf5/h5.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* What libhdf5 holds of an open file. Its own part comes first. */
typedef struct driven_file {
    H5FD_t hdf5;
    h5ck_hdf5_target *target;
    haddr_t meta_next, meta_end; /* what is left of the current block of metadata */
    haddr_t end;                 /* of all other space; the block may lie behind it */
    haddr_t eof;                 /* of the file */
} driven_file;

enum {
    MOST = 1 << 30, /* bytes in one call, which int64 offsets leave room for */
    ALIGNMENT = 64,
    META_ALIGNMENT = 8
};

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t maxaddr)
{
    h5ck_hdf5_target *const *target = H5Pget_driver_info(access);
    driven_file *f = target ? calloc(1, sizeof *f) : NULL;
    struct stat st;
    (void)name;
    (void)maxaddr;
    if (!f || fstat((*target)->fd, &st) < 0) {
        free(f);
        return NULL;
    }
    f->target = *target;
    f->eof = flags & H5F_ACC_TRUNC ? 0 : (haddr_t)st.st_size;
    return &f->hdf5;
}

static herr_t driver_close(H5FD_t *file)
{
    free(file); /* the descriptor is the target's */
    return 0;
}

static herr_t driver_query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
    return 0;
}

static haddr_t end_of(const driven_file *f)
{
    return f->meta_end > f->end ? f->meta_next : f->end;
}

static haddr_t driver_get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return end_of((const driven_file *)file);
}

/* What libhdf5 makes longer or shorter at the very end. */
static herr_t driver_set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t addr)
{
    driven_file *f = (driven_file *)file;
    (void)type;
    if (f->meta_end > f->end) {
        f->meta_next = addr;
        f->meta_end = addr > f->meta_end ? addr : f->meta_end;
    } else {
        f->end = addr;
    }
    return 0;
}

static haddr_t aligned(haddr_t addr, unsigned to)
{
    return (addr + to - 1) & ~(haddr_t)(to - 1);
}

static haddr_t alloc_meta(driven_file *f, hsize_t size)
{
    haddr_t at = aligned(f->meta_next, META_ALIGNMENT);
    if (at > f->meta_end || f->meta_end - at < size) { /* what is left of the old block stays unused */
        at = aligned(end_of(f), ALIGNMENT);
        f->meta_end = at + (size > f->target->block ? size : f->target->block);
    }
    f->meta_next = at + size;
    return at;
}

static haddr_t driver_alloc(H5FD_t *file, H5FD_mem_t type, hid_t list, hsize_t size)
{
    driven_file *f = (driven_file *)file;
    (void)list;
    if (size > INT64_MAX - MOST - (end_of(f) + f->target->block))
        return HADDR_UNDEF;
    if (type != H5FD_MEM_DRAW)
        return alloc_meta(f, size);
    haddr_t at = aligned(f->meta_end > f->end ? f->meta_end : f->end, ALIGNMENT);
    f->end = at + size;
    return at;
}

/* libhdf5 remembers and uses again what it frees. */
static herr_t driver_free(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t addr, hsize_t size)
{
    (void)file, (void)type, (void)list, (void)addr, (void)size;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return ((const driven_file *)file)->eof;
}

/* What was never written reads as zeros, as in libhdf5's own driver. */
static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t addr, size_t size, void *buf)
{
    driven_file *f = (driven_file *)file;
    size_t there = addr >= f->eof ? 0 : f->eof - addr < size ? (size_t)(f->eof - addr) : size;
    (void)type;
    (void)list;
    memset((unsigned char *)buf + there, 0, size - there);
    return h5ck_fs_pread(f->target->fd, buf, there, addr, f->target->err ? NULL : &f->target->err) ? -1 : 0;
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t addr, size_t size, const void *buf)
{
    driven_file *f = (driven_file *)file;
    (void)type;
    (void)list;
    if (!f->target->err)
        h5ck_fs_pwrite(f->target->fd, buf, size, addr, &f->target->err);
    if (addr + size > f->eof)
        f->eof = addr + size;
    return 0;
}

static herr_t driver_truncate(H5FD_t *file, hid_t list, hbool_t closing)
{
    driven_file *f = (driven_file *)file;
    (void)list;
    (void)closing;
    if (!f->target->err && end_of(f) != f->eof)
        h5ck_fs_truncate(f->target->fd, end_of(f), &f->target->err);
    f->eof = end_of(f);
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)511, /* of the range for drivers that are nobody else's business */
#endif
    .name = "h5ckpt target",
    .maxaddr = INT64_MAX - MOST,
    .fc_degree = H5F_CLOSE_WEAK,
    .fapl_size = sizeof(h5ck_hdf5_target *),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .alloc = driver_alloc,
    .free = driver_free,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* Gives the list this driver, for one file. The registration outlives the file: libhdf5 lets go of a driver right before it
 * calls it for the last time. */
static int use_driver(hid_t list, h5ck_hdf5_target *target)
{
    target->driver = H5FDregister(&driver);
    return target->driver < 0 || H5Pset_driver(list, target->driver, &target) < 0 ? -1 : 0;
}

/* A block suits the number of datasets: some 512 bytes each, from 2 KiB to 1 MiB. */
static void start(h5ck_hdf5_target *t, size_t datasets)
{
    *t = (h5ck_hdf5_target){.fd = -1, .id = -1, .driver = -1, .block = 2048};
    while (t->block < (1u << 20) && t->block / 512 < datasets)
        t->block *= 2;
}

static int open_as(h5ck_hdf5_target *t, const char *path, hid_t create, h5ckpt_error **err)
{
    hid_t access = h5ck_hdf5_write_list();
    if (access >= 0 && use_driver(access, t) == 0)
        t->id = create >= 0 ? H5Fcreate(path, H5F_ACC_TRUNC, create, access) : H5Fopen(path, H5F_ACC_RDWR, access);
    int rc = t->id < 0 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot open the new HDF5 file") : 0;
    h5ck_hdf5_close(access);
    return rc;
}

int h5ck_hdf5_target_create(h5ck_hdf5_target *t, const char *path, size_t datasets, h5ckpt_error **err)
{
    start(t, datasets);
    int rc = h5ck_fs_create(path, NULL, &t->fd, err);
    if (rc)
        return rc;
    hid_t create = H5Pcreate(H5P_FILE_CREATE);
    rc = create < 0 || h5ck_hdf5_track_order(create, true) < 0
             ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot make HDF5's lists")
             : open_as(t, path, create, err);
    h5ck_hdf5_close(create);
    return rc;
}

int h5ck_hdf5_target_open(h5ck_hdf5_target *t, const char *path, size_t datasets, h5ckpt_error **err)
{
    start(t, datasets);
    int rc = h5ck_fs_open_write(path, &t->fd, err);
    return rc ? rc : open_as(t, path, -1, err);
}

int h5ck_hdf5_target_close(h5ck_hdf5_target *t, int rc, h5ckpt_error **err)
{
    if (t->id >= 0 && H5Fclose(t->id) < 0 && rc == 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot finish the HDF5 file");
    if (t->driver >= 0)
        H5FDunregister(t->driver);
    if (t->err) { /* the cause of whatever libhdf5 says since */
        rc = (int)t->err->code == H5CKPT_INVALID ? H5CKPT_SYSTEM : (int)t->err->code;
        if (err) {
            h5ckpt_error_free(*err);
            *err = t->err;
        } else {
            h5ckpt_error_free(t->err);
        }
        t->err = NULL;
    }
    if (t->fd >= 0) {
        int closed = h5ck_fs_close(t->fd, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    *t = (h5ck_hdf5_target){.fd = -1, .id = -1, .driver = -1};
    return rc;
}
