#include "testing/process.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

#define PORT_FIRST 23000
#define PORT_LAST  23799
#define PORTS_MAX  32
#define LINK_PORTS 100 /* Links listen so many ports above. */

uint64_t qr_real_ms(void)
{
    return (uint64_t)(qr_clock_real_us(&qr_clock_system) / 1000);
}

uint64_t qr_mono_ms(void)
{
    return qr_clock_mono_ms(&qr_clock_system);
}

static void pause_ms(uint64_t ms)
{
    struct timespec ts = {(time_t)(ms / 1000), (long)(ms % 1000) * 1000000};
    nanosleep(&ts, NULL);
}

bool qr_wait_for(bool (*condition)(void *data), void *data, uint64_t timeout_ms, uint64_t every_ms)
{
    uint64_t deadline = qr_mono_ms() + timeout_ms;
    while (!condition(data)) {
        if (qr_mono_ms() >= deadline)
            return false;
        pause_ms(every_ms);
    }
    return true;
}

void qr_wait_until_s(int64_t unix_s)
{
    while (qr_real_ms() < (uint64_t)unix_s * 1000)
        pause_ms(20);
}

/* ---- start and end ---- */

static void become(const char *log, int netns_fd, const char *const argv[])
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    setpgid(0, 0);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
    int null = open("/dev/null", O_RDONLY);
    if (fd < 0 || null < 0)
        _exit(126);
    dup2(null, 0);
    dup2(fd, 1);
    dup2(fd, 2);
    if (netns_fd >= 0 && setns(netns_fd, CLONE_NEWNET) != 0) {
        dprintf(2, "setns: %s\n", strerror(errno));
        _exit(126);
    }
    for (int other = 3; other < 256; other++)
        close(other);
    execvp(argv[0], (char *const *)argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

int qr_process_start(struct qr_process *process, const char *name, const char *log, int netns_fd,
                     const char *const argv[])
{
    memset(process, 0, sizeof *process);
    snprintf(process->name, sizeof process->name, "%s", name);
    snprintf(process->log, sizeof process->log, "%s", log);
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        become(log, netns_fd, argv);
    process->pid = pid;
    return 0;
}

bool qr_process_alive(struct qr_process *process)
{
    if (process->pid == 0)
        return false;
    if (waitpid(process->pid, &process->status, WNOHANG) == 0)
        return true;
    process->pid = 0;
    return false;
}

static bool ended(void *data)
{
    return !qr_process_alive(data);
}

void qr_process_signal(const struct qr_process *process, int number)
{
    if (process->pid > 0)
        kill(process->pid, number);
}

bool qr_process_wait(struct qr_process *process, uint64_t timeout_ms)
{
    return qr_wait_for(ended, process, timeout_ms, 5);
}

void qr_process_kill(struct qr_process *process)
{
    if (process->pid == 0)
        return;
    kill(process->pid, SIGKILL);
    waitpid(process->pid, &process->status, 0);
    process->pid = 0;
}

bool qr_process_stop(struct qr_process *process, uint64_t timeout_ms)
{
    if (process->pid == 0)
        return false;
    kill(process->pid, SIGTERM);
    kill(process->pid, SIGCONT);
    if (qr_process_wait(process, timeout_ms))
        return WIFEXITED(process->status) && WEXITSTATUS(process->status) == 0;
    qr_process_kill(process);
    return false;
}

int qr_process_run(const char *const argv[])
{
    struct qr_process process;
    if (qr_process_start(&process, argv[0], "/dev/null", -1, argv) != 0)
        return -1;
    if (!qr_process_wait(&process, 60000)) {
        qr_process_kill(&process);
        return -1;
    }
    return WIFEXITED(process.status) ? WEXITSTATUS(process.status) : -1;
}

/* ---- looking at it ---- */

double qr_process_cpu_s(const struct qr_process *process)
{
    char path[64], line[1024];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)process->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file) != NULL) {
        const char *after_name = strrchr(line, ')');
        if (after_name != NULL)
            sscanf(after_name + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                   &system);
    }
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

uint64_t qr_process_rss_bytes(const struct qr_process *process)
{
    char path[64];
    unsigned long pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)process->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %lu", &pages) != 1)
        pages = 0;
    fclose(file);
    return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

void qr_process_print_log(const struct qr_process *process, unsigned lines)
{
    fprintf(stderr, "---- the end of %s (%s%s) ----\n", process->log, process->name,
            process->pid > 0 ? ", running" : "");
    FILE *file = fopen(process->log, "r");
    if (file == NULL)
        return;
    long at[256];
    size_t n = 0;
    char line[1024];
    lines = lines < 256 ? lines : 256;
    do
        at[n++ % lines] = ftell(file);
    while (fgets(line, sizeof line, file) != NULL);
    fseek(file, n > lines ? at[n % lines] : 0, SEEK_SET);
    while (fgets(line, sizeof line, file) != NULL)
        fputs(line, stderr);
    fclose(file);
}

/* ---- folders, files, ports ---- */

void qr_temp_dir(char path[QR_TEMP_DIR_BYTES], const char *name)
{
    const char *tmp = getenv("TMPDIR");
    int len =
        snprintf(path, QR_TEMP_DIR_BYTES, "%s/quorate-%s-XXXXXX", tmp != NULL ? tmp : "/tmp", name);
    assert(len > 0 && len < QR_TEMP_DIR_BYTES);
    const char *made = mkdtemp(path);
    assert(made != NULL);
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    return remove(path);
}

void qr_remove_dir(const char *path)
{
    nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}

static bool is_free(unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    assert(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    bool free = bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    return free;
}

/* A name that only one process of the machine can have, until it ends; -1: another has it. */
static int reserve(unsigned port)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int len =
        snprintf(address.sun_path + 1, sizeof address.sun_path - 1, "quorate-test-port-%u", port);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert(fd >= 0 && len > 0);
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) + (socklen_t)len;
    if (bind(fd, (const struct sockaddr *)&address, bytes) == 0)
        return fd;
    close(fd);
    return -1;
}

/* Between this and the listening a second passes, in which another test looks for ports. */
static bool reserve_block(unsigned base, unsigned n)
{
    int fds[2 * PORTS_MAX];
    unsigned n_fds = 0;
    assert(n <= PORTS_MAX);
    for (unsigned i = 0; i < n; i++) {
        int of_http = reserve(base + i), of_link = reserve(base + LINK_PORTS + i);
        if (of_http >= 0)
            fds[n_fds++] = of_http;
        if (of_link >= 0)
            fds[n_fds++] = of_link;
    }
    for (unsigned i = 0; i < n_fds && n_fds < 2 * n; i++)
        close(fds[i]);
    return n_fds == 2 * n;
}

uint16_t qr_free_ports(unsigned n)
{
    /* Start at another place each time: two tests at once rarely meet. */
    unsigned span = PORT_LAST - PORT_FIRST - LINK_PORTS - n;
    unsigned start = (unsigned)getpid() * 17 % span;
    for (unsigned tried = 0; tried < span; tried++) {
        unsigned base = PORT_FIRST + (start + tried) % span, i = 0;
        while (i < n && is_free(base + i) && is_free(base + LINK_PORTS + i))
            i++;
        if (i == n && reserve_block(base, n))
            return (uint16_t)base;
    }
    assert(!"a free block of ports");
    return 0;
}

void qr_write_file(const char *path, const char *format, ...)
{
    FILE *file = fopen(path, "w");
    assert(file != NULL);
    va_list args;
    va_start(args, format);
    int n = vfprintf(file, format, args);
    va_end(args);
    assert(n >= 0);
    int err = fclose(file);
    assert(err == 0);
}
