#include "cluster/proposer.h"

#include <uv.h>

#include "base/error.h"
#include "testing/cmocka.h"

/* The proposer against a list of what it submitted. */
struct bench {
    struct qr_proposer proposer;
    uint64_t submitted[512];
    unsigned n;
    int answer; /* To the next submissions. */
    uint64_t now;
    struct {
        int status;
        uint64_t index;
    } done[512];
    unsigned n_done;
};

static uint64_t incarnation = 9;

static int submit(void *data, uint64_t sequence, struct qr_slice entry)
{
    struct bench *b = data;
    struct qr_command command;
    if (b->answer < 0)
        return b->answer;
    assert_int_equal(qr_command_decode(&command, entry), 0);
    assert_int_equal(command.sequence, sequence);
    assert_int_equal(command.member, 4);
    assert_int_equal(command.incarnation, incarnation);
    b->submitted[b->n++] = sequence;
    return b->answer;
}

static void on_done(void *data, int status, uint64_t index)
{
    struct bench *b = data;
    b->done[b->n_done].status = status;
    b->done[b->n_done++].index = index;
}

static void setup_bench(struct bench *b, unsigned n)
{
    memset(b, 0, sizeof *b);
    b->now = 1000;
    qr_proposer_init(&b->proposer, 4, 9, 600, submit, b);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(
            qr_proposer_add(&b->proposer, QR_COMMAND_SAMPLES, qr_slice_str("x"), 0, on_done, b), 0);
}

static void pump(struct bench *b)
{
    qr_proposer_pump(&b->proposer, b->now);
}

/* What was submitted since the last look is from .. to, in order. */
static void assert_submitted(struct bench *b, uint64_t from, uint64_t to)
{
    assert_int_equal(b->n, to - from + 1);
    for (unsigned i = 0; i < b->n; i++)
        assert_int_equal(b->submitted[i], from + i);
    b->n = 0;
}

static void the_window_moves_as_entries_are_applied(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 20);
    pump(&b);
    assert_int_equal(b.n, 0); /* no leader */
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    assert_submitted(&b, 1, 8);
    pump(&b);
    assert_int_equal(b.n, 0);
    qr_proposer_applied(&b.proposer, 1, 0, 101);
    qr_proposer_applied(&b.proposer, 2, QR_E_FENCED, 102);
    pump(&b);
    assert_submitted(&b, 9, 10);
    assert_int_equal(b.n_done, 2);
    assert_int_equal(b.done[0].index, 101);
    assert_int_equal(b.done[1].status, QR_E_FENCED);
    qr_proposer_cancel(&b.proposer);
    assert_int_equal(b.n_done, 20);
    assert_int_equal(b.done[19].status, UV_ECANCELED);
}

static void a_new_leader_gets_all_that_is_not_applied(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 10);
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    assert_submitted(&b, 1, 8);
    qr_proposer_applied(&b.proposer, 1, 0, 11);
    qr_proposer_set_ready(&b.proposer, false, false);
    pump(&b);
    assert_int_equal(b.n, 0);
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    assert_submitted(&b, 2, 9);
    assert_int_equal(b.proposer.n_resent, 7);
    /* The same leader after a moment without: nothing was lost. */
    qr_proposer_set_ready(&b.proposer, false, false);
    qr_proposer_set_ready(&b.proposer, true, false);
    pump(&b);
    assert_int_equal(b.n, 0);
    qr_proposer_cancel(&b.proposer);
}

static void goes_back_to_what_was_refused_after_a_pause(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 8);
    b.proposer.resend_ms = 1000000; /* No timeout in between. */
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    b.n = 0;
    qr_proposer_refused(&b.proposer, 3, b.now);
    qr_proposer_refused(&b.proposer, 4, b.now); /* behind it: known */
    pump(&b);
    assert_int_equal(b.n, 0);
    b.now += QR_PROPOSER_PAUSE_MS_MIN;
    pump(&b);
    assert_submitted(&b, 3, 8);
    /* The pauses grow while nothing gets through, to their limit. */
    for (int i = 0; i < 10; i++) {
        qr_proposer_refused(&b.proposer, 3, b.now);
        b.now = b.proposer.paused_until;
        pump(&b);
        assert_submitted(&b, 3, 8);
    }
    qr_proposer_refused(&b.proposer, 3, b.now);
    assert_int_equal(b.proposer.paused_until - b.now, QR_PROPOSER_PAUSE_MS_MAX);
    qr_proposer_applied(&b.proposer, 1, 0, 5);
    assert_int_equal(b.proposer.pause_ms, QR_PROPOSER_PAUSE_MS_MIN);
    qr_proposer_refused(&b.proposer, 1, b.now); /* applied since */
    qr_proposer_cancel(&b.proposer);
}

static void a_submission_that_fails_is_tried_again(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 3);
    qr_proposer_set_ready(&b.proposer, true, true);
    b.answer = QR_E_BUSY;
    pump(&b);
    b.answer = 0;
    pump(&b);
    assert_int_equal(b.n, 0);
    b.now += QR_PROPOSER_PAUSE_MS_MIN;
    pump(&b);
    assert_submitted(&b, 1, 3);
    qr_proposer_cancel(&b.proposer);
}

static void silence_of_the_leader_brings_it_back(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 8);
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    b.n = 0;
    b.now += 599;
    pump(&b);
    assert_int_equal(b.n, 0);
    b.now += 1;
    pump(&b);
    assert_submitted(&b, 1, 8);
    b.now += 600; /* The next one takes twice as long. */
    pump(&b);
    assert_int_equal(b.n, 0);
    b.now += 600;
    pump(&b);
    assert_submitted(&b, 1, 8);
    /* Also when something was applied and then nothing more. */
    qr_proposer_applied(&b.proposer, 1, 0, 5);
    pump(&b);
    b.now += 600;
    pump(&b);
    assert_submitted(&b, 2, 8);
    qr_proposer_cancel(&b.proposer);
}

/* A slow group must not be given the same work again and again. */
static void what_the_leader_has_taken_is_waited_for(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 8);
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    b.n = 0;
    qr_proposer_taken(&b.proposer, 5);
    qr_proposer_taken(&b.proposer, 3); /* known */
    b.now += 600;
    pump(&b);
    b.now += 600;
    pump(&b);
    assert_submitted(&b, 6, 8);
    qr_proposer_taken(&b.proposer, 8);
    b.now += 1000000;
    pump(&b);
    assert_int_equal(b.n, 0);
    /* But another leader may not have it. */
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    assert_submitted(&b, 1, 8);
    /* What the leader itself proposes is taken at once. */
    b.answer = QR_PROPOSER_TAKEN;
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    b.now += 1000000;
    pump(&b);
    assert_submitted(&b, 1, 8);
    qr_proposer_cancel(&b.proposer);
}

static void a_jump_in_the_log_brings_it_back_once(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 8);
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    b.n = 0;
    for (int i = 0; i < 5; i++) /* Entries 2 to 6 meet the same hole. */
        qr_proposer_gap(&b.proposer, b.now);
    b.now += QR_PROPOSER_PAUSE_MS_MIN;
    pump(&b);
    assert_submitted(&b, 1, 8);
    /* Even if the leader said that it had them, and during another pause. */
    qr_proposer_taken(&b.proposer, 8);
    qr_proposer_refused(&b.proposer, 8, b.now);
    qr_proposer_gap(&b.proposer, b.now);
    b.now += 2 * QR_PROPOSER_PAUSE_MS_MIN;
    pump(&b);
    assert_submitted(&b, 1, 8);
    qr_proposer_cancel(&b.proposer);
}

static void a_snapshot_tells_what_became_of_entries(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 8);
    qr_proposer_set_ready(&b.proposer, true, true);
    pump(&b);
    struct qr_producer record = {.member = 4, .incarnation = 9, .sequence = 5};
    record.results[3] = QR_E_FENCED;
    qr_proposer_restored(&b.proposer, &record, 77);
    assert_int_equal(b.n_done, 5);
    for (unsigned i = 0; i < 5; i++) {
        assert_int_equal(b.done[i].status, i == 2 ? QR_E_FENCED : 0);
        assert_int_equal(b.done[i].index, 77);
    }
    record.incarnation = 8; /* Of an earlier life: tells nothing. */
    record.sequence = 100;
    qr_proposer_restored(&b.proposer, &record, 78);
    qr_proposer_restored(&b.proposer, NULL, 78);
    assert_int_equal(b.n_done, 5);
    b.n = 0;
    pump(&b);
    assert_submitted(&b, 6, 8);
    qr_proposer_cancel(&b.proposer);
}

static struct bench *again;

static void add_again(void *data, int status, uint64_t index)
{
    (void)data;
    (void)index;
    if (status == 0)
        assert_int_equal(qr_proposer_add(&again->proposer, QR_COMMAND_SAMPLES, qr_slice_str("y"), 0,
                                         add_again, NULL),
                         0);
}

static void done_may_propose(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 0);
    again = &b;
    add_again(NULL, 0, 0);
    qr_proposer_set_ready(&b.proposer, true, true);
    for (uint64_t i = 1; i <= 100; i++) {
        pump(&b);
        assert_submitted(&b, i, i);
        qr_proposer_applied(&b.proposer, i, 0, i);
    }
    qr_proposer_cancel(&b.proposer);
}

static void what_waits_takes_a_new_number_along(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, 2);
    qr_proposer_renumber(&b.proposer, 1000009);
    assert_int_equal(
        qr_proposer_add(&b.proposer, QR_COMMAND_SAMPLES, qr_slice_str("x"), 0, on_done, &b), 0);
    qr_proposer_set_ready(&b.proposer, true, false);
    incarnation = 1000009; /* submit() looks */
    pump(&b);
    incarnation = 9;
    assert_submitted(&b, 1, 3);
    qr_proposer_cancel(&b.proposer);
}

static void refuses_what_it_cannot_keep(void **state)
{
    (void)state;
    struct bench b;
    setup_bench(&b, QR_PROPOSALS_IN_FLIGHT_MAX + QR_PROPOSALS_WAITING_MAX);
    assert_int_equal(
        qr_proposer_add(&b.proposer, QR_COMMAND_SAMPLES, qr_slice_str("x"), 0, NULL, NULL),
        QR_E_BUSY);
    assert_int_equal(b.proposer.last_sequence, b.proposer.n);
    qr_proposer_cancel(&b.proposer);
    setup_bench(&b, 0);
    assert_int_equal(qr_proposer_add(&b.proposer, QR_COMMAND_SAMPLES,
                                     qr_slice_of("", QR_ENTRY_BYTES_MAX), 0, NULL, NULL),
                     QR_E_LIMIT);
    assert_int_equal(b.proposer.last_sequence, 0); /* No hole in the numbers. */
    qr_proposer_cancel(&b.proposer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_window_moves_as_entries_are_applied),
        cmocka_unit_test(a_new_leader_gets_all_that_is_not_applied),
        cmocka_unit_test(goes_back_to_what_was_refused_after_a_pause),
        cmocka_unit_test(a_submission_that_fails_is_tried_again),
        cmocka_unit_test(silence_of_the_leader_brings_it_back),
        cmocka_unit_test(what_the_leader_has_taken_is_waited_for),
        cmocka_unit_test(a_jump_in_the_log_brings_it_back_once),
        cmocka_unit_test(a_snapshot_tells_what_became_of_entries),
        cmocka_unit_test(done_may_propose),
        cmocka_unit_test(what_waits_takes_a_new_number_along),
        cmocka_unit_test(refuses_what_it_cannot_keep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
