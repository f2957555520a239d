/* node/page.h — our own page: one file, compiled in, without anything from elsewhere.
 *
 * It shows the verdict, the members and the children from /api/quorate/v1/status, links to the
 * charts, and a chart's values while they come in.  Thread: any. */
#ifndef QR_NODE_PAGE_H
#define QR_NODE_PAGE_H

#include "base/slice.h"

/* The bytes of node/page.html; static. */
struct qr_slice qr_page(void);

#endif
