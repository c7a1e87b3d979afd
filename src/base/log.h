/* log - remarks that are no errors, handed to the caller's note function; nothing is printed here. */
#ifndef H5CK_BASE_LOG_H
#define H5CK_BASE_LOG_H

#include "base/err.h"

typedef struct h5ck_log {
    h5ckpt_note_fn *note; /* NULL: remarks go nowhere */
    void *user;
} h5ck_log;

/* One line; control characters in it are escaped. */
void h5ck_log_note(const h5ck_log *log, const char *fmt, ...) H5CK_PRINTF(2, 3);

#endif
