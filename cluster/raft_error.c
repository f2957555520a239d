#include "cluster/raft_error.h"

#include <raft.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"

/* The first row with a code on either side is its translation. */
static const struct {
    int raft, ours;
} codes[] = {
    {0, 0},
    {RAFT_NOMEM, UV_ENOMEM},
    {RAFT_BADID, QR_E_CONFIG},
    {RAFT_DUPLICATEID, QR_E_EXISTS},
    {RAFT_DUPLICATEADDRESS, QR_E_EXISTS},
    {RAFT_BADROLE, QR_E_CONFIG},
    {RAFT_MALFORMED, QR_E_MALFORMED},
    {RAFT_NOTLEADER, QR_E_NOT_LEADER},
    {RAFT_LEADERSHIPLOST, QR_E_NO_QUORUM}, /* outcome unknown */
    {RAFT_SHUTDOWN, QR_E_CLOSED},
    {RAFT_CANTBOOTSTRAP, QR_E_EXISTS},
    {RAFT_BUSY, QR_E_BUSY},
    {RAFT_CANTCHANGE, QR_E_BUSY},
    {RAFT_CORRUPT, QR_E_CORRUPT},
    {RAFT_CANCELED, UV_ECANCELED},
    {RAFT_NAMETOOLONG, UV_ENAMETOOLONG},
    {RAFT_TOOBIG, QR_E_LIMIT},
    {RAFT_TOOMANY, QR_E_LIMIT},
    {RAFT_NOCONNECTION, QR_E_UNREACHABLE},
    {RAFT_IOERR, UV_EIO},
    {RAFT_NOTFOUND, QR_E_UNKNOWN},
    {RAFT_INVALID, UV_EINVAL},
    {RAFT_UNAUTHORIZED, QR_E_DENIED},
    {RAFT_NOSPACE, QR_E_NO_SPACE},
};

int qr_error_of_raft(int raft_code)
{
    for (size_t i = 0; i < QR_COUNT(codes); i++) {
        if (codes[i].raft == raft_code)
            return codes[i].ours;
    }
    return QR_E_RAFT;
}

int qr_raft_of_error(int code)
{
    for (size_t i = 0; i < QR_COUNT(codes); i++) {
        if (codes[i].ours == code)
            return codes[i].raft;
    }
    return RAFT_IOERR;
}
