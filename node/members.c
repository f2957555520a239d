#include "node/members.h"

#include "base/compiler.h"
#include "base/error.h"

static void run_done(struct qr_message *message)
{
    struct qr_members_request *request =
        QR_CONTAINER_OF(message, struct qr_members_request, message);
    request->done(request);
}

static void answer(struct qr_members_request *request, int status, uint64_t index)
{
    request->status = status;
    request->index = index;
    request->message.run = run_done;
    qr_mailbox_post(request->home, &request->message);
}

static void on_asked(void *data, int status, uint64_t index)
{
    answer(data, status, index);
}

static int ask(struct qr_members_request *request)
{
    static const enum qr_change_kind kinds[] = {[QR_MEMBERS_ADD] = QR_CHANGE_ADD,
                                                [QR_MEMBERS_REMOVE] = QR_CHANGE_REMOVE,
                                                [QR_MEMBERS_REPLACE] = QR_CHANGE_REPLACE};
    struct qr_group *group = request->members->group;
    struct qr_group_status status;
    if (group == NULL)
        return QR_E_CLOSED;
    qr_group_get_status(group, &status);
    if (!status.is_member) /* It knows nothing; without a leader it would wait for one. */
        return QR_E_NO_QUORUM;
    if (request->verb == QR_MEMBERS_CANCEL)
        return qr_group_cancel_change(group, on_asked, request);
    return qr_group_ask_change(group, kinds[request->verb], request->member, request->with,
                               request->address, on_asked, request);
}

static void run_ask(struct qr_message *message)
{
    struct qr_members_request *request =
        QR_CONTAINER_OF(message, struct qr_members_request, message);
    int err = ask(request);
    /* At once it means that too many entries wait, not that another change runs. */
    if (err != 0)
        answer(request, err == QR_E_BUSY ? QR_E_LIMIT : err, 0);
}

void qr_members_ask(struct qr_members *members, struct qr_members_request *request)
{
    request->members = members;
    request->message.run = run_ask;
    qr_mailbox_post(members->mailbox, &request->message);
}

bool qr_members_verb_of(struct qr_slice name, enum qr_members_verb *verb)
{
    static const char *const names[] = {"add", "remove", "replace", "cancel"};
    for (unsigned i = 0; i < QR_COUNT(names); i++) {
        if (qr_slice_is(name, names[i])) {
            *verb = (enum qr_members_verb)i;
            return true;
        }
    }
    return false;
}

const char *qr_members_refusal(int status)
{
    switch (status) {
    case QR_E_BUSY:
        return "Another change of members runs: wait for its end, or take it back.";
    case QR_E_EXISTS:
        return "It is a member already.";
    case QR_E_UNKNOWN:
        return "There is no such member, or no change that runs.";
    case QR_E_MALFORMED:
        return "The member or its address is missing, or too long.";
    case QR_E_NO_QUORUM:
        return "This member is not one of the cluster: ask another one.";
    case QR_E_LIMIT:
        return "Too many entries wait for the log: try again.";
    default:
        return "The log did not take it.";
    }
}
