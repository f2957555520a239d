/* Linux's asynchronous input and output, as libraft uses it: writes with RWF_DSYNC, with
 * RWF_NOWAIT and an eventfd on the loop, or plainly on a worker. */
#include <assert.h>
#include <linux/aio_abi.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "base/compiler.h"
#include "base/list.h"
#include "testing/sim/fd.h"
#include "testing/sim/fs.h"
#include "testing/sim/libc.h"

#define EVENTS_MAX 64u

struct context {
    struct qr_list node;
    const struct qr_sim_host *host;
    uint64_t id, life;
    size_t n;
    struct io_event done[EVENTS_MAX];
};

static struct qr_list contexts = {&contexts, &contexts};

static struct context *find(uint64_t id)
{
    QR_LIST_FOREACH (node, &contexts) {
        struct context *context = QR_CONTAINER_OF(node, struct context, node);
        if (context->id == id)
            return context;
    }
    return NULL;
}

static void destroy(struct context *context)
{
    qr_list_remove(&context->node);
    free(context);
}

static int setup(aio_context_t *id)
{
    static uint64_t n_ids;
    QR_LIST_FOREACH (node, &contexts) /* Of those who are no more. */
    {
        struct context *old = QR_CONTAINER_OF(node, struct context, node);
        if (!old->host->up || old->host->life != old->life)
            destroy(old);
    }
    struct context *context = calloc(1, sizeof *context);
    assert(context != NULL);
    context->host = qr_sim_host();
    context->life = context->host->life;
    context->id = *id = ++n_ids;
    qr_list_init(&context->node);
    qr_list_add_tail(&contexts, &context->node);
    return 0;
}

static void finish(uint64_t id, uint64_t data, ssize_t result)
{
    struct context *context = find(id);
    if (context == NULL) /* Destroyed meanwhile. */
        return;
    assert(context->n < EVENTS_MAX);
    context->done[context->n++] = (struct io_event){.data = data, .res = result};
}

static ssize_t perform(const struct iocb *iocb, const struct iovec *iov, int n)
{
    int fd = (int)iocb->aio_fildes;
    switch (iocb->aio_lio_opcode) {
    case IOCB_CMD_PWRITE:
    case IOCB_CMD_PWRITEV:
        return qr_sim_writev(fd, iov, n, iocb->aio_offset, iocb->aio_rw_flags);
    case IOCB_CMD_PREAD:
    case IOCB_CMD_PREADV:
        return qr_sim_readv(fd, iov, n, iocb->aio_offset);
    case IOCB_CMD_FSYNC:
    case IOCB_CMD_FDSYNC:
        return qr_sim_fsync(fd, iocb->aio_lio_opcode == IOCB_CMD_FDSYNC);
    default:
        return -EINVAL;
    }
}

/* With RWF_NOWAIT: now and then it would have to wait, as on xfs. */
static int submit_nowait(struct context *context, const struct iocb *iocb, const struct iovec *iov,
                         int n)
{
    unsigned one_in = qr_sim_disk(qr_sim_host())->async_one_in;
    if (one_in == 0)
        return -EOPNOTSUPP;
    bool tells = (iocb->aio_flags & IOCB_FLAG_RESFD) != 0;
    int counter = tells ? (int)iocb->aio_resfd : -1;
    if (tells && one_in > 1 && qr_sim_chance(one_in)) {
        uint64_t one = 1;
        struct iovec signal = {&one, sizeof one};
        finish(context->id, iocb->aio_data, -EAGAIN);
        qr_sim_writev(counter, &signal, 1, -1, 0);
        return 0;
    }
    if (!tells) { /* Whoever has no eventfd waits for it at once. */
        finish(context->id, iocb->aio_data, perform(iocb, iov, n));
        return 0;
    }
    return qr_sim_write_later((int)iocb->aio_fildes, iov, n, iocb->aio_offset, counter, finish,
                              context->id, iocb->aio_data);
}

static long submit(uint64_t id, long n, struct iocb **iocbs)
{
    struct context *context = find(id);
    if (context == NULL)
        return -EINVAL;
    for (long i = 0; i < n; i++) {
        const struct iocb *iocb = iocbs[i];
        struct iovec one = {(void *)(uintptr_t)iocb->aio_buf, iocb->aio_nbytes};
        bool many =
            iocb->aio_lio_opcode == IOCB_CMD_PWRITEV || iocb->aio_lio_opcode == IOCB_CMD_PREADV;
        const struct iovec *iov = many ? (const struct iovec *)(uintptr_t)iocb->aio_buf : &one;
        int n_iov = many ? (int)iocb->aio_nbytes : 1, err = 0;
        if ((iocb->aio_rw_flags & RWF_NOWAIT) != 0)
            err = submit_nowait(context, iocb, iov, n_iov);
        else
            finish(id, iocb->aio_data, perform(iocb, iov, n_iov));
        if (err != 0)
            return i > 0 ? i : err;
    }
    return n;
}

static long get_events(uint64_t id, long min, long max, struct io_event *events)
{
    struct context *context = find(id);
    if (context == NULL)
        return -EINVAL;
    assert((long)context->n >= min); /* Nobody waits here: see submit. */
    size_t n = context->n < (size_t)max ? context->n : (size_t)max;
    memcpy(events, context->done, n * sizeof *events);
    context->n -= n;
    memmove(context->done, context->done + n, context->n * sizeof *events);
    return (long)n;
}

bool qr_sim_aio(long number, const long a[6], long *result)
{
    switch (number) {
    case SYS_io_setup:
        *result = setup((aio_context_t *)(uintptr_t)a[1]);
        break;
    case SYS_io_destroy: {
        struct context *context = find((uint64_t)a[0]);
        *result = context == NULL ? -EINVAL : 0;
        if (context != NULL)
            destroy(context);
        break;
    }
    case SYS_io_submit:
        *result = submit((uint64_t)a[0], a[1], (struct iocb **)(uintptr_t)a[2]);
        break;
    case SYS_io_getevents:
        *result = get_events((uint64_t)a[0], a[1], a[2], (struct io_event *)(uintptr_t)a[3]);
        break;
    default:
        return false;
    }
    *result = qr_sim_answer(*result);
    return true;
}
