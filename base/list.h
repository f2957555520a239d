/* base/list.h — an intrusive, circular, doubly linked list.
 *
 * The head is a node as well; an element is in at most one list per node it embeds.
 * Thread: the owner's. */
#ifndef QR_BASE_LIST_H
#define QR_BASE_LIST_H

#include <assert.h>
#include <stdbool.h>

#include "base/compiler.h"

struct qr_list {
    struct qr_list *next;
    struct qr_list *prev;
};

static inline void qr_list_init(struct qr_list *list)
{
    list->next = list;
    list->prev = list;
}

static inline bool qr_list_empty(const struct qr_list *list)
{
    return list->next == list;
}

static inline void qr_list_add_tail(struct qr_list *list, struct qr_list *node)
{
    assert(list->prev != NULL); /* It was initialised. */
    node->prev = list->prev;
    node->next = list;
    list->prev->next = node;
    list->prev = node;
}

/* Takes the node out and leaves it an empty list, so that removing twice is harmless. */
static inline void qr_list_remove(struct qr_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    qr_list_init(node);
}

/* The loop's body may remove `node` itself, nothing else. */
#define QR_LIST_FOREACH(node, list)                                                                \
    for (struct qr_list *node = (list)->next, *node##_next = node->next; node != (list);           \
         node = node##_next, node##_next = node->next)

#endif
