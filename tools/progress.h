/*
 * progress - the bar of a long conversion or verification, and its end by a signal.
 *
 * The bar is drawn on stderr only where that is a terminal, once it has lasted 0.3 s, and is erased at its
 * end. SIGINT, SIGTERM and SIGHUP set a flag that the next progress call returns, so that the library removes its
 * unfinished target; the process then dies of that signal, as a shell expects (status 130 after Ctrl-C). Another
 * signal two seconds later or more kills at once.
 */
#ifndef H5CKPT_TOOLS_PROGRESS_H
#define H5CKPT_TOOLS_PROGRESS_H

#include <h5ckpt.h>

#include <stdbool.h>

/* Catches the signals; `draw` false: no bar whatever stderr is. */
void progress_start(bool draw);
/* An h5ckpt_progress_fn. */
int progress_report(void *user, uint64_t done, uint64_t total);
/* Takes the bar off the screen, if there is one; the next report draws it again. */
void progress_erase(void);
/* Erases the bar and gives the signals back. The signal that came in, or 0. */
int progress_end(void);

#endif
