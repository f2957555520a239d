/* ha-tests/ask.h — questions to the members of a cell; every answer goes into the history.
 * Thread: the only one. */
#ifndef QR_HA_TESTS_ASK_H
#define QR_HA_TESTS_ASK_H

#include "ha-tests/cell.h"

/* What the member says of itself.  Its applied index, 0: no answer. */
uint64_t ask_status(struct cell *cell, unsigned id);

/* Some seconds of a chart, both drawn by chance. */
void ask_something(struct cell *cell, unsigned id);

/* Every chart of every load up to calm: one question each. */
void ask_everything(struct cell *cell, unsigned id);

/* Names and hashes of the block files of all members: again and again until they are the same or
 * the time is over; then they are noted. */
void ask_blocks(struct cell *cell, uint64_t timeout_ms);

#endif
