#include "cluster/proposer.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "base/compiler.h"
#include "base/error.h"
#include "base/plant.h"

struct proposal {
    struct qr_list node;
    uint64_t sequence;
    bool was_sent; /* At least once. */
    qr_proposer_done_cb done;
    void *data;
    struct qr_buf entry;
};

static struct proposal *first_of(struct qr_list *list)
{
    return QR_CONTAINER_OF(list->next, struct proposal, node);
}

void qr_proposer_init(struct qr_proposer *proposer, uint32_t member, uint64_t incarnation,
                      uint32_t resend_ms, qr_proposer_submit_cb submit, void *data)
{
    *proposer = (struct qr_proposer){.member = member,
                                     .incarnation = incarnation,
                                     .resend_ms = resend_ms,
                                     .resend_now_ms = resend_ms,
                                     .pause_ms = QR_PROPOSER_PAUSE_MS_MIN,
                                     .submit = submit,
                                     .data = data};
    qr_list_init(&proposer->proposals);
}

static bool has_room(const struct qr_proposer *proposer, size_t bytes)
{
    unsigned n_max = QR_PROPOSALS_IN_FLIGHT_MAX + QR_PROPOSALS_WAITING_MAX;
    return proposer->n < n_max && proposer->bytes + bytes <= QR_PROPOSALS_WAITING_BYTES_MAX;
}

int qr_proposer_add(struct qr_proposer *proposer, enum qr_command_type type, struct qr_slice body,
                    int64_t time_us, qr_proposer_done_cb done, void *data)
{
    if (!has_room(proposer, body.len))
        return QR_E_BUSY;
    struct proposal *proposal = calloc(1, sizeof *proposal);
    if (proposal == NULL)
        return UV_ENOMEM;
    const struct qr_command command = {.type = type,
                                       .member = proposer->member,
                                       .incarnation = proposer->incarnation,
                                       .sequence = proposer->last_sequence + 1,
                                       .time_us = time_us,
                                       .body = body};
    int err = qr_command_encode(&proposal->entry, &command);
    if (err != 0) {
        qr_buf_release(&proposal->entry);
        free(proposal);
        return err;
    }
    proposal->sequence = command.sequence;
    proposal->done = done;
    proposal->data = data;
    qr_list_add_tail(&proposer->proposals, &proposal->node);
    proposer->last_sequence++;
    proposer->n++;
    proposer->n_added++;
    proposer->bytes += proposal->entry.len;
    return 0;
}

void qr_proposer_renumber(struct qr_proposer *proposer, uint64_t incarnation)
{
    assert(incarnation > proposer->incarnation);
    proposer->incarnation = incarnation;
    QR_LIST_FOREACH (node, &proposer->proposals) {
        struct proposal *proposal = QR_CONTAINER_OF(node, struct proposal, node);
        assert(!proposal->was_sent);
        qr_command_renumber(proposal->entry.base, proposal->entry.len, incarnation);
    }
}

/* Takes the oldest out and tells its owner. */
static void finish_first(struct qr_proposer *proposer, int status, uint64_t index)
{
    struct proposal *proposal = first_of(&proposer->proposals);
    qr_list_remove(&proposal->node);
    proposer->n--;
    proposer->n_sent -= proposer->n_sent > 0;
    proposer->n_taken -= proposer->n_taken > 0;
    proposer->bytes -= proposal->entry.len;
    qr_buf_release(&proposal->entry);
    if (proposal->done != NULL)
        proposal->done(proposal->data, status, index);
    free(proposal);
}

/* The first `n` stay sent. */
static void go_back(struct qr_proposer *proposer, unsigned n)
{
    if (QR_PLANT(resend_off))
        return;
    proposer->n_sent = n;
    if (proposer->n_taken > n)
        proposer->n_taken = n;
    proposer->waiting_since = 0;
}

void qr_proposer_set_ready(struct qr_proposer *proposer, bool ready, bool again)
{
    proposer->ready = ready;
    if (again) {
        go_back(proposer, 0);
        proposer->paused_until = 0;
        proposer->pause_ms = QR_PROPOSER_PAUSE_MS_MIN;
        proposer->resend_now_ms = proposer->resend_ms;
    }
}

static void hold_off(struct qr_proposer *proposer, uint64_t now_ms)
{
    proposer->paused_until = now_ms + proposer->pause_ms;
    proposer->pause_ms *= 2;
    if (proposer->pause_ms > QR_PROPOSER_PAUSE_MS_MAX)
        proposer->pause_ms = QR_PROPOSER_PAUSE_MS_MAX;
}

void qr_proposer_refused(struct qr_proposer *proposer, uint64_t sequence, uint64_t now_ms)
{
    if (proposer->n == 0)
        return;
    uint64_t oldest = first_of(&proposer->proposals)->sequence;
    if (sequence < oldest || sequence >= oldest + proposer->n_sent)
        return; /* Applied since, or to be sent again anyhow. */
    go_back(proposer, (unsigned)(sequence - oldest));
    hold_off(proposer, now_ms);
}

static void made_progress(struct qr_proposer *proposer)
{
    proposer->pause_ms = QR_PROPOSER_PAUSE_MS_MIN;
    proposer->resend_now_ms = proposer->resend_ms;
    proposer->waiting_since = 0;
}

void qr_proposer_gap(struct qr_proposer *proposer, uint64_t now_ms)
{
    if (proposer->n_sent == 0)
        return; /* Entries behind the same hole tell nothing new. */
    go_back(proposer, 0);
    if (now_ms >= proposer->paused_until)
        hold_off(proposer, now_ms);
}

void qr_proposer_taken(struct qr_proposer *proposer, uint64_t sequence)
{
    if (proposer->n == 0)
        return;
    uint64_t oldest = first_of(&proposer->proposals)->sequence;
    if (sequence < oldest + proposer->n_taken || sequence >= oldest + proposer->n_sent)
        return;
    proposer->n_taken = (unsigned)(sequence - oldest) + 1;
    proposer->waiting_since = 0;
}

void qr_proposer_applied(struct qr_proposer *proposer, uint64_t sequence, int result,
                         uint64_t index)
{
    /* The machine takes sequences one by one, so this is the oldest. */
    if (proposer->n == 0 || first_of(&proposer->proposals)->sequence != sequence)
        return;
    made_progress(proposer);
    finish_first(proposer, result, index);
}

void qr_proposer_restored(struct qr_proposer *proposer, const struct qr_producer *record,
                          uint64_t index)
{
    bool known = record != NULL && record->incarnation == proposer->incarnation;
    while (proposer->n != 0 && known) {
        uint64_t sequence = first_of(&proposer->proposals)->sequence;
        if (sequence > record->sequence)
            break;
        made_progress(proposer);
        finish_first(proposer, record->results[sequence % QR_PROPOSALS_IN_FLIGHT_MAX], index);
    }
    /* A refusal for a jump may have been among the entries that were not seen. */
    go_back(proposer, 0);
}

/* The leader has not taken the next one for too long: go back to that. */
static void check_timeout(struct qr_proposer *proposer, uint64_t now_ms)
{
    if (proposer->n_taken == proposer->n_sent) {
        proposer->waiting_since = 0;
        return;
    }
    if (proposer->waiting_since == 0)
        proposer->waiting_since = now_ms;
    if (now_ms - proposer->waiting_since < proposer->resend_now_ms)
        return;
    go_back(proposer, proposer->n_taken);
    if (proposer->resend_now_ms < 8 * proposer->resend_ms)
        proposer->resend_now_ms *= 2;
}

void qr_proposer_pump(struct qr_proposer *proposer, uint64_t now_ms)
{
    if (!proposer->ready)
        return;
    check_timeout(proposer, now_ms);
    if (now_ms < proposer->paused_until)
        return;
    struct qr_list *node = proposer->proposals.next;
    for (unsigned i = 0; i < proposer->n_sent; i++)
        node = node->next;
    while (node != &proposer->proposals && proposer->n_sent < QR_PROPOSALS_IN_FLIGHT_MAX) {
        struct proposal *proposal = QR_CONTAINER_OF(node, struct proposal, node);
        int err =
            proposer->submit(proposer->data, proposal->sequence, qr_buf_slice(&proposal->entry));
        if (err < 0) {
            hold_off(proposer, now_ms);
            break;
        }
        proposer->n_sent++;
        if (err == QR_PROPOSER_TAKEN)
            qr_proposer_taken(proposer, proposal->sequence);
        proposer->n_resent += proposal->was_sent;
        proposal->was_sent = true;
        node = node->next;
    }
    check_timeout(proposer, now_ms); /* Notes when the waiting began. */
}

void qr_proposer_cancel(struct qr_proposer *proposer)
{
    proposer->ready = false;
    while (proposer->n != 0)
        finish_first(proposer, UV_ECANCELED, 0);
}
