#include "cluster/claims.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "testing/cmocka.h"

#define S INT64_C(1000000)

/* The life of one GUID, in words:
 *   P10   machine P claims it at second 10, and may      P!10  it may not
 *   h10   a sample of the connection is applied          l     the connection has ended
 * and who is refused at the end. */
static const struct {
    const char *what, *life, *refused;
} cases[] = {
    {"one machine, again and again", "P0 P1 P2 P3 P4 P5 P6 P7 P8 P9", ""},
    {"clones", "P0 Q1 P2 Q3 P4 Q!5 h6 Q!7", "Q"},
    {"clones, quick as a network", "P0 Q0 P0 Q0 P0 Q!0", "Q"},
    {"clones whose first end is told too late", "P0 Q1 P2 Q3 P4 Q!5 P6 Q!7", "Q"},
    {"the later one is refused, whoever is named first", "Q0 P1 Q2 P3 Q4 P!5", "P"},
    {"three of them", "P0 Q1 R2 P3 Q4 R5 P6 Q!7 R!8", "QR"},
    {"three, and then the third", "P0 Q1 P2 Q3 P4 Q!5 R6 P7 R8 P9 R!10 Q!11", "QR"},
    {"a crash loop behind a pool of addresses", "P0 Q5 R10 S15 T20 U25 V30 W35 X40", ""},
    {"a pool of two, each end seen", "P0 l Q5 l P10 l Q15 l P20 l Q25 l P30", ""},
    {"moves between members, each end told too late but once", "P0 Q5 P10 l Q15 P20", ""},
    {"a partition: two ways to two members, slow to give up", "P0 Q61 P122 Q183 P244 Q305", ""},
    {"one change of address", "P0 h1 h2 Q3 h4 h5 h600", ""},
    {"a change there and back", "P0 Q1 P2", ""},
    {"the first is gone: the other may after a grace", "P0 Q1 P2 Q3 P4 h5 l Q!64 Q65", ""},
    {"the first is dead and nobody said so", "P0 Q1 P2 Q3 P4 h30 Q!89 Q90", ""},
    {"the first is back while the refusal lasts",
     "P0 Q1 P2 Q3 P4 h5 l Q65 P70 Q!75 h600 Q!603 Q604", ""},
    {"the refusal ends; then it is found again at once",
     "P0 Q1 P2 Q3 P4 h600 Q!603 Q604 P605 Q!606 h1700 Q!1701", "Q"},
    {"when it is not found again it is forgotten after a day",
     "P0 Q1 P2 Q3 P4 h604 Q90000 P90001 Q90002 P90003 Q!90004", "Q"},
    {"who is refused can not be kept out by a clock that was wrong",
     "P900000000 Q900000001 P900000002 Q900000003 P900000004 Q!900000005 Q6", ""},
    {"a third may while one is refused", "P0 Q1 P2 Q3 P4 l R5 h6", "Q"},
};

static int64_t take_number(const char **p)
{
    char *end;
    int64_t n = strtoll(*p, &end, 10);
    *p = end;
    return n;
}

static void live(size_t row)
{
    struct qr_claims claims = {0};
    int64_t now_us = 0;
    for (const char *p = cases[row].life; *p != '\0';) {
        char what = *p++;
        bool may_not = *p == '!';
        p += may_not;
        struct qr_claim claim = {.machine = (uint64_t)what};
        snprintf(claim.hostname, sizeof claim.hostname, "host-%c", what);
        if (isdigit((unsigned char)*p))
            now_us = take_number(&p) * S;
        if (what == 'l') {
            qr_claims_left(&claims);
        } else if (what == 'h') {
            qr_claims_heard(&claims, now_us);
        } else {
            int err = qr_claims_check(&claims, claim.machine, now_us);
            if (err != (may_not ? QR_E_CLONE : 0))
                fail_msg("%s: \"%s\" at \"%s\": %d", cases[row].what, cases[row].life, p, err);
            if (err == 0)
                qr_claims_take(&claims, &claim, now_us);
        }
        p += *p == ' ';
    }
    char refused[8] = "";
    const struct qr_claimant *clone;
    for (uint32_t i = 0; qr_claims_refused(&claims, i, now_us, &clone); i++)
        refused[i] = (char)clone->claim.machine;
    if (strcmp(refused, cases[row].refused) != 0)
        fail_msg("%s: refused are \"%s\"", cases[row].what, refused);
}

static void clones_are_refused_and_nobody_else(void **state)
{
    (void)state;
    for (size_t row = 0; row < sizeof cases / sizeof *cases; row++)
        live(row);
}

static struct qr_claim claim_of(char which)
{
    struct qr_claim claim = {.machine = (uint64_t)which};
    snprintf(claim.hostname, sizeof claim.hostname, "web-%c", which);
    snprintf(claim.address, sizeof claim.address, "10.0.0.%d", which);
    return claim;
}

static void flap(struct qr_claims *claims)
{
    static const char order[] = "abab";
    *claims = (struct qr_claims){0};
    for (int i = 0; order[i] != '\0'; i++) {
        struct qr_claim claim = claim_of(order[i]);
        assert_false(qr_claims_take(claims, &claim, i * S));
    }
    struct qr_claim first = claim_of('a');
    assert_true(qr_claims_take(claims, &first, 4 * S));
}

static void the_sentence_names_both(void **state)
{
    (void)state;
    struct qr_claims claims;
    char sentence[QR_CLAIMS_SENTENCE_BYTES];
    const struct qr_claimant *clone;
    flap(&claims);
    assert_true(qr_claims_refused(&claims, 0, 5 * S, &clone));
    assert_false(qr_claims_refused(&claims, 1, 5 * S, &clone));
    assert_true(qr_claims_refused(&claims, 0, 5 * S, &clone));
    qr_claims_sentence(&claims, clone, sentence);
    assert_non_null(strstr(sentence, "web-a at 10.0.0.97, which was first and is kept"));
    assert_non_null(strstr(sentence, "web-b at 10.0.0.98, which is refused until "));
    assert_non_null(strstr(sentence, "1970-01-01T00:10:04Z"));
}

static void more_machines_than_are_remembered_are_bounded(void **state)
{
    (void)state;
    struct qr_claims claims = {0};
    for (int i = 0; i < 100; i++) {
        struct qr_claim claim = {.machine = (uint64_t)(1 + i % 9)};
        if (qr_claims_check(&claims, claim.machine, i * S) == 0)
            qr_claims_take(&claims, &claim, i * S);
        assert_in_range(claims.n, 1, QR_CLAIMS_MAX);
        assert_true(claims.now < claims.n);
        assert_int_equal(claims.at[claims.now].claim.machine, claim.machine);
    }
}

static void comes_back_from_its_bytes_and_from_no_others(void **state)
{
    (void)state;
    struct qr_claims claims, back;
    struct qr_buf bytes = {0}, again = {0};
    flap(&claims);
    qr_claims_left(&claims);
    assert_int_equal(qr_claims_encode(&bytes, &claims), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    qr_claims_decode(&in, &back);
    assert_true(qr_cursor_done(&in));
    assert_int_equal(qr_claims_encode(&again, &back), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&bytes), qr_buf_slice(&again)));
    for (size_t len = 0; len < bytes.len; len++) {
        in = qr_cursor_of(qr_slice_of(bytes.base, len));
        qr_claims_decode(&in, &back);
        assert_true(in.failed);
    }
    /* One machine twice; text that is not printable. */
    struct qr_claims twice = claims;
    twice.at[1].claim = twice.at[0].claim;
    struct qr_claims odd = claims;
    odd.at[0].claim.hostname[1] = '\n';
    const struct qr_claims *bad[] = {&twice, &odd};
    for (size_t i = 0; i < 2; i++) {
        qr_buf_clear(&bytes);
        qr_claims_encode(&bytes, bad[i]);
        in = qr_cursor_of(qr_buf_slice(&bytes));
        qr_claims_decode(&in, &back);
        assert_true(in.failed);
    }
    qr_buf_release(&bytes);
    qr_buf_release(&again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(clones_are_refused_and_nobody_else),
        cmocka_unit_test(the_sentence_names_both),
        cmocka_unit_test(more_machines_than_are_remembered_are_bounded),
        cmocka_unit_test(comes_back_from_its_bytes_and_from_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
