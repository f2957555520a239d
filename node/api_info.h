/* node/api_info.h — /api/v1/info: what this member and the host asked about are.
 * Thread: any worker. */
#ifndef QR_NODE_API_INFO_H
#define QR_NODE_API_INFO_H

#include "node/api_call.h"

void qr_api_info(struct qr_api_call *call);

#endif
