/* cluster/group_members.h — the group's side of membership: whom the link knows, whom this member
 * talks to, what an empty one is told, what an operator asks for, and the status.
 *
 * Who may vote is the library's configuration; what is done about a change is cluster/changer's.
 * This is group.c's other half; qr_group_ask_change, qr_group_cancel_change, qr_group_set_copied
 * and qr_group_get_status of cluster/group.h are here.  Thread: consensus. */
#ifndef QR_CLUSTER_GROUP_MEMBERS_H
#define QR_CLUSTER_GROUP_MEMBERS_H

#include "cluster/group.h"

/* Members, who is to become one, and who has said something; not this member. */
struct qr_group_others {
    uint32_t ids[4 * QR_MEMBERS_MAX];
    unsigned n;
};
void qr_group_list_others(const struct qr_group *group, struct qr_group_others *others);

/* Tells the link what has changed: members, who is to come, the seeds while nobody leads; who was
 * removed is refused, unless it leads or nobody does. */
void qr_group_sync_members(struct qr_group *group);

/* Of the configuration as this member has it. */
bool qr_group_is_voter(const struct qr_group *group);

/* A member without a log wants to know what it is. */
void qr_group_tell_place(struct qr_group *group, uint32_t member, uint32_t disk);
/* QR_LINK_PLACE: this member is told. */
int qr_group_on_place(void *data, uint32_t member, uint32_t group_id, struct qr_slice payload);

#endif
