#include "testing/sim/brood.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "testing/sim/plants.h"

/* ---- in the process of a history ---- */

/* The line of what it said that tells of an assertion or a sanitizer, if there is one. */
static void find_last_words(FILE *said, char *words, size_t bytes)
{
    char line[1024];
    rewind(said);
    words[0] = '\0';
    while (fgets(line, sizeof line, said) != NULL)
        if (strstr(line, "Assertion") != NULL || strstr(line, "ERROR: ") != NULL ||
            strstr(line, "runtime error") != NULL)
            snprintf(words, bytes, ": %.*s", (int)strcspn(line, "\n"), line);
}

static int result_to;

/* The simulator knows whose code it was. */
static void on_crashed(const struct qr_sim_result *result)
{
    struct qr_sim_result with_words = *result;
    char words[QR_SIM_SENTENCE / 2];
    FILE *said = fdopen(dup(STDOUT_FILENO), "r");
    if (said != NULL)
        find_last_words(said, words, sizeof words);
    size_t len = said != NULL ? strlen(result->sentence) : sizeof with_words.sentence;
    if (len < sizeof with_words.sentence)
        snprintf(with_words.sentence + len, sizeof with_words.sentence - len, "%s", words);
    (void)!write(result_to, &with_words, sizeof with_words);
}

static _Noreturn void live(const struct qr_brood *brood, const struct qr_brood_history *history,
                           FILE *said, int result_fd)
{
    struct qr_sim_options options = history->options;
    struct qr_sim_result result = {0};
    if (brood->cpu_s_max != 0)
        setrlimit(RLIMIT_CPU, &(struct rlimit){brood->cpu_s_max, brood->cpu_s_max + 5});
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    if (dup2(fileno(said), STDOUT_FILENO) < 0 || dup2(fileno(said), STDERR_FILENO) < 0)
        _exit(3);
    setvbuf(stdout, NULL, _IOLBF, 0);
    options.out = stdout;
    options.crashed = on_crashed;
    result_to = result_fd;
    if (history->plant >= 0)
        qr_plant_set((enum qr_plant)history->plant, true);
    qr_sim_run(&options, &result);
    fflush(stdout);
    /* Less than a pipe's buffer: all of it, or the parent is gone. */
    _exit(write(result_fd, &result, sizeof result) == (ssize_t)sizeof result ? 0 : 3);
}

/* ---- around it ---- */

static int start(struct qr_brood *brood, unsigned at, const struct qr_brood_history *history)
{
    int ends[2];
    FILE *said = tmpfile();
    if (said == NULL)
        return -errno;
    if (pipe(ends) != 0) {
        int err = -errno;
        fclose(said);
        return err;
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        live(brood, history, said, ends[1]);
    }
    int err = pid < 0 ? -errno : 0;
    close(ends[1]);
    if (err != 0) {
        close(ends[0]);
        fclose(said);
        return err;
    }
    brood->places[at].pid = pid;
    brood->places[at].result_fd = ends[0];
    brood->places[at].end = (struct qr_brood_end){.history = *history, .said = said};
    brood->n++;
    return 0;
}

int qr_brood_start(struct qr_brood *brood, const struct qr_brood_history *history)
{
    for (unsigned i = 0; i < QR_BROOD_MAX; i++)
        if (brood->places[i].pid == 0)
            return start(brood, i, history);
    return -EAGAIN;
}

static void note_crash(struct qr_brood_end *end, int status)
{
    char words[QR_SIM_SENTENCE / 2];
    find_last_words(end->said, words, sizeof words);
    end->result = (struct qr_sim_result){.n_violations = 1};
    if (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU)
        snprintf(end->result.sentence, sizeof end->result.sentence, "the history does not end");
    else if (WIFSIGNALED(status))
        snprintf(end->result.sentence, sizeof end->result.sentence, "crashed, %s%s",
                 strsignal(WTERMSIG(status)), words);
    else
        snprintf(end->result.sentence, sizeof end->result.sentence, "the process exited with %d%s",
                 WEXITSTATUS(status), words);
}

static void collect(struct qr_brood *brood, unsigned at, int status, const struct rusage *usage,
                    struct qr_brood_end *end)
{
    *end = brood->places[at].end;
    end->cpu_s = (double)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) +
                 (double)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1e6;
    ssize_t n = read(brood->places[at].result_fd, &end->result, sizeof end->result);
    if (n != (ssize_t)sizeof end->result)
        note_crash(end, status);
    close(brood->places[at].result_fd);
    rewind(end->said);
    brood->places[at].pid = 0;
    brood->n--;
}

static bool collect_one(struct qr_brood *brood, struct qr_brood_end *end)
{
    for (unsigned i = 0; i < QR_BROOD_MAX; i++) {
        struct rusage usage;
        int status;
        if (brood->places[i].pid == 0 ||
            wait4(brood->places[i].pid, &status, WNOHANG, &usage) != brood->places[i].pid)
            continue;
        collect(brood, i, status, &usage, end);
        return true;
    }
    return false;
}

/* Until one of the pipes has been written to or closed. */
static void wait_for_pipes(const struct qr_brood *brood, unsigned ms)
{
    struct pollfd fds[QR_BROOD_MAX];
    nfds_t n = 0;
    for (unsigned i = 0; i < QR_BROOD_MAX; i++)
        if (brood->places[i].pid != 0)
            fds[n++] = (struct pollfd){.fd = brood->places[i].result_fd, .events = POLLIN};
    poll(fds, n, (int)ms);
}

int qr_brood_wait(struct qr_brood *brood, unsigned ms, struct qr_brood_end *end)
{
    if (brood->n == 0)
        return 0;
    if (collect_one(brood, end))
        return 1;
    wait_for_pipes(brood, ms);
    return collect_one(brood, end);
}

void qr_brood_end_all(struct qr_brood *brood)
{
    for (unsigned i = 0; i < QR_BROOD_MAX; i++) {
        struct rusage usage;
        struct qr_brood_end end;
        int status;
        if (brood->places[i].pid == 0)
            continue;
        kill(brood->places[i].pid, SIGKILL);
        while (wait4(brood->places[i].pid, &status, 0, &usage) < 0 && errno == EINTR)
            ;
        collect(brood, i, status, &usage, &end);
        fclose(end.said);
    }
}

/* ---- sentences ---- */

/* Past a word; whether it has a digit: a number, a name with one, a hash. */
static bool skip_word(const char **at)
{
    bool has_digit = false;
    while (**at != '\0' && !isspace((unsigned char)**at))
        has_digit |= isdigit((unsigned char)*(*at)++) != 0;
    return has_digit;
}

bool qr_brood_same_failure(const char *one, const char *other)
{
    for (;;) {
        one += strspn(one, " \t\n");
        other += strspn(other, " \t\n");
        if (*one == '\0' || *other == '\0')
            return *one == *other;
        const char *a = one, *b = other;
        bool is_number = skip_word(&one), other_is = skip_word(&other);
        if (is_number != other_is)
            return false;
        if (!is_number && (one - a != other - b || memcmp(a, b, (size_t)(one - a)) != 0))
            return false;
    }
}
