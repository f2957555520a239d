#include "cluster/raft_wire.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/limits.h"
#include "testing/cmocka.h"

/* Head and data, as they arrive. */
static void join(struct qr_buf *out, const struct raft_message *m, unsigned from, unsigned n)
{
    assert_int_equal(qr_raft_wire_encode(out, m, from, n), 0);
    if (m->type == RAFT_APPEND_ENTRIES) {
        for (unsigned i = from; i < from + n; i++)
            qr_buf_add(out, m->append_entries.entries[i].buf.base,
                       m->append_entries.entries[i].buf.len);
    }
    if (m->type == RAFT_INSTALL_SNAPSHOT)
        qr_buf_add(out, m->install_snapshot.data.base, m->install_snapshot.data.len);
}

/* One message of each small type, with all fields different. */
static const struct raft_message small[] = {
    {.type = RAFT_REQUEST_VOTE,
     .request_vote = {.version = 2,
                      .term = 7,
                      .candidate_id = 3,
                      .last_log_index = 0x1122334455667788,
                      .last_log_term = 6,
                      .disrupt_leader = true}},
    {.type = RAFT_REQUEST_VOTE, .request_vote = {.version = 2, .term = 7, .pre_vote = true}},
    {.type = RAFT_REQUEST_VOTE_RESULT,
     .request_vote_result = {.version = 2,
                             .term = 8,
                             .vote_granted = true,
                             .pre_vote = true,
                             .features = 0x1234,
                             .capacity = 0xfedc}},
    {.type = RAFT_APPEND_ENTRIES_RESULT,
     .append_entries_result = {.version = 2,
                               .term = 9,
                               .rejected = 10,
                               .last_log_index = 11,
                               .features = 1,
                               .capacity = 16384}},
    {.type = RAFT_TIMEOUT_NOW,
     .timeout_now = {.term = 12, .last_log_index = 13, .last_log_term = 14}},
    {.type = RAFT_APPEND_ENTRIES,
     .append_entries =
         {.term = 15, .prev_log_index = 16, .prev_log_term = 17, .leader_commit = 18}},
};

static void small_messages_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        struct qr_buf bytes = {0}, again = {0};
        struct raft_message out;
        join(&bytes, &small[i], 0, 0);
        assert_int_equal(qr_raft_wire_decode(&out, qr_buf_slice(&bytes)), 0);
        assert_int_equal(out.type, small[i].type);
        join(&again, &out, 0, 0);
        assert_true(qr_slice_equal(qr_buf_slice(&bytes), qr_buf_slice(&again)));
        for (size_t len = 0; len < bytes.len; len++)
            assert_int_equal(qr_raft_wire_decode(&out, qr_slice_of(bytes.base, len)),
                             QR_E_MALFORMED);
        qr_buf_add_u8(&bytes, 0);
        assert_int_equal(qr_raft_wire_decode(&out, qr_buf_slice(&bytes)), QR_E_MALFORMED);
        qr_buf_release(&bytes);
        qr_buf_release(&again);
    }
}

static void fields_arrive_in_their_places(void **state)
{
    (void)state;
    struct qr_buf bytes = {0};
    struct raft_message m;
    join(&bytes, &small[0], 0, 0);
    assert_int_equal(qr_raft_wire_decode(&m, qr_buf_slice(&bytes)), 0);
    assert_int_equal(m.request_vote.version, 2);
    assert_int_equal(m.request_vote.term, 7);
    assert_int_equal(m.request_vote.candidate_id, 3);
    assert_int_equal(m.request_vote.last_log_index, 0x1122334455667788);
    assert_int_equal(m.request_vote.last_log_term, 6);
    assert_true(m.request_vote.disrupt_leader);
    assert_false(m.request_vote.pre_vote);
    qr_buf_clear(&bytes);
    join(&bytes, &small[3], 0, 0);
    assert_int_equal(qr_raft_wire_decode(&m, qr_buf_slice(&bytes)), 0);
    assert_int_equal(m.append_entries_result.rejected, 10);
    assert_int_equal(m.append_entries_result.capacity, 16384);
    qr_buf_release(&bytes);
}

#define N 5u

static struct raft_message append_of(struct raft_entry *entries, uint64_t data[N][4])
{
    for (unsigned i = 0; i < N; i++) {
        for (unsigned k = 0; k < 4; k++)
            data[i][k] = i * 1000 + k;
        entries[i] = (struct raft_entry){.term = 20 + i,
                                         .type = i == 3 ? RAFT_BARRIER : RAFT_COMMAND,
                                         .buf = {data[i], 8 * (1 + i % 4)}};
    }
    return (struct raft_message){.type = RAFT_APPEND_ENTRIES,
                                 .append_entries = {.term = 30,
                                                    .prev_log_index = 100,
                                                    .prev_log_term = 19,
                                                    .leader_commit = 99,
                                                    .entries = entries,
                                                    .n_entries = N}};
}

static void entries_arrive_in_one_aligned_block(void **state)
{
    (void)state;
    struct raft_entry entries[N];
    uint64_t data[N][4];
    struct raft_message in = append_of(entries, data), out;
    for (unsigned from = 0; from < N; from++) {
        struct qr_buf bytes = {0};
        join(&bytes, &in, from, N - from);
        assert_int_equal(qr_raft_wire_decode(&out, qr_buf_slice(&bytes)), 0);
        const struct raft_append_entries *a = &out.append_entries;
        assert_int_equal(a->n_entries, N - from);
        assert_int_equal(a->prev_log_index, 100 + from);
        assert_int_equal(a->prev_log_term, from == 0 ? 19 : 19 + from);
        assert_int_equal(a->leader_commit, 99);
        for (unsigned i = 0; i < a->n_entries; i++) {
            const struct raft_entry *got = &a->entries[i], *want = &entries[from + i];
            assert_int_equal(got->term, want->term);
            assert_int_equal(got->type, want->type);
            assert_int_equal(got->buf.len, want->buf.len);
            assert_memory_equal(got->buf.base, want->buf.base, want->buf.len);
            assert_int_equal((uintptr_t)got->buf.base % 8, 0);
            assert_ptr_equal(got->batch, a->entries[0].buf.base);
        }
        qr_raft_wire_release(&out);
        for (size_t len = 0; len < bytes.len; len++)
            assert_int_equal(qr_raft_wire_decode(&out, qr_slice_of(bytes.base, len)),
                             QR_E_MALFORMED);
        qr_buf_release(&bytes);
    }
}

static void snapshots_come_with_their_configuration(void **state)
{
    (void)state;
    struct raft_message in = {.type = RAFT_INSTALL_SNAPSHOT,
                              .install_snapshot = {.term = 5,
                                                   .last_index = 600,
                                                   .last_term = 4,
                                                   .conf_index = 3,
                                                   .data = {"snapshot", 8}}},
                        out;
    raft_configuration_init(&in.install_snapshot.conf);
    raft_configuration_add(&in.install_snapshot.conf, 1, "10.0.0.1:19998", RAFT_VOTER);
    raft_configuration_add(&in.install_snapshot.conf, 2, "[::1]:19998", RAFT_STANDBY);
    raft_configuration_add(&in.install_snapshot.conf, 9, "", RAFT_SPARE);
    struct qr_buf bytes = {0};
    join(&bytes, &in, 0, 0);
    assert_int_equal(qr_raft_wire_decode(&out, qr_buf_slice(&bytes)), 0);
    const struct raft_install_snapshot *s = &out.install_snapshot;
    assert_int_equal(s->last_index, 600);
    assert_int_equal(s->last_term, 4);
    assert_int_equal(s->conf_index, 3);
    assert_int_equal(s->conf.n, 3);
    assert_int_equal(s->conf.servers[1].id, 2);
    assert_int_equal(s->conf.servers[1].role, RAFT_STANDBY);
    assert_string_equal(s->conf.servers[1].address, "[::1]:19998");
    assert_int_equal(s->data.len, 8);
    assert_memory_equal(s->data.base, "snapshot", 8);
    qr_raft_wire_release(&out);
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_equal(qr_raft_wire_decode(&out, qr_slice_of(bytes.base, len)), QR_E_MALFORMED);
    raft_configuration_close(&in.install_snapshot.conf);
    qr_buf_release(&bytes);
}

static int decode_with(const struct raft_message *m, size_t at, char value)
{
    struct qr_buf bytes = {0};
    struct raft_message out;
    join(&bytes, m, 0, m->type == RAFT_APPEND_ENTRIES ? m->append_entries.n_entries : 0);
    bytes.base[at] = value;
    int err = qr_raft_wire_decode(&out, qr_buf_slice(&bytes));
    if (err == 0)
        qr_raft_wire_release(&out);
    qr_buf_release(&bytes);
    return err;
}

static void lies_about_lengths_and_types_are_found(void **state)
{
    (void)state;
    struct raft_entry entries[N];
    uint64_t data[N][4];
    struct raft_message append = append_of(entries, data);
    assert_int_equal(decode_with(&append, 0, 1), 0);
    assert_int_equal(decode_with(&append, 0, 2), QR_E_VERSION); /* format */
    assert_int_equal(decode_with(&append, 1, 0), QR_E_VERSION); /* type */
    assert_int_equal(decode_with(&append, 1, 9), QR_E_VERSION);
    assert_int_equal(decode_with(&append, 3, 1), QR_E_MALFORMED); /* flags */
    assert_int_equal(decode_with(&append, 4, 1), QR_E_MALFORMED);
    assert_int_equal(decode_with(&append, 40, 4), QR_E_MALFORMED); /* entries */
    assert_int_equal(decode_with(&append, 40, 6), QR_E_MALFORMED);
    assert_int_equal(decode_with(&append, 47, 1), QR_E_MALFORMED);
    assert_int_equal(decode_with(&append, 56, 16), QR_E_MALFORMED); /* bytes of the first */
    assert_int_equal(decode_with(&append, 56, 7), QR_E_MALFORMED);
    assert_int_equal(decode_with(&append, 56, 0), QR_E_MALFORMED);
    assert_int_equal(decode_with(&append, 60, 4), QR_E_MALFORMED); /* its type */
    assert_int_equal(decode_with(&small[0], 3, 4), QR_E_MALFORMED);
}

static void what_no_member_would_decode_is_not_encoded(void **state)
{
    (void)state;
    struct raft_entry entries[QR_RAFT_WIRE_ENTRIES_MAX + 1];
    uint64_t word = 0;
    for (size_t i = 0; i < sizeof entries / sizeof *entries; i++)
        entries[i] = (struct raft_entry){.term = 1, .type = RAFT_COMMAND, .buf = {&word, 8}};
    struct raft_message m = {.type = RAFT_APPEND_ENTRIES, .append_entries = {.entries = entries}};
    struct qr_buf head = {0};
    assert_int_equal(qr_raft_wire_encode(&head, &m, 0, QR_RAFT_WIRE_ENTRIES_MAX), 0);
    size_t len = head.len;
    assert_int_equal(qr_raft_wire_encode(&head, &m, 0, QR_RAFT_WIRE_ENTRIES_MAX + 1), QR_E_LIMIT);
    entries[1].buf.len = 12;
    assert_int_equal(qr_raft_wire_encode(&head, &m, 0, 2), QR_E_LIMIT);
    entries[1].buf.len = QR_ENTRY_BYTES_MAX + 8;
    assert_int_equal(qr_raft_wire_encode(&head, &m, 0, 2), QR_E_LIMIT);
    assert_int_equal(head.len, len);
    m = (struct raft_message){.type = (enum raft_message_type)77};
    assert_int_equal(qr_raft_wire_encode(&head, &m, 0, 0), QR_E_UNSUPPORTED);
    qr_buf_release(&head);
}

static void write_corpus(const char *name, struct qr_buf *bytes)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", getenv("QR_WRITE_CORPUS"), name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(bytes->base, 1, bytes->len, file);
    fclose(file);
    qr_buf_release(bytes);
}

/* QR_WRITE_CORPUS=dir: one file a type, to begin fuzzing with. */
static void corpus_can_be_written(void **state)
{
    (void)state;
    if (getenv("QR_WRITE_CORPUS") == NULL)
        return;
    struct raft_entry entries[N];
    uint64_t data[N][4];
    struct raft_message append = append_of(entries, data);
    struct qr_buf bytes = {0};
    join(&bytes, &append, 0, N);
    write_corpus("append", &bytes);
    for (size_t i = 0; i < sizeof small / sizeof *small; i++) {
        char name[16];
        snprintf(name, sizeof name, "small-%zu", i);
        join(&bytes, &small[i], 0, 0);
        write_corpus(name, &bytes);
    }
    struct raft_message snapshot = {.type = RAFT_INSTALL_SNAPSHOT,
                                    .install_snapshot = {.term = 5, .data = {"snapshot", 8}}};
    raft_configuration_init(&snapshot.install_snapshot.conf);
    raft_configuration_add(&snapshot.install_snapshot.conf, 1, "a:1", RAFT_VOTER);
    join(&bytes, &snapshot, 0, 0);
    write_corpus("snapshot", &bytes);
    raft_configuration_close(&snapshot.install_snapshot.conf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_messages_come_back),
        cmocka_unit_test(fields_arrive_in_their_places),
        cmocka_unit_test(entries_arrive_in_one_aligned_block),
        cmocka_unit_test(snapshots_come_with_their_configuration),
        cmocka_unit_test(lies_about_lengths_and_types_are_found),
        cmocka_unit_test(what_no_member_would_decode_is_not_encoded),
        cmocka_unit_test(corpus_can_be_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
