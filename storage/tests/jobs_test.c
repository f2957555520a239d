#include "storage/jobs.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

#define N 4

static char order[64];
static size_t n_order;
static _Atomic int n_running;

struct numbered {
    struct qr_job job;
    char name;
    bool overlapped;
};

static void run(struct qr_job *job)
{
    struct numbered *numbered = QR_CONTAINER_OF(job, struct numbered, job);
    numbered->overlapped = ++n_running > 1;
    --n_running;
}

static void done(struct qr_job *job)
{
    struct numbered *numbered = QR_CONTAINER_OF(job, struct numbered, job);
    assert_false(numbered->overlapped);
    order[n_order++] = numbered->name;
}

static void start(struct numbered *jobs)
{
    n_order = 0;
    for (int i = 0; i < N; i++)
        jobs[i] = (struct numbered){.job = {.run = run, .done = done}, .name = (char)('a' + i)};
}

static void without_a_loop_they_run_at_once(void **state)
{
    (void)state;
    struct qr_jobs queue;
    struct numbered jobs[N];
    qr_jobs_init(&queue, NULL);
    start(jobs);
    qr_jobs_add(&queue, &jobs[1].job);
    qr_jobs_add(&queue, &jobs[0].job);
    assert_memory_equal(order, "ba", 2);
    assert_int_equal(queue.n, 0);
}

static void they_run_one_after_the_other(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct qr_jobs queue;
    struct numbered jobs[N];
    assert_int_equal(uv_loop_init(&loop), 0);
    qr_jobs_init(&queue, &loop);
    start(jobs);
    for (int i = 0; i < N; i++)
        qr_jobs_add(&queue, &jobs[i].job);
    assert_int_equal(queue.n, N);
    assert_int_equal(n_order, 0); /* On the loop, not before. */
    assert_false(qr_jobs_cancel(&queue, &jobs[0].job));
    assert_true(qr_jobs_cancel(&queue, &jobs[2].job));
    assert_int_equal(queue.n, N - 1);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_order, 3);
    assert_memory_equal(order, "abd", 3);
    assert_int_equal(queue.n, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_loop_they_run_at_once),
        cmocka_unit_test(they_run_one_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
