/* testing/sim/plants.h — the planted bugs of base/plant.h: switching one on, what it breaks, and
 * the history in which it has to be seen.
 *
 * Only the simulator has them: it is linked with the planted objects of each folder (cmake/quorate,
 * PLANTED), which ask qr_plant_is_on() here.  A plant that its history does not show is a defect of
 * the checkers.  Thread: any; what is on is set before there are others. */
#ifndef QR_TESTING_SIM_PLANTS_H
#define QR_TESTING_SIM_PLANTS_H

#include <stddef.h>

#include "base/plant.h"

struct qr_plant_row {
    const char *name;
    const char *breaks; /* What a user would have lost. */
};

/* By enum qr_plant. */
extern const struct qr_plant_row qr_plants[QR_PLANTS_N];

/* -1: none has this name. */
int qr_plant_find(const char *name);

/* Off at the start. */
void qr_plant_set(enum qr_plant plant, bool on);
bool qr_plant_is_on(enum qr_plant plant);

/* Of the false disks: files below it are never synced, and nobody is told; NULL: all are. */
const char *qr_plant_lies_below(void);

/* How often its place was reached while it was on. */
unsigned long long qr_plant_n_asked(enum qr_plant plant);

/* Where it is in the program that is linked, or NULL: nowhere. */
struct qr_plant_site;
const struct qr_plant_site *qr_plant_place(enum qr_plant plant);

#endif
