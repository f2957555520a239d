/* node/ctl/tests/one_answer.h — a server on loopback, in a thread, that gives one answer a
 * connection and keeps what was asked. */
#ifndef QR_NODE_CTL_TESTS_ONE_ANSWER_H
#define QR_NODE_CTL_TESTS_ONE_ANSWER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "testing/cmocka.h"

static int listener;
static unsigned port;
static const char *answer; /* Set before the thread starts. */
static char request[4096]; /* Read after it has ended. */

static void *serve(void *data)
{
    (void)data;
    int fd = accept(listener, NULL, NULL);
    ssize_t n = read(fd, request, sizeof request - 1);
    request[n > 0 ? n : 0] = '\0';
    assert_true(write(fd, answer, strlen(answer)) == (ssize_t)strlen(answer));
    close(fd);
    return NULL;
}

static int listen_somewhere(void **state)
{
    (void)state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(listener, 4), 0);
    getsockname(listener, (struct sockaddr *)&address, &len);
    port = ntohs(address.sin_port);
    return 0;
}

#endif
