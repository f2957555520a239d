/* base/plant.h — planted bugs: each takes one protection away, to see that the checkers of the
 * simulated world (testing/sim) miss it.
 *
 *   if (sequence <= last)
 *       return QR_PLANT(dedupe_off) ? 0 : QR_E_STALE;
 *
 * In the product QR_PLANT() is the constant false, and nothing of it is left.  Files that have one
 * are compiled a second time, with QR_PLANTS, for the simulator alone (PLANTED in qr_library);
 * there it asks testing/sim/plants, which has a row for each: what breaks, who must see it, and how
 * soon. Thread: any in the product; the simulator has one. */
#ifndef QR_BASE_PLANT_H
#define QR_BASE_PLANT_H

#include <stdbool.h>

/* One line each: where the protection is, and what is off. */
#define QR_PLANTS_MAP(X)                                                                           \
    X(old_term_commit)        /* cluster/guard: what one follower has counts as committed */       \
    X(guard_g1_off)           /* cluster/guard */                                                  \
    X(guard_g2_off)           /* cluster/guard */                                                  \
    X(guard_g3_off)           /* cluster/guard, and its second line in cluster/fsm */              \
    X(vote_not_noted)         /* cluster/guard: nobody knows that the file of votes has rotted */  \
    X(dedupe_off)             /* cluster/machine: a repeated entry is applied again */             \
    X(resend_off)             /* cluster/proposer: a new leader does not get what is missing */    \
    X(incarnation_reused)     /* node/incarnation: a new process counts as the old one */          \
    X(fence_skipped)          /* cluster/ownership: blocks of an owner that was replaced count */  \
    X(epoch_not_raised)       /* cluster/ownership: a new owner has the epoch of the old one */    \
    X(snapshot_lacks_backlog) /* cluster/fsm: entries that came while it was made */               \
    X(snapshot_lacks_head)    /* storage/snapshot: windows that are not sealed */                  \
    X(clock_in_apply)         /* node/glue: SEAL asks this member's clock */                       \
    X(replay_past_watermark)  /* node/child: the child is asked for less than is missing */        \
    X(gap_not_recorded)       /* node/child: what a child no longer has is not noted */            \
    X(wrong_base)             /* storage/entry: deltas against a row that is too old */            \
    X(duplicate_overwrites)   /* storage/head: the last value of a second stays */                 \
    X(late_sample_dropped)    /* storage/store: samples of a window that is sealed */              \
    X(seal_twice)             /* storage/seal: the second file of a window replaces the first */   \
    X(merge_forgets_late)     /* storage/merge_job: only the first file of a window is merged */   \
    X(border_of_points)  /* storage/merge_job: a file's part of a point that is also before */     \
    X(stale_points)      /* storage/tier_query: points of before late samples came */              \
    X(page_unchecked)    /* storage/block: a page's checksum is not looked at */                   \
    X(file_not_synced)   /* storage/disk: a block file gets its name before its bytes */           \
    X(folder_not_synced) /* storage/disk: .. and the name is not on the disk */                    \
    X(log_sync_lost)     /* testing/sim: the log's disk says that it has synced */                 \
    X(gap_is_final)      /* node/holes: what a child once said not to have is not asked for */

enum qr_plant {
#define QR_PLANT_ENUM(name) QR_PLANT_##name,
    QR_PLANTS_MAP(QR_PLANT_ENUM)
#undef QR_PLANT_ENUM
        QR_PLANTS_N
};

#ifdef QR_PLANTS

/* Each use, for the test that all of them are there. */
struct qr_plant_site {
    enum qr_plant plant;
    int line;
    const char *file;
};

bool qr_plant_is_on(enum qr_plant plant);

#define QR_PLANT(name)                                                                             \
    (__extension__({                                                                               \
        static const struct qr_plant_site qr_site                                                  \
            __attribute__((section("qr_plant_sites"), used)) = {QR_PLANT_##name, __LINE__,         \
                                                                __FILE__};                         \
        qr_plant_is_on(qr_site.plant);                                                             \
    }))

#else

#define QR_PLANT(name) (QR_PLANT_##name == QR_PLANTS_N)

#endif

#endif
