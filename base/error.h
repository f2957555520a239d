/* base/error.h — one space of error codes.
 *
 * A function that can fail returns int: 0, or a negative code.  libuv's codes (-errno) pass through
 * unchanged; Quorate's own start at QR_E_FIRST.  Foreign codes (raft, OpenSSL, LZ4) are turned into
 * these at one seam each.  A stranger's mistake is a code; ours is an assert.  Thread: any. */
#ifndef QR_BASE_ERROR_H
#define QR_BASE_ERROR_H

#define QR_E_FIRST (-10000)

#define QR_ERROR_MAP(X)                                                                            \
    X(PARTIAL, -10000, "more bytes are needed")                                                    \
    X(MALFORMED, -10001, "the bytes do not follow the format")                                     \
    X(LIMIT, -10002, "a limit was exceeded")                                                       \
    X(CORRUPT, -10003, "a checksum does not match")                                                \
    X(VERSION, -10004, "the format version is not known here")                                     \
    X(UNKNOWN, -10005, "the thing named is not known")                                             \
    X(EXISTS, -10006, "it exists already")                                                         \
    X(DENIED, -10007, "not permitted")                                                             \
    X(NOT_LEADER, -10008, "this member is not the leader")                                         \
    X(NO_QUORUM, -10009, "no quorum")                                                              \
    X(BUSY, -10010, "busy, try again later")                                                       \
    X(NO_SPACE, -10011, "the disk has no space left for this")                                     \
    X(FENCED, -10012, "a newer owner has taken over")                                              \
    X(STALE, -10013, "seen before")                                                                \
    X(GAP, -10014, "a sequence number was skipped")                                                \
    X(UNREACHABLE, -10015, "the peer cannot be reached")                                           \
    X(TLS, -10016, "the TLS handshake or record layer failed")                                     \
    X(CLOSED, -10017, "closed")                                                                    \
    X(TIMEOUT, -10018, "it took too long")                                                         \
    X(CONFIG, -10019, "the configuration is not valid")                                            \
    X(RAFT, -10020, "the consensus library failed")                                                \
    X(UNSUPPORTED, -10021, "not supported")                                                        \
    X(CLONE, -10022, "another machine with the same machine GUID streams already")

enum qr_error {
#define QR_ERROR_ENUM(name, code, text) QR_E_##name = code,
    QR_ERROR_MAP(QR_ERROR_ENUM)
#undef QR_ERROR_ENUM
};

/* A sentence for one of our codes or libuv's; never NULL. */
const char *qr_strerror(int code);

#endif
