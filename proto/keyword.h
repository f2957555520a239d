/* proto/keyword.h — the keywords of a child's stream, a row each.
 *
 * The row says how many words must follow (newer senders append words: more are never refused) and
 * whether an optional "SLOT:n" may stand in front of them.  Thread: any. */
#ifndef QR_PROTO_KEYWORD_H
#define QR_PROTO_KEYWORD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

/* name, words that must follow it, whether it may have a slot word; the frequent ones first. */
#define QR_KEYWORD_MAP(X)                                                                          \
    X(SET2, 4, true)                                                                               \
    X(SET, 1, true)                                                                                \
    X(END, 0, false)                                                                               \
    X(BEGIN, 1, true)                                                                              \
    X(END2, 0, false)                                                                              \
    X(BEGIN2, 4, true)                                                                             \
    X(RSET, 2, true)                                                                               \
    X(RBEGIN, 1, true)                                                                             \
    X(DIMENSION, 1, true)                                                                          \
    X(CLABEL, 3, false)                                                                            \
    X(RDSTATE, 5, true)                                                                            \
    X(RSSTATE, 2, false)                                                                           \
    X(REND, 7, false)                                                                              \
    X(CHART, 1, true)                                                                              \
    X(CLABEL_COMMIT, 0, false)                                                                     \
    X(CHART_DEFINITION_END, 3, false)                                                              \
    X(VARIABLE, 2, false)                                                                          \
    X(LABEL, 2, false)                                                                             \
    X(OVERWRITE, 1, false)                                                                         \
    X(CLAIMED_ID, 2, false)                                                                        \
    X(FUNCTION, 0, false)                                                                          \
    X(FUNCTION_PROGRESS, 0, false)                                                                 \
    X(FUNCTION_RESULT_BEGIN, 1, false)                                                             \
    X(JSON, 1, false)

enum qr_keyword {
#define QR_KEYWORD_ENUM(name, words_min, slot) QR_KEYWORD_##name,
    QR_KEYWORD_MAP(QR_KEYWORD_ENUM)
#undef QR_KEYWORD_ENUM
        QR_KEYWORD_NR,
    QR_KEYWORD_UNKNOWN = QR_KEYWORD_NR
};

struct qr_keyword_row {
    const char *name;
    uint8_t len;
    uint8_t words_min;
    bool slot;
};

extern const struct qr_keyword_row qr_keyword_rows[QR_KEYWORD_NR];

/* The keyword that is exactly this word, or QR_KEYWORD_UNKNOWN. */
enum qr_keyword qr_keyword_find(struct qr_slice word);

#endif
