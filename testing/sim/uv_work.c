/* The pool of workers of each host, threads, and what they wait for each other with. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim/uv_core.h"

#define WORKERS      4u /* libuv's, without UV_THREADPOOL_SIZE. */
#define WORKERS_MAX  1024u
#define PREEMPTED_IN 64u /* One in so many locks lets others run first. */

_Static_assert(sizeof(struct qr_uv_job) <= sizeof(((uv_req_t *)0)->reserved), "it fits");

/* ---- the pool ---- */

struct worker {
    struct qr_list node; /* Of the pool's idle ones. */
    struct qr_sim_fiber *fiber;
    struct pool *pool;
};

static struct pool {
    struct qr_list jobs, idle;
    unsigned n_workers, n_workers_max;
} pools[QR_SIM_HOSTS_MAX + 1];

static uv_req_t *request_of(struct qr_uv_job *job)
{
    return (uv_req_t *)(void *)((char *)job - offsetof(uv_req_t, reserved));
}

static void finish(struct qr_uv_job *job)
{
    bool first = qr_list_empty(&job->loop->done);
    qr_list_add_tail(&job->loop->done, &job->node);
    if (first)
        qr_uv_loop_wake(job->loop);
}

static void work(void *data)
{
    struct worker *worker = data;
    struct pool *pool = worker->pool;
    worker->fiber = qr_sim_fiber();
    for (;;) {
        while (qr_list_empty(&pool->jobs)) {
            if (qr_list_empty(&worker->node))
                qr_list_add_tail(pool->idle.next, &worker->node);
            qr_sim_park(QR_SIM_FOREVER);
        }
        qr_list_remove(&worker->node);
        struct qr_uv_job *job = QR_CONTAINER_OF(pool->jobs.next, struct qr_uv_job, node);
        qr_list_remove(&job->node);
        job->state = QR_UV_JOB_RUNS;
        qr_uv_counts.n_jobs++;
        job->run(request_of(job));
        job->state = QR_UV_JOB_DONE;
        finish(job);
    }
}

static unsigned size_of_pool(void)
{
    const char *text = getenv("UV_THREADPOOL_SIZE");
    unsigned long n = text != NULL ? strtoul(text, NULL, 10) : WORKERS;
    return n == 0 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (unsigned)n;
}

/* As if they had been there from the beginning, and idle. */
static void add_worker(struct pool *pool)
{
    struct worker *worker = calloc(1, sizeof *worker);
    assert(worker != NULL);
    qr_list_init(&worker->node);
    worker->pool = pool;
    pool->n_workers++;
    qr_sim_spawn(work, worker);
}

void qr_uv_job_post(uv_loop_t *loop, void *request, void (*run)(uv_req_t *request),
                    void (*done)(uv_req_t *request, int status))
{
    struct pool *pool = &pools[qr_sim_host()->id];
    struct qr_uv_job *job = qr_uv_job(request);
    if (pool->jobs.next == NULL) {
        qr_list_init(&pool->jobs);
        qr_list_init(&pool->idle);
        pool->n_workers_max = size_of_pool();
    }
    memset(job, 0, sizeof *job);
    job->loop = qr_uv_loop(loop);
    job->loop->n_requests++;
    job->run = run;
    job->done = done;
    job->state = QR_UV_JOB_QUEUED;
    qr_list_init(&job->node);
    qr_list_add_tail(&pool->jobs, &job->node);
    if (!qr_list_empty(&pool->idle)) {
        struct worker *worker = QR_CONTAINER_OF(pool->idle.next, struct worker, node);
        qr_list_remove(&worker->node);
        qr_sim_wake_in(worker->fiber, qr_uv_wake_ns());
    } else if (pool->n_workers < pool->n_workers_max) {
        add_worker(pool);
    }
}

void qr_uv_jobs_done(struct qr_uv_loop *loop)
{
    struct qr_list now = loop->done;
    now.next->prev = now.prev->next = &now;
    qr_list_init(&loop->done);
    while (!qr_list_empty(&now)) {
        struct qr_uv_job *job = QR_CONTAINER_OF(now.next, struct qr_uv_job, node);
        qr_list_remove(&job->node);
        loop->n_requests--;
        job->done(request_of(job), job->state == QR_UV_JOB_CANCELLED ? UV_ECANCELED : 0);
    }
}

void qr_uv_work_forget(struct qr_sim_host *host)
{
    memset(&pools[host->id], 0, sizeof pools[host->id]);
}

static void run_work(uv_req_t *request)
{
    uv_work_t *uv = (uv_work_t *)request;
    uv->work_cb(uv);
}

static void work_done(uv_req_t *request, int status)
{
    uv_work_t *uv = (uv_work_t *)request;
    if (uv->after_work_cb != NULL)
        uv->after_work_cb(uv, status);
}

int uv_queue_work(uv_loop_t *loop, uv_work_t *uv, uv_work_cb work_cb, uv_after_work_cb after)
{
    if (work_cb == NULL)
        return UV_EINVAL;
    uv->type = UV_WORK;
    uv->loop = loop;
    uv->work_cb = work_cb;
    uv->after_work_cb = after;
    qr_uv_job_post(loop, uv, run_work, work_done);
    return 0;
}

int uv_cancel(uv_req_t *uv)
{
    if (uv->type != UV_WORK && uv->type != UV_FS && uv->type != UV_GETADDRINFO)
        return UV_EINVAL;
    struct qr_uv_job *job = qr_uv_job(uv);
    if (job->state != QR_UV_JOB_QUEUED)
        return UV_EBUSY;
    qr_list_remove(&job->node);
    job->state = QR_UV_JOB_CANCELLED;
    finish(job);
    return 0;
}

/* ---- threads ---- */

struct thread {
    uv_thread_cb entry;
    void *arg;
    bool ended;
    struct qr_sim_fiber *joiner;
};

static void run_thread(void *data)
{
    struct thread *thread = data;
    thread->entry(thread->arg);
    thread->ended = true;
    if (thread->joiner != NULL)
        qr_sim_wake_in(thread->joiner, qr_uv_wake_ns());
}

int uv_thread_create(uv_thread_t *uv, uv_thread_cb entry, void *arg)
{
    struct thread *thread = calloc(1, sizeof *thread);
    if (thread == NULL)
        return UV_ENOMEM;
    thread->entry = entry;
    thread->arg = arg;
    *uv = (uv_thread_t)(uintptr_t)thread;
    qr_sim_spawn(run_thread, thread);
    return 0;
}

int uv_thread_join(uv_thread_t *uv)
{
    struct thread *thread = (struct thread *)(uintptr_t)*uv;
    thread->joiner = qr_sim_fiber();
    while (!thread->ended)
        qr_sim_park(QR_SIM_FOREVER);
    free(thread);
    return 0;
}

uv_thread_t uv_thread_self(void)
{
    return (uv_thread_t)(uintptr_t)qr_sim_fiber();
}

int uv_thread_equal(const uv_thread_t *a, const uv_thread_t *b)
{
    return *a == *b;
}

void uv_sleep(unsigned ms)
{
    qr_sim_sleep(ms * QR_SIM_MS + qr_sim_below(50 * QR_SIM_US));
}

/* ---- who waits: on the stack of the fiber that does ---- */

struct waiter {
    struct qr_sim_fiber *fiber;
    struct waiter *next;
    bool writes; /* For a rwlock. */
    bool granted;
};

struct queue {
    struct waiter *first, *last;
};

static void enqueue(struct queue *queue, struct waiter *waiter)
{
    *waiter = (struct waiter){.fiber = qr_sim_fiber()};
    if (waiter->fiber == NULL) {
        fprintf(stderr, "the world itself would wait for a lock of a host\n");
        abort();
    }
    if (queue->first == NULL)
        queue->first = waiter;
    else
        queue->last->next = waiter;
    queue->last = waiter;
}

static bool grant_first(struct queue *queue)
{
    struct waiter *waiter = queue->first;
    if (waiter == NULL)
        return false;
    queue->first = waiter->next;
    waiter->granted = true;
    qr_sim_wake_in(waiter->fiber, qr_uv_wake_ns());
    return true;
}

static void drop(struct queue *queue, const struct waiter *waiter)
{
    struct waiter *before = NULL, *at = queue->first;
    for (; at != waiter; at = at->next)
        before = at;
    if (before == NULL)
        queue->first = at->next;
    else
        before->next = at->next;
    if (queue->last == waiter)
        queue->last = before;
}

static void wait_for(struct waiter *waiter)
{
    while (!waiter->granted)
        qr_sim_park(QR_SIM_FOREVER);
}

/* ---- mutexes ---- */

struct mutex {
    void *owner; /* A fiber, or the world's own stack. */
    unsigned depth;
    bool recursive;
    struct queue waiters;
};

_Static_assert(sizeof(struct mutex) <= sizeof(uv_mutex_t), "it fits");

static char world_itself;

static void *self(void)
{
    void *fiber = qr_sim_fiber();
    return fiber != NULL ? fiber : &world_itself;
}

int uv_mutex_init(uv_mutex_t *uv)
{
    *(struct mutex *)(void *)uv = (struct mutex){0};
    return 0;
}

int uv_mutex_init_recursive(uv_mutex_t *uv)
{
    *(struct mutex *)(void *)uv = (struct mutex){.recursive = true};
    return 0;
}

void uv_mutex_destroy(uv_mutex_t *uv)
{
    assert(((struct mutex *)(void *)uv)->owner == NULL);
}

int uv_mutex_trylock(uv_mutex_t *uv)
{
    struct mutex *mutex = (struct mutex *)(void *)uv;
    if (mutex->owner != NULL && !(mutex->recursive && mutex->owner == self()))
        return UV_EBUSY;
    mutex->owner = self();
    mutex->depth++;
    return 0;
}

void uv_mutex_lock(uv_mutex_t *uv)
{
    struct mutex *mutex = (struct mutex *)(void *)uv;
    struct waiter waiter;
    if (qr_sim_fiber() != NULL && qr_sim_chance(PREEMPTED_IN))
        qr_sim_sleep(1 + qr_uv_wake_ns());
    if (uv_mutex_trylock(uv) == 0)
        return;
    assert(mutex->owner != self()); /* It would wait for itself. */
    enqueue(&mutex->waiters, &waiter);
    wait_for(&waiter);
    assert(mutex->owner == waiter.fiber);
}

void uv_mutex_unlock(uv_mutex_t *uv)
{
    struct mutex *mutex = (struct mutex *)(void *)uv;
    assert(mutex->owner == self());
    if (--mutex->depth > 0)
        return;
    mutex->owner = mutex->waiters.first != NULL ? mutex->waiters.first->fiber : NULL;
    if (grant_first(&mutex->waiters))
        mutex->depth = 1;
}

/* ---- conditions ---- */

_Static_assert(sizeof(struct queue) <= sizeof(uv_cond_t), "it fits");

int uv_cond_init(uv_cond_t *uv)
{
    *(struct queue *)(void *)uv = (struct queue){0};
    return 0;
}

void uv_cond_destroy(uv_cond_t *uv)
{
    assert(((struct queue *)(void *)uv)->first == NULL);
}

void uv_cond_signal(uv_cond_t *uv)
{
    grant_first((struct queue *)(void *)uv);
}

void uv_cond_broadcast(uv_cond_t *uv)
{
    while (grant_first((struct queue *)(void *)uv))
        ;
}

void uv_cond_wait(uv_cond_t *uv, uv_mutex_t *mutex)
{
    struct waiter waiter;
    enqueue((struct queue *)(void *)uv, &waiter);
    uv_mutex_unlock(mutex);
    wait_for(&waiter);
    uv_mutex_lock(mutex);
}

int uv_cond_timedwait(uv_cond_t *uv, uv_mutex_t *mutex, uint64_t timeout_ns)
{
    struct waiter waiter;
    uint64_t now = qr_sim_now_ns();
    uint64_t until = timeout_ns > QR_SIM_FOREVER - 1 - now ? QR_SIM_FOREVER - 1 : now + timeout_ns;
    enqueue((struct queue *)(void *)uv, &waiter);
    uv_mutex_unlock(mutex);
    while (!waiter.granted && qr_sim_now_ns() < until)
        qr_sim_park(until - qr_sim_now_ns());
    if (!waiter.granted)
        drop((struct queue *)(void *)uv, &waiter);
    uv_mutex_lock(mutex);
    return waiter.granted ? 0 : UV_ETIMEDOUT;
}

/* ---- semaphores ---- */

struct semaphore {
    unsigned n;
    struct queue waiters;
};

_Static_assert(sizeof(struct semaphore) <= sizeof(uv_sem_t), "it fits");

int uv_sem_init(uv_sem_t *uv, unsigned n)
{
    *(struct semaphore *)(void *)uv = (struct semaphore){.n = n};
    return 0;
}

void uv_sem_destroy(uv_sem_t *uv)
{
    assert(((struct semaphore *)(void *)uv)->waiters.first == NULL);
}

void uv_sem_post(uv_sem_t *uv)
{
    struct semaphore *semaphore = (struct semaphore *)(void *)uv;
    if (!grant_first(&semaphore->waiters))
        semaphore->n++;
}

int uv_sem_trywait(uv_sem_t *uv)
{
    struct semaphore *semaphore = (struct semaphore *)(void *)uv;
    if (semaphore->n == 0)
        return UV_EAGAIN;
    semaphore->n--;
    return 0;
}

void uv_sem_wait(uv_sem_t *uv)
{
    struct waiter waiter;
    if (uv_sem_trywait(uv) == 0)
        return;
    enqueue(&((struct semaphore *)(void *)uv)->waiters, &waiter);
    wait_for(&waiter);
}

/* ---- locks of readers and writers: in order of coming ---- */

struct rwlock {
    unsigned n_readers;
    bool written;
    struct queue waiters;
};

_Static_assert(sizeof(struct rwlock) <= sizeof(uv_rwlock_t), "it fits");

int uv_rwlock_init(uv_rwlock_t *uv)
{
    *(struct rwlock *)(void *)uv = (struct rwlock){0};
    return 0;
}

void uv_rwlock_destroy(uv_rwlock_t *uv)
{
    const struct rwlock *lock = (struct rwlock *)(void *)uv;
    assert(lock->n_readers == 0);
    assert(!lock->written);
}

int uv_rwlock_tryrdlock(uv_rwlock_t *uv)
{
    struct rwlock *lock = (struct rwlock *)(void *)uv;
    if (lock->written || lock->waiters.first != NULL)
        return UV_EBUSY;
    lock->n_readers++;
    return 0;
}

int uv_rwlock_trywrlock(uv_rwlock_t *uv)
{
    struct rwlock *lock = (struct rwlock *)(void *)uv;
    if (lock->written || lock->n_readers > 0 || lock->waiters.first != NULL)
        return UV_EBUSY;
    lock->written = true;
    return 0;
}

static void wait_rwlock(struct rwlock *lock, bool writes)
{
    struct waiter waiter;
    enqueue(&lock->waiters, &waiter);
    waiter.writes = writes;
    wait_for(&waiter);
}

void uv_rwlock_rdlock(uv_rwlock_t *uv)
{
    if (uv_rwlock_tryrdlock(uv) != 0)
        wait_rwlock((struct rwlock *)(void *)uv, false);
}

void uv_rwlock_wrlock(uv_rwlock_t *uv)
{
    if (uv_rwlock_trywrlock(uv) != 0)
        wait_rwlock((struct rwlock *)(void *)uv, true);
}

static void pass_on(struct rwlock *lock)
{
    while (lock->waiters.first != NULL && !lock->written) {
        bool writes = lock->waiters.first->writes;
        if (writes && lock->n_readers > 0)
            return;
        lock->written = writes;
        lock->n_readers += !writes;
        grant_first(&lock->waiters);
    }
}

void uv_rwlock_rdunlock(uv_rwlock_t *uv)
{
    struct rwlock *lock = (struct rwlock *)(void *)uv;
    lock->n_readers--;
    pass_on(lock);
}

void uv_rwlock_wrunlock(uv_rwlock_t *uv)
{
    struct rwlock *lock = (struct rwlock *)(void *)uv;
    lock->written = false;
    pass_on(lock);
}

/* ---- barriers, once ---- */

struct barrier {
    unsigned n, n_in;
    struct queue waiters;
};

_Static_assert(sizeof(struct barrier) <= sizeof(uv_barrier_t), "it fits");

int uv_barrier_init(uv_barrier_t *uv, unsigned n)
{
    if (n == 0)
        return UV_EINVAL;
    *(struct barrier *)(void *)uv = (struct barrier){.n = n};
    return 0;
}

void uv_barrier_destroy(uv_barrier_t *uv)
{
    assert(((struct barrier *)(void *)uv)->n_in == 0);
}

int uv_barrier_wait(uv_barrier_t *uv)
{
    struct barrier *barrier = (struct barrier *)(void *)uv;
    struct waiter waiter;
    if (++barrier->n_in == barrier->n) {
        barrier->n_in = 0;
        while (grant_first(&barrier->waiters))
            ;
        return 1;
    }
    enqueue(&barrier->waiters, &waiter);
    wait_for(&waiter);
    return 0;
}

void uv_once(uv_once_t *guard, void (*cb)(void))
{
    enum { NEVER, RUNS, RAN };
    if (*guard == NEVER) {
        *guard = RUNS;
        cb();
        *guard = RAN;
    }
    while (*guard != RAN)
        qr_sim_sleep(1 + qr_uv_wake_ns());
}
