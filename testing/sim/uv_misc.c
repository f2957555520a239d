/* Names, and the libc calls that wait for other threads. */
#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "testing/sim/uv_core.h"

/* ---- names: an address in figures, or a host's name ---- */

static int find(const char *node, struct in_addr *found)
{
    if (inet_pton(AF_INET, node, found) == 1)
        return 0;
    if (strcmp(node, "localhost") == 0)
        node = qr_sim_host()->name;
    struct qr_sim_host *host;
    for (uint32_t id = 1; (host = qr_sim_host_get(id)) != NULL; id++) {
        if (strcmp(host->name, node) == 0)
            return inet_pton(AF_INET, qr_net_address(host), found) == 1 ? 0 : UV_EAI_NONAME;
    }
    return UV_EAI_NONAME;
}

/* One block: the result, the address, and what was asked for. */
struct answer {
    struct addrinfo info;
    struct sockaddr_in address;
};

static void resolve(uv_req_t *request)
{
    uv_getaddrinfo_t *uv = (uv_getaddrinfo_t *)request;
    struct answer *answer = calloc(1, sizeof *answer);
    assert(answer != NULL);
    answer->address.sin_family = AF_INET;
    answer->address.sin_port =
        htons((uint16_t)(uv->service != NULL ? strtoul(uv->service, NULL, 10) : 0));
    uv->retcode = uv->hostname != NULL ? find(uv->hostname, &answer->address.sin_addr) : 0;
    answer->info = (struct addrinfo){.ai_family = AF_INET,
                                     .ai_socktype = SOCK_STREAM,
                                     .ai_protocol = IPPROTO_TCP,
                                     .ai_addrlen = sizeof answer->address,
                                     .ai_addr = (struct sockaddr *)&answer->address};
    uv->addrinfo = &answer->info;
    if (uv->retcode != 0) {
        free(answer);
        uv->addrinfo = NULL;
    }
    free(uv->hostname);
    free(uv->service);
    uv->hostname = uv->service = NULL;
}

static void resolved(uv_req_t *request, int status)
{
    uv_getaddrinfo_t *uv = (uv_getaddrinfo_t *)request;
    if (status == UV_ECANCELED) {
        free(uv->hostname);
        free(uv->service);
        uv->hostname = uv->service = NULL;
        uv->retcode = UV_EAI_CANCELED;
    }
    uv->cb(uv, uv->retcode, uv->addrinfo);
}

int uv_getaddrinfo(uv_loop_t *loop, uv_getaddrinfo_t *uv, uv_getaddrinfo_cb cb, const char *node,
                   const char *service, const struct addrinfo *hints)
{
    (void)hints;
    if (node == NULL && service == NULL)
        return UV_EINVAL;
    uv->type = UV_GETADDRINFO;
    uv->loop = loop;
    uv->cb = cb;
    uv->hints = NULL;
    uv->hostname = node != NULL ? strdup(node) : NULL;
    uv->service = service != NULL ? strdup(service) : NULL;
    uv->addrinfo = NULL;
    uv->retcode = 0;
    if (cb == NULL) {
        resolve((uv_req_t *)uv);
        return uv->retcode;
    }
    qr_uv_job_post(loop, uv, resolve, resolved);
    return 0;
}

void uv_freeaddrinfo(struct addrinfo *found)
{
    free(found);
}

/* ---- libc ---- */

/* Who spins until another thread has done something. */
int sched_yield(void)
{
    qr_sim_sleep(QR_SIM_US + qr_sim_below(QR_SIM_US));
    return 0;
}
