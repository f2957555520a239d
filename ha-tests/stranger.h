/* ha-tests/stranger.h — a child of a test's own making: raw bytes on a member's public port.
 * Thread: any; each connection is one thread's. */
#ifndef QR_HA_TESTS_STRANGER_H
#define QR_HA_TESTS_STRANGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define STRANGER_ANSWER_MS 20000
#define STRANGER_GRANTED   "Hit me baby, push them over with the version="

/* Capabilities as 1.37.1 and 2.x offer them, without compression. */
#define STRANGER_CAPS_137 15352u
#define STRANGER_LZ4      1024u

/* A connection to 127.0.0.1:port, from an address of 127.0.0.0/8 or NULL; -1: nobody listens. */
int stranger_dial(unsigned port, const char *from);

/* Sends what the member takes within STRANGER_ANSWER_MS a piece; false: it hung up in the middle.
 */
bool stranger_say(int fd, const void *bytes, size_t len);
bool stranger_print(int fd, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next bytes as text, "" when it hangs up or is silent for STRANGER_ANSWER_MS. */
const char *stranger_hear(int fd, char *text, size_t bytes);

/* Reads on; true: it hangs up before a read is silent for so long. */
bool stranger_is_left(int fd, int silence_ms);

/* A handshake with the answer in `reply`.  The connection, or -1: nobody listens. */
struct stranger {
    unsigned port;
    const char *from; /* Or NULL. */
    const char *key, *guid, *hostname;
    uint32_t caps;
};
int stranger_stream(const struct stranger *stranger, char reply[256]);

#endif
