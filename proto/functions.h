/* proto/functions.h — lines about functions: what a child offers, what it is asked, what it says.
 *
 *   from the child
 *     FUNCTION [GLOBAL] "name" timeout "help" ["tags" 0xaccess priority version]
 *     FUNCTION_RESULT_BEGIN "transaction" status "content type" expires   .. lines ..
 *     FUNCTION_RESULT_END
 *     FUNCTION_PROGRESS 'transaction' done all
 *   to the child
 *     FUNCTION transaction timeout "name and arguments" ["0xaccess" "source"]
 *     FUNCTION_PAYLOAD transaction timeout "name .." "0xaccess" "source" "content type"
 *     .. lines .. FUNCTION_PAYLOAD_END
 *     FUNCTION_CANCEL transaction        FUNCTION_PROGRESS transaction
 *
 * The parsers get the words behind the keyword; what they return are slices of these.  The writers
 * append whole lines to a buffer and leave it as it was when they refuse: what a client asks for
 * must never become a line of its own.  A transaction is a UUID, without dashes when we write it.
 * Thread: any. */
#ifndef QR_PROTO_FUNCTIONS_H
#define QR_PROTO_FUNCTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/guid.h"
#include "base/slice.h"
#include "proto/words.h"

/* Stock parents, and their children, take 10 s where nothing is said. */
#define QR_FUNCTION_TIMEOUT_S 10u

/* ---- from the child ---- */

struct qr_function {
    struct qr_slice name; /* 1 .. QR_FUNCTION_NAME_BYTES_MAX bytes. */
    struct qr_slice help; /* Cut to QR_FUNCTION_HELP_BYTES_MAX. */
    struct qr_slice tags; /* "top" unless said. */
    uint32_t timeout_s;   /* 1 .. QR_FUNCTION_TIMEOUT_S_MAX. */
    uint32_t access;      /* What a caller must be allowed; 0: nothing. */
    uint32_t priority;
    uint32_t version;
    bool global;           /* Of the host, not of a chart. */
    struct qr_slice chart; /* Its id, for a chart's; the parser knows none. */
};

/* What a caller may be allowed: all that Netdata knows. */
#define QR_FUNCTION_ACCESS_ALL 0xffffu

/* 0 or QR_E_MALFORMED. */
int qr_function_parse(struct qr_function *function, struct qr_args args);

struct qr_function_result {
    struct qr_guid transaction; /* Zeros if it is no UUID: nobody's. */
    int status;                 /* 100 .. 599; what else is said is 500. */
    struct qr_slice content_type;
    int64_t expires_s; /* Unix; 0: at once. */
};

int qr_function_result_parse(struct qr_function_result *result, struct qr_args args);

struct qr_function_progress {
    struct qr_guid transaction;
    uint64_t done, all; /* all 0: not known */
};

int qr_function_progress_parse(struct qr_function_progress *progress, struct qr_args args);

/* A UUID with dashes or without.  0 or QR_E_MALFORMED. */
int qr_transaction_parse(struct qr_guid *transaction, struct qr_slice text);

#define QR_TRANSACTION_TEXT_LEN 32
void qr_transaction_format(const struct qr_guid *transaction,
                           char text[QR_TRANSACTION_TEXT_LEN + 1]);

/* ---- to the child ---- */

struct qr_function_call {
    struct qr_guid transaction;
    uint32_t timeout_s;
    struct qr_slice function; /* Name and arguments. */
    uint32_t access;          /* What the caller is allowed. */
    struct qr_slice source;   /* Who it is, for the child's log. */
    bool has_payload;
    struct qr_slice content_type; /* Of the payload. */
    struct qr_slice payload;
};

/* Can these words be a function's name and arguments?  Not empty, at most
 * QR_FUNCTION_CALL_BYTES_MAX, no double quote, no control bytes, no backslash at the end: all that
 * a quoted word can hold for every version of child. */
bool qr_function_is_callable(struct qr_slice function);

/* The call, in the form that a child with these capabilities knows.  0, or
 *   QR_E_MALFORMED    the function or one of the other texts cannot stand in a line,
 *   QR_E_UNSUPPORTED  the child takes no payloads,
 *   QR_E_LIMIT        the payload has more than QR_FUNCTION_PAYLOAD_BYTES_MAX,
 *   UV_ENOMEM. */
int qr_function_encode_call(struct qr_buf *out, const struct qr_function_call *call, uint32_t caps);

/* Nothing is written for a child that does not know the line. */
int qr_function_encode_cancel(struct qr_buf *out, const struct qr_guid *transaction, uint32_t caps);
int qr_function_encode_progress(struct qr_buf *out, const struct qr_guid *transaction,
                                uint32_t caps);

#endif
