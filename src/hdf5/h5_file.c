/*
 * h5_file.c - HDF5 files behind a file driver of our own, for reading and for writing.
 *
 * The driver works on a descriptor that h5ckpt holds. What is read is so the very file that was looked at, whatever has
 * its name by now, and what the system says is kept: libhdf5 only hears that a read failed, the caller hears why.
 *
 * While reading, the file is locked against writers (flock, as libhdf5's own driver does), where the file system can
 * lock.
 *
 * libhdf5 does not bear a write that fails: it cannot close such a file, keeps trying when the process ends, and
 * crashes there (seen with 1.10.8 on a full disk). So the driver never tells it. The first failure of the system is
 * kept, writes after it go nowhere, libhdf5 closes the file content, and close() reports what the system said. The
 * caller removes the file anyway.
 *
 * The driver also says where things go, which libhdf5 allows a driver. Each dataset's elements begin at 64 bytes, large
 * ones at a file system's block, so that a later copy may share the blocks (h5ck_fs_clone); metadata is put together in blocks between them. libhdf5's own alignment would do the same to the elements, but it
 * keeps every gap in a list that it searches at each allocation: the square of the number of datasets (60 s for 30,000
 * small ones).
 *
 * Elements that h5ckpt packs are written by h5ckpt, side by side; only where each chunk lies is libhdf5's to store. So
 * the driver lets it allocate and write them once more, in place and in name only (h5ck_hdf5_file_place). The other way
 * round, a chunk's offset is learned by letting libhdf5 read it, in name only (h5ck_hdf5_file_ask).
 *
 * Addresses are offsets, and nothing of the driver is stored in the file. It is registered for one file at a time: no
 * global state.
 */
#include "base/fs.h"
#include "hdf5/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

/* Of a file that is read: metadata come in one call, as they lie, and not each header in one of its own. */
typedef struct window {
    haddr_t at;
    size_t len;
    unsigned char data[16 << 10];
} window;

/* What libhdf5 holds of an open file. Its own part comes first. */
typedef struct driven_file {
    H5FD_t hdf5;
    h5ck_hdf5_file *ours, gone;  /* `gone`: where h5ckpt closed it and libhdf5 did not, its descriptor is none */
    haddr_t meta_next, meta_end; /* what is left of the current block of metadata */
    haddr_t end;                 /* of all other space; the block may lie behind it */
    haddr_t eof;                 /* of the file */
    window window;
} driven_file;

enum {
    MOST = 1 << 30, /* bytes in one call, which int64 offsets leave room for */
    ALIGNMENT = 64,
    BLOCK = 4096,
    BLOCKS_FROM = 1 << 20, /* bytes of elements */
    META_ALIGNMENT = 8,
    SMALL = 1 << 10,
    CACHE = 512 << 10
};

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t maxaddr)
{
    h5ck_hdf5_file *const *ours = H5Pget_driver_info(access);
    driven_file *f = ours ? calloc(1, sizeof *f) : NULL;
    (void)name;
    (void)maxaddr;
    if (!f) {
        if (ours)
            h5ck_fail_nomem(&(*ours)->err);
        return NULL;
    }
    f->ours = *ours;
    f->eof = flags & H5F_ACC_TRUNC ? 0 : (*ours)->size;
    f->gone.fd = -1;
    (*ours)->driven = f;
    return &f->hdf5;
}

static herr_t driver_close(H5FD_t *file)
{
    driven_file *f = (driven_file *)file;
    f->ours->driven = NULL;
    h5ckpt_error_free(f->gone.err);
    free(f); /* the descriptor stays */
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
        f->meta_end = at + (size > f->ours->block ? size : f->ours->block);
    }
    f->meta_next = at + size;
    return at;
}

static haddr_t driver_alloc(H5FD_t *file, H5FD_mem_t type, hid_t list, hsize_t size)
{
    driven_file *f = (driven_file *)file;
    (void)list;
    if (size > INT64_MAX - MOST - (end_of(f) + f->ours->block)) {
        h5ck_fail(&f->ours->err, H5CKPT_SYSTEM, "expected a file that the system can hold, found a larger one");
        return HADDR_UNDEF;
    }
    if (type != H5FD_MEM_DRAW)
        return alloc_meta(f, size);
    if (f->ours->placed && size == f->ours->placed) {
        f->ours->taken = true;
        return f->ours->placed_at;
    }
    haddr_t at = aligned(f->meta_end > f->end ? f->meta_end : f->end, size < BLOCKS_FROM ? ALIGNMENT : BLOCK);
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

/* A small piece inside of the file, through the window, which ends with the file. */
static int read_small(driven_file *f, haddr_t addr, size_t size, void *buf)
{
    window *w = &f->window;
    int rc = 0;
    if (addr < w->at || size > w->len || addr - w->at > w->len - size) {
        size_t n = f->eof - addr < sizeof w->data ? (size_t)(f->eof - addr) : sizeof w->data;
        w->len = 0;
        rc = h5ck_fs_pread(f->ours->fd, w->data, n, addr, &f->ours->err);
        w->at = addr;
        w->len = rc ? 0 : n;
    }
    if (rc == 0)
        memcpy(buf, w->data + (addr - w->at), size);
    return rc;
}

/* What was never written reads as zeros, as in libhdf5's own driver. */
static herr_t driver_read(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t addr, size_t size, void *buf)
{
    driven_file *f = (driven_file *)file;
    size_t there = addr >= f->eof ? 0 : f->eof - addr < size ? (size_t)(f->eof - addr) : size;
    (void)list;
    if (type == H5FD_MEM_DRAW && f->ours->asked && size == f->ours->asked) {
        f->ours->asked = 0;
        f->ours->answer = addr;
        return 0;
    }
    memset((unsigned char *)buf + there, 0, size - there);
    int rc = there && there <= SMALL && !f->ours->writing ? read_small(f, addr, there, buf)
                                                          : h5ck_fs_pread(f->ours->fd, buf, there, addr, &f->ours->err);
    return rc ? -1 : 0; /* the first error stays */
}

static herr_t driver_write(H5FD_t *file, H5FD_mem_t type, hid_t list, haddr_t addr, size_t size, const void *buf)
{
    driven_file *f = (driven_file *)file;
    bool placed = type == H5FD_MEM_DRAW && f->ours->placed && size == f->ours->placed && addr == f->ours->placed_at;
    (void)list;
    if (!f->ours->err && !placed)
        h5ck_fs_pwrite(f->ours->fd, buf, size, addr, &f->ours->err);
    if (addr + size > f->eof)
        f->eof = addr + size;
    return 0;
}

static herr_t driver_truncate(H5FD_t *file, hid_t list, hbool_t closing)
{
    driven_file *f = (driven_file *)file;
    (void)list;
    (void)closing;
    if (!f->ours->err && end_of(f) != f->eof)
        h5ck_fs_truncate(f->ours->fd, end_of(f), &f->ours->err);
    f->eof = end_of(f);
    return 0;
}

/* A file system that cannot lock is no reason to refuse a file. What is written is ours alone. */
static herr_t driver_lock(H5FD_t *file, hbool_t writing)
{
    h5ck_hdf5_file *ours = ((driven_file *)file)->ours;
    int rc = 0;
    if (!writing) {
        do
            rc = flock(ours->fd, LOCK_SH | LOCK_NB);
        while (rc < 0 && errno == EINTR);
    }
    if (rc == 0 || errno == ENOSYS || errno == ENOTSUP || errno == EOPNOTSUPP)
        return 0;
    if (errno == EWOULDBLOCK)
        h5ck_fail(&ours->err, H5CKPT_SYSTEM, "another program is writing the file");
    else
        h5ck_fail_errno(&ours->err, NULL, "cannot lock");
    return -1;
}

static herr_t driver_unlock(H5FD_t *file)
{
    flock(((driven_file *)file)->ours->fd, LOCK_UN); /* if it fails: close unlocks */
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = (H5FD_class_value_t)511, /* of the range for drivers that are nobody else's business */
#endif
    .name = "h5ckpt",
    .maxaddr = INT64_MAX - MOST,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(h5ck_hdf5_file *),
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
    .lock = driver_lock,
    .unlock = driver_unlock,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

/* ---- Opening and closing ---- */

/* libhdf5's cache of metadata, of one size: what is opened once is not kept. Left to itself it grows to 32 MiB, which
 * are counted as in the file and take twenty times that in memory (600 MB for 100,000 datasets, and the time to get
 * them). */
static bool set_cache(hid_t list)
{
    H5AC_cache_config_t c = {.version = H5AC__CURR_CACHE_CONFIG_VERSION};
    if (H5Pget_mdc_config(list, &c) < 0)
        return false;
    c.set_initial_size = true;
    c.initial_size = c.min_size = c.max_size = CACHE;
    c.incr_mode = H5C_incr__off;
    c.flash_incr_mode = H5C_flash_incr__off;
    c.decr_mode = H5C_decr__off;
    return H5Pset_mdc_config(list, &c) >= 0;
}

/* The lists ask for locks; the driver knows where there are none. Written files stay within HDF5 1.8's format: it has
 * checksums on all metadata, is the oldest that keeps order of creation, and any HDF5 of the last 15 years reads it. */
static hid_t access_list(h5ck_hdf5_file *f)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    f->driver = list < 0 ? -1 : H5FDregister(&driver);
    bool ok = f->driver >= 0 && H5Pset_driver(list, f->driver, &f) >= 0 && set_cache(list);
    if (ok && f->writing)
        ok = H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0;
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MINOR == 12 && H5_VERS_RELEASE < 1)
    if (ok)
        ok = H5Pset_file_locking(list, true, true) >= 0;
#endif
    if (ok)
        return list;
    h5ck_hdf5_close(list);
    return -1;
}

/* A block suits the number of datasets: some 512 bytes each, from 2 KiB to 1 MiB. */
static void start_writing(h5ck_hdf5_file *f, size_t datasets)
{
    *f = (h5ck_hdf5_file){.fd = -1, .id = -1, .driver = -1, .writing = true, .block = 2048};
    while (f->block < (1u << 20) && f->block / 512 < datasets)
        f->block *= 2;
}

int h5ck_hdf5_file_create(h5ck_hdf5_file *f, const char *path, size_t datasets, h5ckpt_error **err)
{
    start_writing(f, datasets);
    int rc = h5ck_fs_create(path, NULL, &f->fd, err);
    if (rc)
        return rc;
    hid_t access = access_list(f), create = H5Pcreate(H5P_FILE_CREATE);
    if (access >= 0 && create >= 0 && h5ck_hdf5_track_order(create, true) == 0)
        f->id = H5Fcreate(path, H5F_ACC_TRUNC, create, access);
    if (f->id < 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot create the HDF5 file");
    h5ck_hdf5_close(create);
    h5ck_hdf5_close(access);
    return rc;
}

int h5ck_hdf5_file_read(h5ck_hdf5_file *f, int fd, uint64_t size, h5ckpt_error **err)
{
    *f = (h5ck_hdf5_file){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0), .id = -1, .driver = -1, .size = size};
    if (f->fd < 0)
        return h5ck_fail_errno(err, NULL, "cannot open");
    hid_t access = access_list(f);
    int rc = access < 0 ? h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot make HDF5's lists") : 0;
    if (rc == 0 && (f->id = H5Fopen("/h5ckpt", H5F_ACC_RDONLY, access)) < 0) /* the driver asks for no name */
        rc = h5ck_hdf5_fail(err, H5CKPT_INVALID, "expected a whole HDF5 file");
    h5ck_hdf5_close(access);
    return rc;
}

/* ---- Elements that libhdf5 does not move ---- */

void h5ck_hdf5_file_ask(h5ck_hdf5_file *f, uint64_t size)
{
    f->asked = size;
}

bool h5ck_hdf5_file_asked(h5ck_hdf5_file *f, uint64_t *offset)
{
    bool answered = f->asked == 0;
    f->asked = 0;
    *offset = f->answer;
    return answered;
}

uint64_t h5ck_hdf5_file_end(const h5ck_hdf5_file *f)
{
    const driven_file *d = f->driven;
    return aligned(d->meta_end > d->end ? d->meta_end : d->end, ALIGNMENT);
}

void h5ck_hdf5_file_reserve(h5ck_hdf5_file *f, uint64_t end)
{
    driven_file *d = f->driven;
    if (end > d->end)
        d->end = end;
}

void h5ck_hdf5_file_place(h5ck_hdf5_file *f, uint64_t offset, uint64_t size)
{
    f->placed_at = offset;
    f->placed = size;
    f->taken = false;
}

bool h5ck_hdf5_file_placed(const h5ck_hdf5_file *f)
{
    return f->taken;
}

/* ---- How it went ---- */

int h5ck_hdf5_file_told(h5ck_hdf5_file *f, int rc, h5ckpt_error **err)
{
    h5ckpt_error *cause = f->err;
    if (!cause)
        return rc;
    f->err = NULL;
    if (f->writing && cause->code == H5CKPT_INVALID) /* our own file ended too early: nobody's input */
        cause->code = H5CKPT_SYSTEM;
    rc = (int)cause->code;
    if (!err) {
        h5ckpt_error_free(cause);
        return rc;
    }
    if (*err) /* where it was is as true of the cause */
        h5ck_err_where(&cause, rc, (*err)->path, (*err)->tensor);
    h5ckpt_error_free(*err);
    *err = cause;
    return rc;
}

/* libhdf5 lets go of a driver right before it calls it for the last time. So the registration ends after the file, and
 * never where libhdf5 could not close that: it may come back when the process ends, and finds no descriptor then. */
static void let_go(h5ck_hdf5_file *f)
{
    driven_file *still = f->driven;
    if (still)
        still->ours = &still->gone;
    else if (f->driver >= 0)
        H5FDunregister(f->driver);
}

int h5ck_hdf5_file_close(h5ck_hdf5_file *f, int rc, h5ckpt_error **err)
{
    if (f->id >= 0 && H5Fclose(f->id) < 0 && rc == 0)
        rc = h5ck_hdf5_fail(err, H5CKPT_SYSTEM, "cannot finish the HDF5 file");
    let_go(f);
    rc = h5ck_hdf5_file_told(f, rc, err);
    if (f->fd >= 0) {
        int closed = h5ck_fs_close(f->fd, rc ? NULL : err);
        rc = rc ? rc : closed;
    }
    *f = (h5ck_hdf5_file){.fd = -1, .id = -1, .driver = -1};
    return rc;
}
