/* testing/sim/sched.h — virtual time: what happens next in the simulated world, and on whose
 * machine.
 *
 * A world is one process and one thread.  In it are hosts, simulated machines: a member, a child.
 * Each simulated thread of a host is a fiber; every call that blocks, in our false libuv and libc,
 * is a switch to the next fiber or event that is due.  Between two switches no time passes, so a
 * run is a function of its seed: the same seed, the same order, the same digest.
 *
 *   fibers   run code of a host: main(), libuv's threads and workers; they sleep, park, are woken
 *   events   run on the scheduler's own stack: deliveries of the network, faults, the end of a
 * sleep
 *
 * A host dies at any call (qr_sim_die from inside, qr_sim_host_kill from outside): its fibers never
 * run again, its events never come, and whoever keeps something for it hears of it (on_down).  What
 * it had allocated is leaked; a history is a process of its own.  Its disk stays (testing/sim/fs).
 *
 * Things that happen at one time happen in the order in which they were asked for; disorder is
 * asked for with random delays.  errno belongs to the fiber.  The world is global, as the libuv and
 * the libc that it stands for.  Not for threads. */
#ifndef QR_TESTING_SIM_SCHED_H
#define QR_TESTING_SIM_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/rng.h"

#define QR_SIM_HOSTS_MAX   64u
#define QR_SIM_US          UINT64_C(1000)
#define QR_SIM_MS          UINT64_C(1000000)
#define QR_SIM_S           UINT64_C(1000000000)
#define QR_SIM_FOREVER     UINT64_MAX
#define QR_SIM_STACK_BYTES (1024u * 1024) /* Touched as far as needed. */

/* How a host went down: what its disk and its peers see of it. */
enum qr_sim_down {
    QR_SIM_EXIT,  /* The process ended by itself (_exit) */
    QR_SIM_KILL,  /* .. by a signal: what it wrote stays, its connections are reset. */
    QR_SIM_POWER, /* The machine lost power: what was not synced is gone, its peers hear nothing. */
};

struct qr_sim_fiber;

struct qr_sim_host {
    uint32_t id;   /* 1 .. */
    char name[32]; /* "member-1", "child-3" */
    uint64_t life; /* How often it was started. */
    bool up, paused;
    enum qr_sim_down down; /* How it went down last. */
    int exit_code;         /* With QR_SIM_EXIT. */
    int64_t real_skew_ns;  /* Its wall clock minus the world's. */
    struct qr_rng rng;     /* Its getrandom(). */
    struct qr_list fibers, events;
    struct qr_list held; /* Events that came due while it was paused. */
};

/* Begins a world, in which it is `real_ns` unix time.  Once a process. */
void qr_sim_world(uint64_t seed, int64_t real_ns);

/* A host that is down.  It is the world's; never freed. */
struct qr_sim_host *qr_sim_host_new(const char *name);
struct qr_sim_host *qr_sim_host_get(uint32_t id); /* NULL: none. */

/* Starts a host: `main` runs on a fiber of its own.  When it returns, the host went down (EXIT). */
void qr_sim_host_boot(struct qr_sim_host *host, int (*main)(void *data), void *data);
/* From outside the host.  Nothing if it is down. */
void qr_sim_host_kill(struct qr_sim_host *host, enum qr_sim_down how);
/* A stopped process, or a machine that hangs: nothing of it runs, its time goes on. */
void qr_sim_host_pause(struct qr_sim_host *host);
void qr_sim_host_resume(struct qr_sim_host *host);

/* Calls `heard` whenever a host has gone down, from then on: for those who keep things for hosts.
 */
void qr_sim_on_down(void (*heard)(struct qr_sim_host *host));

/* ---- time ---- */

uint64_t qr_sim_now_ns(void); /* Since the world began. */
/* The wall clock of the host whose code runs, or the world's. */
int64_t qr_sim_real_ns(void);
/* The clock of the current host that never jumps: as the world's, from another zero for each. */
uint64_t qr_sim_mono_ns(void);

/* ---- chance: the world's own stream.  Only the false world draws from it. ---- */

uint64_t qr_sim_below(uint64_t n);
bool qr_sim_chance(unsigned one_in);

/* ---- what runs ---- */

/* The host whose code runs; NULL: the world's own. */
struct qr_sim_host *qr_sim_host(void);
struct qr_sim_fiber *qr_sim_fiber(void); /* NULL: on the scheduler's stack. */

/* A thread of the current host. */
struct qr_sim_fiber *qr_sim_spawn(void (*entry)(void *data), void *data);
/* .. of another one, which is up: from outside. */
struct qr_sim_fiber *qr_sim_spawn_on(struct qr_sim_host *host, void (*entry)(void *data),
                                     void *data);

/* The fiber lets the others run for so long.  On the scheduler's stack: nothing. */
void qr_sim_sleep(uint64_t ns);
/* Until woken, or that much later; true: woken.  Wakes that come while it runs are kept, one. */
bool qr_sim_park(uint64_t ns);
void qr_sim_wake(struct qr_sim_fiber *fiber);
/* So much later, as a machine takes its time; not later than it would go on by itself. */
void qr_sim_wake_in(struct qr_sim_fiber *fiber, uint64_t ns);

/* The process of the current host ends here, or its machine does.  On the scheduler's stack it
 * ends the simulator: nobody's code runs there. */
_Noreturn void qr_sim_die(enum qr_sim_down how, int exit_code);

/* ---- events ---- */

/* In whoever asked for it.  Zeroed before first use. */
struct qr_sim_event {
    void (*run)(struct qr_sim_event *event);
    uint64_t at_ns, order;
    struct qr_sim_host
        *host;           /* Comes only while this lives, later if it is paused; NULL: always. */
    struct qr_list node; /* In the host's events, or held. */
    size_t place;        /* In the queue, from 1; 0: in none. */
};

/* (Again) at a time, not before now. */
void qr_sim_event_at(struct qr_sim_event *event, struct qr_sim_host *host, uint64_t at_ns,
                     void (*run)(struct qr_sim_event *event));
void qr_sim_event_cancel(struct qr_sim_event *event);

/* ---- the run ---- */

/* One event or one turn of a fiber; false: nothing will ever happen again. */
bool qr_sim_step(void);
/* All that happens up to this time, which it is then. */
void qr_sim_run_until(uint64_t ns);
uint64_t qr_sim_steps(void);
/* Of the whole run so far: two runs of one seed agree after the same step. */
uint64_t qr_sim_digest(void);
/* For those who know more of what happens: part of the digest. */
void qr_sim_note(uint64_t fact);

#endif
