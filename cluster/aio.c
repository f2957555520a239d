#include "cluster/aio.h"

#include <dlfcn.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

typedef long (*qr_syscall)(long number, ...);

/* More than the library has at a time; one that finds no place here is destroyed as asked. */
#define CONTEXTS_MAX 64u

static struct {
    pthread_mutex_t lock;
    struct {
        aio_context_t id; /* 0: free. */
        long n_in_flight; /* Who reaps may be counted before who submits. */
    } contexts[CONTEXTS_MAX];
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static atomic_ulong n_left;

unsigned long qr_aio_n_left(void)
{
    return atomic_load(&n_left);
}

static qr_syscall libc_syscall(void)
{
    static _Atomic(qr_syscall) found;
    qr_syscall call = atomic_load_explicit(&found, memory_order_relaxed);
    if (call == NULL) {
        *(void **)&call = dlsym(RTLD_NEXT, "syscall");
        atomic_store_explicit(&found, call, memory_order_relaxed);
    }
    return call;
}

/* ---- what is in flight ---- */

static size_t find(aio_context_t id)
{
    size_t i = 0;
    while (i < CONTEXTS_MAX && table.contexts[i].id != id)
        i++;
    return i;
}

static void begin(aio_context_t id)
{
    pthread_mutex_lock(&table.lock);
    size_t i = find(0);
    if (i < CONTEXTS_MAX) {
        table.contexts[i].id = id;
        table.contexts[i].n_in_flight = 0;
    }
    pthread_mutex_unlock(&table.lock);
}

static void count(aio_context_t id, long n)
{
    pthread_mutex_lock(&table.lock);
    size_t i = find(id);
    if (i < CONTEXTS_MAX)
        table.contexts[i].n_in_flight += n;
    pthread_mutex_unlock(&table.lock);
}

/* Forgets it; is it known to have nothing in flight? */
static bool end(aio_context_t id)
{
    pthread_mutex_lock(&table.lock);
    size_t i = find(id);
    bool idle = i < CONTEXTS_MAX && table.contexts[i].n_in_flight == 0;
    if (i < CONTEXTS_MAX)
        table.contexts[i].id = 0;
    pthread_mutex_unlock(&table.lock);
    return idle;
}

/* ---- the thread ---- */

static void *destroy(void *id)
{
    libc_syscall()(SYS_io_destroy, (long)(uintptr_t)id);
    return NULL;
}

/* False: there is no thread to be had. */
static bool leave(aio_context_t id)
{
    pthread_t thread;
    pthread_attr_t attr;
    sigset_t all, before;
    if (pthread_attr_init(&attr) != 0)
        return false;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* Signals are the program's other threads' to take. */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&thread, &attr, destroy, (void *)(uintptr_t)id);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attr);
    if (err == 0)
        atomic_fetch_add(&n_left, 1);
    return err == 0;
}

/* ---- the call ---- */

/* As libc's does, it takes six, whatever the caller has given; unistd.h says otherwise. */
long syscall_of_six(long number, long a, long b, long c, long d, long e, long f) __asm__("syscall");

long syscall_of_six(long number, long a, long b, long c, long d, long e, long f)
{
    aio_context_t id = (aio_context_t)a;
    if (number == SYS_io_destroy && id != 0 && end(id) && leave(id))
        return 0;
    long result = libc_syscall()(number, a, b, c, d, e, f);
    if (number == SYS_io_setup && result == 0)
        begin(*(const aio_context_t *)(uintptr_t)b);
    else if (number == SYS_io_submit && result > 0)
        count(id, result);
    else if (number == SYS_io_getevents && result > 0)
        count(id, -result);
    return result;
}
