/* Readers on threads of their own while the writer applies, seals, restores and drops: whatever a
 * reader finds is complete and right.  Meant for the thread sanitizer as well. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <uv.h>

#include "base/log.h"
#include "storage/tests/fixture.h"
#include "testing/memory_disk.h"

#define N_READERS 3
#define N_CHARTS  8
#define N_DIMS    3
#define WINDOW_S  150
#define SPAN_S    300
#define END_S     3000

struct shared {
    struct qr_store *store;
    _Atomic bool stop;
    _Atomic uint64_t n_rows_seen;
    _Atomic unsigned n_wrong;
};

static uint32_t value_of(uint32_t chart, int64_t t, uint32_t dim)
{
    return (uint32_t)((uint64_t)t * 7 + chart * 1000 + dim) % 5000;
}

/* All of the last SPAN_S up to the watermark must be there. */
static void read_chart(struct shared *shared, const struct qr_chart *chart)
{
    int64_t last = atomic_load_explicit(&chart->watermark_s, memory_order_acquire);
    int64_t first = last > SPAN_S ? last - SPAN_S : 1, next = first;
    struct qr_query *query;
    struct qr_slab slab;
    if (last == 0 || qr_query_open(&query, shared->store, chart, first, last) != 0)
        return;
    while (qr_query_next(query, &slab) == 1) {
        for (uint32_t row = 0; row < slab.n_rows; row++, next++) {
            bool right = slab.first_s + (int64_t)row * slab.step_s == next;
            for (uint32_t d = 0; d < N_DIMS; d++)
                right = right && slab.n_dims >= N_DIMS &&
                        qr_slab_at(&slab, row, d) == value_of(chart->id, next, d);
            if (!right)
                atomic_fetch_add(&shared->n_wrong, 1);
        }
    }
    if (next != last + 1 || qr_query_n_bad(query) != 0)
        atomic_fetch_add(&shared->n_wrong, 1);
    atomic_fetch_add(&shared->n_rows_seen, (uint64_t)(next - first));
    qr_query_close(query);
}

static void *read_on(void *data)
{
    struct shared *shared = data;
    while (!atomic_load(&shared->stop)) {
        int slot = qr_store_enter(shared->store);
        for (uint32_t i = 0; i < qr_store_n_hosts(shared->store); i++) {
            struct qr_host *host = qr_store_host_at(shared->store, i);
            if (host == NULL)
                continue; /* A restore came in between. */
            for (struct qr_chart *chart = qr_host_first(host); chart != NULL;
                 chart = qr_chart_next(chart)) {
                const struct qr_chart_def *def = atomic_load(&chart->def);
                if (qr_store_chart_find(shared->store, host, qr_slice_str(def->id)) != chart)
                    atomic_fetch_add(&shared->n_wrong, 1);
                read_chart(shared, chart);
                qr_store_gaps(shared->store, chart->id, NULL, 0);
            }
        }
        struct qr_store_stats stats;
        qr_store_get_stats(shared->store, &stats);
        qr_store_leave(shared->store, slot);
    }
    return NULL;
}

static void apply_second(struct qr_store *store, int64_t t)
{
    char id[8];
    if (t % 100 == 0 && t / 100 < N_CHARTS) {
        snprintf(id, sizeof id, "c%d", (int)(t / 100));
        add_chart(store, 1, id, 1, N_DIMS);
    }
    if (t % 250 == 0) { /* A dimension more: the slab is made anew, wider. */
        uint32_t chart;
        assert_int_equal(
            qr_store_apply_chart(store, 1, chart_def("c0", "c0", 1, 0, N_DIMS + (unsigned)t / 250),
                                 &chart),
            0);
    }
    uint32_t n = atomic_load(&qr_store_host_at(store, 0)->n_charts);
    for (uint32_t c = 1; c <= n; c++) {
        int64_t before = atomic_load(&qr_store_chart_by_id(store, c)->watermark_s);
        /* A new chart gets all that went before first, as from a replay. */
        for (int64_t at = before != 0 ? before + 1 : 1; at <= t; at++) {
            uint32_t values[N_DIMS];
            for (uint32_t d = 0; d < N_DIMS; d++)
                values[d] = value_of(c, at, d);
            put_row(store, 1, c, at, values, N_DIMS);
        }
        /* A row that comes again, into a tile that is encoded by now. */
        int64_t again = t - 70 - (int64_t)c;
        if (t % 16 == 0 && again > 0) {
            uint32_t values[N_DIMS];
            for (uint32_t d = 0; d < N_DIMS; d++)
                values[d] = value_of(c, again, d);
            put_row(store, 1, c, again, values, N_DIMS);
        }
    }
}

static void readers_see_all_up_to_the_watermark(void **state)
{
    (void)state;
    struct qr_memory_disk disk;
    qr_memory_disk_init(&disk);
    uv_loop_t loop;
    assert_int_equal(uv_loop_init(&loop), 0);
    const struct qr_store_config config = {
        .loop = &loop, .disk = &disk.disk, .dir = "/d", .window_s = WINDOW_S};
    struct shared shared = {0};
    assert_int_equal(qr_store_open(&shared.store, &config, NULL), 0);
    add_host(shared.store, 1);
    add_chart(shared.store, 1, "c0", 1, N_DIMS);
    pthread_t readers[N_READERS];
    for (size_t i = 0; i < N_READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &shared), 0);

    unsigned n_restores = 0;
    for (int64_t t = 1; t < END_S; t++) {
        apply_second(shared.store, t);
        int64_t start;
        if (qr_store_sealable(shared.store, t - 5, &start, 1) == 1)
            assert_int_equal(qr_store_apply_seal(shared.store, start), 0);
        if (t >= 1200 && t % 300 == 0) /* All charts are complete up to now. */
            assert_int_equal(retain_from(shared.store, t - SPAN_S - 2 * WINDOW_S), 0);
        if (t % 40 == 0) {
            struct qr_buf snapshot = {0};
            while (t % 80 == 0 && qr_store_busy(shared.store) != 0)
                uv_run(&loop, UV_RUN_ONCE);
            int err = qr_store_snapshot(shared.store, &snapshot);
            assert_true(err == 0 || err == QR_E_BUSY);
            if (t % 80 == 0) {
                assert_int_equal(err, 0);
                assert_int_equal(qr_store_restore(shared.store, qr_buf_slice(&snapshot)), 0);
                n_restores++;
            }
            qr_buf_release(&snapshot);
        }
        uv_run(&loop, UV_RUN_NOWAIT);
        qr_store_poll(shared.store);
        sched_yield();
    }
    /* However slow the machine is: they have read something. */
    for (uint64_t start = uv_hrtime(); atomic_load(&shared.n_rows_seen) < 10000;) {
        assert_true(uv_hrtime() - start < UINT64_C(60) * 1000000000);
        sched_yield();
    }
    atomic_store(&shared.stop, true);
    for (size_t i = 0; i < N_READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(shared.n_wrong, 0);
    assert_int_equal(n_restores, (END_S - 1) / 80);
    while (qr_store_busy(shared.store) != 0)
        uv_run(&loop, UV_RUN_ONCE);
    qr_store_close(shared.store);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    qr_memory_disk_release(&disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_see_all_up_to_the_watermark),
    };
    qr_log_open(-1, QR_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
