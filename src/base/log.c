/* log.c - one line, whatever the names in it hold. */
#include "base/log.h"

#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void h5ck_log_note(const h5ck_log *log, const char *fmt, ...)
{
    if (!log || !log->note)
        return;
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    char *line = n >= 0 ? malloc((size_t)n + 1) : NULL;
    if (!line)
        return; /* a remark is not worth an error */
    va_start(args, fmt);
    vsnprintf(line, (size_t)n + 1, fmt, args);
    va_end(args);
    h5ck_buf out = H5CK_BUF_INIT;
    h5ck_buf_printable(&out, line);
    const char *text = h5ck_buf_cstr(&out);
    if (text)
        log->note(log->user, text);
    h5ck_buf_free(&out);
    free(line);
}
