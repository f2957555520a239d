/* proto/sender_chart.h — a sender's definitions of charts: qr_sender_define and finding them again.
 *
 * A part of proto/sender; see proto/sending.h. */
#ifndef QR_PROTO_SENDER_CHART_H
#define QR_PROTO_SENDER_CHART_H

#include "proto/sending.h"

/* The chart that was said with this id, or NULL. */
struct qr_sending_chart *qr_sender_chart_find(struct qr_sender *s, struct qr_slice id);

void qr_sender_chart_free_all(struct qr_sender *s);

/* FUNCTION of the host, or of the chart that is being defined. */
void qr_sender_chart_say_function(struct qr_sender *s, const struct qr_sender_function *function,
                                  bool global);

/* The power of ten (an exponent, QR_SENDING_SCALE_MIN .. QR_SENDING_SCALE_MAX) with which a value
 * becomes the v1 integer that keeps most of it. */
int qr_sender_chart_scale_of(double value);
/* The integer; saturates. */
int64_t qr_sender_chart_raw_of(double value, int scale);
/* Does the parent get the value back from it, as well as any integer could give it? */
bool qr_sender_chart_scale_fits(double value, int scale);

#endif
