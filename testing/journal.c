#include "testing/journal.h"

#include <assert.h>
#include <errno.h>

#include "testing/process.h"

int qr_journal_open(struct qr_journal *journal, const char *path)
{
    *journal = (struct qr_journal){.file = fopen(path, "wxe")};
    return journal->file != NULL ? 0 : -errno;
}

void qr_journal_add(struct qr_journal *journal, const char *event, json_t *fields)
{
    json_t *line = json_pack("{s:I, s:I, s:s}", "n", (json_int_t)++journal->n, "t",
                             (json_int_t)qr_real_ms(), "e", event);
    assert(line != NULL);
    if (fields != NULL)
        json_object_update(line, fields);
    int err = json_dumpf(line, journal->file, JSON_COMPACT | JSON_REAL_PRECISION(12));
    assert(err == 0);
    err = fputc('\n', journal->file) == EOF || fflush(journal->file) != 0;
    assert(err == 0);
    json_decref(line);
    json_decref(fields);
}

void qr_journal_close(struct qr_journal *journal)
{
    if (journal->file != NULL)
        fclose(journal->file);
    journal->file = NULL;
}
