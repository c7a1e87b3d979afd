/* units - see units.h. */
#include "units.h"

#include <inttypes.h>

void units_bytes(uint64_t n, char text[UNITS_TEXT])
{
    static const char *const names[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    if (n < 1024) {
        snprintf(text, UNITS_TEXT, "%" PRIu64 " B", n);
        return;
    }
    double d = (double)n / 1024;
    size_t i = 0;
    for (; d >= 1023.95 && i < 5; i++) /* what would print as 1024.0 is 1.0 of the next */
        d /= 1024;
    snprintf(text, UNITS_TEXT, "%.1f %s", d, names[i]);
}

size_t units_shape(FILE *f, size_t rank, const uint64_t *shape)
{
    size_t columns = 2;
    if (f)
        putc('[', f);
    for (size_t i = 0; i < rank; i++) {
        char text[24];
        int n = snprintf(text, sizeof text, "%s%" PRIu64, i ? ", " : "", shape[i]);
        if (f)
            fputs(text, f);
        columns += (size_t)n;
    }
    if (f)
        putc(']', f);
    return columns;
}

uint64_t units_elements(size_t rank, const uint64_t *shape)
{
    uint64_t n = 1;
    for (size_t i = 0; i < rank; i++)
        if (shape[i] == 0)
            return 0;
    for (size_t i = 0; i < rank; i++)
        n *= shape[i];
    return n;
}

void units_pad(FILE *f, size_t n)
{
    static const char spaces[] = "                                                                ";
    for (; n > 0; n -= n < sizeof spaces - 1 ? n : sizeof spaces - 1)
        fwrite(spaces, 1, n < sizeof spaces - 1 ? n : sizeof spaces - 1, f);
}
