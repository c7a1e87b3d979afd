/* progress - see progress.h. Used from one thread, by convert and verify; the state is static for the signal handler's
 * sake. */
#include "progress.h"

#include "term.h"
#include "units.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};
enum { CAUGHT = sizeof caught / sizeof *caught };

static volatile sig_atomic_t came_in;
static volatile time_t came_in_at;
static struct sigaction before[CAUGHT];
static bool draws, drawn;
static double started, last_drawn;

static const double DELAY = 0.3, INTERVAL = 0.1; /* seconds */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A shell, timeout(1) or a supervisor may send the same signal twice in a row: only a later one means impatience. */
static void remember(int signal_number)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (came_in && t.tv_sec - came_in_at >= 2) {
        signal(signal_number, SIG_DFL);
        raise(signal_number);
    }
    if (!came_in)
        came_in_at = t.tv_sec;
    came_in = signal_number;
}

void progress_start(bool draw)
{
    const char *type = getenv("TERM");
    draws = draw && term_is_tty(stderr) && type && *type && strcmp(type, "dumb") != 0;
    drawn = false;
    started = last_drawn = now();
    came_in = 0;
    for (int i = 0; i < CAUGHT; i++) {
        struct sigaction action = {.sa_handler = remember, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(caught[i], NULL, &before[i]);
        if (before[i].sa_handler != SIG_IGN) /* nohup and background jobs keep what they were given */
            sigaction(caught[i], &action, NULL);
    }
}

static void draw_bar(double share, unsigned cells)
{
    bool blocks = term_is_utf8_tty(stderr);
    unsigned full = (unsigned)(share * cells);
    fputc('[', stderr);
    for (unsigned i = 0; i < cells; i++)
        fputs(i < full ? (blocks ? "\xe2\x96\x88" : "#") : " ", stderr);
    fputc(']', stderr);
}

static void draw(uint64_t done, uint64_t total, double elapsed)
{
    char have[UNITS_TEXT], want[UNITS_TEXT], rate[UNITS_TEXT], text[128];
    double share = total ? (double)done / (double)total : 1;
    double speed = elapsed > 0 ? (double)done / elapsed : 0;
    double left = speed > 0 && total >= done ? ceil((double)(total - done) / speed) : 0;
    units_bytes(done, have);
    units_bytes(total, want);
    units_bytes((uint64_t)speed, rate);
    unsigned long s = left < 360000 ? (unsigned long)left : 360000;
    int n = snprintf(text, sizeof text, " %3.0f%%  %s of %s  %s/s  %lu:%02lu left", share * 100, have, want, rate,
                     s / 60, s % 60);
    unsigned columns = term_columns(stderr);
    fputs("\r\033[K", stderr);
    if (columns > (unsigned)n + 12) {
        unsigned cells = columns - (unsigned)n - 3;
        draw_bar(share, cells < 40 ? cells : 40);
    }
    fprintf(stderr, "%.*s", (int)columns - 1, text);
    fflush(stderr);
    drawn = true;
}

int progress_report(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    double t = now();
    if (draws && t - started >= DELAY && (!drawn || t - last_drawn >= INTERVAL)) {
        draw(done, total, t - started);
        last_drawn = t;
    }
    return came_in != 0;
}

void progress_erase(void)
{
    if (drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
    }
    drawn = false;
}

int progress_end(void)
{
    progress_erase();
    for (int i = 0; i < CAUGHT; i++)
        sigaction(caught[i], &before[i], NULL);
    return came_in;
}
