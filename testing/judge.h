/* testing/judge.h — decides from a history alone (testing/journal.h) whether a cluster kept its
 * promises.  It asks nobody: what a child must have stored follows from the seeds in the history.
 *
 * The events, in the order in which they may come, and their fields:
 *
 *   begin   version, name, members, recover_ms, kinds []     first; what the run is about
 *   load    id, seed, hosts, charts, dims, first, last, live children that stream from now on:
 * seconds first .. last, or until calm if live start   member its process runs exit    member,
 * status (of waitpid), by ("fault": we ended it, else "itself") fault   id, kind, member (0: all),
 * detail; excuses     begins over    id                                             ends said
 * member, leader, term, applied, commit, hash, ready, level, peers [{id, applied, hash}], children
 * [{guid, owner, epoch, watermark}]     its answer to /api/quorate/v1/status read    member, load,
 * host, chart, from, to, final, status (HTTP), answer {labels, data} calm    to faults are over;
 * judged up to this second blocks  member, files {name: hash}                     after that end
 * last
 *
 * The rules, and the word that names each in a finding:
 *
 *   format     a line is none, or lacks a field, or events come out of order or twice; "n" has a
 * gap went-back  a process's applied or commit index or term got smaller, or a child's epoch
 *   two-states at one applied index two members, or one at two times, had different hashes
 *   leaders    two leaders in one term
 *   owners     two owners of a child in one epoch
 *   changed    a (chart, dimension, second) had another value in an earlier answer of any member
 *   lost       a member that had applied what another (or itself) had when that one answered a
 *              value does not answer it.  Not asked while most clocks are behind: nobody answers
 * for what is to come; nor of a member with a damaged block file while another fault goes on, which
 * may keep the peers' copies from it: bad pages are never served wrong      an answer differs from
 * what the child measured, or has what it did not measure duplicate  a second twice in an answer
 *   hole       a final answer lacks what the child measured
 *   failed     a final question was not answered
 *   exit       a member ended by itself, and no fault of its own excused it
 *   recovery   not all members well, with all that was measured up to calm, after recover_ms
 *   blocks     after calm two members' block files were not the same, but for one that a fault has
 *              damaged there: a member finds it when it is read, or within a day
 *   nothing    too little was tested: no final answers, or a kind of fault that never came
 *
 * Thread: the owner's. */
#ifndef QR_TESTING_JUDGE_H
#define QR_TESTING_JUDGE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>

#include "base/compiler.h"

#define QR_JUDGE_FINDINGS_MAX 40

struct qr_judge_finding {
    uint64_t line;
    const char *rule;
    char text[240];
};

#define QR_JUDGE_KINDS_MAX 16

struct qr_judge_kind {
    char name[24];
    uint64_t n; /* Faults. */
};

struct qr_judge_verdict {
    uint64_t n_lines, n_said, n_reads, n_finals;
    uint64_t n_checked; /* Values and empty seconds compared with what was measured. */
    uint64_t n_lost, n_duplicates, n_wrong;
    uint64_t n_elections; /* Terms with a leader, after the first. */
    uint64_t n_moves;     /* Changes of a child's owner. */
    uint64_t n_faults, n_blocks;
    struct qr_judge_kind kinds[QR_JUDGE_KINDS_MAX]; /* Those that the run is about. */
    unsigned n_kinds;
    uint64_t recovered_ms; /* After calm; 0: never. */
    uint64_t n_findings;   /* All; the first ones are kept. */
    struct qr_judge_finding findings[QR_JUDGE_FINDINGS_MAX];
};

struct qr_judge;

/* NULL: no memory. */
struct qr_judge *qr_judge_new(void);
void qr_judge_free(struct qr_judge *judge);

/* The next line, without its newline. */
void qr_judge_line(struct qr_judge *judge, const char *line, size_t len);
/* No more lines; the verdict, valid until free. */
const struct qr_judge_verdict *qr_judge_end(struct qr_judge *judge);

/* Reads a whole file. */
void qr_judge_file(struct qr_judge *judge, FILE *file);

/* The verdict as an object, a new reference. */
json_t *qr_judge_json(const struct qr_judge_verdict *verdict);

#endif
