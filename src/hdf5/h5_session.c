/*
 * h5_session.c - one lock around libhdf5, the host's error handler put back where it was, libhdf5's errors as one line,
 * and the lists that things are made with.
 *
 * The lock is the only process-wide thing in h5ckpt (with one function for the exit, below): libhdf5 keeps its own
 * state in the process and most builds of it are not safe for threads. No times are stored: the same input gives the
 * same bytes.
 */
#include "hdf5/h5.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
    bool is_memory;
} reason;

/* Upward: the first entry is the innermost, the cause. */
static herr_t first_reason(unsigned n, const H5E_error2_t *e, void *user)
{
    reason *r = user;
    if (n == 0)
        r->is_memory = e->maj_num == H5E_RESOURCE || e->min_num == H5E_NOSPACE || e->min_num == H5E_CANTALLOC;
    if (n == 0 && e->desc) {
        snprintf(r->text, sizeof r->text, "%s", e->desc);
        for (char *p = r->text; *p; p++)
            if ((unsigned char)*p < ' ')
                *p = ' ';
    }
    return 0;
}

/* A damaged length makes libhdf5 ask for more than any machine has: that is the file's fault, while there is some
 * left. */
static bool is_memory_short(void)
{
    enum { ENOUGH = 4 << 20 };
    void *some = malloc(ENOUGH);
    free(some);
    return !some;
}

/* At the end of a process libhdf5 prints a page of letters where a damaged file made it lose memory (1.10.8 does). It
 * is silent where errors are not printed, so printing is turned off right before; only once something was damaged. */
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
    if (r.is_memory && (code == H5CKPT_SYSTEM || is_memory_short()))
        return h5ck_fail_nomem(err);
    return h5ck_fail(err, code, "%s: %s", what, r.text);
}

/* What each kind's own close comes down to, without asking for the kind. */
void h5ck_hdf5_close(hid_t id)
{
    if (id >= 0)
        H5Idec_ref(id);
}

/* ---- Lists ---- */

int h5ck_hdf5_track_order(hid_t list, bool links)
{
    unsigned how = H5P_CRT_ORDER_TRACKED | H5P_CRT_ORDER_INDEXED;
    if (H5Pset_attr_creation_order(list, how) < 0 || H5Pset_obj_track_times(list, false) < 0)
        return -1;
    return links && H5Pset_link_creation_order(list, how) < 0 ? -1 : 0;
}

int h5ck_hdf5_order(hid_t group, bool links, H5_index_t *by, h5ckpt_error **err)
{
    unsigned how = 0;
    hid_t list = H5Gget_create_plist(group);
    herr_t got = list < 0 ? -1
                 : links  ? H5Pget_link_creation_order(list, &how)
                          : H5Pget_attr_creation_order(list, &how);
    int rc = got < 0 ? h5ck_hdf5_fail(err, H5CKPT_INVALID, "cannot read how a group is ordered") : 0;
    h5ck_hdf5_close(list);
    *by = how & H5P_CRT_ORDER_TRACKED ? H5_INDEX_CRT_ORDER : H5_INDEX_NAME;
    return rc;
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
