/* node/ini.h — INI files as Netdata writes them, through inih.
 *
 * `[section]`, `key = value`, `#` and `;` comments.  Lines may be indented (to inih that would mean
 * a continued value), and one that is longer than inih takes is refused, not cut in two.
 * Thread: before the loops start. */
#ifndef QR_NODE_INI_H
#define QR_NODE_INI_H

#include <stddef.h>

/* Returns 1, or 0 to refuse the line. */
typedef int (*qr_ini_option_cb)(void *data, const char *section, const char *key,
                                const char *value);

/* Calls `option` for each line in order.  0, or QR_E_CONFIG with a sentence that names file and
 * line; where `option` refused a line, `sentence` is left as it is (the callback has filled it). */
int qr_ini_parse(const char *path, qr_ini_option_cb option, void *data, char *sentence,
                 size_t sentence_bytes);

#endif
