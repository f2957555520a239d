#include "ha-tests/stranger.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int stranger_dial(unsigned port, const char *from)
{
    struct sockaddr_in here = {.sin_family = AF_INET};
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {STRANGER_ANSWER_MS / 1000, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool ok = fd >= 0;
    if (from != NULL)
        ok = ok && inet_pton(AF_INET, from, &here.sin_addr) == 1 &&
             bind(fd, (const struct sockaddr *)&here, sizeof here) == 0;
    if (ok && connect(fd, (const struct sockaddr *)&there, sizeof there) == 0) {
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        return fd;
    }
    if (fd >= 0)
        close(fd);
    return -1;
}

bool stranger_say(int fd, const void *bytes, size_t len)
{
    const char *p = bytes;
    while (len > 0) {
        ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

bool stranger_print(int fd, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return len > 0 && len < (int)sizeof text && stranger_say(fd, text, (size_t)len);
}

const char *stranger_hear(int fd, char *text, size_t bytes)
{
    struct pollfd poll_fd = {fd, POLLIN, 0};
    ssize_t n = poll(&poll_fd, 1, STRANGER_ANSWER_MS) == 1 ? recv(fd, text, bytes - 1, 0) : 0;
    text[n > 0 ? n : 0] = '\0';
    return text;
}

bool stranger_is_left(int fd, int silence_ms)
{
    char text[4096];
    for (;;) {
        struct pollfd poll_fd = {fd, POLLIN, 0};
        if (poll(&poll_fd, 1, silence_ms) != 1)
            return false;
        if (recv(fd, text, sizeof text, 0) <= 0)
            return true;
    }
}

int stranger_stream(const struct stranger *stranger, char reply[256])
{
    int fd = stranger_dial(stranger->port, stranger->from);
    reply[0] = '\0';
    if (fd < 0)
        return -1;
    stranger_print(fd,
                   "STREAM key=%s&hostname=%s&machine_guid=%s&update_every=1&ver=%u "
                   "HTTP/1.1\r\nUser-Agent: netdata/v1.37.1\r\n\r\n",
                   stranger->key, stranger->hostname, stranger->guid, stranger->caps);
    stranger_hear(fd, reply, 256);
    return fd;
}
