/*
 * term - what stdout and stderr are, and how text from a stranger's file gets onto them.
 *
 * Names, messages and strings come out of checkpoints that anyone may have written. In everything meant for people they
 * pass through term_put, which writes nothing that a terminal could take for a command or that would show one name as
 * another: controls (C0, DEL, C1), bidirectional and invisible format characters and bytes that are no UTF-8 are
 * spelled out, as \x1b or \u{202e}. A terminal whose locale is not UTF-8 gets all but ASCII spelled out.
 */
#ifndef H5CKPT_TOOLS_TERM_H
#define H5CKPT_TOOLS_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Once, first thing in main: missing standard descriptors, SIGPIPE, LC_CTYPE, buffering, colours. */
void term_start(void);

/* Last thing in main: flushes stdout. Returns `code`, or 4 with a message where stdout could not be written. */
int term_finish(int code);

/* True once a write to stdout has failed: a long listing may stop. */
bool term_failed(void);

bool term_is_tty(FILE *f);
/* True where `f` is a terminal that shows UTF-8: block characters may be drawn. */
bool term_is_utf8_tty(FILE *f);
/* Columns of the terminal, or 80. */
unsigned term_columns(FILE *f);

typedef enum term_style { TERM_PLAIN, TERM_BOLD, TERM_DIM, TERM_ALARM } term_style;
/* Switches the style of stdout; nothing where there are no colours. */
void term_set(term_style style);

/* Writes n bytes of text in its harmless form and returns the columns it takes; `f` NULL only measures. */
size_t term_put_n(FILE *f, const char *text, size_t n);
size_t term_put(FILE *f, const char *text);
/* The same, but newlines stay: for texts of several lines. */
void term_put_lines(FILE *f, const char *text);

/* The code point at s[0..n) and its length in bytes; 0 where it is not well-formed UTF-8. */
size_t term_utf8(const char *s, size_t n, uint32_t *code_point);
/* True for a code point that must not reach a terminal as it is. */
bool term_is_hazard(uint32_t code_point);

/* "h5ckpt: " + the harmless form of a printf, one line on stderr. */
#if defined(__GNUC__) || defined(__clang__)
__attribute__((format(printf, 1, 2)))
#endif
void term_complain(const char *fmt, ...);

#endif
