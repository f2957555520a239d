/* Who is let in: stream.conf, keys of the log and bindings together.  Tests also: key_table. */
#include "node/admission.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"
#include "testing/process.h"

#define NOW 1700000000

#define FILED  "11111111-2222-3333-4444-000000000000" /* In stream.conf only. */
#define BOTH   "11111111-2222-3333-4444-000000000001" /* In both; another policy. */
#define GONE   "11111111-2222-3333-4444-000000000002" /* In both; revoked in the log. */
#define LOGGED "11111111-2222-3333-4444-000000000003"
#define OLD    "11111111-2222-3333-4444-000000000004" /* Rotated into NEW. */
#define NEW    "11111111-2222-3333-4444-000000000005"
#define OFF    "11111111-2222-3333-4444-000000000006" /* In both; not enabled in stream.conf. */

#define ANY   "aaaaaaaa-0000-0000-0000-000000000000"
#define BOUND "aaaaaaaa-0000-0000-0000-000000000001" /* To the line of OLD. */
#define SHOWS "aaaaaaaa-0000-0000-0000-000000000002" /* To a certificate. */
#define TWICE "aaaaaaaa-0000-0000-0000-000000000003" /* To LOGGED and a certificate. */
#define BOX   "aaaaaaaa-0000-0000-0000-000000000004" /* Has a section of its own. */

static const struct qr_guid cluster_id = {{1, 2, 3}};
static const uint8_t certificate[QR_KEY_HASH_BYTES] = {7, 7};
static const uint8_t other_certificate[QR_KEY_HASH_BYTES] = {7, 8};

static struct qr_admission *admission;
static struct qr_keys keys;

static void apply(struct qr_buf *body)
{
    uint64_t effect;
    assert_int_equal(qr_keys_apply(&keys, qr_buf_slice(body), &effect), 0);
    qr_buf_release(body);
}

static void hash(const char *key, uint8_t hash_of[QR_KEY_HASH_BYTES])
{
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str(key)), 0);
    qr_key_hash(&cluster_id, &guid, hash_of);
}

/* Its id. */
static uint32_t add(const char *key, const char *policy)
{
    struct qr_buf body = {0};
    uint8_t hash_of[QR_KEY_HASH_BYTES];
    hash(key, hash_of);
    qr_keys_add(&body, NOW, hash_of, qr_slice_str(""), qr_slice_str(policy));
    apply(&body);
    return keys.last_id;
}

static void bind_machine(const char *machine, uint32_t id, const uint8_t *shown)
{
    struct qr_buf body = {0};
    struct qr_guid guid;
    assert_int_equal(qr_guid_parse(&guid, qr_slice_str(machine)), 0);
    qr_keys_bind(&body, NOW, &guid, id, shown);
    apply(&body);
}

static void fill_keys(void)
{
    struct qr_buf body = {0};
    uint8_t hash_of[QR_KEY_HASH_BYTES];
    add(BOTH, "replication period = 1h\n");
    uint32_t gone = add(GONE, "");
    uint32_t logged = add(LOGGED, "allow from = 10.*\nupdate every = 5\n");
    uint32_t old = add(OLD, "");
    add(OFF, "");
    qr_keys_revoke(&body, NOW, gone);
    apply(&body);
    hash(NEW, hash_of);
    qr_keys_rotate(&body, NOW, old, hash_of, 100);
    apply(&body);
    bind_machine(BOUND, old, NULL);
    bind_machine(SHOWS, 0, certificate);
    bind_machine(TWICE, logged, certificate);
}

static struct qr_key_table *table_at(int64_t now_s)
{
    struct qr_key_table *table;
    assert_int_equal(qr_key_table_new(&table, &cluster_id, &keys, now_s), 0);
    return table;
}

static bool let_in(const struct qr_key_table *table, const char *key, const char *machine,
                   const char *ip, const uint8_t *shown, struct qr_admitted *admitted)
{
    const struct qr_applicant applicant = {qr_slice_str(key), qr_slice_str(machine), ip, shown};
    int err = qr_admission_check(admission, table, &applicant, admitted);
    assert_true(err == 0 || (err == QR_E_DENIED && admitted->reason != NULL));
    return err == 0;
}

static void each_word_has_its_weight(void **state)
{
    (void)state;
    static const struct {
        const char *key, *machine, *ip;
        const uint8_t *shown;
        bool yes;
    } cases[] = {
        {FILED, ANY, "10.0.0.1", NULL, true},
        {BOTH, ANY, "10.0.0.1", NULL, true},
        {GONE, ANY, "10.0.0.1", NULL, false}, /* a revocation goes before stream.conf */
        {OFF, ANY, "10.0.0.1", NULL, false},  /* its section goes before the log's policy */
        {LOGGED, ANY, "10.0.0.1", NULL, true},
        {LOGGED, ANY, "11.0.0.1", NULL, false}, /* allow from */
        {OLD, ANY, "10.0.0.1", NULL, true},     /* it overlaps */
        {NEW, ANY, "10.0.0.1", NULL, true},
        {"11111111-2222-3333-4444-000000000009", ANY, "10.0.0.1", NULL, false},
        {"no uuid", ANY, "10.0.0.1", NULL, false},
        /* bound to a line: any key of it, and no other */
        {OLD, BOUND, "10.0.0.1", NULL, true},
        {NEW, BOUND, "10.0.0.1", NULL, true},
        {LOGGED, BOUND, "10.0.0.1", NULL, false},
        {FILED, BOUND, "10.0.0.1", NULL, false},
        /* bound to a certificate: with any key that is let in */
        {FILED, SHOWS, "10.0.0.1", certificate, true},
        {LOGGED, SHOWS, "10.0.0.1", certificate, true},
        {FILED, SHOWS, "10.0.0.1", NULL, false},
        {FILED, SHOWS, "10.0.0.1", other_certificate, false},
        {GONE, SHOWS, "10.0.0.1", certificate, false},
        {LOGGED, TWICE, "10.0.0.1", certificate, true},
        {LOGGED, TWICE, "10.0.0.1", NULL, false},
        {FILED, TWICE, "10.0.0.1", certificate, false},
        {LOGGED, BOX, "10.0.0.1", NULL, true},
        {LOGGED, BOX, "10.0.0.2", NULL, false}, /* the machine's own section */
    };
    struct qr_key_table *table = table_at(NOW + 1);
    struct qr_admitted admitted;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (let_in(table, cases[i].key, cases[i].machine, cases[i].ip, cases[i].shown, &admitted) !=
            cases[i].yes)
            fail_msg("case %zu", i);
    qr_key_table_release(table);
}

static void policies_are_those_of_whoever_let_it_in(void **state)
{
    (void)state;
    struct qr_key_table *table = table_at(NOW + 1);
    struct qr_admitted admitted;
    assert_true(let_in(table, BOTH, ANY, "10.0.0.1", NULL, &admitted));
    assert_int_equal(admitted.policy.period_s, 7200);
    assert_int_equal(admitted.key, 1);
    assert_true(let_in(table, LOGGED, ANY, "10.0.0.1", NULL, &admitted));
    assert_int_equal(admitted.policy.update_every, 5);
    assert_int_equal(admitted.policy.period_s, 86400);
    assert_true(let_in(table, LOGGED, BOX, "10.0.0.1", NULL, &admitted));
    assert_int_equal(admitted.policy.update_every, 7);
    assert_true(let_in(table, FILED, ANY, "10.0.0.1", NULL, &admitted));
    assert_int_equal(admitted.key, 0);
    qr_key_table_release(table);
}

static void a_rotated_key_is_over_with_its_overlap(void **state)
{
    (void)state;
    struct qr_admitted admitted;
    struct qr_key_table *table = table_at(NOW + 99);
    assert_int_equal(table->next_end_s, NOW + 100);
    assert_true(let_in(table, OLD, BOUND, "10.0.0.1", NULL, &admitted));
    qr_key_table_release(table);
    table = table_at(NOW + 100);
    assert_int_equal(table->next_end_s, 0);
    assert_false(let_in(table, OLD, BOUND, "10.0.0.1", NULL, &admitted));
    assert_string_equal(admitted.reason, "its API key was rotated, and the overlap is over");
    assert_true(let_in(table, NEW, BOUND, "10.0.0.1", NULL, &admitted));
    qr_key_table_release(table);
}

static bool is_used(const struct qr_key_table *table, const char *key)
{
    return qr_key_table_find(table, qr_slice_str(key))->used;
}

static void use_is_noted_of_who_is_let_in(void **state)
{
    (void)state;
    struct qr_admitted admitted;
    struct qr_key_table *table = table_at(NOW + 1);
    let_in(table, LOGGED, ANY, "11.0.0.1", NULL, &admitted);
    assert_false(is_used(table, LOGGED));
    let_in(table, LOGGED, ANY, "10.0.0.1", NULL, &admitted);
    assert_true(is_used(table, LOGGED));
    assert_false(is_used(table, OLD));
    qr_key_table_release(table);
}

static void there_need_be_no_stream_conf(void **state)
{
    (void)state;
    struct qr_config config = {.stream_file = "/nowhere/at/all/stream.conf"};
    struct qr_admission *with_file = admission, *read;
    struct qr_admitted admitted;
    char sentence[256];
    assert_int_equal(qr_admission_read(&read, &config, sentence, sizeof sentence), 0);
    assert_false(read->has_file);
    assert_true(with_file->has_file);
    admission = read;
    struct qr_key_table *table = table_at(NOW + 1);
    assert_true(let_in(table, LOGGED, ANY, "10.0.0.1", NULL, &admitted));
    assert_false(let_in(table, FILED, ANY, "10.0.0.1", NULL, &admitted));
    qr_key_table_release(table);
    qr_admission_release(read);
    admission = with_file;
}

static int setup(void **state)
{
    (void)state;
    static char dir[QR_TEMP_DIR_BYTES];
    struct qr_config config = {0};
    char sentence[256];
    qr_temp_dir(dir, "admission");
    snprintf(config.stream_file, sizeof config.stream_file, "%s/stream.conf", dir);
    qr_write_file(config.stream_file, "[" FILED "]\nenabled = yes\n"
                                      "[" BOTH "]\nenabled = yes\nreplication period = 2h\n"
                                      "[" GONE "]\nenabled = yes\n"
                                      "[" OFF "]\nenabled = no\n"
                                      "[" BOX "]\ntype = machine\nallow from = 10.0.0.1\n"
                                      "update every = 7\n");
    int err = qr_admission_read(&admission, &config, sentence, sizeof sentence);
    qr_remove_dir(dir);
    fill_keys();
    return err;
}

static int teardown(void **state)
{
    (void)state;
    qr_admission_release(admission);
    qr_keys_release(&keys);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_word_has_its_weight),
        cmocka_unit_test(policies_are_those_of_whoever_let_it_in),
        cmocka_unit_test(a_rotated_key_is_over_with_its_overlap),
        cmocka_unit_test(use_is_noted_of_who_is_let_in),
        cmocka_unit_test(there_need_be_no_stream_conf),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
