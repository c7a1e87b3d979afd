/*
 * term - see term.h. All state of the two streams is set once by term_start and only read afterwards.
 *
 * A descriptor 0, 1 or 2 that the caller closed is filled first, or the next file that is opened would take its number
 * and messages would go into a checkpoint. It is filled the wrong way round (stdout read-only), so that writing to it
 * still fails as it should.
 */
#include "term.h"

#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static struct {
    bool out_tty, err_tty, utf8, colour;
    int out_errno; /* of the first write to stdout that failed */
} term;

static void fill_standard_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) < 0)
            _exit(4);
}

void term_start(void)
{
    static char buffer[1 << 16];
    fill_standard_descriptors();
    signal(SIGXFSZ, SIG_IGN); /* a file beyond `ulimit -f` is a write error, and what was begun is removed */
    signal(SIGPIPE, SIG_IGN); /* a closed pipe is a write error, seen by term_finish */
    setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
    term.out_tty = isatty(1) == 1;
    term.err_tty = isatty(2) == 1;
    if (term.out_tty || term.err_tty) { /* only to learn what the terminal shows; numbers keep their '.' */
        setlocale(LC_CTYPE, "");
        term.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
    }
    const char *no_color = getenv("NO_COLOR");
    const char *type = getenv("TERM");
    term.colour = term.out_tty && !(no_color && *no_color) && type && *type && strcmp(type, "dumb") != 0;
}

bool term_failed(void)
{
    if (ferror(stdout) && term.out_errno == 0)
        term.out_errno = errno ? errno : EIO;
    return term.out_errno != 0;
}

int term_finish(int code)
{
    errno = 0;
    if (fflush(stdout) != 0) /* tries once more what failed before, and so has the reason first hand */
        term.out_errno = errno ? errno : EIO;
    if (!term_failed())
        return code;
    if (term.out_errno != EPIPE) /* a reader that has seen enough needs no message */
        term_complain("standard output: cannot write: %s", strerror(term.out_errno));
    return 4;
}

bool term_is_tty(FILE *f)
{
    return f == stdout ? term.out_tty : term.err_tty;
}

bool term_is_utf8_tty(FILE *f)
{
    return term_is_tty(f) && term.utf8;
}

unsigned term_columns(FILE *f)
{
    struct winsize size;
    if (ioctl(fileno(f), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return 80;
}

void term_set(term_style style)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[2m", "\033[1;31m"};
    if (term.colour)
        fputs(codes[style], stdout);
}

/* ---- Text ---- */

size_t term_utf8(const char *s, size_t n, uint32_t *code_point)
{
    const unsigned char *p = (const unsigned char *)s;
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (n == 0)
        return 0;
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
    if (len == 0 || len > n)
        return 0;
    uint32_t c = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *code_point = c;
    return len;
}

typedef struct range {
    uint32_t first, last;
} range;

static bool in_ranges(uint32_t c, const range *ranges, size_t count)
{
    for (size_t i = 0; i < count && ranges[i].first <= c; i++)
        if (c <= ranges[i].last)
            return true;
    return false;
}

#define IN(c, ranges) in_ranges(c, ranges, sizeof(ranges) / sizeof *(ranges))

bool term_is_hazard(uint32_t c)
{
    /* controls; soft hyphen; Arabic letter mark; zero-width and bidi marks and overrides (but not the joiners, which
     * scripts and emoji need); line and paragraph separators; invisible operators; BOM; interlinear marks; tags */
    static const range hazards[] = {{0x00, 0x1f},       {0x7f, 0x9f},        {0xad, 0xad},     {0x61c, 0x61c},
                                    {0x180e, 0x180e},   {0x200b, 0x200b},    {0x200e, 0x200f}, {0x2028, 0x202e},
                                    {0x2060, 0x206f},   {0xfeff, 0xfeff},    {0xfff9, 0xfffb}, {0xfffe, 0xffff},
                                    {0xe0000, 0xe0fff}, {0x10fffe, 0x10ffff}};
    return IN(c, hazards);
}

/* Columns of a harmless code point. Our own small table: a column must not depend on the locale. */
static size_t columns_of(uint32_t c)
{
    static const range zero[] = {{0x300, 0x36f},   {0x483, 0x489},    {0x591, 0x5bd},   {0x610, 0x61a},
                                 {0x64b, 0x65f},   {0x200c, 0x200d},  {0x20d0, 0x20f0}, {0xfe00, 0xfe0f},
                                 {0xfe20, 0xfe2f}, {0x1f3fb, 0x1f3ff}};
    static const range wide[] = {{0x1100, 0x115f},  {0x2e80, 0x303e},   {0x3041, 0xa4cf},   {0xa960, 0xa97c},
                                 {0xac00, 0xd7a3},  {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                                 {0xffe0, 0xffe6},  {0x1f300, 0x1f64f}, {0x1f680, 0x1f6ff}, {0x1f900, 0x1f9ff},
                                 {0x20000, 0x3fffd}};
    return c < 0x300 ? 1 : IN(c, zero) ? 0 : IN(c, wide) ? 2 : 1;
}

/* Spells out one unit (a code point, or where len is 0 one stray byte). */
static size_t put_spelled(FILE *f, uint32_t c)
{
    char text[16];
    int n = snprintf(text, sizeof text, c < 0x80 ? "\\x%02x" : "\\u{%x}", (unsigned)c);
    if (f)
        fputs(text, f);
    return (size_t)n;
}

static size_t put_stray(FILE *f, unsigned char byte)
{
    if (f)
        fprintf(f, "\\x%02x", byte);
    return 4;
}

size_t term_put_n(FILE *f, const char *text, size_t n)
{
    bool ascii_only = f && term_is_tty(f) && !term.utf8;
    size_t columns = 0;
    for (size_t i = 0; i < n;) {
        size_t plain = i;
        while (plain < n && text[plain] >= 0x20 && text[plain] < 0x7f)
            plain++;
        if (plain > i) {
            if (f)
                fwrite(text + i, 1, plain - i, f);
            columns += plain - i;
            i = plain;
            continue;
        }
        uint32_t c;
        size_t len = term_utf8(text + i, n - i, &c);
        if (len == 0) {
            columns += put_stray(f, (unsigned char)text[i++]);
            continue;
        }
        if (term_is_hazard(c) || (ascii_only && c >= 0x80)) {
            columns += put_spelled(f, c);
        } else {
            if (f)
                fwrite(text + i, 1, len, f);
            columns += columns_of(c);
        }
        i += len;
    }
    return columns;
}

size_t term_put(FILE *f, const char *text)
{
    return term_put_n(f, text, strlen(text));
}

void term_put_lines(FILE *f, const char *text)
{
    while (*text) {
        size_t n = strcspn(text, "\n");
        term_put_n(f, text, n);
        fputc('\n', f);
        text += n + (text[n] == '\n');
    }
}

void term_complain(const char *fmt, ...)
{
    va_list args;
    char *line = NULL;
    va_start(args, fmt);
    int n = vasprintf(&line, fmt, args);
    va_end(args);
    fflush(stdout); /* on a terminal the message comes after what was printed before it */
    fputs("h5ckpt: ", stderr);
    if (n < 0)
        fputs("out of memory", stderr);
    else
        term_put(stderr, line);
    fputc('\n', stderr);
    if (n >= 0)
        free(line);
}
