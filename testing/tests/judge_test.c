/* Histories that are well pass; each rule catches the one line that was doctored for it.
 * Tests also: journal, judge_values. */
#include "testing/judge.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "testing/cmocka.h"
#include "testing/journal.h"
#include "testing/model.h"
#include "testing/process.h"

#define FIRST_S     INT64_C(1700000000)
#define ASKED_S     (FIRST_S + 6)
#define CALM_S      (FIRST_S + 12)
#define N_LINES_MAX 64

static const struct qr_model model = {
    .seed = 5, .n_hosts = 1, .n_charts = 1, .n_dims = 2, .update_every = 1, .mix = true};

/* A history as an array of events, made anew for each test, which then doctors it. */
struct history {
    json_t *lines[N_LINES_MAX];
    size_t n;
    int64_t t_ms;
};

static json_t *add(struct history *h, const char *event, json_t *fields)
{
    assert_true(h->n < N_LINES_MAX);
    assert_non_null(fields);
    json_object_set_new(fields, "t", json_integer(h->t_ms += 100));
    json_object_set_new(fields, "e", json_string(event));
    h->lines[h->n++] = fields;
    return fields;
}

static json_t *answer(int64_t from_s, int64_t to_s)
{
    json_t *rows = json_array();
    for (int64_t t = from_s; t <= to_s; t++) {
        json_t *row = json_pack("[I]", (json_int_t)t);
        for (uint32_t dim = 0; dim < model.n_dims; dim++) {
            double value;
            if (qr_model_value(&model, 0, 0, dim, t, &value))
                json_array_append_new(row, json_real(value));
            else
                json_array_append_new(row, json_null());
        }
        json_array_append_new(rows, row);
    }
    return json_pack("{s:[s,s,s], s:o}", "labels", "time", "dim_0", "dim_1", "data", rows);
}

static json_t *said(int member, int applied, int64_t watermark_s)
{
    char guid[QR_GUID_TEXT_LEN + 1], hash[24];
    struct qr_guid bytes;
    qr_model_guid(&model, 0, &bytes);
    qr_guid_format(&bytes, guid);
    snprintf(hash, sizeof hash, "%016x", 7 * applied);
    return json_pack(
        "{s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:b, s:i, s:[], s:[{s:s, s:i, s:i, s:I}]}", "member",
        member, "uptime_s", 9, "leader", 1, "term", 3, "applied", applied, "commit", applied,
        "hash", hash, "ready", 1, "level", 0, "peers", "children", "guid", guid, "owner", 1,
        "epoch", 4, "watermark", (json_int_t)watermark_s);
}

static json_t *reading(int member, bool final, int64_t from_s, int64_t to_s)
{
    return json_pack("{s:i, s:i, s:i, s:i, s:I, s:I, s:b, s:i, s:o}", "member", member, "load", 0,
                     "host", 0, "chart", 0, "from", (json_int_t)from_s, "to", (json_int_t)to_s,
                     "final", final, "status", 200, "answer", answer(from_s, to_s));
}

/* Places in the history that the tests doctor. */
struct well {
    struct history h;
    json_t *first_read, *second_read, *final_read, *fault, *exit, *last_said, *blocks, *calm;
};

static void make(struct well *w)
{
    struct history *h = &w->h;
    memset(w, 0, sizeof *w);
    h->t_ms = FIRST_S * 1000;
    add(h, "begin",
        json_pack("{s:i, s:s, s:i, s:i, s:[s]}", "version", QR_JOURNAL_VERSION, "name", "test",
                  "members", 2, "recover_ms", 2000, "kinds", "kill"));
    for (int member = 1; member <= 2; member++)
        add(h, "start", json_pack("{s:i}", "member", member));
    add(h, "load",
        json_pack("{s:i, s:i, s:i, s:i, s:i, s:I, s:i, s:b}", "id", 0, "seed", 5, "hosts", 1,
                  "charts", 1, "dims", 2, "first", (json_int_t)FIRST_S, "last", 0, "live", 1));
    add(h, "said", said(1, 10, ASKED_S + 1));
    add(h, "said", said(2, 10, ASKED_S + 1));
    w->first_read = add(h, "read", reading(1, false, ASKED_S, ASKED_S + 2));
    add(h, "said", said(1, 11, ASKED_S + 2));
    add(h, "said", said(2, 12, ASKED_S + 2));
    w->second_read = add(h, "read", reading(2, false, ASKED_S, ASKED_S + 3));
    w->fault =
        add(h, "fault",
            json_pack("{s:i, s:s, s:s, s:i}", "id", 1, "kind", "kill", "what", "", "member", 2));
    w->exit = add(h, "exit", json_pack("{s:i, s:i, s:s}", "member", 2, "status", 9, "by", "fault"));
    add(h, "start", json_pack("{s:i}", "member", 2));
    add(h, "over", json_pack("{s:i}", "id", 1));
    w->calm = add(h, "calm", json_pack("{s:I}", "to", (json_int_t)CALM_S));
    add(h, "said", said(1, 20, CALM_S));
    w->last_said = add(h, "said", said(2, 20, CALM_S));
    add(h, "read", reading(1, true, ASKED_S, CALM_S));
    w->final_read = add(h, "read", reading(2, true, ASKED_S, CALM_S));
    add(h, "blocks", json_pack("{s:i, s:{s:s, s:s}}", "member", 1, "files", "a", "1", "b", "2"));
    w->blocks = add(h, "blocks",
                    json_pack("{s:i, s:{s:s, s:s}}", "member", 2, "files", "a", "1", "b", "2"));
    add(h, "end", json_object());
}

/* Judges it; forgets it.  `number`: lines get their numbers first. */
static struct qr_judge_verdict judge_lines(struct well *w, bool number)
{
    struct qr_judge *judge = qr_judge_new();
    assert_non_null(judge);
    for (size_t i = 0; i < w->h.n; i++) {
        if (number)
            json_object_set_new(w->h.lines[i], "n", json_integer((json_int_t)i + 1));
        char *line = json_dumps(w->h.lines[i], JSON_COMPACT | JSON_REAL_PRECISION(12));
        qr_judge_line(judge, line, strlen(line));
        free(line);
        json_decref(w->h.lines[i]);
    }
    struct qr_judge_verdict verdict = *qr_judge_end(judge);
    qr_judge_free(judge);
    return verdict;
}

/* It was caught by this rule, and by no other. */
static void assert_caught(struct well *w, const char *rule)
{
    struct qr_judge_verdict v = judge_lines(w, true);
    assert_true(v.n_findings > 0);
    for (uint64_t i = 0; i < v.n_findings && i < QR_JUDGE_FINDINGS_MAX; i++)
        assert_string_equal(v.findings[i].rule, rule);
}

static void set(json_t *line, const char *key, json_t *value)
{
    assert_int_equal(json_object_set_new(line, key, value), 0);
}

static json_t *rows_of(json_t *read)
{
    return json_object_get(json_object_get(read, "answer"), "data");
}

static void add_to_value(json_t *read, size_t row, double change)
{
    json_t *cell = json_array_get(json_array_get(rows_of(read), row), 1);
    assert_true(json_is_real(cell));
    json_real_set(cell, json_real_value(cell) + change);
}

static json_t *child_of(json_t *said_line)
{
    return json_array_get(json_object_get(said_line, "children"), 0);
}

static void a_well_run_passes(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    struct qr_judge_verdict v = judge_lines(&w, true);
    for (uint64_t i = 0; i < v.n_findings; i++)
        print_message("%s: %s\n", v.findings[i].rule, v.findings[i].text);
    assert_int_equal(v.n_findings, 0);
    assert_int_equal(v.n_finals, 2);
    assert_int_equal(v.n_faults, 1);
    assert_int_equal(v.n_blocks, 2);
    assert_true(v.n_checked > 20);
    assert_in_range(v.recovered_ms, 1, 2000);
}

static void a_line_that_is_missing_or_torn_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    for (size_t i = 0; i < w.h.n; i++)
        json_object_set_new(w.h.lines[i], "n", json_integer((json_int_t)i + 1 + (i > 7)));
    struct qr_judge_verdict v = judge_lines(&w, false);
    assert_true(v.n_findings > 0);
    assert_string_equal(v.findings[0].rule, "format");

    make(&w);
    json_decref(w.h.lines[--w.h.n]); /* No end. */
    assert_caught(&w, "format");

    struct qr_judge *judge = qr_judge_new();
    qr_judge_line(judge, "{\"n\":1,\"t\":5,\"e\":\"beg", 22);
    assert_string_equal(qr_judge_end(judge)->findings[0].rule, "format");
    qr_judge_free(judge);
}

static void a_value_that_changes_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    /* Too little to be wrong, and yet not what another member answered. */
    add_to_value(w.second_read, 0, 1e-7);
    assert_caught(&w, "changed");
}

static void a_value_that_is_gone_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    json_array_remove(rows_of(w.second_read), 1);
    assert_caught(&w, "lost");

    make(&w); /* A damaged file excuses it only while there is another fault. */
    json_array_remove(rows_of(w.final_read), 1);
    json_array_remove(rows_of(w.h.lines[w.h.n - 5]), 1);
    set(w.fault, "file", json_string("b"));
    struct qr_judge_verdict v = judge_lines(&w, true);
    assert_true(v.n_findings >= 2);
    assert_string_equal(v.findings[0].rule, "hole");
    assert_string_equal(v.findings[1].rule, "lost");
}

/* What a member says of itself may be older than its answer. */
static void what_was_said_before_an_answer_does_not_bound_it(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.h.lines[7], "uptime_s", json_integer(0));
    json_array_remove(rows_of(w.second_read), 1);
    assert_int_equal(judge_lines(&w, true).n_findings, 0);
}

/* Nobody may say the member had it: it had applied less. */
static void a_value_that_is_not_there_yet_is_no_loss(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.h.lines[8], "applied", json_integer(10));
    set(w.h.lines[8], "commit", json_integer(10));
    set(w.h.lines[8], "hash", json_string("0000000000000046"));
    json_array_remove(rows_of(w.second_read), 1);
    assert_int_equal(judge_lines(&w, true).n_findings, 0);
}

/* Two members, one with a wrong clock; `waits_ms` after both have started. */
static void make_clock_wrong(struct well *w, const char *what, int64_t waits_ms)
{
    make(w);
    set(w->h.lines[0], "kinds", json_pack("[s]", "clock"));
    /* The clock goes wrong before the read. */
    json_t *read = w->h.lines[9];
    w->h.lines[9] = w->h.lines[10];
    w->h.lines[10] = read;
    json_t *t = json_incref(json_object_get(w->h.lines[9], "t"));
    json_object_set(w->h.lines[9], "t", json_object_get(read, "t"));
    json_object_set_new(read, "t", t);
    for (size_t i = 3; i < w->h.n; i++) {
        int64_t at_ms = json_integer_value(json_object_get(w->h.lines[i], "t"));
        set(w->h.lines[i], "t", json_integer(at_ms + waits_ms));
    }
    set(w->fault, "kind", json_string("clock"));
    set(w->fault, "what", json_string(what));
    json_array_remove(rows_of(w->second_read), 1);
}

static void seconds_to_come_are_not_answered_while_the_time_is_unknown(void **state)
{
    (void)state;
    struct well w;
    make_clock_wrong(&w, "ahead", 0);
    assert_caught(&w, "lost");
    make_clock_wrong(&w, "behind", 0); /* Nothing is agreed on yet. */
    assert_int_equal(judge_lines(&w, true).n_findings, 0);
    make_clock_wrong(&w, "behind", 5000); /* One wrong clock decides nothing. */
    assert_caught(&w, "lost");
}

static void a_wrong_value_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    add_to_value(w.final_read, 6, 1); /* The same on both members. */
    add_to_value(w.h.lines[w.h.n - 5], 6, 1);
    assert_caught(&w, "wrong");
}

static void a_second_twice_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    json_array_append(rows_of(w.second_read), json_array_get(rows_of(w.second_read), 1));
    assert_caught(&w, "duplicate");
}

static void a_hole_at_the_end_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    json_array_remove(rows_of(w.final_read), 6); /* No one was asked for it before. */
    json_array_remove(rows_of(w.h.lines[w.h.n - 5]), 6);
    assert_caught(&w, "hole");
}

static void a_final_question_without_an_answer_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.final_read, "status", json_integer(503));
    assert_caught(&w, "failed");
}

static void a_final_question_that_was_not_asked_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.final_read, "final", json_false());
    assert_caught(&w, "nothing");
}

static void a_kind_of_fault_that_never_came_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.h.lines[0], "kinds", json_pack("[s,s]", "kill", "pause"));
    assert_caught(&w, "nothing");
}

static void an_index_that_goes_back_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.last_said, "commit", json_integer(20));
    /* Only between answers of one process. */
    set(w.h.lines[7], "term", json_integer(2));
    assert_caught(&w, "went-back");
}

static void an_epoch_that_goes_back_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(child_of(w.h.lines[7]), "epoch", json_integer(3));
    assert_caught(&w, "went-back");
}

static void two_states_at_one_index_are_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.last_said, "hash", json_string("0000000000000001"));
    assert_caught(&w, "two-states");
}

static void what_a_peer_says_of_another_counts(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.last_said, "peers",
        json_pack("[{s:i, s:i, s:s}]", "id", 1, "applied", 10, "hash", "00000000deadbeef"));
    assert_caught(&w, "two-states");
}

static void two_leaders_in_a_term_are_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.last_said, "leader", json_integer(2));
    assert_caught(&w, "leaders");
}

static void two_owners_in_an_epoch_are_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(child_of(w.last_said), "owner", json_integer(2));
    assert_caught(&w, "owners");
}

static void a_member_that_ends_by_itself_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.exit, "by", json_string("itself"));
    assert_caught(&w, "exit");

    make(&w);
    set(w.h.lines[0], "kinds", json_pack("[s]", "full"));
    set(w.fault, "kind", json_string("full"));
    set(w.exit, "by", json_string("itself"));
    assert_caught(&w, "exit"); /* By a signal: a full disk does not excuse that. */

    make(&w);
    set(w.h.lines[0], "kinds", json_pack("[s]", "full"));
    set(w.fault, "kind", json_string("full"));
    set(w.exit, "by", json_string("itself"));
    set(w.exit, "status", json_integer(1 << 8));
    assert_int_equal(judge_lines(&w, true).n_findings, 0);
}

static void a_member_that_does_not_come_back_is_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(w.last_said, "level", json_integer(1));
    assert_caught(&w, "recovery");

    make(&w); /* It does, too late. */
    for (size_t i = 0; i < w.h.n; i++)
        if (i + 6 >= w.h.n)
            set(w.h.lines[i], "t", json_integer(w.h.t_ms + 5000));
    assert_caught(&w, "recovery");

    make(&w); /* It does, and lacks the newest second. */
    set(child_of(w.last_said), "watermark", json_integer(CALM_S - 1));
    assert_caught(&w, "recovery");
}

static void block_files_that_differ_are_found(void **state)
{
    (void)state;
    struct well w;
    make(&w);
    set(json_object_get(w.blocks, "files"), "b", json_string("3"));
    assert_caught(&w, "blocks");

    make(&w);
    json_object_del(json_object_get(w.blocks, "files"), "b");
    assert_caught(&w, "blocks");

    make(&w);
    set(json_object_get(w.blocks, "files"), "c", json_string("3"));
    assert_caught(&w, "blocks");

    make(&w); /* Damaged by the fault: on that member it may be another. */
    set(w.fault, "file", json_string("b"));
    set(json_object_get(w.blocks, "files"), "b", json_string("3"));
    assert_int_equal(judge_lines(&w, true).n_findings, 0);

    make(&w);
    set(w.fault, "file", json_string("a"));
    set(json_object_get(w.blocks, "files"), "b", json_string("3"));
    assert_caught(&w, "blocks");
}

static void a_journal_is_read_as_it_was_written(void **state)
{
    (void)state;
    char dir[QR_TEMP_DIR_BYTES], path[QR_TEMP_DIR_BYTES + 16];
    struct qr_journal journal;
    struct well w;
    qr_temp_dir(dir, "journal");
    snprintf(path, sizeof path, "%s/history", dir);
    assert_int_equal(qr_journal_open(&journal, path), 0);
    make(&w);
    for (size_t i = 0; i < w.h.n; i++) {
        char *event = strdup(json_string_value(json_object_get(w.h.lines[i], "e")));
        qr_journal_add(&journal, event, w.h.lines[i]);
        free(event);
    }
    qr_journal_close(&journal);
    assert_true(qr_journal_open(&journal, path) < 0); /* Never one history over another. */
    struct qr_judge *judge = qr_judge_new();
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    qr_judge_file(judge, file);
    fclose(file);
    const struct qr_judge_verdict *v = qr_judge_end(judge);
    assert_int_equal(v->n_findings, 0);
    assert_int_equal(v->n_lines, w.h.n);
    json_t *json = qr_judge_json(v);
    assert_int_equal(json_integer_value(json_object_get(json, "finals")), 2);
    assert_int_equal(json_integer_value(json_object_get(json, "violations")), 0);
    const json_t *kinds = json_object_get(json, "kinds");
    assert_int_equal(json_integer_value(json_object_get(kinds, "kill")), 1);
    json_decref(json);
    qr_judge_free(judge);
    qr_remove_dir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_well_run_passes),
        cmocka_unit_test(a_line_that_is_missing_or_torn_is_found),
        cmocka_unit_test(a_value_that_changes_is_found),
        cmocka_unit_test(a_value_that_is_gone_is_found),
        cmocka_unit_test(what_was_said_before_an_answer_does_not_bound_it),
        cmocka_unit_test(a_value_that_is_not_there_yet_is_no_loss),
        cmocka_unit_test(seconds_to_come_are_not_answered_while_the_time_is_unknown),
        cmocka_unit_test(a_wrong_value_is_found),
        cmocka_unit_test(a_second_twice_is_found),
        cmocka_unit_test(a_hole_at_the_end_is_found),
        cmocka_unit_test(a_final_question_without_an_answer_is_found),
        cmocka_unit_test(a_final_question_that_was_not_asked_is_found),
        cmocka_unit_test(a_kind_of_fault_that_never_came_is_found),
        cmocka_unit_test(an_index_that_goes_back_is_found),
        cmocka_unit_test(an_epoch_that_goes_back_is_found),
        cmocka_unit_test(two_states_at_one_index_are_found),
        cmocka_unit_test(what_a_peer_says_of_another_counts),
        cmocka_unit_test(two_leaders_in_a_term_are_found),
        cmocka_unit_test(two_owners_in_an_epoch_are_found),
        cmocka_unit_test(a_member_that_ends_by_itself_is_found),
        cmocka_unit_test(a_member_that_does_not_come_back_is_found),
        cmocka_unit_test(block_files_that_differ_are_found),
        cmocka_unit_test(a_journal_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
