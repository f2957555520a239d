/* quorated: one member of a Quorate cluster. */
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "node/admission.h"
#include "node/config.h"
#include "node/ingest.h"
#include "node/node.h"
#include "node/upstream.h"

static const char usage[] =
    "Usage: quorated -c FILE\n"
    "\n"
    "Runs one member of a Quorate cluster in the foreground; its log goes to stderr.\n"
    "\n"
    "  -c, --config FILE   quorate.conf\n"
    "      --check         read quorate.conf, stream.conf and certificates, say whether they are\n"
    "                      valid, and end\n"
    "      --print-config  a sample quorate.conf with every option\n"
    "      --version       the version\n"
    "  -h, --help          this text\n"
    "\n"
    "SIGHUP: who may come ([web] allow, tls, stream.conf, certificates) is read again; children\n"
    "stay connected.\n\n"
    "Exit codes: 0 stopped by SIGTERM or SIGINT, 1 it cannot run (the log says why), 2 bad usage\n"
    "or configuration.\n";

struct process {
    struct qr_node *node;
    uv_signal_t signals[3];
};

static void on_signal(uv_signal_t *handle, int number)
{
    struct process *process = handle->data;
    if (number == SIGHUP) {
        qr_node_reload(process->node);
        return;
    }
    qr_info("stopping signal=%d", number);
    qr_node_stop(process->node);
}

static int print_config(void)
{
    struct qr_buf text = {0};
    int err = qr_config_print(&text);
    if (err == 0)
        fwrite(text.base, 1, text.len, stdout);
    qr_buf_release(&text);
    return err == 0 ? 0 : 1;
}

static enum qr_log_level level_of(const char *name)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum qr_log_level)i;
    return QR_LOG_INFO;
}

static int run(const struct qr_config *config)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    struct process process = {0};
    uv_loop_t loop;
    qr_log_open(STDERR_FILENO, level_of(config->log_level));
    int err = uv_loop_init(&loop);
    if (err == 0)
        err = qr_node_start(&process.node, &loop, config);
    if (err != 0) {
        qr_error("this member cannot run error=\"%s\"", qr_strerror(err));
        return 1;
    }
    for (int i = 0; i < 3; i++) {
        uv_signal_init(&loop, &process.signals[i]);
        process.signals[i].data = &process;
        uv_signal_start(&process.signals[i], on_signal, numbers[i]);
    }
    uv_run(&loop, UV_RUN_DEFAULT);
    qr_info("stopped");
    return 0;
}

/* All of libuv's jobs share its pool.  Answers, definitions and seals can keep so many workers
 * busy, and raft's disk work must find one all the same. */
static void size_pool(const struct qr_config *config)
{
    char text[16];
    unsigned n = QR_INGEST_LANES * config->ingest_loops + QR_ROSTER_LANES + QR_UPSTREAM_LANES +
                 5 /* store, snapshot */ + 4;
    snprintf(text, sizeof text, "%u", n);
    setenv("UV_THREADPOOL_SIZE", text, 0);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"check", no_argument, NULL, 'k'},
        {"print-config", no_argument, NULL, 'p'}, {"version", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0}};
    const char *path = NULL;
    bool check = false;
    int option;
    while ((option = getopt_long(argc, argv, "c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
            break;
        case 'k':
            check = true;
            break;
        case 'p':
            return print_config();
        case 'v':
            puts("quorated " QR_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (path == NULL || optind != argc) {
        fputs(usage, stderr);
        return 2;
    }
    struct qr_config config;
    char sentence[1024];
    if (qr_config_read(&config, path, sentence, sizeof sentence) != 0) {
        fprintf(stderr, "quorated: %s\n", sentence);
        return 2;
    }
    if (check) {
        struct qr_admission *admission;
        if (qr_admission_read(&admission, &config, sentence, sizeof sentence) != 0) {
            fprintf(stderr, "quorated: %s\n", sentence);
            return 2;
        }
        qr_admission_release(admission);
        printf("%s is valid: member %u of %s.\n", path, config.member_id, config.cluster_name);
        return 0;
    }
    signal(SIGPIPE, SIG_IGN);
    size_pool(&config);
    mallopt(M_ARENA_MAX, 4);
    /* Not exit: ingest threads and workers still run, and would meet libraries that are torn down.
     */
    _exit(run(&config));
}
