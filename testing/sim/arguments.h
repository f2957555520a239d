/* testing/sim/arguments.h — a history as words: what quorate-sim is told on its command line, a
 * line of testing/sim/seeds, and what a failure prints to be seen again.
 *
 *   --seed 17 --members 5 --minutes 20 --faults all,-flip --plant seal_twice
 *
 * Thread: one at a time. */
#ifndef QR_TESTING_SIM_ARGUMENTS_H
#define QR_TESTING_SIM_ARGUMENTS_H

#include <stdbool.h>
#include <stdio.h>

#include "testing/sim/world.h"

#define QR_SIM_LINE_WORDS_MAX 64u

struct qr_sim_arguments {
    struct qr_sim_options options;
    struct qr_sim_schedule schedule; /* Of the file, if one was named: then options points to it. */
    int plant;                       /* enum qr_plant, or -1. */
    bool print, json, shrink;
};

/* A line for each. */
extern const char qr_sim_arguments_help[];

/* The words as qr_sim_options_init() has them, changed by these; argv[0] is skipped.  0, or
 * QR_E_CONFIG, and a sentence went to stderr. */
int qr_sim_arguments_parse(struct qr_sim_arguments *arguments, int argc, char **argv);
/* The same for words with blanks between them; '#' ends them. */
int qr_sim_arguments_parse_line(struct qr_sim_arguments *arguments, const char *line);
void qr_sim_arguments_release(struct qr_sim_arguments *arguments);

/* The words that give this history again, its schedule left out. */
void qr_sim_arguments_print(const struct qr_sim_options *options, int plant, FILE *out);

#endif
