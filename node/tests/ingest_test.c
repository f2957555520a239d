/* An ingest loop with simulated children on its port, and a roster that answers when the test says
 * so: what goes into the log ahead of what.  Tests also: child, child_charts. */
#include "node/ingest.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "storage/entry.h"
#include "testing/cmocka.h"
#include "testing/model.h"
#include "testing/process.h"

#define KEY         "11111111-2222-3333-4444-555555555555"
#define DEADLINE_MS 30000
#define CHARTS      20u
#define RECORDS_MAX 4096

/* Also the seeds of their values and names. */
enum host { REFILLS = 1, LIVE = 2, N_HOSTS = 3 };

/* ---- the roster ---- */

struct record {
    enum host host;
    int64_t sent_us, oldest_us;
};

/* It takes every host and chart; batches are answered at once, or kept. */
struct qr_roster {
    pthread_mutex_t mutex;
    bool keeps[N_HOSTS];
    struct qr_batch *kept[N_HOSTS][QR_INGEST_CREDITS];
    unsigned n_kept[N_HOSTS];
    struct record records[RECORDS_MAX];
    unsigned n;
};

static struct qr_roster roster = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static void run_attached(struct qr_message *message)
{
    struct qr_feed *feed = QR_CONTAINER_OF(message, struct qr_feed, attach_message);
    feed->handler->attached(feed, 0);
}

void qr_roster_attach(struct qr_roster *r, struct qr_feed *feed)
{
    const struct qr_model model = {.seed = REFILLS};
    struct qr_guid guid;
    qr_model_guid(&model, 0, &guid);
    feed->host = memcmp(&guid, &feed->guid, sizeof guid) == 0 ? REFILLS : LIVE;
    feed->epoch = 1;
    qr_buf_release(&feed->host_body);
    feed->attach_message.run = run_attached;
    qr_mailbox_post(feed->home, &feed->attach_message);
}

static void run_defined(struct qr_message *message)
{
    struct qr_feed_define *define = QR_CONTAINER_OF(message, struct qr_feed_define, message);
    define->defined(define);
}

void qr_roster_define(struct qr_roster *r, struct qr_feed_define *define)
{
    for (uint32_t i = 0; i < define->n; i++) {
        struct qr_feed_chart *chart = &define->charts[i];
        chart->chart = define->feed->host * 1000 + chart->slot + 1;
        chart->places = malloc(chart->n_dims * sizeof *chart->places);
        assert_non_null(chart->places);
        for (uint32_t d = 0; d < chart->n_dims; d++)
            chart->places[d] = d;
    }
    define->message.run = run_defined;
    qr_mailbox_post(define->feed->home, &define->message);
}

void qr_roster_seek(struct qr_roster *r, struct qr_feed_define *seek)
{
    fail_msg("nobody has holes here");
}

void qr_feed_define_free(struct qr_feed_define *define)
{
    for (uint32_t i = 0; i < define->n; i++) {
        qr_buf_release(&define->charts[i].body);
        free(define->charts[i].places);
    }
    free(define->charts);
    free(define);
}

void qr_roster_note(struct qr_roster *r, struct qr_feed_note *note)
{
    qr_buf_release(&note->host_body);
    free(note);
}

static void run_detached(struct qr_message *message)
{
    struct qr_feed *feed = QR_CONTAINER_OF(message, struct qr_feed, detach_message);
    feed->handler->detached(feed);
}

void qr_roster_detach(struct qr_roster *r, struct qr_feed *feed)
{
    feed->detach_message.run = run_detached;
    qr_mailbox_post(feed->home, &feed->detach_message);
}

void qr_roster_forget(struct qr_roster *r, struct qr_forget_request *request)
{
    fail_msg("nobody forgets here");
}

static void run_done(struct qr_message *message)
{
    struct qr_batch *batch = QR_CONTAINER_OF(message, struct qr_batch, message);
    batch->done(batch);
}

static void answer(struct qr_batch *batch)
{
    batch->status = 0;
    batch->message.run = run_done;
    qr_mailbox_post(batch->home, &batch->message);
}

/* The one host whose rows a batch has: here no two hosts are of a kind. */
static enum host host_of(const struct qr_batch *batch)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    uint32_t id = 0;
    assert_int_equal(qr_entry_reader_new(&reader, qr_buf_slice(&batch->body)), 0);
    while (qr_entry_next_host(reader, &host)) {
        assert_true(id == 0 || id == host.host);
        id = host.host;
    }
    qr_entry_reader_free(reader);
    assert_in_range(id, REFILLS, LIVE);
    return (enum host)id;
}

/* The log's order is the order of these calls. */
void qr_roster_batch(struct qr_roster *r, struct qr_batch *batch)
{
    enum host host = host_of(batch);
    pthread_mutex_lock(&r->mutex);
    assert_true(r->n < RECORDS_MAX);
    r->records[r->n++] =
        (struct record){host, qr_clock_real_us(&qr_clock_system), batch->oldest_us};
    bool keep = r->keeps[host];
    if (keep)
        r->kept[host][r->n_kept[host]++] = batch;
    pthread_mutex_unlock(&r->mutex);
    if (!keep)
        answer(batch);
}

static void keep_batches(enum host host, bool keep)
{
    pthread_mutex_lock(&roster.mutex);
    roster.keeps[host] = keep;
    pthread_mutex_unlock(&roster.mutex);
}

static void answer_one(enum host host)
{
    pthread_mutex_lock(&roster.mutex);
    assert_true(roster.n_kept[host] > 0);
    struct qr_batch *batch = roster.kept[host][--roster.n_kept[host]];
    pthread_mutex_unlock(&roster.mutex);
    answer(batch);
}

static unsigned n_kept(enum host host)
{
    pthread_mutex_lock(&roster.mutex);
    unsigned n = roster.n_kept[host];
    pthread_mutex_unlock(&roster.mutex);
    return n;
}

static unsigned n_records(void)
{
    pthread_mutex_lock(&roster.mutex);
    unsigned n = roster.n;
    pthread_mutex_unlock(&roster.mutex);
    return n;
}

static struct record record_at(unsigned i)
{
    pthread_mutex_lock(&roster.mutex);
    assert_true(i < roster.n);
    struct record record = roster.records[i];
    pthread_mutex_unlock(&roster.mutex);
    return record;
}

static unsigned n_live_since(unsigned first)
{
    unsigned n = 0;
    for (unsigned i = first; i < n_records(); i++)
        n += record_at(i).host == LIVE;
    return n;
}

/* ---- the ingest loop and its children ---- */

static struct qr_ingest *ingest;
static struct qr_process children[N_HOSTS];
static char dir[QR_TEMP_DIR_BYTES], address[32];

static void start_ingest(void)
{
    static struct qr_api api; /* No child asks it. */
    struct qr_config config = {0};
    struct qr_admission *admission;
    struct qr_key_table *keys;
    const struct qr_keys none = {0};
    char sentence[256];
    qr_temp_dir(dir, "ingest");
    snprintf(config.stream_file, sizeof config.stream_file, "%s/stream.conf", dir);
    qr_write_file(config.stream_file, "[" KEY "]\n enabled = yes\n allow from = *\n");
    assert_int_equal(qr_admission_read(&admission, &config, sentence, sizeof sentence), 0);
    assert_int_equal(qr_key_table_new(&keys, &(struct qr_guid){{0}}, &none, 0), 0);
    snprintf(address, sizeof address, "127.0.0.1:%u", qr_free_ports(1));
    static struct qr_binds binds;
    assert_int_equal(qr_binds_read(&binds, "", address, sentence, sizeof sentence), 0);
    /* An empty one: no child is known. */
    const struct qr_store_config store = {.disk = &qr_disk_files, .dir = dir, .window_s = 600};
    const struct qr_store_events events = {0};
    assert_int_equal(qr_store_open(&api.store, &store, &events), 0);
    const struct qr_ingest_config c = {.clock = &qr_clock_system,
                                       .binds = &binds,
                                       .tick_ms = 50,
                                       .vanished_s = 60,
                                       .roster = &roster,
                                       .api = &api,
                                       .admission = admission,
                                       .keys = keys,
                                       .conns_max = 16};
    assert_int_equal(qr_ingest_start(&ingest, &c), 0);
    qr_ingest_accept_children(ingest, true);
    qr_admission_release(admission);
    qr_key_table_release(keys);
}

static void start_child(enum host host, const char *history_s)
{
    char log[QR_TEMP_DIR_BYTES + 32], seed[8];
    snprintf(log, sizeof log, "%s/child-%d.log", dir, host);
    snprintf(seed, sizeof seed, "%d", host);
    const char *argv[] = {QR_BUILD_DIR "/testing/quorate-loadgen",
                          "--to",
                          address,
                          "--key",
                          KEY,
                          "--seed",
                          seed,
                          "--charts",
                          "20",
                          "--plain",
                          "--history",
                          history_s,
                          "--duration",
                          "0",
                          "--quiet",
                          NULL};
    assert_int_equal(qr_process_start(&children[host], "a child", log, -1, argv), 0);
}

static unsigned since; /* The first record that a condition looks at. */

static void wait_until(bool (*condition)(void *unused), unsigned first)
{
    since = first;
    assert_true(qr_wait_for(condition, NULL, DEADLINE_MS, 5));
}

/* Rows of live children that the ingest loop has read. */
static uint64_t live_rows(void)
{
    const struct qr_ingest_stats *stats = qr_ingest_stats(ingest);
    uint64_t replayed = stats->replayed_rows;
    return stats->rows - replayed;
}

static bool is_live(void *unused)
{
    return live_rows() >= 2 * CHARTS && qr_ingest_stats(ingest)->n_replicating == 0;
}

static bool refills_have_their_credits(void *unused)
{
    return n_kept(REFILLS) >= QR_INGEST_CREDITS - QR_INGEST_CREDITS_LIVE;
}

static bool has_live_batches(void *unused)
{
    return n_live_since(since) >= 3;
}

static bool has_no_credit(void *unused)
{
    return n_kept(REFILLS) + n_kept(LIVE) == QR_INGEST_CREDITS;
}

static uint64_t live_rows_awaited;

static bool live_rows_wait(void *unused)
{
    return live_rows() >= live_rows_awaited;
}

static bool has_record(void *unused)
{
    return n_records() > since;
}

static bool has_many_of_both(void *unused)
{
    unsigned n_live = n_live_since(since);
    return n_live >= 4 && n_records() - since - n_live >= 8;
}

static int set_up(void **state)
{
    start_ingest();
    start_child(LIVE, "3");
    wait_until(is_live, 0);
    return 0;
}

static int tear_down(void **state)
{
    for (enum host host = REFILLS; host <= LIVE; host++)
        qr_process_stop(&children[host], 5000);
    qr_remove_dir(dir);
    return 0;
}

/* ---- the test ---- */

/* No row of a live child that had been read was still here when a batch of old ones went. */
static void assert_live_rows_went_first(unsigned first)
{
    int64_t refill_sent_us = 0;
    for (unsigned i = first; i < n_records(); i++) {
        struct record record = record_at(i);
        if (record.host == REFILLS)
            refill_sent_us = record.sent_us;
        else
            assert_true(record.oldest_us >= refill_sent_us);
    }
}

static void live_rows_go_ahead_of_those_that_refill(void **state)
{
    (void)state;
    /* The log does not answer for old rows: they get no more than their share of credits, .. */
    unsigned first = n_records();
    keep_batches(REFILLS, true);
    start_child(REFILLS, "86400");
    wait_until(refills_have_their_credits, 0);
    wait_until(has_live_batches, n_records());
    assert_int_equal(n_kept(REFILLS), QR_INGEST_CREDITS - QR_INGEST_CREDITS_LIVE);
    /* .. and when it answers for nothing, the first credit that comes back is for live rows. */
    keep_batches(LIVE, true);
    wait_until(has_no_credit, 0);
    live_rows_awaited = live_rows() + CHARTS;
    wait_until(live_rows_wait, 0);
    unsigned before = n_records();
    assert_int_equal(before - first, n_live_since(first) + n_kept(REFILLS));
    answer_one(REFILLS);
    wait_until(has_record, before);
    assert_int_equal(record_at(before).host, LIVE);
    /* It answers at once again: both go on, live rows first each time. */
    keep_batches(REFILLS, false);
    keep_batches(LIVE, false);
    while (n_kept(REFILLS) > 0)
        answer_one(REFILLS);
    while (n_kept(LIVE) > 0)
        answer_one(LIVE);
    wait_until(has_many_of_both, n_records());
    assert_live_rows_went_first(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(live_rows_go_ahead_of_those_that_refill, set_up, tear_down),
    };
    signal(SIGPIPE, SIG_IGN); /* As the daemon does: children go when they like. */
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    fflush(NULL);
    _exit(failed); /* The loop's thread runs until the process ends. */
}
