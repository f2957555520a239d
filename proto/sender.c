#include "proto/sender.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <uv.h>

#include "base/error.h"
#include "base/limits.h"
#include "proto/sender_chart.h"
#include "proto/sender_rows.h"
#include "proto/sending.h"

/* Of a function's payload or a JSON one: 2.9 sends some KiB. */
#define PAYLOAD_BYTES_MAX (1024u * 1024)

/* ---- life ---- */

int qr_sender_new(struct qr_sender **sender, const struct qr_sender_config *config,
                  const struct qr_sender_handler *handler)
{
    assert(handler->send != NULL);
    assert(handler->replay != NULL);
    assert(handler->redefine != NULL || (config->caps & QR_CAP_INTERPOLATED) != 0);
    struct qr_sender *s = calloc(1, sizeof *s);
    if (s == NULL)
        return UV_ENOMEM;
    s->config = *config;
    s->handler = *handler;
    s->v2 = qr_sending_has(s, QR_CAP_INTERPOLATED);
    s->slots = s->v2 && qr_sending_has(s, QR_CAP_SLOTS);
    s->replication = qr_sending_has(s, QR_CAP_REPLICATION);
    int err = qr_outgoing_init(&s->out, config->caps, config->levels, handler->send, handler->data);
    if (err != 0) {
        free(s);
        return err;
    }
    qr_map_init(&s->by_id);
    qr_lines_init(&s->lines);
    qr_buf_init(&s->command_line, QR_LINE_BYTES_MAX);
    qr_buf_init(&s->payload, PAYLOAD_BYTES_MAX);
    *sender = s;
    return 0;
}

void qr_sender_free(struct qr_sender *s)
{
    if (s == NULL)
        return;
    qr_sender_chart_free_all(s);
    qr_outgoing_release(&s->out);
    qr_lines_release(&s->lines);
    qr_buf_release(&s->command_line);
    qr_buf_release(&s->payload);
    free(s);
}

void qr_sender_flush(struct qr_sender *s)
{
    assert(s->answering == NULL);
    qr_outgoing_flush(&s->out);
}

bool qr_sender_is_live(const struct qr_sender_chart *chart)
{
    return ((const struct qr_sending_chart *)chart)->state == QR_SENDING_LIVE;
}

void qr_sender_get_stats(const struct qr_sender *s, struct qr_sender_stats *stats)
{
    *stats = s->stats;
    stats->charts = s->n_charts;
    stats->bytes_text = s->out.bytes_text;
    stats->bytes_wire = s->out.bytes_wire;
}

/* ---- the host's lines ---- */

void qr_sender_labels(struct qr_sender *s, const struct qr_stream_label *labels, uint32_t n)
{
    assert(s->answering == NULL);
    if (!qr_sending_has(s, QR_CAP_HLABELS))
        return;
    for (uint32_t i = 0; i < n; i++) {
        qr_outgoing_str(&s->out, "LABEL");
        qr_outgoing_word(&s->out, labels[i].name, '"');
        qr_outgoing_str(&s->out, " =");
        qr_outgoing_decimal(&s->out, labels[i].source & 15);
        qr_outgoing_word(&s->out, labels[i].value, '"');
        qr_outgoing_str(&s->out, "\n");
    }
    qr_outgoing_str(&s->out, "OVERWRITE labels\n");
}

void qr_sender_claimed(struct qr_sender *s, const struct qr_guid *claim_id)
{
    assert(s->answering == NULL);
    char machine[QR_GUID_TEXT_LEN + 1], claim[QR_GUID_TEXT_LEN + 1] = "NULL";
    if (!qr_sending_has(s, QR_CAP_CLAIM))
        return;
    qr_guid_format(&s->config.machine_guid, machine);
    if (claim_id != NULL)
        qr_guid_format(claim_id, claim);
    qr_outgoing_str(&s->out, "CLAIMED_ID ");
    qr_outgoing_str(&s->out, machine);
    qr_outgoing_str(&s->out, " ");
    qr_outgoing_str(&s->out, claim);
    qr_outgoing_str(&s->out, "\n");
}

void qr_sender_variable(struct qr_sender *s, struct qr_slice name, double value)
{
    assert(s->answering == NULL);
    if (!isfinite(value))
        return;
    qr_outgoing_str(&s->out, "VARIABLE HOST");
    qr_outgoing_word(&s->out, name, '"');
    char *p = qr_outgoing_room(&s->out, QR_OUTGOING_NUMBER_BYTES_MAX);
    p = qr_put_bytes(p, " = ", 3);
    qr_outgoing_took(&s->out, qr_put_fixed(p, value));
    qr_outgoing_str(&s->out, "\n");
}

void qr_sender_function(struct qr_sender *s, const struct qr_sender_function *function)
{
    assert(s->answering == NULL);
    qr_sender_chart_say_function(s, function, true);
}

/* Has the text a line that begins with this word? */
static bool has_line(struct qr_slice text, const char *word)
{
    size_t n = strlen(word);
    const char *p = text.base, *end = text.base + text.len;
    while (p < end) {
        while (p < end && (*p == ' ' || *p == '\t' || *p == '\r'))
            p++;
        if ((size_t)(end - p) >= n && memcmp(p, word, n) == 0)
            return true;
        const char *newline = p < end ? memchr(p, '\n', (size_t)(end - p)) : NULL;
        p = newline != NULL ? newline + 1 : end;
    }
    return false;
}

void qr_sender_json(struct qr_sender *s, const char *kind, struct qr_slice payload)
{
    assert(s->answering == NULL);
    if (!qr_sending_has(s, QR_CAP_PATHS) || has_line(payload, "JSON_PAYLOAD_END"))
        return;
    qr_outgoing_str(&s->out, "JSON ");
    qr_outgoing_str(&s->out, kind);
    qr_outgoing_str(&s->out, "\n");
    qr_outgoing_bytes(&s->out, payload);
    qr_outgoing_str(&s->out, "\nJSON_PAYLOAD_END\n");
}

static void say_result(struct qr_sender *s, struct qr_slice transaction, uint32_t status,
                       struct qr_slice content_type, int64_t expires_s, struct qr_slice body)
{
    qr_outgoing_str(&s->out, "FUNCTION_RESULT_BEGIN");
    qr_outgoing_word(&s->out, transaction, '"');
    qr_outgoing_decimal(&s->out, status);
    qr_outgoing_word(&s->out, content_type, '"');
    qr_outgoing_decimal(&s->out, expires_s);
    qr_outgoing_str(&s->out, "\n");
    qr_outgoing_bytes(&s->out, body);
    qr_outgoing_str(&s->out, "\nFUNCTION_RESULT_END\n");
}

int qr_sender_result(struct qr_sender *s, struct qr_slice transaction, uint32_t status,
                     struct qr_slice content_type, int64_t expires_s, struct qr_slice body)
{
    static const char error[] =
        "{\"status\":500,\"error_message\":\"The answer of the function cannot be forwarded\"}";
    assert(s->answering == NULL);
    if (!qr_sending_has(s, QR_CAP_FUNCTIONS))
        return 0;
    bool spoils = has_line(body, "FUNCTION_RESULT_END");
    if (spoils)
        say_result(s, transaction, 500, qr_slice_str("application/json"), 0, qr_slice_str(error));
    else
        say_result(s, transaction, status, content_type, expires_s, body);
    return spoils ? QR_E_MALFORMED : 0;
}

void qr_sender_progress(struct qr_sender *s, struct qr_slice transaction, uint64_t done,
                        uint64_t all)
{
    assert(s->answering == NULL);
    if (!qr_sending_has(s, QR_CAP_PROGRESS))
        return;
    qr_outgoing_str(&s->out, "FUNCTION_PROGRESS");
    qr_outgoing_word(&s->out, transaction, '\'');
    qr_outgoing_decimal(&s->out, (int64_t)(done & INT64_MAX));
    qr_outgoing_decimal(&s->out, (int64_t)(all & INT64_MAX));
    qr_outgoing_str(&s->out, "\n");
}

/* ---- what the parent says ---- */

static void tell_call(struct qr_sender *s, const struct qr_command *command)
{
    const struct qr_sender_call call = {
        .transaction = command->name,
        .timeout_s = command->timeout_s,
        .function = command->function,
        .access = command->access,
        .source = command->source,
        .has_payload = command->kind == QR_COMMAND_FUNCTION_PAYLOAD,
        .content_type = command->content_type,
        .payload = qr_buf_slice(&s->payload),
    };
    if (s->handler.call != NULL)
        s->handler.call(s->handler.data, &call);
}

static void carry_out(struct qr_sender *s, const struct qr_command *command)
{
    const struct qr_sender_handler *h = &s->handler;
    switch (command->kind) {
    case QR_COMMAND_REPLAY_CHART:
        qr_sender_rows_replay(s, command);
        break;
    case QR_COMMAND_FUNCTION:
    case QR_COMMAND_FUNCTION_PAYLOAD:
        tell_call(s, command);
        break;
    case QR_COMMAND_FUNCTION_CANCEL:
        if (h->cancel != NULL)
            h->cancel(h->data, command->name);
        break;
    case QR_COMMAND_FUNCTION_PROGRESS:
        if (h->progress != NULL)
            h->progress(h->data, command->name);
        break;
    case QR_COMMAND_NODE_ID:
        if (h->node_id != NULL)
            h->node_id(h->data, &command->claim_id, &command->node_id, command->url);
        break;
    default:
        if (h->json != NULL)
            h->json(h->data, command->name, qr_buf_slice(&s->payload));
        break;
    }
}

static bool has_payload(enum qr_command_kind kind)
{
    return kind == QR_COMMAND_FUNCTION_PAYLOAD || kind == QR_COMMAND_JSON;
}

/* Its words must live until its payload has come. */
static int begin_payload(struct qr_sender *s, struct qr_slice line)
{
    qr_buf_clear(&s->command_line);
    int err = qr_buf_add(&s->command_line, line.base, line.len);
    if (err != 0)
        return err;
    err = qr_command_parse(qr_buf_slice(&s->command_line), &s->command);
    assert(err == 0);
    s->in_payload = true;
    return err;
}

static int take_payload_line(struct qr_sender *s, struct qr_slice line)
{
    if (!qr_command_ends(s->command.kind, line)) {
        if (s->payload.len > 0)
            qr_buf_add(&s->payload, "\n", 1);
        return qr_buf_add(&s->payload, line.base, line.len);
    }
    s->in_payload = false;
    carry_out(s, &s->command);
    qr_buf_clear(&s->payload);
    return 0;
}

static int take_line(struct qr_sender *s, struct qr_slice line)
{
    if (s->in_payload)
        return take_payload_line(s, line);
    struct qr_command command;
    int err = qr_command_parse(line, &command);
    if (err != 0) {
        s->stats.lines_unknown += line.len > 0;
        return 0;
    }
    if (has_payload(command.kind))
        return begin_payload(s, line);
    carry_out(s, &command);
    return 0;
}

int qr_sender_feed(struct qr_sender *s, struct qr_slice text)
{
    assert(s->answering == NULL);
    if (s->failed != 0)
        return s->failed;
    qr_lines_feed(&s->lines, text);
    struct qr_slice line;
    int n = 0, err = 0;
    while (err == 0 && (n = qr_lines_next(&s->lines, &line)) > 0)
        err = take_line(s, line);
    s->failed = err != 0 ? err : n;
    return s->failed;
}
