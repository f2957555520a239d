#include "cluster/raft_error.h"

#include <raft.h>
#include <uv.h>

#include "base/error.h"
#include "testing/cmocka.h"

static void every_code_of_the_library_has_one_of_ours(void **state)
{
    (void)state;
    for (int code = RAFT_NOMEM; code <= RAFT_TOOMANY; code++) {
        assert_true(qr_error_of_raft(code) < 0);
        assert_int_not_equal(qr_error_of_raft(code), QR_E_RAFT);
    }
    assert_int_equal(qr_error_of_raft(0), 0);
    assert_int_equal(qr_error_of_raft(RAFT_TOOMANY + 1), QR_E_RAFT);
    assert_int_equal(qr_error_of_raft(-1), QR_E_RAFT);
}

static void ours_go_back_to_what_hooks_may_return(void **state)
{
    (void)state;
    assert_int_equal(qr_raft_of_error(0), 0);
    assert_int_equal(qr_raft_of_error(QR_E_BUSY), RAFT_BUSY);
    assert_int_equal(qr_raft_of_error(QR_E_LIMIT), RAFT_TOOBIG);
    assert_int_equal(qr_raft_of_error(QR_E_UNREACHABLE), RAFT_NOCONNECTION);
    assert_int_equal(qr_raft_of_error(UV_ECANCELED), RAFT_CANCELED);
    assert_int_equal(qr_raft_of_error(UV_ENOMEM), RAFT_NOMEM);
    assert_int_equal(qr_raft_of_error(QR_E_TLS), RAFT_IOERR);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_of_the_library_has_one_of_ours),
        cmocka_unit_test(ours_go_back_to_what_hooks_may_return),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
