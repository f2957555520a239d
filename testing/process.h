/* testing/process.h — real programs under a test: start, signal, wait, look at.
 *
 * A started program dies with the test (PR_SET_PDEATHSIG), writes to its own log file, and is only
 * ever signalled by its pid.  Nothing here sleeps in hope: waiting polls a condition until a
 * deadline.  Thread: the test's, single. */
#ifndef QR_TESTING_PROCESS_H
#define QR_TESTING_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct qr_process {
    pid_t pid;  /* 0: not running. */
    int status; /* As of waitpid, once it ended. */
    char name[64];
    char log[512];
};

/* Starts argv[0] (searched in PATH) with stdin closed and output appended to `log`.
 * `netns_fd` >= 0: in that network namespace.  0 or a libuv error; an exec that fails shows as exit
 * status 127 and a line in the log. */
int qr_process_start(struct qr_process *process, const char *name, const char *log, int netns_fd,
                     const char *const argv[]);

bool qr_process_alive(struct qr_process *process);
void qr_process_signal(const struct qr_process *process, int number);
/* Waits for its end; false at the deadline. */
bool qr_process_wait(struct qr_process *process, uint64_t timeout_ms);
/* SIGKILL and wait. */
void qr_process_kill(struct qr_process *process);
/* SIGTERM, and SIGKILL after the time; true if it ended by itself with status 0. */
bool qr_process_stop(struct qr_process *process, uint64_t timeout_ms);

/* User and system CPU seconds so far; bytes in memory.  0 if it is gone. */
double qr_process_cpu_s(const struct qr_process *process);
uint64_t qr_process_rss_bytes(const struct qr_process *process);

/* Prints the log's name and its last lines to stderr. */
void qr_process_print_log(const struct qr_process *process, unsigned lines);

/* Runs a command to its end without a log; its exit status, or -1. */
int qr_process_run(const char *const argv[]);

/* Unix milliseconds, and a clock that never goes back. */
uint64_t qr_real_ms(void);
uint64_t qr_mono_ms(void);

/* Calls `condition` every `every_ms` until it is true, or false at the deadline. */
bool qr_wait_for(bool (*condition)(void *data), void *data, uint64_t timeout_ms, uint64_t every_ms);
/* The one honest sleep: until the wall clock has reached this unix second. */
void qr_wait_until_s(int64_t unix_s);

#define QR_TEMP_DIR_BYTES 256
/* Makes a folder under $TMPDIR or /tmp. */
void qr_temp_dir(char path[QR_TEMP_DIR_BYTES], const char *name);
/* Removes it with all that is in it. */
void qr_remove_dir(const char *path);

/* The first of `n` consecutive TCP ports, whose followers at +100 are free too, in the range of the
 * tests (23000 .. 23799). */
uint16_t qr_free_ports(unsigned n);

/* Writes a file; fails the program if it cannot. */
void qr_write_file(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
