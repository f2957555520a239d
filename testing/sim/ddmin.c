#include "testing/sim/ddmin.h"

#include <stdlib.h>
#include <string.h>

static bool may_try(struct qr_ddmin *ddmin)
{
    if (ddmin->n_tries == ddmin->tries_max)
        return false;
    ddmin->n_tries++;
    return true;
}

/* Does it fail without those from `from` up to `end`?  Then they are out. */
static bool leave_out(struct qr_ddmin *ddmin, uint32_t *kept, uint32_t *n, uint32_t from,
                      uint32_t end, uint32_t *rest)
{
    uint32_t n_rest = *n - (end - from);
    if (from != 0)
        memcpy(rest, kept, from * sizeof *rest);
    if (end != *n)
        memcpy(rest + from, kept + end, (*n - end) * sizeof *rest);
    if (!may_try(ddmin) || !ddmin->fails(ddmin->data, rest, n_rest))
        return false;
    memcpy(kept, rest, n_rest * sizeof *rest);
    *n = n_rest;
    return true;
}

/* One pass over parts of about n / n_parts things; whether any of them is out. */
static bool leave_parts_out(struct qr_ddmin *ddmin, uint32_t *kept, uint32_t *n, uint32_t n_parts,
                            uint32_t *rest)
{
    uint32_t size = *n / n_parts;
    bool any = false;
    /* From the end: what happens late is more often without effect. */
    for (uint32_t end = *n; end > 0;) {
        uint32_t from = end > size ? end - size : 0;
        any |= leave_out(ddmin, kept, n, from, end, rest);
        end = from;
    }
    return any;
}

uint32_t qr_ddmin(struct qr_ddmin *ddmin, uint32_t *kept, uint32_t n)
{
    uint32_t *rest = malloc((n + (size_t)1) * sizeof *rest);
    for (uint32_t i = 0; i < n; i++)
        kept[i] = i;
    if (rest == NULL || n == 0) {
        free(rest);
        return n;
    }
    leave_out(ddmin, kept, &n, 0, n, rest);
    for (uint32_t n_parts = 2; n > 0;) {
        if (n_parts > n)
            n_parts = n;
        bool was_single = n_parts == n;
        bool any = leave_parts_out(ddmin, kept, &n, n_parts, rest);
        if (ddmin->n_tries == ddmin->tries_max || (was_single && !any))
            break; /* None can be left out alone. */
        n_parts = was_single ? n : n_parts * 2;
    }
    free(rest);
    return n;
}

uint64_t qr_ddmin_number(struct qr_ddmin *ddmin, bool (*fails)(void *data, uint64_t number),
                         uint64_t least, uint64_t now)
{
    while (least < now) {
        uint64_t middle = least + (now - least) / 2;
        if (!may_try(ddmin))
            break;
        if (fails(ddmin->data, middle))
            now = middle;
        else
            least = middle + 1;
    }
    return now;
}
