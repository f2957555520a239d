#include "cluster/machine.h"

#include <stdlib.h>
#include <uv.h>

#include "base/checksum.h"
#include "base/error.h"
#include "cluster/image.h"
#include "cluster/tests/memory_sink.h"
#include "testing/cmocka.h"

struct bench {
    struct qr_machine machine;
    struct memory_sink sink;
    uint64_t index;
    int result; /* Of the last entry. */
    unsigned n_entries, n_owned, n_fatal;
    struct qr_owner owner;
    uint64_t nonce;
    char fatal[256];
};

static void on_entry(void *data, const struct qr_command *command, uint64_t index, int result)
{
    struct bench *b = data;
    (void)command;
    assert_int_equal(index, b->index);
    b->result = result;
    b->n_entries++;
}

static void on_owned(void *data, const struct qr_owner *owner, uint64_t nonce)
{
    struct bench *b = data;
    b->owner = *owner;
    b->nonce = nonce;
    b->n_owned++;
}

static void on_fatal(void *data, const char *sentence)
{
    struct bench *b = data;
    snprintf(b->fatal, sizeof b->fatal, "%s", sentence);
    b->n_fatal++;
}

static struct bench *new_bench(void)
{
    struct bench *b = calloc(1, sizeof *b);
    const struct qr_sink sink = memory_sink_of(&b->sink);
    const struct qr_machine_events events = {
        .data = b, .entry = on_entry, .owned = on_owned, .fatal = on_fatal};
    assert_int_equal(qr_machine_init(&b->machine, &sink, &events), 0);
    return b;
}

static void free_bench(struct bench *b)
{
    qr_machine_release(&b->machine);
    free(b);
}

static int apply(struct bench *b, const struct qr_command *command)
{
    struct qr_buf entry = {0};
    assert_int_equal(qr_command_encode(&entry, command), 0);
    b->index += 1 + b->index % 3; /* Barriers lie between. */
    b->result = 12345;
    qr_machine_apply(&b->machine, b->index, qr_buf_slice(&entry));
    qr_buf_release(&entry);
    return b->result;
}

/* A SAMPLES entry whose number is its sequence. */
static int apply_number(struct bench *b, uint32_t member, uint64_t incarnation, uint64_t sequence,
                        uint64_t number)
{
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = member,
                                       .incarnation = incarnation,
                                       .sequence = sequence,
                                       .body = qr_slice_of(&number, sizeof number)};
    return apply(b, &command);
}

static void each_entry_is_taken_once_and_in_order(void **state)
{
    (void)state;
    /* member, incarnation, sequence, number, result: a new rule is a new row. */
    static const struct {
        uint64_t member, incarnation, sequence, number;
        int64_t result;
    } rows[] = {
        {1, 10, 1, 1, 0},
        {1, 10, 1, 1, QR_E_STALE}, /* again */
        {1, 10, 3, 3, QR_E_GAP},   /* a jump */
        {1, 10, 2, 2, 0},          /* what was missing */
        {2, 7, 2, 2, QR_E_GAP},    /* a member's first is number 1 */
        {2, 7, 1, 1, 0},           /* members do not meet */
        {1, 11, 2, 3, QR_E_GAP},   /* a newer incarnation starts at 1, */
        {1, 10, 3, 3, 0},          /* until then the older one goes on, */
        {1, 11, 1, 4, 0},          /* and it begins */
        {1, 10, 4, 4, QR_E_STALE}, /* the older one is over */
        {1, 9, 1, 1, QR_E_STALE},
        {1, 11, 2, 5, 0},
        {0, 1, 1, 1, QR_E_MALFORMED}, /* nobody's */
        {3, 0, 1, 1, QR_E_MALFORMED},
        {3, 1, 0, 1, QR_E_MALFORMED},
    };
    struct bench *b = new_bench();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(apply_number(b, (uint32_t)rows[i].member, rows[i].incarnation,
                                      rows[i].sequence, rows[i].number),
                         rows[i].result);
    assert_int_equal(b->sink.n[1], 5);
    assert_int_equal(b->sink.n[2], 1);
    assert_int_equal(b->sink.n_wrong, 0);
    assert_int_equal(b->machine.n_applied, 6);
    assert_int_equal(b->machine.n_dropped, 6);
    assert_int_equal(b->machine.n_refused, 3);
    free_bench(b);
}

static void a_refusal_of_the_sink_uses_up_the_number(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    b->sink.fail_with = QR_E_FENCED;
    assert_int_equal(apply_number(b, 1, 1, 1, 1), QR_E_FENCED);
    assert_int_equal(apply_number(b, 1, 1, 1, 1), QR_E_STALE);
    assert_int_equal(apply_number(b, 1, 1, 2, 1), 0);
    const struct qr_producer *p = qr_machine_producer(&b->machine, 1);
    assert_int_equal(p->results[1], QR_E_FENCED);
    assert_int_equal(p->results[2], 0);
    assert_null(qr_machine_producer(&b->machine, 2));
    free_bench(b);
}

static void the_hash_says_what_was_done(void **state)
{
    (void)state;
    struct bench *a = new_bench(), *b = new_bench();
    for (uint64_t i = 1; i <= 20; i++) {
        apply_number(a, 1, 1, i, i);
        apply_number(b, 1, 1, i, i);
        assert_int_equal(a->machine.hash, b->machine.hash);
    }
    uint64_t hash;
    assert_true(qr_machine_hash_at(&a->machine, a->machine.applied, &hash));
    assert_int_equal(hash, a->machine.hash);
    assert_false(qr_machine_hash_at(&a->machine, a->machine.applied + 1, &hash));
    assert_false(qr_machine_hash_at(&a->machine, 0, &hash));

    /* The same entries, a store that does something else. */
    b->sink.lie = true;
    apply_number(a, 1, 1, 21, 21);
    apply_number(b, 1, 1, 21, 21);
    assert_int_not_equal(a->machine.hash, b->machine.hash);

    /* A refusal on one only. */
    struct bench *c = new_bench(), *d = new_bench();
    d->sink.fail_with = QR_E_GAP;
    apply_number(c, 1, 1, 1, 1);
    apply_number(d, 1, 1, 1, 1);
    assert_int_not_equal(c->machine.hash, d->machine.hash);
    free_bench(a);
    free_bench(b);
    free_bench(c);
    free_bench(d);
}

static int own(struct bench *b, uint32_t member, uint64_t sequence, uint8_t host)
{
    struct qr_buf body = {0};
    struct qr_guid guid = {{host}};
    qr_buf_add(&body, guid.bytes, sizeof guid.bytes);
    qr_buf_add_u64(&body, 900 + sequence);
    qr_claim_encode(&body, &(struct qr_claim){0});
    const struct qr_command command = {.type = QR_COMMAND_OWN,
                                       .member = member,
                                       .incarnation = 1,
                                       .sequence = sequence,
                                       .body = qr_buf_slice(&body)};
    int result = apply(b, &command);
    qr_buf_release(&body);
    return result;
}

static void own_hands_out_epochs(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    assert_int_equal(own(b, 1, 1, 5), 0);
    assert_int_equal(b->owner.host, 5);
    assert_int_equal(b->owner.member, 1);
    assert_int_equal(b->owner.epoch, 1);
    assert_int_equal(b->nonce, 901);
    assert_int_equal(own(b, 2, 1, 5), 0);
    assert_int_equal(b->owner.member, 2);
    assert_int_equal(b->owner.epoch, 2);
    assert_int_equal(b->n_owned, 2);
    /* A host that the log has not met. */
    assert_int_equal(own(b, 2, 2, 0), QR_E_UNKNOWN);
    assert_int_equal(b->n_owned, 2);
    const struct qr_command cut = {.type = QR_COMMAND_OWN,
                                   .member = 2,
                                   .incarnation = 1,
                                   .sequence = 3,
                                   .body = {"123456789012345", 15}};
    assert_int_equal(apply(b, &cut), QR_E_MALFORMED);
    free_bench(b);
}

static unsigned n_voters, n_told;

static int on_voters(void *data, unsigned n)
{
    (void)data;
    n_voters = n;
    n_told++;
    return 0;
}

static int record_voters(struct bench *b, uint64_t sequence, uint64_t configuration, unsigned n)
{
    struct qr_membership record = {.configuration = configuration, .n = n};
    for (unsigned i = 0; i < n; i++)
        record.members[i] = (struct qr_recorded_member){
            .member = i + 1, .disk = 7, .role = QR_MEMBER_VOTER, .address = "h:1"};
    struct qr_buf body = {0};
    qr_membership_record(&body, &record);
    const struct qr_command command = {.type = QR_COMMAND_MEMBERS,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = sequence,
                                       .body = qr_buf_slice(&body)};
    int result = apply(b, &command);
    qr_buf_release(&body);
    return result;
}

static void the_sink_hears_how_many_vote(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    b->machine.sink.voters = on_voters;
    n_told = 0;
    assert_int_equal(record_voters(b, 1, 1, 3), 0);
    assert_int_equal(n_voters, 3);
    assert_int_equal(record_voters(b, 2, 2, 3), 0);
    assert_int_equal(n_told, 1); /* As many as before. */
    assert_int_equal(record_voters(b, 3, 1, 2), QR_E_UNKNOWN);
    assert_int_equal(record_voters(b, 4, 9, 2), 0);
    assert_int_equal(n_voters, 2);
    assert_int_equal(n_told, 2);
    /* And after a snapshot was read. */
    struct qr_buf image = {0};
    assert_int_equal(qr_image_make(&b->machine, &image), 0);
    struct bench *other = new_bench();
    other->machine.sink.voters = on_voters;
    n_voters = 0;
    assert_int_equal(qr_image_restore(&other->machine, qr_buf_slice(&image)), 0);
    assert_int_equal(n_voters, 2);
    assert_int_equal(other->machine.membership.configuration, 9);
    qr_buf_release(&image);
    free_bench(b);
    free_bench(other);
}

static int change_keys(struct bench *b, uint64_t sequence, struct qr_buf *body)
{
    const struct qr_command command = {.type = QR_COMMAND_KEYS,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = sequence,
                                       .body = qr_buf_slice(body)};
    int result = apply(b, &command);
    qr_buf_release(body);
    return result;
}

static void keys_are_part_of_the_state(void **state)
{
    (void)state;
    static const uint8_t hash[QR_KEY_HASH_BYTES] = {1, 2, 3};
    struct bench *a = new_bench(), *b = new_bench();
    struct qr_buf body = {0}, image = {0}, again = {0};
    qr_keys_add(&body, 1700000000, hash, qr_slice_str("web"), qr_slice_str(""));
    assert_int_equal(change_keys(a, 1, &body), 0);
    qr_keys_revoke(&body, 1700000001, 9);
    assert_int_equal(change_keys(a, 2, &body), QR_E_UNKNOWN);
    /* The snapshot has them, and replaces those that are there. */
    qr_keys_add(&body, 1700000000, hash, qr_slice_str("old"), qr_slice_str(""));
    assert_int_equal(change_keys(b, 1, &body), 0);
    assert_int_equal(qr_image_make(&a->machine, &image), 0);
    assert_int_equal(qr_image_restore(&b->machine, qr_buf_slice(&image)), 0);
    assert_int_equal(b->machine.keys.n_keys, 1);
    assert_string_equal(qr_keys_by_id(&b->machine.keys, 1)->name, "web");
    assert_int_equal(qr_image_make(&b->machine, &again), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&image), qr_buf_slice(&again)));
    /* The same entry on another state gives another hash: what it did counts. */
    struct bench *c = new_bench();
    apply_number(c, 1, 1, 1, 1);
    c->machine.hash = a->machine.hash;
    c->index = a->index;
    c->machine.producers[0].sequence = 2;
    qr_keys_add(&body, 1700000002, (const uint8_t[QR_KEY_HASH_BYTES]){9}, qr_slice_str(""),
                qr_slice_str(""));
    struct qr_buf same = {0};
    qr_buf_add(&same, body.base, body.len);
    assert_int_equal(change_keys(a, 3, &body), 0);
    assert_int_equal(change_keys(c, 3, &same), 0);
    assert_int_not_equal(c->machine.hash, a->machine.hash);
    qr_buf_release(&image);
    qr_buf_release(&again);
    free_bench(a);
    free_bench(b);
    free_bench(c);
}

static void members_say_who_they_are(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    struct qr_buf body = {0};
    qr_machine_info_encode(&body, "10.0.0.1:19998", "north", "0.1.0");
    struct qr_command info = {.type = QR_COMMAND_MEMBER_INFO,
                              .member = 3,
                              .incarnation = 1,
                              .sequence = 1,
                              .body = qr_buf_slice(&body)};
    assert_int_equal(apply(b, &info), 0);
    const struct qr_producer *p = qr_machine_producer(&b->machine, 3);
    assert_string_equal(p->address, "10.0.0.1:19998");
    assert_string_equal(p->name, "north");
    assert_string_equal(p->version, "0.1.0");
    info.sequence = 2;
    info.body.len--;
    assert_int_equal(apply(b, &info), QR_E_MALFORMED);
    assert_string_equal(p->version, "0.1.0");
    qr_buf_release(&body);
    free_bench(b);
}

/* A member that passed over what others apply would have another state than they. */
static void an_entry_of_another_version_stops_the_member(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    apply_number(b, 1, 1, 1, 1);
    uint64_t hash = b->machine.hash, number = 2;
    struct qr_buf entry = {0};
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = 2,
                                       .body = qr_slice_of(&number, 8)};
    qr_command_encode(&entry, &command);
    entry.base[1] = QR_COMMAND_VERSION + 1;
    uint32_t crc = qr_crc32c(qr_crc32c(0, entry.base, 8), entry.base + 12, entry.len - 12);
    memcpy(entry.base + 8, &crc, 4);
    qr_machine_apply(&b->machine, b->index + 1, qr_buf_slice(&entry));
    assert_int_equal(b->n_fatal, 1);
    assert_non_null(strstr(b->fatal, "another version of Quorate"));
    assert_int_equal(b->machine.hash, hash);
    qr_buf_release(&entry);
    free_bench(b);
}

static void damage_and_own_trouble_stop_the_member(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    apply_number(b, 1, 1, 1, 1);
    uint64_t hash = b->machine.hash;
    struct qr_buf entry = {0};
    uint64_t number = 2;
    const struct qr_command command = {.type = QR_COMMAND_SAMPLES,
                                       .member = 1,
                                       .incarnation = 1,
                                       .sequence = 2,
                                       .body = qr_slice_of(&number, 8)};
    qr_command_encode(&entry, &command);
    entry.base[41] ^= 1;
    qr_machine_apply(&b->machine, b->index + 1, qr_buf_slice(&entry));
    assert_int_equal(b->n_fatal, 1);
    assert_non_null(strstr(b->fatal, "damaged"));
    assert_int_equal(b->machine.hash, hash);
    free_bench(b);

    b = new_bench();
    b->sink.fail_with = UV_EIO;
    apply_number(b, 1, 1, 1, 1);
    assert_int_equal(b->n_fatal, 1);
    assert_int_equal(b->n_entries, 0);
    qr_buf_release(&entry);
    free_bench(b);
}

static void fill(struct bench *b)
{
    for (uint64_t i = 1; i <= 30; i++) {
        apply_number(b, 1, 3, i, i);
        if (i % 7 == 0)
            b->sink.fail_with = QR_E_FENCED;
        apply_number(b, 2, 1, i, i);
        own(b, 4, i, (uint8_t)(1 + i % 9));
    }
}

/* The open log segment may replay what a snapshot contains already. */
static void indices_that_the_state_contains_are_skipped(void **state)
{
    (void)state;
    struct bench *b = new_bench();
    fill(b);
    uint64_t hash = b->machine.hash;
    unsigned n_entries = b->n_entries;
    b->index = 0;
    fill(b); /* The same indices once more. */
    assert_int_equal(b->n_entries, n_entries);
    assert_int_equal(b->machine.n_skipped, 90);
    assert_int_equal(b->machine.hash, hash);
    free_bench(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_entry_is_taken_once_and_in_order),
        cmocka_unit_test(a_refusal_of_the_sink_uses_up_the_number),
        cmocka_unit_test(the_hash_says_what_was_done),
        cmocka_unit_test(own_hands_out_epochs),
        cmocka_unit_test(the_sink_hears_how_many_vote),
        cmocka_unit_test(keys_are_part_of_the_state),
        cmocka_unit_test(members_say_who_they_are),
        cmocka_unit_test(an_entry_of_another_version_stops_the_member),
        cmocka_unit_test(damage_and_own_trouble_stop_the_member),
        cmocka_unit_test(indices_that_the_state_contains_are_skipped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
