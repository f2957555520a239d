/* testing/tests/canned.h — an HTTP server of one answer at a time, on a thread, for tests of
 * clients.
 *
 * Every connection gets what `answer` writes for its request line, and is closed. */
#ifndef QR_TESTING_TESTS_CANNED_H
#define QR_TESTING_TESTS_CANNED_H

#include <arpa/inet.h>
#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"

struct canned {
    int fd;
    uint16_t port;
    pthread_t thread;
    void (*answer)(const char *request, struct qr_buf *body, int *status);
};

static void *canned_run(void *data)
{
    struct canned *canned = data;
    for (;;) {
        char request[4096];
        int fd = accept(canned->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        ssize_t n = read(fd, request, sizeof request - 1);
        struct qr_buf body = {0}, head = {0};
        int status = 200;
        request[n > 0 ? n : 0] = '\0';
        canned->answer(request, &body, &status);
        qr_buf_printf(&head, "HTTP/1.1 %d X\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                      status, body.len);
        qr_buf_add(&head, body.base, body.len);
        ssize_t written = write(fd, head.base, head.len);
        assert(written == (ssize_t)head.len);
        qr_buf_release(&head);
        qr_buf_release(&body);
        close(fd);
    }
}

static inline void canned_start(struct canned *canned)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    canned->fd = socket(AF_INET, SOCK_STREAM, 0);
    int err = bind(canned->fd, (struct sockaddr *)&address, len);
    assert(err == 0);
    err = listen(canned->fd, 16);
    assert(err == 0);
    getsockname(canned->fd, (struct sockaddr *)&address, &len);
    canned->port = ntohs(address.sin_port);
    err = pthread_create(&canned->thread, NULL, canned_run, canned);
    assert(err == 0);
}

static inline void canned_stop(struct canned *canned)
{
    shutdown(canned->fd, SHUT_RDWR);
    pthread_join(canned->thread, NULL);
    close(canned->fd);
}

#endif
