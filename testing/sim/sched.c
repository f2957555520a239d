#include "testing/sim/sched.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/compiler.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

#define HEARERS_MAX 8u

/* ---- a fiber's registers ---- */

#if defined(__x86_64__)

/* swapcontext() asks the kernel for the signal mask each time, which nobody changes here: that was
 * a tenth of a run.  What a call preserves is kept on the fiber's own stack. */
struct context {
    void *stack; /* Where it lies. */
};

void qr_sim_switch(struct context *from, const struct context *to);

__asm__(".text\n"
        ".type qr_sim_switch, @function\n"
        "qr_sim_switch:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq (%rsi), %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".size qr_sim_switch, . - qr_sim_switch\n");

static void context_init(struct context *context, char *stack, size_t bytes, void (*entry)(void))
{
    /* Six registers, the address that `ret` takes, and a word, so that the stack is aligned as
     * after a call. */
    void **at = (void **)(void *)(stack + bytes) - 8;
    memset((void *)at, 0, 8 * sizeof *at);
    memcpy((void *)&at[6], &entry, sizeof entry);
    context->stack = (void *)at;
}

#else

struct context {
    ucontext_t registers;
};

static void qr_sim_switch(struct context *from, const struct context *to)
{
    swapcontext(&from->registers, &to->registers);
}

/* On its own: for the compiler getcontext may return twice. */
static void context_init(struct context *context, char *stack, size_t bytes, void (*entry)(void))
{
    getcontext(&context->registers);
    context->registers.uc_stack.ss_sp = stack;
    context->registers.uc_stack.ss_size = bytes;
    context->registers.uc_link = NULL;
    makecontext(&context->registers, entry, 0);
}

#endif

struct qr_sim_fiber {
    struct context context;
    void *stack;
    struct qr_sim_host *host;
    struct qr_list node; /* Of the host's fibers, or of those that are free. */
    void (*entry)(void *data);
    void *data;
    struct qr_sim_event due; /* When it goes on. */
    bool parked, woken;
    int saved_errno;
    void *fake_stack; /* The address sanitizer's. */
};

static struct {
    uint64_t seed, now_ns, n_orders, n_steps, digest;
    uint64_t until_ns; /* Of qr_sim_run_until: so far time may pass without a switch. */
    int64_t real_zero_ns;
    struct qr_rng rng;
    struct qr_sim_host *hosts[QR_SIM_HOSTS_MAX];
    uint32_t n_hosts;
    struct qr_sim_event **heap; /* From 1. */
    size_t n_heap, heap_capacity;
    struct qr_list free_fibers;
    struct context scheduler;
    void *scheduler_fake_stack;
    const void *scheduler_stack; /* The sanitizer's words for where it is. */
    size_t scheduler_stack_bytes;
    struct qr_sim_fiber *running;
    struct qr_sim_fiber *dead; /* It switched away for good. */
    struct qr_sim_host *host;
    void (*hearers[HEARERS_MAX])(struct qr_sim_host *host);
    unsigned n_hearers;
} world;

/* ---- the queue: a binary heap by (time, order of asking) ---- */

static bool sooner(const struct qr_sim_event *a, const struct qr_sim_event *b)
{
    return a->at_ns != b->at_ns ? a->at_ns < b->at_ns : a->order < b->order;
}

static void put(size_t place, struct qr_sim_event *event)
{
    world.heap[place] = event;
    event->place = place;
}

static void rise(size_t place)
{
    struct qr_sim_event *event = world.heap[place];
    for (; place > 1 && sooner(event, world.heap[place / 2]); place /= 2)
        put(place, world.heap[place / 2]);
    put(place, event);
}

static void sink(size_t place)
{
    struct qr_sim_event *event = world.heap[place];
    for (size_t child; (child = 2 * place) <= world.n_heap; place = child) {
        if (child < world.n_heap && sooner(world.heap[child + 1], world.heap[child]))
            child++;
        if (!sooner(world.heap[child], event))
            break;
        put(place, world.heap[child]);
    }
    put(place, event);
}

static void queue_add(struct qr_sim_event *event)
{
    if (world.n_heap + 1 >= world.heap_capacity) {
        world.heap_capacity = world.heap_capacity == 0 ? 1024 : 2 * world.heap_capacity;
        world.heap = realloc(world.heap, world.heap_capacity * sizeof(struct qr_sim_event *));
        assert(world.heap != NULL);
    }
    world.heap[++world.n_heap] = event;
    rise(world.n_heap);
}

static void queue_remove(struct qr_sim_event *event)
{
    size_t place = event->place;
    struct qr_sim_event *last = world.heap[world.n_heap--];
    event->place = 0;
    if (last == event)
        return;
    put(place, last);
    rise(place);
    sink(last->place);
}

void qr_sim_event_at(struct qr_sim_event *event, struct qr_sim_host *host, uint64_t at_ns,
                     void (*run)(struct qr_sim_event *event))
{
    qr_sim_event_cancel(event);
    event->run = run;
    event->at_ns = at_ns > world.now_ns ? at_ns : world.now_ns;
    event->order = ++world.n_orders;
    event->host = host;
    qr_list_init(&event->node);
    if (host != NULL)
        qr_list_add_tail(&host->events, &event->node);
    queue_add(event);
}

void qr_sim_event_cancel(struct qr_sim_event *event)
{
    if (event->place != 0)
        queue_remove(event);
    if (event->node.next != NULL)
        qr_list_remove(&event->node);
}

/* ---- fibers ---- */

static void switch_to(struct context *from, void **fake_stack, const struct context *to,
                      const void *stack, size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(fake_stack, stack, bytes);
    qr_sim_switch(from, to);
#else
    (void)fake_stack;
    (void)stack;
    (void)bytes;
    qr_sim_switch(from, to);
#endif
}

static void arrived(void *fake_stack, const void **from, size_t *bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_stack, from, bytes);
#else
    (void)fake_stack;
    (void)from;
    (void)bytes;
#endif
}

/* Back to the scheduler; returns when the fiber runs again. */
static void leave(struct qr_sim_fiber *fiber)
{
    fiber->saved_errno = errno;
    bool dies = world.dead == fiber;
    switch_to(&fiber->context, dies ? NULL : &fiber->fake_stack, &world.scheduler,
              world.scheduler_stack, world.scheduler_stack_bytes);
    arrived(fiber->fake_stack, &world.scheduler_stack, &world.scheduler_stack_bytes);
    errno = fiber->saved_errno;
}

static void reap(struct qr_sim_fiber *fiber)
{
    qr_sim_event_cancel(&fiber->due);
    qr_list_remove(&fiber->node);
    fiber->host = NULL;
    qr_list_add_tail(&world.free_fibers, &fiber->node);
}

static void run_fiber(struct qr_sim_event *event)
{
    struct qr_sim_fiber *fiber = QR_CONTAINER_OF(event, struct qr_sim_fiber, due);
    fiber->parked = false;
    world.running = fiber;
    switch_to(&world.scheduler, &world.scheduler_fake_stack, &fiber->context, fiber->stack,
              QR_SIM_STACK_BYTES);
    arrived(world.scheduler_fake_stack, NULL, NULL);
    world.running = NULL;
    if (world.dead == fiber) {
        world.dead = NULL;
        reap(fiber);
    }
}

static void fiber_main(void)
{
    arrived(NULL, &world.scheduler_stack, &world.scheduler_stack_bytes);
    struct qr_sim_fiber *fiber = world.running;
    fiber->entry(fiber->data);
    world.dead = fiber;
    leave(fiber);
    abort();
}

static struct qr_sim_fiber *take_fiber(void)
{
    if (!qr_list_empty(&world.free_fibers)) {
        struct qr_list *node = world.free_fibers.next;
        struct qr_sim_fiber *used = QR_CONTAINER_OF(node, struct qr_sim_fiber, node);
        qr_list_remove(node);
#if defined(__SANITIZE_ADDRESS__)
        /* Who was killed did not return: its frames are still marked. */
        __asan_unpoison_memory_region((char *)used->stack + 4096, QR_SIM_STACK_BYTES - 4096);
#endif
        return used;
    }
    struct qr_sim_fiber *fiber = calloc(1, sizeof *fiber);
    assert(fiber != NULL);
    fiber->stack = mmap(NULL, QR_SIM_STACK_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    assert(fiber->stack != MAP_FAILED);
    /* Whoever runs off its end is told so. */
    int err = mprotect(fiber->stack, 4096, PROT_NONE);
    assert(err == 0);
    (void)err;
    qr_list_init(&fiber->node);
    return fiber;
}

struct qr_sim_fiber *qr_sim_spawn_on(struct qr_sim_host *host, void (*entry)(void *data),
                                     void *data)
{
    assert(host->up);
    struct qr_sim_fiber *fiber = take_fiber();
    fiber->host = host;
    fiber->entry = entry;
    fiber->data = data;
    fiber->parked = fiber->woken = false;
    fiber->saved_errno = 0;
    fiber->fake_stack = NULL;
    memset(&fiber->due, 0, sizeof fiber->due);
    context_init(&fiber->context, fiber->stack, QR_SIM_STACK_BYTES, fiber_main);
    qr_list_add_tail(&host->fibers, &fiber->node);
    qr_sim_event_at(&fiber->due, host, world.now_ns, run_fiber);
    return fiber;
}

struct qr_sim_fiber *qr_sim_spawn(void (*entry)(void *data), void *data)
{
    assert(world.host != NULL);
    return qr_sim_spawn_on(world.host, entry, data);
}

/* Time passes for the fiber that runs; nobody has anything to do before then, so no switch. */
static bool pass_alone(uint64_t at_ns)
{
    if (at_ns > world.until_ns || (world.n_heap > 0 && world.heap[1]->at_ns <= at_ns))
        return false;
    world.now_ns = at_ns;
    world.n_steps++;
    qr_sim_note(world.now_ns ^ (uint64_t)world.host->id << 56);
    return true;
}

void qr_sim_sleep(uint64_t ns)
{
    struct qr_sim_fiber *fiber = world.running;
    if (fiber == NULL || ns == 0 || pass_alone(world.now_ns + ns))
        return;
    qr_sim_event_at(&fiber->due, fiber->host, world.now_ns + ns, run_fiber);
    leave(fiber);
}

bool qr_sim_park(uint64_t ns)
{
    struct qr_sim_fiber *fiber = world.running;
    assert(fiber != NULL); /* Nobody blocks on the scheduler's stack. */
    if (fiber->woken) {
        fiber->woken = false;
        return true;
    }
    if (ns < QR_SIM_FOREVER - world.now_ns && pass_alone(world.now_ns + ns))
        return false;
    fiber->parked = true;
    if (ns < QR_SIM_FOREVER - world.now_ns)
        qr_sim_event_at(&fiber->due, fiber->host, world.now_ns + ns, run_fiber);
    leave(fiber);
    bool woken = fiber->woken;
    fiber->woken = false;
    return woken;
}

void qr_sim_wake(struct qr_sim_fiber *fiber)
{
    qr_sim_wake_in(fiber, 0);
}

void qr_sim_wake_in(struct qr_sim_fiber *fiber, uint64_t ns)
{
    if (fiber->woken)
        return;
    fiber->woken = true;
    if (fiber->parked && (fiber->due.place == 0 || fiber->due.at_ns > world.now_ns + ns))
        qr_sim_event_at(&fiber->due, fiber->host, world.now_ns + ns, run_fiber);
}

/* ---- hosts ---- */

void qr_sim_on_down(void (*heard)(struct qr_sim_host *host))
{
    assert(world.n_hearers < HEARERS_MAX);
    world.hearers[world.n_hearers++] = heard;
}

struct qr_sim_host *qr_sim_host_new(const char *name)
{
    assert(world.n_hosts < QR_SIM_HOSTS_MAX);
    struct qr_sim_host *host = calloc(1, sizeof *host);
    assert(host != NULL);
    host->id = world.n_hosts + 1;
    snprintf(host->name, sizeof host->name, "%s", name);
    qr_rng_seed(&host->rng, world.seed * 1000 + host->id);
    qr_list_init(&host->fibers);
    qr_list_init(&host->events);
    qr_list_init(&host->held);
    world.hosts[world.n_hosts++] = host;
    return host;
}

struct qr_sim_host *qr_sim_host_get(uint32_t id)
{
    return id >= 1 && id <= world.n_hosts ? world.hosts[id - 1] : NULL;
}

struct boot {
    int (*main)(void *data);
    void *data;
};

static void host_main(void *data)
{
    struct boot boot = *(struct boot *)data;
    free(data);
    qr_sim_die(QR_SIM_EXIT, boot.main(boot.data));
}

void qr_sim_host_boot(struct qr_sim_host *host, int (*main)(void *data), void *data)
{
    assert(!host->up);
    struct boot *boot = malloc(sizeof *boot);
    assert(boot != NULL);
    *boot = (struct boot){main, data};
    host->life++;
    host->up = true;
    host->paused = false;
    qr_sim_spawn_on(host, host_main, boot);
}

static void cancel_all(struct qr_list *events)
{
    while (!qr_list_empty(events))
        qr_sim_event_cancel(QR_CONTAINER_OF(events->next, struct qr_sim_event, node));
}

static void go_down(struct qr_sim_host *host, enum qr_sim_down how, int exit_code)
{
    host->up = host->paused = false;
    host->down = how;
    host->exit_code = exit_code;
    while (!qr_list_empty(&host->fibers)) {
        struct qr_sim_fiber *fiber = QR_CONTAINER_OF(host->fibers.next, struct qr_sim_fiber, node);
        if (fiber == world.running) { /* On whose stack we are: reaped when it has left. */
            qr_sim_event_cancel(&fiber->due);
            qr_list_remove(&fiber->node);
        } else {
            reap(fiber);
        }
    }
    cancel_all(&host->events);
    cancel_all(&host->held);
    for (unsigned i = 0; i < world.n_hearers; i++)
        world.hearers[i](host);
}

void qr_sim_host_kill(struct qr_sim_host *host, enum qr_sim_down how)
{
    assert(world.host != host); /* A host's own code dies by qr_sim_die. */
    if (host->up)
        go_down(host, how, 0);
}

_Noreturn void qr_sim_die(enum qr_sim_down how, int exit_code)
{
    struct qr_sim_fiber *fiber = world.running;
    if (fiber == NULL) {
        fprintf(stderr, "the simulated world ended itself: exit code %d\n", exit_code);
        abort();
    }
    go_down(fiber->host, how, exit_code);
    world.dead = fiber;
    leave(fiber);
    abort();
}

void qr_sim_host_pause(struct qr_sim_host *host)
{
    if (host->up)
        host->paused = true;
}

void qr_sim_host_resume(struct qr_sim_host *host)
{
    if (!host->paused)
        return;
    host->paused = false;
    while (!qr_list_empty(&host->held)) {
        struct qr_sim_event *event = QR_CONTAINER_OF(host->held.next, struct qr_sim_event, node);
        qr_list_remove(&event->node);
        qr_sim_event_at(event, host, world.now_ns, event->run);
    }
}

/* ---- time and chance ---- */

void qr_sim_world(uint64_t seed, int64_t real_ns)
{
    assert(world.heap == NULL);
    world.seed = seed;
    world.real_zero_ns = real_ns;
    qr_rng_seed(&world.rng, seed);
    qr_list_init(&world.free_fibers);
}

uint64_t qr_sim_now_ns(void)
{
    return world.now_ns;
}

int64_t qr_sim_real_ns(void)
{
    int64_t skew = world.host != NULL ? world.host->real_skew_ns : 0;
    return world.real_zero_ns + (int64_t)world.now_ns + skew;
}

uint64_t qr_sim_mono_ns(void)
{
    uint64_t zero = world.host != NULL ? world.host->id * 1000 * QR_SIM_S : 0;
    return zero + world.now_ns;
}

uint64_t qr_sim_below(uint64_t n)
{
    return qr_rng_below(&world.rng, n);
}

bool qr_sim_chance(unsigned one_in)
{
    return one_in != 0 && qr_sim_below(one_in) == 0;
}

struct qr_sim_host *qr_sim_host(void)
{
    return world.host;
}

struct qr_sim_fiber *qr_sim_fiber(void)
{
    return world.running;
}

/* ---- the run ---- */

void qr_sim_note(uint64_t fact)
{
    world.digest = (world.digest ^ fact) * UINT64_C(0x9e3779b97f4a7c15);
    world.digest ^= world.digest >> 29;
}

bool qr_sim_step(void)
{
    if (world.n_heap == 0)
        return false;
    struct qr_sim_event *event = world.heap[1];
    struct qr_sim_host *host = event->host;
    assert(event->at_ns >= world.now_ns);
    world.now_ns = event->at_ns;
    qr_sim_event_cancel(event);
    if (host != NULL && host->paused) {
        qr_list_add_tail(&host->held, &event->node);
        return true;
    }
    world.n_steps++;
    qr_sim_note(world.now_ns ^ (uint64_t)(host != NULL ? host->id : 0) << 56);
    /* The code of a host runs on its fibers; an event acts for it without being it. */
    world.host = event->run == run_fiber ? host : NULL;
    event->run(event);
    world.host = NULL;
    return true;
}

void qr_sim_run_until(uint64_t ns)
{
    world.until_ns = ns;
    while (world.n_heap > 0 && world.heap[1]->at_ns <= ns)
        qr_sim_step();
    world.until_ns = 0;
    if (ns > world.now_ns)
        world.now_ns = ns;
}

uint64_t qr_sim_steps(void)
{
    return world.n_steps;
}

uint64_t qr_sim_digest(void)
{
    return world.digest;
}
