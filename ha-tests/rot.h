/* ha-tests/rot.h — damage to the files of a member, chosen by chance.  Thread: the only one. */
#ifndef QR_HA_TESTS_ROT_H
#define QR_HA_TESTS_ROT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"

enum rot_how { ROT_FLIP, ROT_CUT, ROT_REMOVE };

#define ROT_WHAT_BYTES 320
#define ROT_NAME_BYTES 80

/* Chooses a block file of the member in `member_dir`.  False: there is none. */
bool rot_pick_block(struct qr_rng *rng, const char *member_dir, char name[ROT_NAME_BYTES]);
/* Damages it; `what` was done, in words. */
void rot_block(struct qr_rng *rng, const char *member_dir, const char *name, enum rot_how how,
               char what[ROT_WHAT_BYTES]);

/* A part of its log: a segment, a snapshot or what describes one, in any way that is known.  The
 * member must not run.  False: there is no such file. */
bool rot_log(struct qr_rng *rng, const char *member_dir, char what[ROT_WHAT_BYTES]);

#endif
