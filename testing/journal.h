/* testing/journal.h — the history of a run on real processes: a file that only grows.
 *
 * One JSON object a line.  Each has "n" (1, 2, .. without a gap), "t" (unix ms) and "e" (what
 * happened); testing/judge.h names the events and their fields.  A line is in the file's hands
 * before the call returns, so that a history outlives the program that writes it.
 * Thread: the owner's. */
#ifndef QR_TESTING_JOURNAL_H
#define QR_TESTING_JOURNAL_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#define QR_JOURNAL_VERSION 1

struct qr_journal {
    FILE *file;
    uint64_t n;
};

/* A new file.  0 or a libuv error. */
int qr_journal_open(struct qr_journal *journal, const char *path);

/* Appends an event; `fields` is an object that is given away, or NULL.  Fails the program if the
 * line cannot be written: a history with a hole proves nothing. */
void qr_journal_add(struct qr_journal *journal, const char *event, json_t *fields);

void qr_journal_close(struct qr_journal *journal);

#endif
