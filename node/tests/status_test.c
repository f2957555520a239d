#include "node/status.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

/* Three members of which this is 1, the leader is 2, and two children. */
static struct qr_status *healthy(void)
{
    struct qr_status *status = calloc(1, sizeof *status);
    snprintf(status->cluster_name, sizeof status->cluster_name, "lab");
    status->time_s = 1795405385;
    status->group = (struct qr_group_status){
        .member_id = 1,
        .leader = 2,
        .role = QR_GROUP_FOLLOWER,
        .term = 7,
        .applied = 1000,
        .commit = 1001,
        .hash = 0xabc,
        .ready = true,
        .is_member = true,
        .is_voter = true,
        .n_members = 3,
    };
    for (uint32_t i = 0; i < 3; i++) {
        struct qr_group_member_status *member = &status->group.members[i];
        *member =
            (struct qr_group_member_status){.id = i + 1,
                                            .voter = true,
                                            .kind = QR_MEMBER_VOTER,
                                            .self = i == 0,
                                            .up = true,
                                            .applied = 1000,
                                            .hash = 0xabc,
                                            .last_contact_ms = 20,
                                            .role = i == 1 ? QR_GROUP_LEADER : QR_GROUP_FOLLOWER};
        snprintf(member->address, sizeof member->address, "10.0.0.%u:19998", i + 1);
    }
    status->n_children = 3;
    status->children = calloc(3, sizeof *status->children);
    for (uint32_t i = 0; i < 3; i++) {
        struct qr_status_child *child = &status->children[i];
        child->host = i + 1;
        child->own = i == 2;
        child->owner = 2;
        child->epoch = 4;
        child->connected = true;
        child->charts = 12;
        child->watermark_s = 1795405384;
        child->replication_factor = 3;
        snprintf(child->hostname, sizeof child->hostname, "child-%u", i + 1);
        snprintf(child->guid, sizeof child->guid, "0000000%u-0000-0000-0000-000000000000", i + 1);
    }
    return status;
}

static void nothing(struct qr_status *s)
{
    (void)s;
}

static void no_children(struct qr_status *s)
{
    s->n_children = 0;
}

static void child_away(struct qr_status *s)
{
    s->children[1].connected = false;
}

static void member_silent(struct qr_status *s)
{
    s->group.members[2].up = false;
    s->group.members[2].last_contact_ms = 12345;
}

static void member_never_seen(struct qr_status *s)
{
    s->group.members[2].up = false;
    s->group.members[2].last_contact_ms = UINT64_MAX;
}

static void silent_and_thin(struct qr_status *s)
{
    member_silent(s);
    s->children[0].replication_factor = 2;
}

static void thin(struct qr_status *s)
{
    s->children[0].replication_factor = 2;
}

static void thin_without_data(struct qr_status *s)
{
    s->children[0].replication_factor = 0;
    s->children[0].watermark_s = 0;
}

static void lagging(struct qr_status *s)
{
    s->group.commit = s->group.applied = s->group.members[0].applied = 2000;
    s->group.members[2].applied = 2000;
}

static void clock_ahead(struct qr_status *s)
{
    s->group.members[2].clock_ahead_s = 3600;
}

static void clock_behind(struct qr_status *s)
{
    s->group.members[0].clock_ahead_s = -30;
}

static void not_ready(struct qr_status *s)
{
    s->group.ready = false;
}

static void disk_low(struct qr_status *s)
{
    s->group.disk_low = true;
}

static void diverged(struct qr_status *s)
{
    s->group.diverged = true;
}

static void blocks_missing(struct qr_status *s)
{
    s->n_missing_blocks = 5;
    s->missing_bytes = 3u << 20;
    s->fetch_eta_s = 7;
}

static void draining(struct qr_status *s)
{
    s->draining = true;
}

static void alone(struct qr_status *s)
{
    s->group.leader = 0;
    s->group.without_leader_ms = 7900;
    s->group.members[1].up = s->group.members[2].up = false;
}

static void electing(struct qr_status *s)
{
    s->group.leader = 0;
    s->group.without_leader_ms = 900;
}

static void stopped(struct qr_status *s)
{
    s->group.role = QR_GROUP_UNAVAILABLE;
}

static void a_spare(struct qr_status *s)
{
    s->group.members[2].voter = false;
    s->group.members[2].up = false;
}

static const struct {
    void (*change)(struct qr_status *status);
    int level;
    const char *sentence; /* How it begins. */
} verdicts[] = {
    {nothing, 0, "HEALTHY · 3/3 · RF 3 for 2/2 children · can lose 1"},
    {no_children, 0, "HEALTHY · 3/3 · no children yet · can lose 1"},
    {child_away, 0, "HEALTHY · 3/3 · RF 3 for 2/2 children · 1 not connected · can lose 1"},
    {thin_without_data, 0, "HEALTHY · 3/3 · RF 3 for 2/2 children · can lose 1"},
    {a_spare, 0, "HEALTHY · 2/2 · RF 2 for 2/2 children · can lose 0"},
    {member_silent, 1,
     "DEGRADED because member 3 (10.0.0.3:19998) has not been heard for 12 s; do: "
     "start it again"},
    {member_never_seen, 1, "DEGRADED because member 3 (10.0.0.3:19998) has not been heard; do: "},
    {silent_and_thin, 1,
     "DEGRADED because member 3 (10.0.0.3:19998) has not been heard for 12 s; "
     "do: start it again, or check the link to it (and 1 more)"},
    {thin, 1, "DEGRADED because the newest data of child-1 is on 2 of 3 members; do: "},
    {lagging, 1, "DEGRADED because member 2 (10.0.0.2:19998) is 1000 entries behind; do: "},
    {clock_ahead, 1,
     "DEGRADED because the clock of member 3 (10.0.0.3:19998) is 3600 s ahead of what most members "
     "say; do: set it"},
    {clock_behind, 1,
     "DEGRADED because the clock of member 1 (10.0.0.1:19998) is 30 s behind what most members "
     "say; do: set it"},
    {not_ready, 1, "DEGRADED because this member is not ready"},
    {disk_low, 1, "DEGRADED because the disk of this member is almost full"},
    {diverged, 1, "DEGRADED because a member at the same index has another state; do: "},
    {blocks_missing, 1,
     "DEGRADED because this member lacks 5 block files (3 MiB); do: wait about 7 s, it"},
    {draining, 1, "DEGRADED because this member is draining; do: "},
    {alone, 2,
     "DOWN because no leader has been known for 7 s: 1 of 3 members reachable, 2 needed; "
     "do: start member 2 (10.0.0.2:19998) or 3 (10.0.0.3:19998)"},
    {electing, 2,
     "DOWN because no leader has been known for 0 s although 3 of 3 members are "
     "reachable; do: "},
    {stopped, 2, "DOWN because this member's consensus has stopped; do: "},
};

static void the_verdict_names_the_thing_and_the_remedy(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(verdicts); i++) {
        struct qr_status *status = healthy();
        verdicts[i].change(status);
        char sentence[QR_VERDICT_BYTES_MAX];
        int level = qr_status_verdict(status, sentence, sizeof sentence);
        if (strncmp(sentence, verdicts[i].sentence, strlen(verdicts[i].sentence)) != 0)
            fail_msg("case %zu: %s", i, sentence);
        assert_int_equal(level, verdicts[i].level);
        qr_status_free(status);
    }
}

static void a_short_sentence_is_cut(void **state)
{
    (void)state;
    struct qr_status *status = healthy();
    char sentence[8];
    assert_int_equal(qr_status_verdict(status, sentence, sizeof sentence), 0);
    assert_string_equal(sentence, "HEALTHY");
    qr_status_free(status);
}

static json_t *json_of(const struct qr_status *status)
{
    struct qr_buf out = {0};
    assert_int_equal(qr_status_json(status, &out), 0);
    json_error_t error;
    json_t *root = json_loadb(out.base, out.len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        fail_msg("%s: %.*s", error.text, (int)out.len, out.base);
    qr_buf_release(&out);
    return root;
}

static void json_says_all_that_operators_ask(void **state)
{
    (void)state;
    struct qr_status *status = healthy();
    member_never_seen(status);
    json_t *root = json_of(status);
    const char *name, *sentence, *hash, *role, *m_state, *m_role, *m_hash, *hostname;
    int level, leader, member, ready, id, connected, owner, factor;
    json_int_t contact, watermark, commit;
    json_error_t error;
    json_t *members, *children, *gone;
    assert_int_equal(
        json_unpack_ex(root, &error, 0,
                       "{s:{s:s,s:s}, s:{s:i,s:s}, s:i, s:i, s:s, s:s, s:b, s:o, s:o, s:i, s:i}",
                       "cluster", "name", &name, "id", &hostname, "verdict", "level", &level,
                       "sentence", &sentence, "leader", &leader, "member", &member, "hash", &hash,
                       "role", &role, "ready", &ready, "members", &members, "children", &children,
                       "time", &id, "term", &id),
        0);
    assert_string_equal(name, "lab");
    assert_int_equal(level, 1);
    assert_int_equal(leader, 2);
    assert_int_equal(member, 1);
    assert_string_equal(hash, "0000000000000abc");
    assert_string_equal(role, "follower");
    assert_true(ready);
    assert_int_equal(json_array_size(members), 3);
    assert_int_equal(json_unpack_ex(json_array_get(members, 0), &error, 0,
                                    "{s:i,s:s,s:s,s:I,s:s,s:I}", "id", &id, "state", &m_state,
                                    "role", &m_role, "commit", &commit, "hash", &m_hash,
                                    "last_contact_ms", &contact),
                     0);
    assert_string_equal(m_state, "self");
    assert_int_equal(commit, 1001);
    assert_int_equal(contact, 0);
    assert_int_equal(json_unpack_ex(json_array_get(members, 1), &error, 0, "{s:s,s:s,s:I}", "state",
                                    &m_state, "role", &m_role, "last_contact_ms", &contact),
                     0);
    assert_string_equal(m_state, "up");
    assert_string_equal(m_role, "leader");
    assert_int_equal(contact, 20);
    gone = json_array_get(members, 2);
    assert_string_equal(json_string_value(json_object_get(gone, "state")), "down");
    assert_true(json_is_null(json_object_get(gone, "last_contact_ms")));
    assert_int_equal(json_integer_value(json_object_get(gone, "clock_ahead_s")), 0);
    assert_int_equal(json_array_size(children), 3);
    assert_int_equal(json_unpack_ex(json_array_get(children, 0), &error, 0,
                                    "{s:s,s:i,s:b,s:I,s:i,s:i}", "hostname", &hostname, "owner",
                                    &owner, "connected", &connected, "watermark", &watermark,
                                    "replication_factor", &factor, "charts", &id),
                     0);
    assert_string_equal(hostname, "child-1");
    assert_int_equal(owner, 2);
    assert_true(connected);
    assert_int_equal(watermark, 1795405384);
    assert_int_equal(factor, 3);
    assert_int_equal(id, 12);
    json_decref(root);
    qr_status_free(status);
}

static void a_replay_has_its_progress(void **state)
{
    struct qr_status *status = healthy();
    status->children[0].replay_left_s = 150;
    status->children[0].replay_all_s = 600;
    status->children[0].replay_eta_s = 4;
    status->children[0].replay_asks = 256;
    status->children[1].replay_left_s = status->children[1].replay_all_s = 9;
    status->children[1].replay_eta_s = UINT64_MAX;
    json_t *root = json_of(status);
    const json_t *children = json_object_get(root, "children");
    const json_t *first = json_object_get(json_array_get(children, 0), "replay");
    const json_t *second = json_object_get(json_array_get(children, 1), "replay");
    assert_int_equal(json_integer_value(json_object_get(first, "left_s")), 150);
    assert_int_equal(json_integer_value(json_object_get(first, "permille")), 750);
    assert_int_equal(json_integer_value(json_object_get(first, "eta_s")), 4);
    assert_int_equal(json_integer_value(json_object_get(first, "asks")), 256);
    assert_int_equal(json_integer_value(json_object_get(second, "permille")), 0);
    assert_true(json_is_null(json_object_get(second, "eta_s")));
    assert_true(json_is_null(json_object_get(json_array_get(children, 2), "replay")));
    json_decref(root);
    qr_status_free(status);
}

static void hostile_names_stay_json(void **state)
{
    (void)state;
    struct qr_status *status = healthy();
    snprintf(status->children[0].hostname, sizeof status->children[0].hostname, "a\"\\\n\xff");
    json_decref(json_of(status));
    qr_status_free(status);
    qr_status_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_verdict_names_the_thing_and_the_remedy),
        cmocka_unit_test(a_short_sentence_is_cut),
        cmocka_unit_test(json_says_all_that_operators_ask),
        cmocka_unit_test(a_replay_has_its_progress),
        cmocka_unit_test(hostile_names_stay_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
