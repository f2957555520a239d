#include "cluster/aio.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "testing/cmocka.h"

static aio_context_t set_up(void)
{
    aio_context_t id = 0;
    assert_int_equal(syscall(SYS_io_setup, 4, &id), 0);
    return id;
}

static bool is_there(aio_context_t id)
{
    struct io_event event;
    struct timespec now = {0};
    return syscall(SYS_io_getevents, id, 0L, 1L, &event, &now) == 0 || errno != EINVAL;
}

static int temporary_file(void)
{
    char path[] = "/tmp/qr-aio-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    unlink(path);
    return fd;
}

static void submit(aio_context_t id, int fd, const char *bytes, size_t len)
{
    struct iocb request = {.aio_lio_opcode = IOCB_CMD_PWRITE,
                           .aio_fildes = (uint32_t)fd,
                           .aio_buf = (uintptr_t)bytes,
                           .aio_nbytes = len};
    struct iocb *requests[] = {&request};
    assert_int_equal(syscall(SYS_io_submit, id, 1L, requests), 1);
}

static void an_idle_context_is_left_to_a_thread(void **state)
{
    (void)state;
    int fd = temporary_file();
    for (int written = 0; written < 2; written++) {
        aio_context_t id = set_up();
        struct io_event event;
        if (written) {
            submit(id, fd, "abc", 3);
            assert_int_equal(syscall(SYS_io_getevents, id, 1L, 1L, &event, NULL), 1);
            assert_int_equal(event.res, 3);
        }
        unsigned long before = qr_aio_n_left();
        assert_int_equal(syscall(SYS_io_destroy, id), 0);
        assert_int_equal(qr_aio_n_left(), before + 1);
        for (unsigned ms = 0; is_there(id) && ms < 20000; ms++)
            usleep(1000);
        assert_false(is_there(id));
    }
    close(fd);
}

/* Its buffers are freed when the call returns: the kernel must be done with them. */
static void one_with_a_write_in_flight_is_destroyed_at_once(void **state)
{
    (void)state;
    int fd = temporary_file();
    char back[4] = {0};
    aio_context_t id = set_up();
    unsigned long before = qr_aio_n_left();
    submit(id, fd, "abc", 3);
    assert_int_equal(syscall(SYS_io_destroy, id), 0);
    assert_int_equal(qr_aio_n_left(), before);
    assert_false(is_there(id));
    assert_int_equal(pread(fd, back, 3, 0), 3);
    assert_string_equal(back, "abc");
    close(fd);
}

static void all_else_is_the_kernels_to_answer(void **state)
{
    (void)state;
    aio_context_t bad = 0;
    assert_int_equal(syscall(SYS_getpid), getpid());
    errno = 0;
    assert_int_equal(syscall(SYS_io_destroy, bad), -1);
    assert_int_equal(errno, EINVAL);
    errno = 0;
    assert_int_equal(syscall(SYS_io_destroy, (aio_context_t)4096), -1); /* Of nobody. */
    assert_int_equal(errno, EINVAL);
    aio_context_t many[80]; /* More than are counted: as asked, then. */
    for (size_t i = 0; i < 80; i++)
        many[i] = set_up();
    for (size_t i = 0; i < 80; i++)
        assert_int_equal(syscall(SYS_io_destroy, many[i]), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_idle_context_is_left_to_a_thread),
        cmocka_unit_test(one_with_a_write_in_flight_is_destroyed_at_once),
        cmocka_unit_test(all_else_is_the_kernels_to_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
