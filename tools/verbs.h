/* verbs - the functions of the verbs; the table is in h5ckpt.c. */
#ifndef H5CKPT_TOOLS_VERBS_H
#define H5CKPT_TOOLS_VERBS_H

#include "cli.h"

int cmd_convert(const cli_verb *self, int argc, char **argv);
int cmd_ls(const cli_verb *self, int argc, char **argv);
int cmd_show(const cli_verb *self, int argc, char **argv);
int cmd_lr(const cli_verb *self, int argc, char **argv);
int cmd_verify(const cli_verb *self, int argc, char **argv);
int cmd_schema(const cli_verb *self, int argc, char **argv);
int cmd_formats(const cli_verb *self, int argc, char **argv);

#endif
