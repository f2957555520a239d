#define QR_PLANTS
#include "testing/sim/plants.h"

#include <stdatomic.h>
#include <string.h>

const struct qr_plant_row qr_plants[QR_PLANTS_N] = {
    [QR_PLANT_old_term_commit] = {"old_term_commit",
                                  "members apply different entries at one index"},
    [QR_PLANT_guard_g1_off] = {"guard_g1_off", "a member crashes while it takes a snapshot"},
    [QR_PLANT_guard_g2_off] = {"guard_g2_off", "a member takes a snapshot under a false term"},
    [QR_PLANT_guard_g3_off] = {"guard_g3_off", "a snapshot has a false index"},
    [QR_PLANT_vote_not_noted] = {"vote_not_noted", "a flipped bit is another term or vote"},
    [QR_PLANT_dedupe_off] = {"dedupe_off", "an entry that is sent again counts twice"},
    [QR_PLANT_resend_off] = {"resend_off", "what a dead leader had is never in the log"},
    [QR_PLANT_incarnation_reused] = {"incarnation_reused",
                                     "what a member says after a restart counts as said before"},
    [QR_PLANT_fence_skipped] = {"fence_skipped", "an owner that was replaced still feeds the log"},
    [QR_PLANT_epoch_not_raised] = {"epoch_not_raised", "two connections own one child"},
    [QR_PLANT_snapshot_lacks_backlog] = {"snapshot_lacks_backlog",
                                         "a member that restores lacks entries"},
    [QR_PLANT_snapshot_lacks_head] = {"snapshot_lacks_head",
                                      "a member that restores lacks the newest samples"},
    [QR_PLANT_clock_in_apply] = {"clock_in_apply", "members seal different windows"},
    [QR_PLANT_replay_past_watermark] = {"replay_past_watermark", "each failover leaves a hole"},
    [QR_PLANT_gap_not_recorded] = {"gap_not_recorded", "what a child has lost is lost in silence"},
    [QR_PLANT_wrong_base] = {"wrong_base", "values are wrong, on all members alike"},
    [QR_PLANT_duplicate_overwrites] = {"duplicate_overwrites", "a sample counts twice"},
    [QR_PLANT_late_sample_dropped] = {"late_sample_dropped", "what a child refills late is lost"},
    [QR_PLANT_seal_twice] = {"seal_twice", "the file of late samples replaces that of the others"},
    [QR_PLANT_merge_forgets_late] = {"merge_forgets_late", "late samples vanish with the merge"},
    [QR_PLANT_border_of_points] = {"border_of_points",
                                   "points at the borders of files lack a sample"},
    [QR_PLANT_stale_points] = {"stale_points", "points of minutes and hours lack late samples"},
    [QR_PLANT_page_unchecked] = {"page_unchecked", "a flipped bit is served"},
    [QR_PLANT_file_not_synced] = {"file_not_synced", "a file that was voted for is not there"},
    [QR_PLANT_log_sync_lost] = {"log_sync_lost", "what was acknowledged is gone with the power"},
    [QR_PLANT_gap_is_final] = {"gap_is_final", "what a child denied once is never asked for again"},
    [QR_PLANT_folder_not_synced] = {"folder_not_synced", "a file that was voted for has no name"},
};

static struct {
    atomic_bool on;
    atomic_ullong n_asked;
} switches[QR_PLANTS_N];

bool qr_plant_is_on(enum qr_plant plant)
{
    bool on = atomic_load(&switches[plant].on);
    if (on)
        atomic_fetch_add(&switches[plant].n_asked, 1);
    return on;
}

const char *qr_plant_lies_below(void)
{
    return QR_PLANT(log_sync_lost) ? "/log/" : NULL;
}

int qr_plant_find(const char *name)
{
    for (int i = 0; i < QR_PLANTS_N; i++)
        if (strcmp(qr_plants[i].name, name) == 0)
            return i;
    return -1;
}

void qr_plant_set(enum qr_plant plant, bool on)
{
    switches[plant].on = on;
}

unsigned long long qr_plant_n_asked(enum qr_plant plant)
{
    return switches[plant].n_asked;
}

/* The linker's names for the ends of the section. */
extern const struct qr_plant_site __start_qr_plant_sites[], __stop_qr_plant_sites[];

const struct qr_plant_site *qr_plant_place(enum qr_plant plant)
{
    for (const struct qr_plant_site *site = __start_qr_plant_sites; site < __stop_qr_plant_sites;
         site++)
        if (site->plant == plant)
            return site;
    return NULL;
}
