/*
 * paddle_names - who tells the names of the tensors in a file of parameters, which holds none: a neighbour of it.
 *
 * Looked for in this order, for a file `X.pdiparams` (for one of another name, such as `__params__`, those that are made
 * of X are not):
 *
 *     X.pdmodel            a program (ProgramDesc)                                  Paddle 2, and 3 when told to
 *     X.json               a program (JSON)                                         Paddle 3
 *     FILE.info            a pickle: name -> {structured_name, ...}                 Paddle 2; what h5ckpt writes
 *     __model__            a program                                                Paddle 1 and 2
 *     model                a program, where the file is called `params`             models that were published so
 *     var_names.pdvar      names, one a line                                        1.6-dev, and whoever writes one
 */
#ifndef H5CK_FORMAT_PADDLE_NAMES_H
#define H5CK_FORMAT_PADDLE_NAMES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "parse/program.h"

typedef struct h5ck_paddle_names {
    const char *path; /* of the file that told; NULL: there is none */
    h5ck_program vars;
} h5ck_paddle_names;

/* Reads the first of them that is there; where `programs`, only such as belong to this very file of parameters count.
 * All lies in the arena. That none is there is no error. */
int h5ck_paddle_names_find(const char *path, bool programs, h5ck_arena *arena, h5ck_paddle_names *names,
                           h5ckpt_error **err);

/* What `FILE.info` says of each parameter, a dict of dicts; H5CKPT_NONE where there is no such file. */
int h5ck_paddle_info_read(const char *path, h5ck_arena *arena, h5ckpt_value *info, h5ckpt_error **err);

/* "model.pdmodel, model.pdiparams.info, ...": for a message. */
void h5ck_paddle_names_wanted(const char *path, h5ck_buf *out);

#endif
