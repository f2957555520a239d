/* node/ctl/command.h — what a command of quoratectl is: a row with its options, its help and its
 * function.  Reading the arguments and printing the help come from the same rows.
 *
 * Exit codes, of every command that does not say its own:
 *   0  done; the cluster is healthy
 *   1  the cluster is degraded: it works, someone should look
 *   2  not done: wrong usage, unreachable, refused, or the cluster is down
 *
 * Thread: any. */
#ifndef QR_NODE_CTL_COMMAND_H
#define QR_NODE_CTL_COMMAND_H

#include <stdbool.h>

#include "base/buf.h"

enum qr_ctl_exit { QR_CTL_DONE = 0, QR_CTL_DEGRADED = 1, QR_CTL_FAILED = 2 };

#define QR_CTL_OPTIONS_MAX 12
#define QR_CTL_VALUES_MAX  16

struct qr_ctl_option {
    const char *name;     /* "--dir" */
    const char *value;    /* "DIR", as the help says it; NULL: a flag without a value */
    const char *sentence; /* for the help */
    bool required;
};

/* What was given: the values of each option, by the option's row. */
struct qr_ctl_args {
    const char *values[QR_CTL_OPTIONS_MAX][QR_CTL_VALUES_MAX];
    unsigned n[QR_CTL_OPTIONS_MAX];
    const char *const *words; /* What stands alone, in order. */
    unsigned n_words;
};

/* Where a command writes; the caller prints.  `json`: one JSON object on out, if the command did
 * what it should. */
struct qr_ctl_io {
    struct qr_buf *out, *err;
    bool json;
};

struct qr_ctl_command {
    const char *name;
    const char *line;  /* what it does, in one line */
    const char *more;  /* further lines for its own help, or "" */
    const char *exits; /* what its exit codes mean; NULL: as above */
    /* What may stand alone, as the help says it: "HOST [CHART]"; NULL: nothing. */
    const char *words;
    unsigned words_min, words_max;
    struct qr_ctl_option options[QR_CTL_OPTIONS_MAX];
    int (*run)(const struct qr_ctl_io *io, const struct qr_ctl_args *args);
};

/* The first value of an option, or NULL. */
const char *qr_ctl_value(const struct qr_ctl_args *args, unsigned option);

/* Runs what argv asks for; argv[0] is the program.  The last command is followed by a row of
 * zeros.  Returns the exit code. */
int qr_ctl_run(const struct qr_ctl_command *commands, int argc, char **argv, struct qr_buf *out,
               struct qr_buf *err);

#endif
