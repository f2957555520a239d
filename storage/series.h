/* storage/series.h — what decoding a series and adding it up share: what comes before its numbers,
 * and what an integer of it is worth.
 *
 *   u8 head: mode (0 empty, 1 raw, or a way of storage/integers), and bits for what follows:
 *   marks of gaps, of resets, of anomalies (storage/marks); unless empty or raw: u8 exponent + 7
 *
 * Thread: any. */
#ifndef QR_STORAGE_SERIES_H
#define QR_STORAGE_SERIES_H

#include "storage/integers.h"
#include "storage/marks.h"

enum qr_series_mode { /* Beside those of storage/integers. */
                      QR_SERIES_EMPTY = 0,
                      QR_SERIES_RAW = 1
};

#define QR_SERIES_MODE      7u
#define QR_SERIES_GAPS      8u
#define QR_SERIES_RESETS    16u
#define QR_SERIES_ANOMALIES 32u

struct qr_series {
    unsigned mode;
    int exponent;
    uint32_t n_present; /* Rows that are no gap; flags and integers are of these alone. */
    struct qr_marks gaps, resets, anomalies;
};

/* Takes what comes before the numbers of n rows.  False: malformed. */
bool qr_series_take(struct qr_cursor *in, uint32_t n, struct qr_series *series);

/* How many rows before `row` are present: the place of its value among those that are. */
uint32_t qr_series_place(const struct qr_series *series, uint32_t row);

/* An integer at the series' exponent as a value.  False: there is none. */
bool qr_series_value(const struct qr_series *series, int64_t x, uint32_t *value);
/* All entries of a dictionary. */
bool qr_series_values(const struct qr_series *series, const struct qr_dictionary *dictionary,
                      uint32_t values[QR_DICTIONARY_MAX]);

#endif
