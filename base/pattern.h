/* base/pattern.h — Netdata's simple patterns.
 *
 * A pattern is a list of entries between separators; the first entry that matches decides:
 *
 *   list   = { separator | entry }
 *   entry  = [ "!" ] text        "!": a match means no
 *   text   = any bytes; "*" stands for any number of bytes; "\" makes the byte after it ordinary,
 *            so that a separator can be part of a text
 *
 * Case matters.  No match means no.  Which bytes separate depends on the user: white space in
 * configuration, "," and "|" and control blanks in parameters of the API, where names have spaces.
 *
 * Pure and bounded: a list is matched as it is, nothing is compiled or allocated.  Thread: any. */
#ifndef QR_BASE_PATTERN_H
#define QR_BASE_PATTERN_H

#include <stdbool.h>

#include "base/slice.h"

#define QR_PATTERN_WORDS " \t\r\n\f\v"  /* Configuration: stream.conf, health.d, filters. */
#define QR_PATTERN_API   ",|\t\r\n\f\v" /* Parameters of the HTTP API. */

/* Does the list say yes to `text`? */
bool qr_pattern_matches(struct qr_slice list, const char *separators, struct qr_slice text);

/* The same of a thing that has several texts: the first entry that matches any of them decides. */
bool qr_pattern_matches_any(struct qr_slice list, const char *separators,
                            const struct qr_slice *texts, size_t n);

/* The list has no entry at all. */
bool qr_pattern_is_empty(struct qr_slice list, const char *separators);

#endif
