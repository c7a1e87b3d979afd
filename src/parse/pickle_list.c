/*
 * pickle_list.c - a pickle as lines of text, one an opcode:
 *
 *          2  GLOBAL            paddle.fluid.dygraph.learning_rate_scheduler NaturalExpDecay
 *         64  BINPUT            0
 *
 * It runs nothing and trusts nothing: arguments are escaped and cut, and the first opcode that is not valid ends the
 * list with the reason.
 */
#include "base/le.h"
#include "parse/pickle.h"
#include "parse/pickle_ops.h"
#include "parse/pickle_text.h"

#include <inttypes.h>
#include <stdbool.h>

/* A number of LONG1 and LONG4: in full where it fits 64 bits. */
static void list_long(const h5ck_pickle_item *it, h5ck_buf *out)
{
    size_t len = h5ck_pickle_trim(it->data, it->len);
    if (len <= 8)
        h5ck_buf_printf(out, "%" PRId64, h5ck_pickle_int64(it->data, len));
    else
        h5ck_buf_printf(out, "(an integer of %zu bytes)", len);
}

static void list_argument(const h5ck_pickle_item *it, h5ck_buf *out)
{
    char shown[160];
    switch (it->op->form) {
    case H5CK_PICKLE_BARE:
        return;
    case H5CK_PICKLE_I4:
        h5ck_buf_printf(out, "%" PRId64, (int64_t)it->number);
        return;
    case H5CK_PICKLE_F8:
        h5ck_buf_printf(out, "%.17g", h5ck_f64_from_bits(it->number));
        return;
    case H5CK_PICKLE_U1:
    case H5CK_PICKLE_U2:
    case H5CK_PICKLE_U4:
    case H5CK_PICKLE_U8:
        h5ck_buf_printf(out, "%" PRIu64, it->number);
        return;
    case H5CK_PICKLE_LINE:
        h5ck_buf_str(out, h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
        return;
    case H5CK_PICKLE_TWO_LINES:
        h5ck_buf_printf(out, "%s ", h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
        h5ck_buf_str(out, h5ck_pickle_shown(it->data2, it->len2, shown, sizeof shown));
        return;
    case H5CK_PICKLE_DATA1:
    case H5CK_PICKLE_DATA4:
    case H5CK_PICKLE_DATA4S:
    case H5CK_PICKLE_DATA8:
        break;
    }
    if (it->code == 0x8a || it->code == 0x8b)
        list_long(it, out);
    else
        h5ck_buf_printf(out, "'%s'", h5ck_pickle_shown(it->data, it->len, shown, sizeof shown));
}

void h5ck_pickle_list(const unsigned char *data, size_t len, h5ck_buf *out)
{
    size_t pos = 0;
    for (bool stopped = false; !stopped;) {
        h5ck_pickle_item it;
        h5ckpt_error *err = NULL;
        if (h5ck_pickle_next(data, len, &pos, &it, &err)) {
            h5ck_buf_printf(out, "%8" PRIu64 "  not valid: %s\n", it.at, err ? err->message : "");
            h5ckpt_error_free(err);
            return;
        }
        bool bare = it.op->form == H5CK_PICKLE_BARE;
        h5ck_buf_printf(out, bare ? "%8" PRIu64 "  %s" : "%8" PRIu64 "  %-16s  ", it.at, it.op->name);
        list_argument(&it, out);
        h5ck_buf_str(out, "\n");
        stopped = it.code == '.';
    }
    if (pos < len)
        h5ck_buf_printf(out, "%8zu  not valid: %zu more bytes behind STOP\n", pos, len - pos);
}
