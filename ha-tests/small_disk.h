/* ha-tests/small_disk.h — small file systems in memory that become full, for members' data.
 *
 * They are mounted in a mount namespace of the caller's own, which what it starts inherits, and end
 * with it.  Needs root.  Thread: the only one. */
#ifndef QR_HA_TESTS_SMALL_DISK_H
#define QR_HA_TESTS_SMALL_DISK_H

#include <stdbool.h>
#include <stdint.h>

/* Once, before the first.  False: it cannot be done here. */
bool small_disk_namespace(void);

/* Mounts one of so many bytes ("96m") on a folder, or takes it away. */
bool small_disk_make(const char *dir, const char *bytes);
void small_disk_remove(const char *dir);

/* Leaves no more than so many bytes free, to the last byte if 0; and gives them back. */
bool small_disk_fill(const char *dir, uint64_t left);
void small_disk_free(const char *dir);

#endif
