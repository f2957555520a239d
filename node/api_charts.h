/* node/api_charts.h — /api/v1/charts and /api/v1/chart: what the host has, and one of it.
 * Thread: any worker. */
#ifndef QR_NODE_API_CHARTS_H
#define QR_NODE_API_CHARTS_H

#include "node/api_call.h"

void qr_api_charts(struct qr_api_call *call);
void qr_api_chart(struct qr_api_call *call);

#endif
