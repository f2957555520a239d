#include "node/glue.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "cluster/ownership.h"
#include "node/bodies.h"
#include "storage/entry.h"
#include "storage/query.h"
#include "storage/value.h"
#include "testing/cmocka.h"

#define T0 1795405200

struct fixture {
    struct qr_store *store;
    struct qr_glue glue;
    struct qr_sink sink;
    struct qr_ownership ownership;
    uint64_t index, effect;
    int refused;
    uint32_t forgotten;
    struct qr_entry_base base; /* Of a session that writes chart 1. */
};

static void on_refused(void *data, uint32_t host, uint32_t epoch, int error)
{
    (void)host;
    (void)epoch;
    struct fixture *f = data;
    f->refused = error;
}

static void on_forgotten(void *data, uint32_t host)
{
    struct fixture *f = data;
    f->forgotten = host;
}

static void on_sealed(void *data, const struct qr_block_id *id, int status, uint64_t bytes,
                      uint64_t hash)
{
    (void)data, (void)id, (void)status, (void)bytes, (void)hash;
}

static void on_bad_block(void *data, const char *name, const char *sentence)
{
    (void)data, (void)name, (void)sentence;
}

static char dir[] = "/tmp/quorate-glue-XXXXXX";

static void open_fixture(struct fixture *f)
{
    *f = (struct fixture){0};
    struct qr_store_config config = {.disk = &qr_disk_files, .dir = dir, .window_s = 600};
    struct qr_store_events events = {f, on_sealed, on_bad_block};
    assert_int_equal(qr_store_open(&f->store, &config, &events), 0);
    assert_int_equal(qr_glue_init(&f->glue, f->store, 1, 1), 0);
    f->glue.refused = on_refused;
    f->glue.forgotten = on_forgotten;
    f->glue.data = f;
    f->sink = qr_glue_sink(&f->glue);
    qr_ownership_init(&f->ownership);
}

static void close_fixture(struct fixture *f)
{
    qr_entry_base_release(&f->base);
    qr_ownership_release(&f->ownership);
    qr_glue_release(&f->glue);
    qr_store_close(f->store);
}

static int apply(struct fixture *f, enum qr_command_type type, uint32_t member, struct qr_buf *body)
{
    struct qr_command command = {.type = type,
                                 .member = member,
                                 .time_us = (int64_t)T0 * 1000000,
                                 .body = qr_buf_slice(body)};
    int err = f->sink.apply(f->sink.data, &command, &f->ownership, ++f->index, &f->effect);
    qr_buf_release(body);
    return err;
}

static struct qr_guid guid_of(uint8_t n)
{
    return (struct qr_guid){{n, 1, 2, 3}};
}

static uint32_t add_host(struct fixture *f, uint8_t n)
{
    struct qr_buf body = {0};
    struct qr_guid guid = guid_of(n);
    struct qr_host_def def = {.guid = guid,
                              .hostname = "h",
                              .registry_hostname = "h",
                              .os = "linux",
                              .timezone = "UTC",
                              .abbrev_timezone = "UTC",
                              .update_every = 1,
                              .hops = 1,
                              .program_name = "netdata",
                              .program_version = "v1.37.1"};
    assert_int_equal(qr_host_def_encode(&body, &def), 0);
    assert_int_equal(apply(f, QR_COMMAND_HOST, 1, &body), 0);
    return f->sink.host_id(f->sink.data, &guid);
}

static int add_chart(struct fixture *f, uint32_t host, uint32_t member, uint32_t epoch)
{
    struct qr_dim_def dims[] = {{"a", "a", 1, 1, 0, 0}, {"b", "b", 1, 1, 0, 0}};
    struct qr_chart_def def = {.id = "t.c",
                               .name = "t.c",
                               .title = "",
                               .units = "",
                               .family = "",
                               .context = "t.c",
                               .plugin = "",
                               .module = "",
                               .priority = 1,
                               .update_every = 1,
                               .n_dims = 2,
                               .dims = dims};
    struct qr_buf encoded = {0};
    struct qr_charts_body body;
    assert_int_equal(qr_chart_def_encode(&encoded, &def), 0);
    qr_charts_body_init(&body, host, epoch);
    qr_charts_body_add(&body, qr_buf_slice(&encoded));
    qr_buf_release(&encoded);
    int err = apply(f, QR_COMMAND_CHARTS, member, qr_charts_body_finish(&body));
    qr_charts_body_release(&body);
    return err;
}

/* A block of one row, written against the one before of this fixture. */
static struct qr_buf make_row(struct fixture *f, uint32_t host, uint32_t epoch, uint32_t seq,
                              int64_t end_s, double value)
{
    struct qr_entry_block block;
    struct qr_entry_block *blocks[] = {&block};
    struct qr_buf body = {0};
    uint32_t cells[] = {qr_value_pack(value, 0), qr_value_pack(-value, 0)};
    qr_entry_block_init(&block);
    block.host = host;
    block.epoch = epoch;
    block.block_seq = seq;
    assert_int_equal(qr_entry_block_row(&block, &f->base, 1, end_s, cells, 2), 0);
    assert_int_equal(qr_entry_encode(&body, blocks, 1), 0);
    qr_entry_block_release(&block);
    return body;
}

static int add_row(struct fixture *f, uint32_t host, uint32_t member, uint32_t epoch, uint32_t seq,
                   int64_t end_s, double value)
{
    struct qr_buf body = make_row(f, host, epoch, seq, end_s, value);
    return apply(f, QR_COMMAND_SAMPLES, member, &body);
}

static double stored(struct fixture *f, int64_t end_s)
{
    struct qr_query *query;
    struct qr_slab slab;
    double value = 0;
    int slot = qr_store_enter(f->store);
    struct qr_chart *chart = qr_store_chart_by_id(f->store, 1);
    assert_non_null(chart);
    assert_int_equal(qr_query_open(&query, f->store, chart, end_s, end_s), 0);
    if (qr_query_next(query, &slab) == 1 && !qr_value_is_empty(qr_slab_at(&slab, 0, 0)))
        value = qr_value_unpack(qr_slab_at(&slab, 0, 0)); /* otherwise 0: nothing is stored */
    qr_query_close(query);
    qr_store_leave(f->store, slot);
    return value;
}

static void an_older_epoch_adds_nothing(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_owner owner;
    open_fixture(&f);
    uint32_t host = add_host(&f, 1);
    assert_int_equal(host, 1);
    assert_int_equal(qr_ownership_take(&f.ownership, host, 1, &owner), 0);
    assert_int_equal(add_chart(&f, host, 1, owner.epoch), 0);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 1, T0 + 1, 5), 0);
    assert_true(stored(&f, T0 + 1) == 5);
    assert_int_equal(qr_glue_newest_index(&f.glue, host), f.index);

    struct qr_owner next;
    assert_int_equal(qr_ownership_take(&f.ownership, host, 2, &next), 0);
    uint64_t before = qr_glue_newest_index(&f.glue, host);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 2, T0 + 2, 6), 0); /* entry ok, block not */
    assert_true(stored(&f, T0 + 2) == 0);
    assert_int_equal(f.glue.n_fenced_blocks, 1);
    assert_int_equal(qr_glue_newest_index(&f.glue, host), before);
    assert_int_equal(add_chart(&f, host, 1, owner.epoch), QR_E_FENCED);

    qr_entry_base_reset(&f.base); /* the new owner's session */
    assert_int_equal(add_row(&f, host, 2, next.epoch, 1, T0 + 2, 7), 0);
    assert_true(stored(&f, T0 + 2) == 7);
    close_fixture(&f);
}

static int tell_host(struct fixture *f, uint8_t n, uint32_t member, const char *hostname)
{
    struct qr_buf body = {0};
    struct qr_host_def def = {.guid = guid_of(n),
                              .hostname = hostname,
                              .registry_hostname = hostname,
                              .os = "linux",
                              .timezone = "UTC",
                              .abbrev_timezone = "UTC",
                              .update_every = 1,
                              .hops = 1,
                              .program_name = "netdata",
                              .program_version = "v1.37.1"};
    assert_int_equal(qr_host_def_encode(&body, &def), 0);
    return apply(f, QR_COMMAND_HOST, member, &body);
}

static void only_its_owner_says_what_a_host_is(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_owner owner;
    open_fixture(&f);
    uint32_t host = add_host(&f, 1);
    const struct qr_host *known = qr_store_host_by_id(f.store, host);
    assert_int_equal(tell_host(&f, 1, 2, "anybody"), 0); /* nobody owns it yet */
    assert_int_equal(qr_ownership_take(&f.ownership, host, 1, &owner), 0);
    assert_int_equal(tell_host(&f, 1, 2, "other"), QR_E_FENCED);
    assert_string_equal(atomic_load(&known->def)->hostname, "anybody");
    assert_int_equal(tell_host(&f, 1, 1, "renamed"), 0);
    assert_string_equal(atomic_load(&known->def)->hostname, "renamed");
    close_fixture(&f);
}

static void the_first_value_stays_and_a_jump_is_told(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_owner owner;
    open_fixture(&f);
    uint32_t host = add_host(&f, 1);
    qr_ownership_take(&f.ownership, host, 1, &owner);
    add_chart(&f, host, 1, owner.epoch);
    add_row(&f, host, 1, owner.epoch, 1, T0 + 1, 5);
    uint64_t effect = f.effect;
    add_row(&f, host, 1, owner.epoch, 2, T0 + 1, 9); /* a replayed duplicate */
    assert_true(stored(&f, T0 + 1) == 5);
    assert_true(f.effect != effect); /* nothing new was stored: the digest says so */
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 4, T0 + 2, 6), 0); /* 3 is missing */
    assert_int_equal(f.refused, QR_E_GAP);
    assert_true(stored(&f, T0 + 2) == 0);
    close_fixture(&f);
}

static int forget(struct fixture *f, uint32_t host, uint32_t chart, bool only_expired)
{
    static struct qr_forget_body what;
    struct qr_buf body = {0};
    what = (struct qr_forget_body){only_expired, 0, 1, {{host, chart}}};
    assert_int_equal(qr_forget_encode(&body, &what), 0);
    return apply(f, QR_COMMAND_FORGET, 3, &body);
}

/* Whoever still knows it by its id is told, and starts over. */
static void what_is_forgotten_is_told_to_its_session(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_owner owner;
    open_fixture(&f);
    uint32_t host = add_host(&f, 1);
    qr_ownership_take(&f.ownership, host, 1, &owner);
    add_chart(&f, host, 1, owner.epoch);
    add_row(&f, host, 1, owner.epoch, 1, T0 + 1, 5);
    uint64_t effect = f.effect;
    assert_int_equal(forget(&f, host, 1, true), 0); /* It has data. */
    assert_int_equal(f.forgotten, 0);
    assert_true(stored(&f, T0 + 1) == 5);
    assert_int_equal(forget(&f, host, 1, false), 0);
    assert_true(f.effect != effect);
    assert_int_equal(f.forgotten, host);
    assert_null(qr_store_chart_by_id(f.store, 1));
    /* A row that is written in full does not need the chart: its session would not notice. */
    f.refused = 0;
    qr_entry_base_reset(&f.base);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 2, T0 + 2, 6), 0);
    assert_int_equal(f.refused, QR_E_UNKNOWN);
    assert_int_equal(forget(&f, host, 0, false), 0);
    assert_int_equal(qr_ownership_get(&f.ownership, host).member, 0);
    assert_int_equal(add_chart(&f, host, 1, owner.epoch), QR_E_FENCED);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 3, T0 + 3, 6), 0);
    assert_int_equal(f.glue.n_fenced_blocks, 1);
    assert_int_equal(forget(&f, host, 0, false), 0); /* Twice is once. */
    assert_int_equal(add_host(&f, 1), host + 1);
    close_fixture(&f);
}

/* Rows are written against rows before: what a member must never do is to guess those. */
static void a_block_without_its_base_is_refused_as_a_whole(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_owner owner;
    open_fixture(&f);
    uint32_t host = add_host(&f, 1);
    qr_ownership_take(&f.ownership, host, 1, &owner);
    add_chart(&f, host, 1, owner.epoch);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 1, T0 + 1, 5), 0);
    /* A new epoch, and a session that goes on as if it had told its rows before. */
    qr_ownership_take(&f.ownership, host, 1, &owner);
    uint64_t effect = f.effect;
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 1, T0 + 2, 6), 0);
    assert_int_equal(f.refused, QR_E_GAP);
    assert_true(f.effect != effect);
    assert_true(stored(&f, T0 + 2) == 0);
    assert_int_equal(f.glue.n_refused_blocks, 1);
    assert_int_equal(qr_ownership_get(&f.ownership, host).block_seq, 0); /* not taken */
    /* Nothing of this epoch counts after that, not even a KEY row. */
    f.refused = 0;
    qr_entry_base_reset(&f.base);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 2, T0 + 3, 7), 0);
    assert_int_equal(f.refused, QR_E_GAP);
    assert_true(stored(&f, T0 + 3) == 0);
    /* In the next one all is well. */
    f.refused = 0;
    qr_entry_base_reset(&f.base);
    qr_ownership_take(&f.ownership, host, 1, &owner);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 1, T0 + 2, 6), 0);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 2, T0 + 3, 7), 0);
    assert_int_equal(f.refused, 0);
    assert_true(stored(&f, T0 + 2) == 6 && stored(&f, T0 + 3) == 7);
    /* A block that was lost where its number does not tell: the values do. */
    struct qr_buf lost = make_row(&f, host, owner.epoch, 3, T0 + 4, 8);
    qr_buf_release(&lost);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 3, T0 + 5, 9), 0);
    assert_int_equal(f.refused, QR_E_CORRUPT);
    assert_true(stored(&f, T0 + 5) == 0);
    close_fixture(&f);
}

static int take_snapshot(struct fixture *f, struct qr_buf *out)
{
    void *pin;
    int err = f->sink.snapshot_begin(f->sink.data, &pin);
    if (err != 0)
        return err;
    err = f->sink.snapshot(f->sink.data, pin, out);
    f->sink.snapshot_end(f->sink.data, pin);
    return err;
}

/* The base is what the log said last, stored or not. */
static void rows_that_do_not_count_move_the_base(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_owner owner;
    struct qr_buf snapshot = {0};
    open_fixture(&f);
    uint32_t host = add_host(&f, 1);
    qr_ownership_take(&f.ownership, host, 1, &owner);
    add_chart(&f, host, 1, owner.epoch);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 1, T0 + 1, 5), 0);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 2, T0 + 1, 9), 0); /* repeated */
    assert_int_equal(take_snapshot(&f, &snapshot), 0);
    void *state_read;
    assert_int_equal(f.sink.restore(f.sink.data, qr_buf_slice(&snapshot), &state_read), 0);
    f.sink.replace(f.sink.data, state_read);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 3, T0 + 2, 12), 0);
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 4, T0 + 90000, 11), 0); /* in days */
    assert_int_equal(add_row(&f, host, 1, owner.epoch, 5, T0 + 90001, 13), 0);
    assert_int_equal(f.glue.n_rows_refused, 2);
    assert_int_equal(f.refused, QR_E_LIMIT); /* The owner begins the session again. */
    assert_true(stored(&f, T0 + 1) == 5 && stored(&f, T0 + 2) == 12);
    qr_buf_release(&snapshot);
    close_fixture(&f);
}

/* 60000 dimensions, 80 rows: more than QR_GLUE_CHEAP_HEAD_BYTES in the head. */
static void fill_head(struct fixture *f, uint32_t host)
{
    enum { N_DIMS = 60000 };
    struct qr_dim_def *dims = calloc(N_DIMS, sizeof *dims);
    char(*ids)[8] = calloc(N_DIMS, sizeof *ids);
    uint32_t *cells = calloc(N_DIMS, sizeof *cells);
    struct qr_chart_def *def;
    struct qr_buf body = {0};
    uint32_t chart;
    for (uint32_t i = 0; i < N_DIMS; i++) {
        snprintf(ids[i], sizeof ids[i], "%u", i);
        dims[i] = (struct qr_dim_def){ids[i], ids[i], 1, 1, 0, 0};
    }
    struct qr_chart_def told = {.id = "big",
                                .name = "big",
                                .title = "",
                                .units = "",
                                .family = "",
                                .context = "",
                                .plugin = "",
                                .module = "",
                                .update_every = 1,
                                .n_dims = N_DIMS,
                                .dims = dims};
    assert_int_equal(qr_chart_def_encode(&body, &told), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&body));
    assert_int_equal(qr_chart_def_decode(&def, &in), 0);
    assert_int_equal(qr_store_apply_chart(f->store, host, def, &chart), 0);
    for (int64_t t = 1; t <= 80; t++) {
        uint32_t n;
        assert_int_equal(qr_store_apply_row(f->store, host, chart, T0, T0 + t, cells, N_DIMS, &n),
                         0);
    }
    qr_buf_release(&body);
    free(dims);
    free(ids);
    free(cells);
}

static void a_snapshot_waits_for_a_small_head_but_not_for_ever(void **state)
{
    (void)state;
    struct fixture f;
    struct qr_buf snapshot = {0};
    struct qr_owner owner;
    open_fixture(&f);
    f.glue.snapshot_wait_bytes = 500;
    uint32_t host = add_host(&f, 1);
    assert_int_equal(qr_ownership_take(&f.ownership, host, 1, &owner), 0);
    assert_int_equal(take_snapshot(&f, &snapshot), 0); /* small */
    qr_buf_clear(&snapshot);
    fill_head(&f, host);
    assert_int_equal(take_snapshot(&f, &snapshot), QR_E_BUSY);
    assert_int_equal(snapshot.len, 0);
    for (int i = 0; i < 10; i++)
        add_host(&f, (uint8_t)(2 + i)); /* the log grows */
    assert_int_equal(take_snapshot(&f, &snapshot), 0);
    assert_true(snapshot.len > 0);

    /* After a seal at once, however large it is: it will not be smaller. */
    assert_int_equal(take_snapshot(&f, &snapshot), QR_E_BUSY);
    struct qr_buf seal = {0};
    qr_time_body_encode(&seal, T0 - 600);
    const struct qr_command command = {
        .type = QR_COMMAND_SEAL, .member = 1, .time_us = 1, .body = qr_buf_slice(&seal)};
    assert_int_equal(f.sink.apply(f.sink.data, &command, &f.ownership, ++f.index, &f.effect), 0);
    assert_int_equal(take_snapshot(&f, &snapshot), 0);
    qr_buf_release(&seal);
    qr_buf_release(&snapshot);
    close_fixture(&f);
}

static void refuses_bodies_that_are_cut_or_too_long(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    add_host(&f, 1);
    static const enum qr_command_type types[] = {
        QR_COMMAND_HOST,       QR_COMMAND_CHARTS, QR_COMMAND_SAMPLES,
        QR_COMMAND_HOST_STATE, QR_COMMAND_SEALED, QR_COMMAND_SEAL,
        QR_COMMAND_RETAIN,     QR_COMMAND_MERGE,  QR_COMMAND_FORGET};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        struct qr_buf empty = {0};
        struct qr_buf garbage = {0};
        assert_true(apply(&f, types[i], 1, &empty) < 0);
        for (int n = 0; n < 40; n++)
            qr_buf_add_u8(&garbage, (uint8_t)(n * 37 + 201));
        assert_true(apply(&f, types[i], 1, &garbage) < 0);
    }
    close_fixture(&f);
}

static int setup(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_older_epoch_adds_nothing),
        cmocka_unit_test(only_its_owner_says_what_a_host_is),
        cmocka_unit_test(the_first_value_stays_and_a_jump_is_told),
        cmocka_unit_test(what_is_forgotten_is_told_to_its_session),
        cmocka_unit_test(a_block_without_its_base_is_refused_as_a_whole),
        cmocka_unit_test(rows_that_do_not_count_move_the_base),
        cmocka_unit_test(a_snapshot_waits_for_a_small_head_but_not_for_ever),
        cmocka_unit_test(refuses_bodies_that_are_cut_or_too_long),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
