/* proto/words.h — splits one protocol line into words.
 *
 * The grammar is Netdata 2.x's: blanks and '=' separate words; a word that opens with ' or "
 * runs to the same quote, or to the end of the line; a backslash makes the byte after it an
 * ordinary one, and both stay in the word.
 *
 * Words are slices of the caller's line: nothing is copied or written, and they live as long
 * as that line does.  Thread: any. */
#ifndef QR_PROTO_WORDS_H
#define QR_PROTO_WORDS_H

#include "base/limits.h"
#include "base/slice.h"

struct qr_words {
    size_t n;
    struct qr_slice at[QR_LINE_WORDS_MAX];
};

/* Splits `line` into `words`.  Returns 0, or with `words` left empty
 *   QR_E_MALFORMED  the line holds a NUL byte,
 *   QR_E_LIMIT      it has more than QR_LINE_WORDS_MAX words. */
int qr_words_split(struct qr_words *words, struct qr_slice line);

/* The i-th word, or an empty slice past the last one: optional words need no test by the caller. */
static inline struct qr_slice qr_words_get(const struct qr_words *words, size_t i)
{
    return i < words->n ? words->at[i] : qr_slice_of("", 0);
}

/* The words behind a keyword and its slot. */
struct qr_args {
    const struct qr_slice *at;
    size_t n;
};

static inline struct qr_slice qr_args_get(struct qr_args args, size_t i)
{
    return i < args.n ? args.at[i] : qr_slice_of("", 0);
}

#endif
