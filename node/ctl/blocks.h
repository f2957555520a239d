/* node/ctl/blocks.h — `quoratectl blocks`: block files for a person, without a member.
 *
 *   ls PATH...      what is in folders of them
 *   dump PATH...    one file's header, index and pages, or with --chart a chart's rows
 *   verify PATH...  every checksum, every chunk decoded; what is damaged, in sentences
 *
 * Exit codes: 0 sound, 1 something is damaged, 2 wrong usage or not readable.  Thread: any. */
#ifndef QR_NODE_CTL_BLOCKS_H
#define QR_NODE_CTL_BLOCKS_H

#include "node/ctl/command.h"

extern const struct qr_ctl_command qr_ctl_blocks;

#endif
