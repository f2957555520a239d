/* Readers on threads of their own while charts and hosts come, change and go: what does not change
 * is found all the while, by every way that there is.  Meant for the thread sanitizer as well.
 * Tests also: index, lookup, ids, postings, pool. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/log.h"
#include "storage/tests/catalog_model.h"
#include "testing/memory_disk.h"

#define N_READERS 3
#define N_STABLE  40
#define N_STEPS   4000

struct shared {
    struct qr_store *store;
    _Atomic bool stop;
    _Atomic uint64_t n_passes, n_seen;
    _Atomic unsigned n_wrong;
};

static struct qr_chart_def *stable_def(unsigned i)
{
    char id[16], name[16];
    snprintf(id, sizeof id, "stable%u", i);
    snprintf(name, sizeof name, "name%u", i);
    struct qr_def_label label = {"kind", "stable", 1};
    struct qr_chart_def view = {
        .id = id, .name = name, .context = "stable", .n_labels = 1, .labels = &label};
    struct qr_buf bytes = {0};
    struct qr_chart_def *def = NULL;
    assert_int_equal(qr_chart_def_encode(&bytes, &view), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    qr_buf_release(&bytes);
    return def;
}

/* ---- readers ---- */

static void expect(struct shared *shared, bool right)
{
    if (!right)
        atomic_fetch_add(&shared->n_wrong, 1);
}

static unsigned count_stable(struct shared *shared, enum qr_term_kind kind, const char *key)
{
    const struct qr_term *term = qr_index_find(qr_store_index(shared->store), kind,
                                               qr_slice_str(key), qr_slice_str("stable"));
    struct qr_postings_at at;
    unsigned n = 0;
    uint32_t id, last = 0;
    if (term == NULL)
        return 0;
    qr_postings_seek(&term->ids, &at, 1);
    for (; (id = qr_postings_next(&at)) != 0; last = id) {
        expect(shared, id > last);
        const struct qr_chart *chart = qr_store_chart_by_id(shared->store, id);
        n += chart != NULL && chart->host->id == 1;
    }
    return n;
}

static void read_terms(struct shared *shared)
{
    for (int kind = 0; kind < QR_TERM_KINDS; kind++) {
        struct qr_lookup_at walk = {0};
        const struct qr_term *term;
        while ((term = qr_index_walk(qr_store_index(shared->store), (enum qr_term_kind)kind,
                                     &walk)) != NULL) {
            struct qr_postings_at at;
            uint32_t id, last = 0;
            qr_postings_seek(&term->ids, &at, 1);
            for (; (id = qr_postings_next(&at)) != 0; last = id)
                expect(shared, id > last);
            atomic_fetch_add(&shared->n_seen, strlen(term->key) + strlen(term->value) + 1);
        }
    }
}

static void read_hosts(struct shared *shared)
{
    const struct qr_store_hosts *hosts = qr_store_hosts(shared->store);
    uint32_t n = atomic_load(&hosts->n);
    for (uint32_t i = 0; i < n; i++) {
        const struct qr_host *host = hosts->at[i];
        uint32_t last = 0;
        for (const struct qr_chart *chart = qr_host_first(host); chart != NULL;
             chart = qr_chart_next(chart)) {
            const struct qr_chart_def *def = atomic_load(&chart->def);
            expect(shared, chart->host == host && chart->id > last);
            last = chart->id;
            atomic_fetch_add(&shared->n_seen, strlen(def->id) + strlen(def->context) + 1);
            qr_chart_first_s(chart);
        }
    }
}

static void *read_on(void *data)
{
    struct shared *shared = data;
    while (!atomic_load(&shared->stop)) {
        int slot = qr_store_enter(shared->store);
        const struct qr_host *host = qr_store_host_by_id(shared->store, 1);
        for (unsigned i = 0; i < N_STABLE; i++) {
            char name[16];
            snprintf(name, sizeof name, i % 2 == 0 ? "stable%u" : "name%u", i);
            const struct qr_chart *chart =
                qr_store_chart_find(shared->store, host, qr_slice_str(name));
            expect(shared, chart != NULL && chart->id == i + 1);
            expect(shared, qr_store_chart_by_id(shared->store, i + 1) == chart);
        }
        expect(shared, qr_store_host_by_guid(shared->store, &host->guid) == host);
        expect(shared, count_stable(shared, QR_TERM_CONTEXT, "") == N_STABLE);
        expect(shared, count_stable(shared, QR_TERM_CHART_LABEL, "kind") == N_STABLE);
        read_terms(shared);
        read_hosts(shared);
        qr_store_leave(shared->store, slot);
        atomic_fetch_add(&shared->n_passes, 1);
    }
    return NULL;
}

/* ---- the writer ---- */

/* A host or a chart of the others is told, gets a row, or goes; some have the stable ones' terms.
 */
static void change(struct qr_store *store, struct qr_rng *rng, int64_t now_s)
{
    uint32_t id, n, n_hosts = qr_store_n_hosts(store);
    uint64_t what = qr_rng_below(rng, 100);
    if (n_hosts < 2 || what < 8) {
        struct qr_host_def *def = any_host(rng, 5);
        assert_int_equal(qr_store_apply_host(store, def, &id), 0);
        return;
    }
    struct qr_host *host = qr_store_host_at(store, 1 + (uint32_t)qr_rng_below(rng, n_hosts - 1));
    if (what < 60) {
        struct qr_chart_def *def =
            what < 12 ? stable_def((unsigned)qr_rng_below(rng, 9)) : any_chart(rng);
        uint32_t n_new, values[] = {1};
        bool has_dim = def->n_dims == 1;
        assert_int_equal(qr_store_apply_chart(store, host->id, def, &id), 0);
        if (has_dim)
            assert_int_equal(
                qr_store_apply_row(store, host->id, id, now_s, now_s, values, 1, &n_new), 0);
        return;
    }
    const struct qr_chart *chart = qr_host_first(host);
    struct qr_forgotten gone = {host->id, what > 61 && chart != NULL ? chart->id : 0};
    assert_int_equal(qr_store_apply_forget(store, &gone, false, &n), 0);
    assert_int_equal(qr_store_apply_forgotten(store), 0);
}

static void what_stays_is_found_all_the_while(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    struct shared shared = {0};
    struct qr_rng rng;
    pthread_t readers[N_READERS];
    uint32_t id;
    qr_memory_disk_init(&disk);
    qr_rng_seed(&rng, 77);
    const struct qr_store_config config = {.disk = &disk.disk, .dir = "/d", .window_s = 60};
    assert_int_equal(qr_store_open(&shared.store, &config, NULL), 0);
    struct qr_host_def *first = host_def(9);
    assert_int_equal(qr_store_apply_host(shared.store, first, &id), 0);
    for (unsigned i = 0; i < N_STABLE; i++)
        assert_int_equal(qr_store_apply_chart(shared.store, 1, stable_def(i), &id), 0);
    for (size_t i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &shared), 0);
    uint64_t start = uv_hrtime();
    for (int64_t t = 1; t < N_STEPS || atomic_load(&shared.n_passes) < 20; t++) {
        change(shared.store, &rng, 1000 + t / 10);
        if (t % 600 == 0)
            assert_int_equal(qr_store_apply_seal(shared.store, (1000 + t / 10 - 60) / 60 * 60), 0);
        qr_store_poll(shared.store);
        sched_yield();
        assert_true(uv_hrtime() - start < UINT64_C(60) * 1000000000);
    }
    atomic_store(&shared.stop, true);
    for (size_t i = 0; i < N_READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(shared.n_wrong, 0);
    qr_store_close(shared.store);
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stays_is_found_all_the_while),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
