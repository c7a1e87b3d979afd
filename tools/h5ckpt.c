/*
 * h5ckpt - the command. It is the table of verbs and the choice between them; each verb is a file cmd_<verb>.c. The
 * command includes nothing of the library but <h5ckpt.h>: what it can do, any program can.
 *
 * Exit status: 0 done; 1 compared or checked, and found different; 2 wrong usage; 3 the input is not valid; 4 the
 * system refused. Every failure is one line on stderr that begins with "h5ckpt: "; remarks begin with "h5ckpt: note: ".
 */
#include "term.h"
#include "verbs.h"

#include <stdio.h>
#include <string.h>

static const cli_verb verbs[] = {
    {"convert", "SRC DST", 2, 2, "write SRC again as DST, in another form",
     "Writes the checkpoint SRC again as DST. The form of SRC is told by its content, that of DST by its name: .h5 or "
     ".hdf5 is HDF5; a name that ends in '/' or has no suffix is a Paddle save directory. An existing DST is refused "
     "unless --force is given; DST appears whole or not at all, and is on disk when the command ends.",
     cmd_convert},
    {"ls", "PATH", 1, 1, "list parameters, learning rates, optimizer state",
     "Lists what the checkpoint PATH holds: its parameters with dtype, shape and size, the learning-rate decay of each "
     "optimizer, the optimizers' own tensors, and the metadata. Reads no tensor's elements.",
     cmd_ls},
    {"show", "PATH [NAME]", 1, 2, "look into one tensor or decay, or sum up all",
     "Without NAME: one line on each tensor (range, mean, deviation, NaN and Inf) and each decay. With the NAME of a "
     "tensor: its values, statistics and histogram. With the NAME of a decay: its class, fields and next rates. NaN "
     "and "
     "infinities are counted apart from range, mean and histogram; complex numbers stand for their magnitude.",
     cmd_show},
    {"lr", "PATH", 1, 1, "print the next learning rates of every decay",
     "Prints the learning rates that each decay in PATH gives next, as Paddle computes them.", cmd_lr},
    {"verify", "PATH", 1, 1, "check that a checkpoint is whole",
     "Reads all of the checkpoint PATH: its structure, and all elements of its tensors. Holds them against the digests "
     "that "
     "it has of them, and the files that linked tensors lie in against the size and time that it has of those. Prints "
     "a "
     "line on each difference (exit 1), then one on what was verified.",
     cmd_verify},
    {"schema", "[NAME]", 0, 1, "print a built-in schema, or check one's own",
     "Prints the built-in schema (for --schema) or name rules (for --names) called NAME, by default paddle, ready to "
     "be "
     "changed. With --check: checks the schema or the name rules in FILE, and prints nothing where they are right.",
     cmd_schema},
    {"formats", "", 0, 0, "list what can be read and written",
     "Lists the formats: name, suffix, whether each can be read and written, and what it holds besides parameters.",
     cmd_formats},
    {NULL, NULL, 0, 0, NULL, NULL, NULL}};

/* "convert, ls, show": for the message on a verb that is none. */
static void list_verbs(char *text, size_t size)
{
    size_t n = 0;
    text[0] = 0;
    for (const cli_verb *v = verbs; v->name && n < size; v++)
        n += (size_t)snprintf(text + n, size - n, "%s%s", v == verbs ? "" : ", ", v->name);
}

static int run(int argc, char **argv)
{
    char list[128];
    const char *first = argc > 1 ? argv[1] : NULL;
    list_verbs(list, sizeof list);
    if (!first) {
        term_complain("expected a verb: %s (see h5ckpt --help)", list);
        return H5CKPT_USAGE;
    }
    if (strcmp(first, "--help") == 0 || strcmp(first, "-h") == 0) {
        cli_print_help(verbs);
        return H5CKPT_OK;
    }
    if (strcmp(first, "--version") == 0) {
        printf("h5ckpt %s\n", h5ckpt_version());
        return H5CKPT_OK;
    }
    for (const cli_verb *v = verbs; v->name; v++)
        if (strcmp(v->name, first) == 0)
            return v->run(v, argc - 1, argv + 1);
    if (first[0] == '-')
        term_complain("unknown option '%s' (see h5ckpt --help)", first);
    else
        term_complain("unknown verb '%s'; there are: %s", first, list);
    return H5CKPT_USAGE;
}

int main(int argc, char **argv)
{
    term_start();
    return term_finish(run(argc, argv));
}
