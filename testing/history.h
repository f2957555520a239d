/* testing/history.h — random histories of a group's log, and members that live through them.
 *
 *   seed --> log of entries --> members --> compared, and against a plain model
 *
 * A history is what three proposers, their children and a leader might write: definitions that
 * change, ticks with gaps, resets and anomalies, hostile values, replays of old slabs, repeated and
 * missing blocks, blocks of owners that were fenced, children whose clocks jump, charts of a second
 * and of an hour, of one dimension and of hundreds; seals, late generations, names, retention;
 * members that start again, changes of members, API keys.  All of it goes through the real machine
 * (cluster/machine, node/glue, storage/store) as bytes.
 *
 * Each history is lived through by members of these kinds:
 *
 *   steady     applies each entry at once; the leader's decisions are taken from its store
 *   restarted  loses power in every window; goes on from its last snapshot, its log and its disk
 *   newcomer   is wiped now and then, gets a snapshot of another, and files as they come
 *   pooled     its jobs run in a thread pool, and end when nobody expects it
 *
 * and then: equal state hashes at each index, equal snapshots, equal files byte by byte, and every
 * second of every chart is what a plain table of the first values says, and so is every point of a
 * minute and of an hour.  Thread: one history, one thread. */
#ifndef QR_TESTING_HISTORY_H
#define QR_TESTING_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

struct qr_history_result {
    uint64_t n_entries, n_samples, n_files, n_bytes, n_restarts, n_refused;
    uint64_t n_points; /* Of tiers 1 and 2, compared. */
    uint64_t hash;     /* Of all files and of the state in the last snapshot. */
    char failure[256];
};

/* What must show in no file and in no state. */
enum qr_history_packing {
    QR_HISTORY_PACKED,          /* Log entries as storage/entry compresses them, .. */
    QR_HISTORY_PACKED_OTHERWISE /* .. or as a member with another liblz4 might. */
};

/* Lives through one.  False: members differ, or one is wrong; `failure` says how. */
bool qr_history_run(uint64_t seed, enum qr_history_packing packing,
                    struct qr_history_result *result);

#endif
