/*
 * h5_session.c - one lock around libhdf5, the host's error handler put back where it was, and files opened and created
 * with what this format needs.
 *
 * The lock is the only process-wide thing in h5ckpt (with one function for the exit, below): libhdf5 keeps its own state in the process and most builds of it are
 * not safe for threads. Errors are read from libhdf5's stack and become one line.
 *
 * Written files stay within HDF5 1.8's format (version bounds V18): it has checksums on all metadata, is the oldest that
 * keeps order of creation, and every HDF5 of the last 15 years reads it. No times are stored: the same input gives the
 * same bytes.
 */
#include "hdf5/h5.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void h5ck_hdf5_enter(h5ck_hdf5_guard *guard)
{
    pthread_mutex_lock(&lock);
    *guard = (h5ck_hdf5_guard){NULL, NULL};
    H5Eget_auto2(H5E_DEFAULT, &guard->report, &guard->report_data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void h5ck_hdf5_leave(const h5ck_hdf5_guard *guard)
{
    H5Eclear2(H5E_DEFAULT);
    H5Eset_auto2(H5E_DEFAULT, guard->report, guard->report_data);
    pthread_mutex_unlock(&lock);
}

/* ---- Errors ---- */

typedef struct reason {
    char text[400];
    bool memory;
} reason;

/* Upward: the first entry is the innermost, the cause. */
static herr_t first_reason(unsigned n, const H5E_error2_t *e, void *user)
{
    reason *r = user;
    if (n == 0 && e->desc) {
        snprintf(r->text, sizeof r->text, "%s", e->desc);
        for (char *p = r->text; *p; p++)
            if ((unsigned char)*p < ' ')
                *p = ' ';
    }
    return 0;
}

/* At the end of a process libhdf5 prints a page of letters where a damaged file made it lose memory (1.10.8 does). It keeps
 * silent where errors are not printed, so printing is turned off right before; only once something was damaged. */
static void be_silent_at_exit(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

int h5ck_hdf5_fail(h5ckpt_error **err, int code, const char *what)
{
    static bool registered; /* under the lock */
    reason r = {.text = "no reason given"};
    if (!registered)
        registered = atexit(be_silent_at_exit) == 0;
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_reason, &r);
    H5Eclear2(H5E_DEFAULT);
    return h5ck_fail(err, code, "%s: %s", what, r.text);
}

void h5ck_hdf5_close(hid_t id)
{
    if (id < 0)
        return;
    switch (H5Iget_type(id)) {
    case H5I_FILE:
        H5Fclose(id);
        return;
    case H5I_GENPROP_LST:
        H5Pclose(id);
        return;
    case H5I_DATATYPE:
        H5Tclose(id);
        return;
    case H5I_DATASPACE:
        H5Sclose(id);
        return;
    case H5I_ATTR:
        H5Aclose(id);
        return;
    default:
        H5Oclose(id);
    }
}

/* ---- Files ---- */

/* Locks where the file system can lock; a file system that cannot is no reason to refuse a file. The driver is named, so
 * that HDF5_DRIVER in the environment does not change it. */
static hid_t access_list(void)
{
    hid_t list = H5Pcreate(H5P_FILE_ACCESS);
    if (list >= 0 && H5Pset_fapl_sec2(list) < 0) {
        H5Pclose(list);
        return -1;
    }
#if H5_VERSION_GE(1, 10, 7) && !(H5_VERS_MINOR == 12 && H5_VERS_RELEASE < 1)
    if (list >= 0)
        H5Pset_file_locking(list, true, true);
#endif
    return list;
}

hid_t h5ck_hdf5_write_list(void)
{
    hid_t list = access_list();
    if (list >= 0 && H5Pset_libver_bounds(list, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0) {
        H5Pclose(list);
        return -1;
    }
    return list;
}

static bool same_file(hid_t id, int fd)
{
    void *handle = NULL;
    struct stat a, b;
    if (H5Fget_vfd_handle(id, H5P_DEFAULT, &handle) < 0 || !handle || fstat(fd, &a))
        return false;
    return fstat(*(int *)handle, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

int h5ck_hdf5_open(const char *path, int fd, hid_t *id, h5ckpt_error **err)
{
    hid_t list = access_list();
    *id = list < 0 ? -1 : H5Fopen(path, H5F_ACC_RDONLY, list);
    int rc = *id < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "expected a whole HDF5 file") : 0;
    h5ck_hdf5_close(list);
    if (rc || same_file(*id, fd))
        return rc;
    h5ck_hdf5_close(*id);
    *id = -1;
    return h5ck_fail(err, H5CKPT_INVALID, "changed while being read: expected one file, found two under its name");
}

int h5ck_hdf5_track_order(hid_t list, bool links)
{
    unsigned how = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    if (H5Pset_attr_creation_order(list, how) < 0 || H5Pset_obj_track_times(list, false) < 0)
        return -1;
    return links && H5Pset_link_creation_order(list, how) < 0 ? -1 : 0;
}

hid_t h5ck_hdf5_group_list(void)
{
    hid_t list = H5Pcreate(H5P_GROUP_CREATE);
    if (list >= 0 && h5ck_hdf5_track_order(list, true)) {
        H5Pclose(list);
        return -1;
    }
    return list;
}

hid_t h5ck_hdf5_link_list(void)
{
    hid_t list = H5Pcreate(H5P_LINK_CREATE);
    if (list >= 0 && H5Pset_char_encoding(list, H5T_CSET_UTF8) < 0) {
        H5Pclose(list);
        return -1;
    }
    return list;
}
