/* Functions of a child, called through every member while it streams to one: its answer, also to a
 * call with a payload, a timeout
 * and a client that leaves (the child is told), progress, the owner killed in the middle of a call,
 * and the next owner.  And the same through a proxy, when the child or the proxy's parent leaves in
 * the middle of a call. */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/error.h"
#include "ha-tests/harness.h"
#include "ha-tests/stranger.h"
#include "proto/caps.h"

#define GUID          "f0c70000-0000-4000-8000-000000000001"
#define DECLINED      (QR_CAP_NODE_ID | QR_CAP_PATHS | QR_CAP_ML_MODELS)
#define CAPS          (STRANGER_CAPS_137 | QR_CAP_SLOTS | QR_CAP_PROGRESS | QR_CAP_DYNCFG | DECLINED)
#define BODY_BYTES    700000u
#define PAYLOAD_LINES 20000u /* About half of what a payload may be. */
#define STEPS         3u
#define MOVE_MS       60000
#define ANSWER_MS     60000
#define LEAVE_MS      2000 /* The call has reached the child by then. */

static struct stage stage; /* The members that are asked. */
static struct stage proxy;

/* The child, a thread of its own: it answers what it is asked. */
static struct {
    pthread_t thread;
    int fd;
    struct qr_process *victim; /* Of `kill`. */
    unsigned session; /* In its function's help: a list of before is told from this one's. */
    char in[4096];
    size_t n_in;
    unsigned n_steps; /* Of `slow`. */
    struct qr_buf payload;
    char payload_of[64], payload_about[160]; /* Transaction; function and content type.  */
    _Atomic unsigned n_cancels, n_calls;
} child;

static void answer(const char *transaction, const char *what)
{
    stranger_print(child.fd,
                   "FUNCTION_RESULT_BEGIN \"%s\" 200 \"text/plain\" 0\n"
                   "answer to %s\nEND\nFUNCTION_RESULT_END\n",
                   transaction, what);
}

static void answer_big(const char *transaction)
{
    char *body = malloc(BODY_BYTES);
    if (body == NULL)
        abort();
    memset(body, 'x', BODY_BYTES);
    stranger_print(child.fd, "FUNCTION_RESULT_BEGIN \"%s\" 200 \"text/plain\" 0\n", transaction);
    stranger_say(child.fd, body, BODY_BYTES);
    stranger_print(child.fd, "\nFUNCTION_RESULT_END\n");
    free(body);
}

static void take_call(const char *transaction, const char *function)
{
    child.n_calls++;
    if (strcmp(function, "top echo") == 0)
        answer(transaction, function);
    else if (strcmp(function, "top big") == 0)
        answer_big(transaction);
    else if (strcmp(function, "top slow") == 0)
        child.n_steps = 0;
    else if (strcmp(function, "top kill") == 0)
        qr_process_signal(child.victim, SIGKILL);
    else if (strcmp(function, "top leave") == 0)
        shutdown(child.fd, SHUT_RDWR);
    /* "top never": no answer */
}

/* What was said, and of what kind, comes back. */
static void answer_payload(void)
{
    stranger_print(child.fd, "FUNCTION_RESULT_BEGIN \"%s\" 200 \"text/plain\" 0\n%s\n",
                   child.payload_of, child.payload_about);
    stranger_say(child.fd, child.payload.base, child.payload.len);
    stranger_print(child.fd, "\nFUNCTION_RESULT_END\n");
    qr_buf_clear(&child.payload);
    child.payload_of[0] = '\0';
}

static void take_line(const char *line)
{
    char transaction[64], function[64], type[64];
    if (child.payload_of[0] != '\0' && strcmp(line, "FUNCTION_PAYLOAD_END") == 0)
        answer_payload();
    else if (child.payload_of[0] != '\0')
        qr_buf_printf(&child.payload, "%s\n", line);
    else if (sscanf(line,
                    "FUNCTION_PAYLOAD %63s %*u \"%63[^\"]\" \"0x%*x\" \"%*[^\"]\" \"%63[^\"]\"",
                    transaction, function, type) == 3) {
        snprintf(child.payload_of, sizeof child.payload_of, "%s", transaction);
        snprintf(child.payload_about, sizeof child.payload_about, "%s as %s", function, type);
    } else if (sscanf(line, "FUNCTION %63s %*u \"%63[^\"]\"", transaction, function) == 2)
        take_call(transaction, function);
    else if (sscanf(line, "FUNCTION_CANCEL %63s", transaction) == 1)
        child.n_cancels++;
    else if (sscanf(line, "FUNCTION_PROGRESS %63s", transaction) == 1) {
        stranger_print(child.fd, "FUNCTION_PROGRESS '%s' %u %u\n", transaction, ++child.n_steps,
                       STEPS);
        if (child.n_steps == STEPS)
            answer(transaction, "top slow");
    }
}

static void *live(void *unused)
{
    for (;;) {
        ssize_t n = recv(child.fd, child.in + child.n_in, sizeof child.in - 1 - child.n_in, 0);
        if (n <= 0)
            return NULL;
        child.n_in += (size_t)n;
        child.in[child.n_in] = '\0';
        for (char *end; (end = strchr(child.in, '\n')) != NULL;) {
            *end = '\0';
            take_line(child.in);
            child.n_in -= (size_t)(end + 1 - child.in);
            memmove(child.in, end + 1, child.n_in + 1);
        }
    }
}

static void start_child(struct qr_cluster *cluster, unsigned member)
{
    char reply[256];
    const struct stranger stranger = {
        .port = (unsigned)strtoul(strrchr(cluster->members[member].http, ':') + 1, NULL, 10),
        .key = cluster->api_key,
        .guid = GUID,
        .hostname = "functional",
        .caps = CAPS};
    child.victim = &stage.cluster.members[member].process;
    child.n_in = 0;
    child.fd = stranger_stream(&stranger, reply);
    expect(&stage, strncmp(reply, STRANGER_GRANTED, strlen(STRANGER_GRANTED)) == 0);
    unsigned long granted = strtoul(reply + strlen(STRANGER_GRANTED), NULL, 10);
    expect(&stage, (granted & DECLINED) == 0 && (granted & QR_CAP_DYNCFG) != 0);
    /* Said nevertheless, it changes nothing. */
    expect(&stage, stranger_print(child.fd, "JSON STREAM_PATH\n{\"version\":1,\"streaming_path\":["
                                            "\nFUNCTION GLOBAL none 5 none\n]}\n"
                                            "JSON_PAYLOAD_END\n"));
    expect(&stage, stranger_print(
                       child.fd,
                       "FUNCTION GLOBAL \"top\" 5 \"what runs, %u\" \"top\" 0x13 100 0\n"
                       "FUNCTION GLOBAL config 120 \"Dynamic configuration\" \"config\" 0x8 1000\n",
                       ++child.session));
    expect(&stage, pthread_create(&child.thread, NULL, live, NULL) == 0);
}

static void end_child(void)
{
    shutdown(child.fd, SHUT_RDWR);
    pthread_join(child.thread, NULL);
    close(child.fd);
}

static int tear_down(void **state)
{
    (void)state;
    proxy.failed = stage.failed = stage.failed || proxy.failed;
    stage_down(&proxy);
    stage_down(&stage);
    return 0;
}

static int get(unsigned member, long timeout_ms, const char *rest)
{
    return qr_fetch_get(&stage.cluster.fetch, timeout_ms, "%s/host/functional/api/v1/%s",
                        stage.cluster.members[member].url, rest);
}

static bool says(const char *part)
{
    struct qr_slice body = qr_buf_slice(&stage.cluster.fetch.body);
    return memmem(body.base, body.len, part, strlen(part)) != NULL;
}

/* Each running member lists the function of this session. */
static bool all_list(void *unused)
{
    char list[256];
    snprintf(list, sizeof list,
             "{\"top\":{\"help\":\"what runs, %u\",\"timeout\":5,\"options\":\"GLOBAL \"},"
             "\"config\":{\"help\":\"Dynamic configuration\",\"timeout\":120,",
             child.session);
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        if (qr_cluster_running(&stage.cluster, id) &&
            (get(id, ANSWER_MS, "functions") != 200 || !says(list) ||
             get(id, ANSWER_MS, "info") != 200 || !says(list)))
            return false;
    return true;
}

static int post(unsigned member, struct qr_slice body, const char *function)
{
    char url[256];
    snprintf(url, sizeof url, "%s/host/functional/api/v1/function?function=%s",
             stage.cluster.members[member].url, function);
    return qr_fetch_post(&stage.cluster.fetch, ANSWER_MS, "application/json", body, url);
}

/* A configuration goes to the child as it was said, and its answer comes back. */
static void configure_through(unsigned id)
{
    struct qr_buf wanted = {0};
    qr_buf_add_str(&wanted, "config go.d add as application/json\n");
    size_t head = wanted.len;
    for (unsigned i = 0; i < PAYLOAD_LINES; i++)
        qr_buf_printf(&wanted, "{\"line %u of\": %u}\n", i, id);
    struct qr_slice all = qr_buf_slice(&wanted);
    struct qr_slice payload = qr_slice_of(all.base + head, all.len - head);
    expect(&stage, post(id, payload, "config+go.d+add") == 200);
    expect(&stage, qr_slice_equal(qr_buf_slice(&stage.cluster.fetch.body), all));
    qr_buf_release(&wanted);
    unsigned n_calls = child.n_calls;
    expect(&stage, post(id, qr_slice_of("", 0), "top+echo") == 200); /* No body, no payload. */
    expect(&stage, child.n_calls == n_calls + 1);
    expect(&stage, get(id, ANSWER_MS, "function?function=config+go.d+get") == 403);
    expect(&stage, says("by POST only"));
    expect(&stage, post(id, qr_slice_str("FUNCTION_PAYLOAD_END\n"), "config+go.d+add") == 400);
    expect(&stage, child.n_calls == n_calls + 1);
}

static bool is_canceled(void *n)
{
    return child.n_cancels == *(unsigned *)n;
}

static void call_through(unsigned id)
{
    unsigned n_cancels = child.n_cancels;
    expect(&stage, get(id, ANSWER_MS, "function?function=top+echo") == 200);
    expect(&stage, says("answer to top echo\nEND"));
    expect(&stage, get(id, ANSWER_MS, "function?function=top+big") == 200);
    expect(&stage, stage.cluster.fetch.body.len == BODY_BYTES);
    expect(&stage, get(id, ANSWER_MS, "function?function=bottom") == 404);
    /* It makes progress, and so has more time than it was given. */
    expect(&stage, get(id, ANSWER_MS, "function?function=top+slow&timeout=2") == 200);
    expect(&stage, says("answer to top slow"));
    expect(&stage, child.n_cancels == n_cancels);
    /* Too late; and the client does not wait: the child hears of both. */
    expect(&stage, get(id, ANSWER_MS, "function?function=top+never&timeout=1") == 504);
    n_cancels++;
    expect(&stage, qr_wait_for(is_canceled, &n_cancels, ANSWER_MS, 20));
    expect(&stage, get(id, LEAVE_MS, "function?function=top+never&timeout=60") == QR_E_TIMEOUT);
    n_cancels++;
    expect(&stage, qr_wait_for(is_canceled, &n_cancels, ANSWER_MS, 20));
}

static void functions_are_called_through_any_member(void **state)
{
    (void)state;
    struct stage_options options = {.name = "functions"};
    stage_members_up(&stage, &options);
    unsigned owner = stage.first, other = owner % 3 + 1, third = other % 3 + 1;
    start_child(&stage.cluster, owner);
    expect(&stage, qr_wait_for(all_list, NULL, MOVE_MS, 100));
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        call_through(id);
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        configure_through(id);

    expect(&stage, get(other, ANSWER_MS, "function?function=top+kill&timeout=60") == 503);
    expect(&stage, says("went away before it answered"));
    qr_cluster_kill(&stage.cluster, owner);
    end_child();
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, MOVE_MS) != 0);
    start_child(&stage.cluster, third);
    expect(&stage, qr_wait_for(all_list, NULL, MOVE_MS, 100));
    expect(&stage, get(other, ANSWER_MS, "function?function=top+echo") == 200);
    expect(&stage, says("answer to top echo"));
    end_child();
    qr_buf_release(&child.payload);
}

static bool is_down(void *unused)
{
    return !qr_cluster_running(&stage.cluster, 1);
}

/* child -> proxy -> member, which is asked. */
static void functions_are_called_through_a_proxy(void **state)
{
    (void)state;
    struct stage_options options = {.name = "functions-far", .cluster.n = 1};
    struct stage_options between = {.name = "functions-proxy", .cluster = {.n = 1, .alone = true}};
    stage_members_up(&stage, &options);
    between.cluster.upstream = stage.cluster.members[1].http;
    between.cluster.upstream_key = stage.cluster.api_key;
    stage_members_up(&proxy, &between);
    start_child(&proxy.cluster, 1);
    expect(&stage, qr_wait_for(all_list, NULL, MOVE_MS, 100));
    call_through(1);
    configure_through(1);
    /* It leaves in the middle of a call, and comes back. */
    expect(&stage, get(1, ANSWER_MS, "function?function=top+leave&timeout=60") == 503);
    expect(&stage, says("has left before its function answered"));
    end_child();
    start_child(&proxy.cluster, 1);
    expect(&stage, qr_wait_for(all_list, NULL, MOVE_MS, 100));
    /* Who asked is gone: what it asked for is canceled below. */
    unsigned n_cancels = child.n_cancels + 1;
    expect(&stage, get(1, ANSWER_MS, "function?function=top+kill&timeout=60") < 0);
    expect(&stage, qr_wait_for(is_down, NULL, MOVE_MS, 20));
    expect(&stage, qr_wait_for(is_canceled, &n_cancels, ANSWER_MS, 20));
    qr_cluster_kill(&stage.cluster, 1);
    expect(&stage, qr_cluster_start(&stage.cluster, 1) == 0);
    expect(&stage, qr_wait_for(all_list, NULL, MOVE_MS, 100));
    expect(&stage, get(1, ANSWER_MS, "function?function=top+echo") == 200);
    expect(&stage, says("answer to top echo\nEND"));
    end_child();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(functions_are_called_through_any_member, tear_down),
        cmocka_unit_test_teardown(functions_are_called_through_a_proxy, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
