#include "node/members.h"

#include <string.h>

#include "base/error.h"
#include "testing/cmocka.h"

static uv_loop_t loop;
static struct qr_mailbox mailbox;
static unsigned n_done;
static int status;

static void on_done(struct qr_members_request *request)
{
    n_done++;
    status = request->status;
}

static void verbs_have_names(void **state)
{
    (void)state;
    enum qr_members_verb verb = QR_MEMBERS_VERB_NR;
    assert_true(qr_members_verb_of(qr_slice_str("replace"), &verb));
    assert_int_equal(verb, QR_MEMBERS_REPLACE);
    assert_true(qr_members_verb_of(qr_slice_str("cancel"), &verb));
    assert_int_equal(verb, QR_MEMBERS_CANCEL);
    assert_false(qr_members_verb_of(qr_slice_str("Add"), &verb));
    assert_false(qr_members_verb_of(qr_slice_str(""), &verb));
}

static void each_refusal_has_its_sentence(void **state)
{
    (void)state;
    static const int codes[] = {QR_E_BUSY,      QR_E_EXISTS, QR_E_UNKNOWN, QR_E_MALFORMED,
                                QR_E_NO_QUORUM, QR_E_CLOSED, QR_E_LIMIT};
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(qr_members_refusal(codes[i]), qr_members_refusal(codes[k]));
}

/* Asked of a member that is stopping; with a group it is seen in ha.members. */
static void a_closed_group_answers_too(void **state)
{
    (void)state;
    struct qr_members members = {&mailbox, NULL};
    struct qr_members_request request = {
        .home = &mailbox, .done = on_done, .verb = QR_MEMBERS_REMOVE, .member = 2};
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(qr_mailbox_init(&mailbox, &loop), 0);
    qr_members_ask(&members, &request);
    while (n_done == 0)
        uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(status, QR_E_CLOSED);
    qr_mailbox_close(&mailbox, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(n_done, 1);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verbs_have_names),
        cmocka_unit_test(each_refusal_has_its_sentence),
        cmocka_unit_test(a_closed_group_answers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
