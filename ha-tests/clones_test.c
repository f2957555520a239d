/* Two machines with one GUID: after some flapping the later one is refused, by name, on every
 * member; the first one's data and everybody else's are whole. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ha-tests/harness.h"
#include "ha-tests/stranger.h"
#include "proto/handshake.h"

#define FOUND_MS 60000
#define TELL_MS  30000
#define ROW_MS   200
/* Each takeover costs the first its stream: it comes back twice, and may be caught once more. */
#define BREAKS_MAX 4

static struct stage stage;

/* The machine with the copied GUID: streams a chart of its own to one member after the other, as
 * soon as it is let go. */
struct copy {
    pthread_t thread;
    char guid[QR_GUID_TEXT_LEN + 1];
    _Atomic bool ends;
    _Atomic unsigned n_granted, n_refused, n_other;
};

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

static void stream_until_let_go(struct copy *copy, int fd)
{
    stranger_print(fd, "CHART \"copy.chart\" \"\" \"t\" \"u\" \"f\" \"c\" \"line\" 1 1 \"\" \"p\" "
                       "\"m\"\nDIMENSION \"a\" \"a\" \"absolute\" 1 1 \"\"\n");
    bool taken = true;
    while (taken && !copy->ends && !stranger_is_left(fd, ROW_MS))
        taken = stranger_print(fd, "BEGIN \"copy.chart\" %u\nSET \"a\" = 1\nEND\n", ROW_MS * 1000);
}

static void *live(void *data)
{
    struct copy *copy = data;
    for (unsigned i = 0; !copy->ends; i++) {
        const struct qr_cluster_member *member = &stage.cluster.members[i % stage.cluster.n + 1];
        struct stranger stranger = {.port =
                                        (unsigned)strtoul(strrchr(member->http, ':') + 1, NULL, 10),
                                    .from = "127.0.0.7",
                                    .key = stage.cluster.api_key,
                                    .guid = copy->guid,
                                    .hostname = "copied-box",
                                    .caps = 0};
        char reply[256];
        int fd = stranger_stream(&stranger, reply);
        if (strncmp(reply, "Hit me baby", 11) == 0) {
            copy->n_granted++;
            stream_until_let_go(copy, fd);
        } else if (strcmp(reply, QR_HANDSHAKE_ALREADY) == 0) {
            copy->n_refused++;
            usleep(ROW_MS * 1000);
        } else {
            copy->n_other++;
            usleep(ROW_MS * 1000);
        }
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

static bool every_member_refuses(void *data)
{
    struct copy *copy = data;
    return copy->n_refused >= 2 * stage.cluster.n;
}

static const json_t *child_of(const json_t *status, const char *guid)
{
    size_t i;
    const json_t *child;
    json_array_foreach(json_object_get(status, "children"), i, child)
    {
        if (strcmp(json_string_value(json_object_get(child, "guid")), guid) == 0)
            return child;
    }
    return NULL;
}

static bool names_both(const json_t *object)
{
    const char *clone = json_string_value(json_object_get(object, "clone"));
    return clone != NULL && strstr(clone, "at 127.0.0.1, which was first and is kept") != NULL &&
           strstr(clone, "copied-box at 127.0.0.7, which is refused until ") != NULL;
}

/* Every member says so, in its status and of the host. */
static bool all_tell(void *data)
{
    struct copy *copy = data;
    bool tell = true;
    for (unsigned id = 1; id <= stage.cluster.n && tell; id++) {
        json_t *status = qr_cluster_status(&stage.cluster, id), *info = NULL;
        tell =
            names_both(child_of(status, copy->guid)) &&
            json_integer_value(json_object_get(json_object_get(status, "verdict"), "level")) == 1;
        tell = tell && qr_fetch_get(&stage.cluster.fetch, 3000, "%s/host/%s/api/v1/info",
                                    stage.cluster.members[id].url, copy->guid) == 200;
        if (tell)
            info = qr_fetch_json(&stage.cluster.fetch);
        tell = tell && names_both(json_object_get(info, "quorate"));
        json_decref(status);
        json_decref(info);
    }
    return tell;
}

static int64_t breaks(void)
{
    json_t *figures = stage_load_figures(&stage);
    int64_t n = json_integer_value(json_object_get(figures, "breaks"));
    json_decref(figures);
    return n;
}

static void the_later_one_is_refused(void **state)
{
    (void)state;
    struct stage_options options = {.name = "clones", .n_hosts = 3};
    static struct copy copy;
    stage_up(&stage, &options);
    stage_guid(&stage, 0, copy.guid);
    stage_fault(&stage);
    expect(&stage, pthread_create(&copy.thread, NULL, live, &copy) == 0);
    bool refused = qr_wait_for(every_member_refuses, &copy, FOUND_MS, 50);
    bool told = refused && qr_wait_for(all_tell, &copy, TELL_MS, 100);
    stage_wait_live(&stage, FOUND_MS);
    int64_t n_breaks = breaks();
    unsigned n_granted = copy.n_granted, n_refused = copy.n_refused;
    /* It goes on trying, and nobody is disturbed by it. */
    stage_check(&stage);
    copy.ends = true;
    pthread_join(copy.thread, NULL);
    printf("ha clones: granted=%u refused=%u other=%u breaks=%lld\n", copy.n_granted,
           copy.n_refused, copy.n_other, (long long)n_breaks);
    expect(&stage, refused);
    expect(&stage, told);
    expect(&stage, n_breaks >= 2); /* It did take the child away, before. */
    expect(&stage, n_breaks <= BREAKS_MAX && breaks() == n_breaks);
    expect(&stage, copy.n_granted == n_granted);
    expect(&stage, copy.n_refused > n_refused);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(the_later_one_is_refused, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
