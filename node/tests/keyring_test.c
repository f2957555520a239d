/* The keyring with a log of the test's own: entries are applied when the test says so. */
#include "node/keyring.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "testing/cmocka.h"

#define NOW 1700000000

/* ---- the group ---- */

struct qr_group {
    struct qr_keys keys;
    struct qr_clock clock;
    int64_t now_s;
    uint64_t now_ms;
    bool ready;
    int refuses; /* propose's answer */
    unsigned n_proposed;
    struct qr_buf body; /* That waits. */
    qr_proposal_cb done;
    void *data;
};

static struct qr_group group;
static struct qr_keyring keyring;
static struct qr_mailbox mailbox;
static uv_loop_t loop;

static int64_t real_us(const struct qr_clock *clock)
{
    (void)clock;
    return group.now_s * 1000000;
}

static uint64_t mono_ms(const struct qr_clock *clock)
{
    (void)clock;
    return group.now_ms;
}

const struct qr_keys *qr_group_keys(const struct qr_group *g)
{
    return &g->keys;
}

bool qr_group_ready(const struct qr_group *g)
{
    return g->ready;
}

int qr_group_propose(struct qr_group *g, enum qr_command_type type, struct qr_slice body,
                     qr_proposal_cb done, void *data)
{
    assert_int_equal(type, QR_COMMAND_KEYS);
    if (g->refuses != 0)
        return g->refuses;
    assert_int_equal(g->body.len, 0);
    qr_buf_add(&g->body, body.base, body.len);
    g->n_proposed++;
    g->done = done;
    g->data = data;
    return 0;
}

static unsigned n_handed_out;
static int hands_out;

static int on_hand_out(void *data)
{
    assert_ptr_equal(data, &group);
    n_handed_out++;
    return hands_out;
}

/* What waits is applied. */
static int apply(void)
{
    uint64_t effect;
    assert_true(group.body.len > 0);
    int result = qr_keys_apply(&group.keys, qr_buf_slice(&group.body), &effect);
    qr_buf_release(&group.body);
    qr_keyring_applied(&keyring, QR_COMMAND_KEYS);
    group.done(group.data, result, 1);
    return result;
}

/* ---- requests ---- */

static unsigned n_done;

static void on_done(struct qr_key_request *request)
{
    (void)request;
    n_done++;
}

static struct qr_key_request request;

static void ask(enum qr_key_verb verb, const char *key, uint8_t hash)
{
    qr_buf_release(&request.json);
    request = (struct qr_key_request){.home = &mailbox,
                                      .done = on_done,
                                      .verb = verb,
                                      .key = qr_slice_str(key),
                                      .hash = {hash},
                                      .name = qr_slice_str("web"),
                                      .policy = qr_slice_str("allow from = 10.*\n"),
                                      .overlap_s = 60,
                                      .guid = {{9}}};
    n_done = 0;
    qr_keyring_ask(&keyring, &request);
    unsigned n = group.n_proposed;
    while (n_done == 0 && group.n_proposed == n)
        uv_run(&loop, UV_RUN_ONCE);
}

/* The answer's status; its JSON ends with a NUL. */
static int answered(void)
{
    while (n_done == 0)
        uv_run(&loop, UV_RUN_ONCE);
    if (request.json.len > 0)
        qr_buf_add_u8(&request.json, 0);
    return request.status;
}

static int ask_and_apply(enum qr_key_verb verb, const char *key, uint8_t hash)
{
    ask(verb, key, hash);
    if (n_done == 0)
        apply();
    return answered();
}

static bool says(const char *text)
{
    return strstr(request.json.base, text) != NULL;
}

static struct qr_table_key *in_table(uint32_t id)
{
    for (uint32_t i = 0; i < keyring.table->n_keys; i++)
        if (keyring.table->keys[i].id == id)
            return &keyring.table->keys[i];
    return NULL;
}

/* ---- tests ---- */

static void requests_become_entries_and_answers(void **state)
{
    (void)state;
    assert_int_equal(ask_and_apply(QR_KEY_ADD, "", 1), 0);
    assert_true(says("\"done\":true,\"id\":1,\"line\":1,\"name\":\"web\",\"state\":\"active\""));
    assert_int_equal(ask_and_apply(QR_KEY_ADD, "", 1), QR_E_EXISTS);
    assert_int_equal(ask_and_apply(QR_KEY_ROTATE, "web", 2), 0);
    assert_true(says("\"id\":2,\"line\":1,\"name\":\"web\""));
    assert_true(says("\"replaces\":1"));
    /* Both work now: a name says no longer which. */
    assert_int_equal(ask_and_apply(QR_KEY_REVOKE, "web", 0), QR_E_DENIED);
    assert_int_equal(ask_and_apply(QR_KEY_REVOKE, "nobody", 0), QR_E_UNKNOWN);
    assert_int_equal(ask_and_apply(QR_KEY_BIND, "1", 0), 0);
    assert_int_equal(ask_and_apply(QR_KEY_LIST, "", 0), 0);
    assert_true(says("\"state\":\"overlapping\""));
    assert_true(says("\"ends\":1700000060"));
    assert_true(says("\"machine_guid\":\"09000000-0000-0000-0000-000000000000\",\"line\":1,"
                     "\"certificate\":null"));
    assert_false(says("0102")); /* No hash is told. */
    assert_int_equal(ask_and_apply(QR_KEY_REVOKE, "1", 0), 0);
    assert_true(says("\"state\":\"revoked\""));
    assert_int_equal(ask_and_apply(QR_KEY_REVOKE, "web", 0), 0); /* One works: it is meant. */
    assert_int_equal(ask_and_apply(QR_KEY_UNBIND, "", 0), 0);
    assert_int_equal(ask_and_apply(QR_KEY_UNBIND, "", 0), QR_E_UNKNOWN);
    group.refuses = QR_E_BUSY;
    assert_int_equal(ask_and_apply(QR_KEY_ADD, "", 3), QR_E_NO_QUORUM);
}

static void a_closed_group_answers_too(void **state)
{
    (void)state;
    keyring.group = NULL;
    assert_int_equal(ask_and_apply(QR_KEY_LIST, "", 0), QR_E_CLOSED);
    assert_int_equal(ask_and_apply(QR_KEY_ADD, "", 1), QR_E_CLOSED);
    assert_false(qr_keyring_tick(&keyring));
}

static void there_is_another_table_when_who_is_let_in_changes(void **state)
{
    (void)state;
    assert_false(qr_keyring_tick(&keyring));
    unsigned n = n_handed_out;
    ask_and_apply(QR_KEY_ADD, "", 1);
    assert_int_equal(n_handed_out, n + 1); /* before the answer */
    assert_int_equal(keyring.table->n_keys, 1);
    qr_keyring_applied(&keyring, QR_COMMAND_SAMPLES);
    assert_int_equal(n_handed_out, n + 1);
    assert_false(qr_keyring_tick(&keyring));
    /* What could not be handed out is so later. */
    hands_out = UV_ENOMEM;
    ask_and_apply(QR_KEY_ROTATE, "1", 2);
    assert_false(qr_keyring_tick(&keyring));
    hands_out = 0;
    assert_true(qr_keyring_tick(&keyring));
    assert_int_equal(in_table(1)->standing, QR_KEY_OVERLAPS);
    /* The overlap ends by the cluster's time. */
    group.now_s = NOW + 59;
    assert_false(qr_keyring_tick(&keyring));
    group.now_s = NOW + 60;
    assert_true(qr_keyring_tick(&keyring));
    assert_int_equal(in_table(1)->standing, QR_KEY_ENDED);
    assert_false(qr_keyring_tick(&keyring));
    qr_keyring_restored(&keyring);
    assert_true(qr_keyring_tick(&keyring));
    /* And now and then without a reason. */
    group.now_ms += QR_KEYRING_AUDIT_MS - 1;
    assert_false(qr_keyring_tick(&keyring));
    group.now_ms++;
    assert_true(qr_keyring_tick(&keyring));
}

static void use_is_told_once_an_hour(void **state)
{
    (void)state;
    ask_and_apply(QR_KEY_ADD, "", 1);
    ask_and_apply(QR_KEY_ADD, "", 2);
    ask_and_apply(QR_KEY_ADD, "", 3);
    qr_keyring_tick(&keyring);
    unsigned before = group.n_proposed;
    group.now_s = NOW + 10;
    qr_keyring_tick(&keyring);
    assert_int_equal(group.n_proposed, before); /* Nobody came. */
    in_table(3)->used = true;
    in_table(1)->used = true;
    group.ready = false;
    qr_keyring_tick(&keyring);
    assert_int_equal(group.n_proposed, before);
    group.ready = true;
    qr_keyring_tick(&keyring);
    assert_int_equal(group.n_proposed, before + 1);
    in_table(2)->used = true;
    qr_keyring_tick(&keyring); /* One at a time. */
    assert_int_equal(group.n_proposed, before + 1);
    assert_int_equal(apply(), 0);
    assert_int_equal(qr_keys_by_id(&group.keys, 1)->last_used_s, NOW + 10);
    assert_int_equal(qr_keys_by_id(&group.keys, 2)->last_used_s, 0);
    assert_int_equal(qr_keys_by_id(&group.keys, 3)->last_used_s, NOW + 10);
    qr_keyring_tick(&keyring);
    assert_int_equal(group.n_proposed, before + 2);
    assert_int_equal(apply(), 0);
    /* Again, when it is an hour. */
    qr_keyring_tick(&keyring);
    group.now_s = NOW + 10 + QR_KEY_USED_EVERY_S - 1;
    in_table(1)->used = true;
    qr_keyring_tick(&keyring);
    assert_int_equal(group.n_proposed, before + 2);
    group.now_s++;
    in_table(1)->used = true;
    qr_keyring_tick(&keyring);
    assert_int_equal(group.n_proposed, before + 3);
    assert_int_equal(apply(), 0);
    assert_int_equal(qr_keys_by_id(&group.keys, 1)->last_used_s, group.now_s);
}

static void each_refusal_has_its_sentence(void **state)
{
    (void)state;
    static const int codes[] = {QR_E_EXISTS, QR_E_UNKNOWN,   QR_E_DENIED,   QR_E_BUSY,
                                QR_E_LIMIT,  QR_E_MALFORMED, QR_E_NO_QUORUM};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(qr_keyring_refusal(QR_KEY_ROTATE, codes[i]),
                                    qr_keyring_refusal(QR_KEY_ROTATE, codes[k]));
    assert_string_not_equal(qr_keyring_refusal(QR_KEY_REVOKE, QR_E_EXISTS),
                            qr_keyring_refusal(QR_KEY_ADD, QR_E_EXISTS));
}

static int setup(void **state)
{
    (void)state;
    const struct qr_guid cluster_id = {{5}};
    group =
        (struct qr_group){.clock = {mono_ms, real_us}, .now_s = NOW, .now_ms = 1000, .ready = true};
    if (uv_loop_init(&loop) != 0 || qr_mailbox_init(&mailbox, &loop) != 0)
        return -1;
    int err = qr_keyring_init(&keyring, &mailbox, &group, &group.clock, &cluster_id);
    keyring.hand_out = on_hand_out;
    keyring.data = &group;
    return err;
}

static int teardown(void **state)
{
    (void)state;
    qr_key_table_release(keyring.table);
    qr_keys_release(&group.keys);
    qr_buf_release(&group.body);
    qr_buf_release(&request.json);
    qr_mailbox_close(&mailbox, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    return uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(requests_become_entries_and_answers, setup, teardown),
        cmocka_unit_test_setup_teardown(a_closed_group_answers_too, setup, teardown),
        cmocka_unit_test_setup_teardown(there_is_another_table_when_who_is_let_in_changes, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(use_is_told_once_an_hour, setup, teardown),
        cmocka_unit_test(each_refusal_has_its_sentence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
