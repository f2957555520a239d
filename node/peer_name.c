#include "node/peer_name.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

struct qr_peer_name {
    union {
        uv_getnameinfo_t reverse;
        uv_getaddrinfo_t forward;
        uv_req_t any;
    } request;
    uv_loop_t *loop;
    struct sockaddr_storage address;
    char name[NI_MAXHOST];
    qr_peer_name_cb found; /* NULL: nobody waits any more. */
    void *data;
};

static void end(struct qr_peer_name *finding, const char *name)
{
    if (finding->found != NULL)
        finding->found(finding->data, name);
    free(finding);
}

static bool is_same(const struct sockaddr_storage *a, const struct sockaddr *b)
{
    if (a->ss_family != b->sa_family)
        return false;
    if (a->ss_family == AF_INET)
        return memcmp(&((const struct sockaddr_in *)a)->sin_addr,
                      &((const struct sockaddr_in *)(const void *)b)->sin_addr,
                      sizeof(struct in_addr)) == 0;
    return memcmp(&((const struct sockaddr_in6 *)a)->sin6_addr,
                  &((const struct sockaddr_in6 *)(const void *)b)->sin6_addr,
                  sizeof(struct in6_addr)) == 0;
}

static void on_forward(uv_getaddrinfo_t *request, int status, struct addrinfo *list)
{
    struct qr_peer_name *finding = request->data;
    bool confirmed = false;
    for (const struct addrinfo *at = list; status == 0 && at != NULL; at = at->ai_next)
        confirmed = confirmed || is_same(&finding->address, at->ai_addr);
    uv_freeaddrinfo(list);
    end(finding, confirmed ? finding->name : "");
}

static void on_reverse(uv_getnameinfo_t *request, int status, const char *host, const char *service)
{
    struct qr_peer_name *finding = request->data;
    uv_loop_t *loop = finding->loop;
    (void)service;
    if (status != 0 || finding->found == NULL) {
        end(finding, "");
        return;
    }
    /* The two share their memory, `host` with it. */
    snprintf(finding->name, sizeof finding->name, "%s", host);
    const struct addrinfo hints = {.ai_family = finding->address.ss_family,
                                   .ai_socktype = SOCK_STREAM};
    memset(&finding->request, 0, sizeof finding->request);
    finding->request.forward.data = finding;
    if (uv_getaddrinfo(loop, &finding->request.forward, on_forward, finding->name, NULL, &hints) !=
        0)
        end(finding, "");
}

/* ::ffff:10.0.0.1 is 10.0.0.1, which is what names have. */
static void take_address(struct sockaddr_storage *to, const struct sockaddr *from)
{
    struct sockaddr_in *in4 = (struct sockaddr_in *)to;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)from;
    bool mapped = from->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&in6->sin6_addr);
    if (mapped) {
        in4->sin_family = AF_INET;
        memcpy(&in4->sin_addr, in6->sin6_addr.s6_addr + 12, sizeof in4->sin_addr);
    } else {
        memcpy(to, from,
               from->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                           : sizeof(struct sockaddr_in));
    }
}

int qr_peer_name_find(struct qr_peer_name **made, uv_loop_t *loop, const struct sockaddr *address,
                      qr_peer_name_cb found, void *data)
{
    struct qr_peer_name *finding = calloc(1, sizeof *finding);
    if (finding == NULL)
        return UV_ENOMEM;
    finding->loop = loop;
    finding->found = found;
    finding->data = data;
    take_address(&finding->address, address);
    finding->request.reverse.data = finding;
    int err = uv_getnameinfo(loop, &finding->request.reverse, on_reverse,
                             (const struct sockaddr *)&finding->address, NI_NAMEREQD);
    if (err != 0) {
        free(finding);
        return err;
    }
    *made = finding;
    return 0;
}

void qr_peer_name_give_up(struct qr_peer_name *finding)
{
    finding->found = NULL;
    uv_cancel(&finding->request.any); /* If a worker has it already, it ends by itself. */
}
