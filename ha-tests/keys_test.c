/* API keys in the log: added on one member they let a child in on another; rotated, children keep
 * streaming until the overlap is over; revoked, they are closed everywhere.  All of it outlives
 * kills, and reaches a member that was away by a snapshot. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ha-tests/harness.h"
#include "ha-tests/stranger.h"
#include "proto/handshake.h"

#define SOON_MS    30000
#define OVERLAP_S  "8"
#define OVERLAP_MS 8000
#define AWAY_MS    60000

static struct stage stage;

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

/* What `quoratectl key` says when it asks this member; NULL: it was not done. */
static json_t *key(unsigned member, const char *words)
{
    char line[1024], answer[16384];
    snprintf(line, sizeof line, "%s/node/ctl/quoratectl key %s --url %s --json 2>&1", QR_BUILD_DIR,
             words, stage.cluster.members[member].url);
    FILE *pipe = popen(line, "re");
    expect(&stage, pipe != NULL);
    answer[fread(answer, 1, sizeof answer - 1, pipe)] = '\0';
    int status = pclose(pipe);
    json_t *root = json_loads(answer, 0, NULL);
    if (status != 0 || root == NULL) {
        fprintf(stderr, "quoratectl key %s: %d %s\n", words, status, answer);
        json_decref(root);
        return NULL;
    }
    return root;
}

static void make_key(unsigned member, const char *words, char made[QR_GUID_TEXT_LEN + 1])
{
    json_t *root = key(member, words);
    const char *text = json_string_value(json_object_get(root, "key"));
    expect(&stage, text != NULL);
    snprintf(made, QR_GUID_TEXT_LEN + 1, "%s", text);
    json_decref(root);
}

static void change_key(unsigned member, const char *words)
{
    json_t *root = key(member, words);
    expect(&stage, root != NULL);
    json_decref(root);
}

/* ---- children ---- */

struct child {
    unsigned member; /* Where it streams. */
    const char *key;
    char guid[QR_GUID_TEXT_LEN + 1];
    int fd;
};

static struct child child_on(unsigned member, const char *key_of)
{
    static unsigned n;
    struct child child = {.member = member, .key = key_of, .fd = -1};
    snprintf(child.guid, sizeof child.guid, "cccccccc-0000-4000-8000-%012x", ++n);
    return child;
}

static bool is_let_in(void *data)
{
    struct child *child = data;
    const char *port = strrchr(stage.cluster.members[child->member].http, ':') + 1;
    const struct stranger stranger = {.port = (unsigned)strtoul(port, NULL, 10),
                                      .key = child->key,
                                      .guid = child->guid,
                                      .hostname = "keyed",
                                      .caps = 0};
    char reply[256];
    if (child->fd >= 0)
        close(child->fd);
    child->fd = stranger_stream(&stranger, reply);
    if (strncmp(reply, "Hit me baby", 11) == 0)
        return stranger_print(child->fd, "CHART \"k.c\" \"\" \"t\" \"u\" \"f\" \"c\" \"line\" 1 1 "
                                         "\"\" \"p\" \"m\"\nDIMENSION \"a\" \"a\" \"absolute\" 1 1 "
                                         "\"\"\n");
    if (child->fd >= 0)
        close(child->fd);
    child->fd = -1;
    return false;
}

static bool is_refused(void *data)
{
    struct child *child = data;
    bool in = is_let_in(child);
    if (child->fd >= 0)
        close(child->fd);
    child->fd = -1;
    return !in;
}

static void let_in(struct child *child)
{
    expect(&stage, qr_wait_for(is_let_in, child, SOON_MS, 50));
}

static bool streams(const struct child *child)
{
    return stranger_print(child->fd, "BEGIN \"k.c\" 200000\nSET \"a\" = 1\nEND\n") &&
           !stranger_is_left(child->fd, 200);
}

static bool is_closed(void *data)
{
    return stranger_is_left(((struct child *)data)->fd, 200);
}

static void refused_by_all(const char *key_of)
{
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        struct child child = child_on(id, key_of);
        expect(&stage, qr_wait_for(is_refused, &child, SOON_MS, 50));
    }
}

/* ---- what every member says ---- */

static bool all_list(void *data)
{
    json_t *first = NULL;
    bool equal = true;
    (void)data;
    for (unsigned id = 1; id <= stage.cluster.n && equal; id++) {
        json_t *root = key(id, "list"), *keys = json_object_get(root, "keys");
        if (first == NULL)
            first = json_incref(keys);
        equal = keys != NULL && json_equal(first, keys);
        json_decref(root);
    }
    json_decref(first);
    return equal;
}

static bool is_used(void *data)
{
    json_t *root = key(*(unsigned *)data, "list");
    bool used = json_is_integer(
        json_object_get(json_array_get(json_object_get(root, "keys"), 0), "last_used"));
    json_decref(root);
    return used;
}

static bool has_snapshot_more(void *data)
{
    return stage_counter(&stage, "snapshots") >= *(int64_t *)data;
}

/* ---- the scenario ---- */

static void rotate(const char *old, char next[QR_GUID_TEXT_LEN + 1])
{
    struct child second = child_on(2, old), third = child_on(3, old), renewed;
    let_in(&second);
    let_in(&third);
    uint64_t rotated_ms = qr_mono_ms();
    make_key(3, "rotate web --overlap " OVERLAP_S, next);
    renewed = child_on(1, next);
    let_in(&renewed);
    unsigned n_looks = 0;
    while (qr_mono_ms() < rotated_ms + OVERLAP_MS - 1500) {
        expect(&stage, streams(&second) && streams(&third));
        n_looks++;
    }
    expect(&stage, n_looks >= 3);
    expect(&stage, qr_wait_for(is_closed, &second, SOON_MS, 10));
    expect(&stage, qr_wait_for(is_closed, &third, SOON_MS, 10));
    expect(&stage, qr_mono_ms() > rotated_ms + OVERLAP_MS - 1500);
    expect(&stage, streams(&renewed));
    refused_by_all(old);
    close(second.fd);
    close(third.fd);
    close(renewed.fd);
}

static void restart_all(void)
{
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        qr_cluster_kill(&stage.cluster, id);
    expect(&stage, qr_cluster_start_all(&stage.cluster) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, AWAY_MS));
}

/* What happens while member 3 is away reaches it by a snapshot. */
static void revoke_while_one_is_away(const char *key_of)
{
    struct child child = child_on(1, key_of);
    let_in(&child);
    expect(&stage, qr_cluster_stop(&stage.cluster, 3));
    expect(&stage, qr_cluster_wait_leader(&stage.cluster, AWAY_MS) != 0);
    change_key(2, "revoke web");
    expect(&stage, qr_wait_for(is_closed, &child, SOON_MS, 10));
    close(child.fd);
    int64_t enough = stage_counter(&stage, "snapshots") + 4; /* Two members, two each. */
    expect(&stage, qr_wait_for(has_snapshot_more, &enough, AWAY_MS, 200));
    expect(&stage, qr_cluster_start(&stage.cluster, 3) == 0);
    expect(&stage, qr_cluster_wait_caught_up(&stage.cluster, AWAY_MS));
    expect(&stage, stage_counter(&stage, "installs") > 0);
    refused_by_all(key_of);
}

static void keys_hold_on_every_member(void **state)
{
    (void)state;
    struct stage_options options = {
        .name = "keys",
        .n_hosts = 2,
        .cluster = {.snapshot_threshold = 48, .snapshot_trailing = 16, .tick_ms = 100}};
    char old[QR_GUID_TEXT_LEN + 1], next[QR_GUID_TEXT_LEN + 1], words[256];
    stage_up(&stage, &options);
    stage_fault(&stage);
    make_key(1, "add --name web --allow-from 'localhost !*'", old);
    struct child first = child_on(2, old);
    let_in(&first);
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        expect(&stage, qr_wait_for(is_used, &id, SOON_MS, 100));
    /* Bound to another key it is closed, and refused on every member. */
    json_decref(key(2, "add --name other"));
    expect(&stage, qr_wait_for(all_list, NULL, SOON_MS, 50)); /* Member 3 knows its name. */
    snprintf(words, sizeof words, "bind %s --key other", first.guid);
    change_key(3, words);
    expect(&stage, qr_wait_for(is_closed, &first, SOON_MS, 10));
    for (first.member = 1; first.member <= stage.cluster.n; first.member++)
        expect(&stage, qr_wait_for(is_refused, &first, SOON_MS, 50));
    rotate(old, next);
    restart_all();
    expect(&stage, qr_wait_for(all_list, NULL, SOON_MS, 200));
    refused_by_all(old);
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        struct child child = child_on(id, next);
        let_in(&child);
        close(child.fd);
    }
    revoke_while_one_is_away(next);
    expect(&stage, qr_wait_for(all_list, NULL, SOON_MS, 200));
    stage_wait_live(&stage, AWAY_MS);
    stage_check(&stage);
    expect(&stage, qr_cluster_compare_hashes(&stage.cluster, AWAY_MS) == 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(keys_hold_on_every_member, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
