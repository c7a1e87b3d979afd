/*
 * program - which variables a Paddle program keeps in its file of parameters: names, types and shapes.
 *
 * A file of parameters (.pdiparams) holds tensors without names, in the order of their sorted names; the names stand in
 * the program beside it: a ProgramDesc (protobuf: `__model__`, .pdmodel) or, of Paddle 3, JSON. Of a program only the
 * declarations are read.
 */
#ifndef H5CK_PARSE_PROGRAM_H
#define H5CK_PARSE_PROGRAM_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct h5ck_program_var {
    const char *name;
    h5ckpt_dtype dtype; /* NONE: not told */
    bool typed;         /* the shape is told */
    size_t rank;
    const int64_t *shape; /* -1: any */
} h5ck_program_var;

typedef struct h5ck_program {
    h5ck_program_var *vars;
    size_t count, room;
} h5ck_program;

/* Reads a ProgramDesc that fills the open file of `size` bytes: the persistable tensors of its first block, sorted. All
 * lies in the arena. */
int h5ck_program_read_desc(int fd, uint64_t size, h5ck_arena *arena, h5ck_program *program, h5ckpt_error **err);

/* The same of a program of Paddle 3, given as text: its persistable parameters, sorted. */
int h5ck_program_read_pir(const char *text, size_t len, h5ck_arena *arena, h5ck_program *program, h5ckpt_error **err);

/* For what else tells names: adds a variable (`name` is borrowed); sorts by name, byte by byte as Paddle does. */
int h5ck_program_add(h5ck_program *program, const h5ck_program_var *var, h5ck_arena *arena, h5ckpt_error **err);
void h5ck_program_sort(h5ck_program *program);

#endif
