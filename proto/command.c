#include "proto/command.h"

#include "base/compiler.h"
#include "base/error.h"
#include "base/limits.h"
#include "proto/number.h"
#include "proto/words.h"

static int parse_replay(const struct qr_words *words, struct qr_command *command)
{
    command->name = qr_words_get(words, 1);
    command->start_streaming = qr_slice_is(qr_words_get(words, 2), "true");
    if (command->name.len == 0 || qr_number_int(qr_words_get(words, 3), &command->after_s) != 0 ||
        qr_number_int(qr_words_get(words, 4), &command->before_s) != 0)
        return QR_E_MALFORMED;
    return command->after_s < 0 || command->before_s < 0 || command->after_s > QR_TIME_S_MAX ||
                   command->before_s > QR_TIME_S_MAX
               ? QR_E_MALFORMED
               : 0;
}

static int parse_function(const struct qr_words *words, struct qr_command *command)
{
    int64_t timeout_s = 0;
    command->name = qr_words_get(words, 1);
    command->function = qr_words_get(words, 3);
    command->access = qr_words_get(words, 4);
    command->source = qr_words_get(words, 5);
    command->content_type = qr_words_get(words, 6);
    if (command->name.len == 0 || command->function.len == 0 ||
        qr_number_int(qr_words_get(words, 2), &timeout_s) != 0)
        return QR_E_MALFORMED;
    if (timeout_s <= 0)
        timeout_s = QR_COMMAND_TIMEOUT_S;
    command->timeout_s =
        timeout_s < QR_COMMAND_TIMEOUT_S_MAX ? (uint32_t)timeout_s : QR_COMMAND_TIMEOUT_S_MAX;
    return 0;
}

static int parse_name(const struct qr_words *words, struct qr_command *command)
{
    command->name = qr_words_get(words, 1);
    return command->name.len > 0 ? 0 : QR_E_MALFORMED;
}

static int parse_node_id(const struct qr_words *words, struct qr_command *command)
{
    command->url = qr_words_get(words, 3);
    int err = qr_guid_parse(&command->claim_id, qr_words_get(words, 1));
    return err != 0 ? err : qr_guid_parse(&command->node_id, qr_words_get(words, 2));
}

static const struct {
    const char *name;
    int (*parse)(const struct qr_words *words, struct qr_command *command);
    const char *end; /* Of its payload. */
} rows[QR_COMMAND_NR] = {
    [QR_COMMAND_REPLAY_CHART] = {"REPLAY_CHART", parse_replay, NULL},
    [QR_COMMAND_FUNCTION] = {"FUNCTION", parse_function, NULL},
    [QR_COMMAND_FUNCTION_PAYLOAD] = {"FUNCTION_PAYLOAD", parse_function, "FUNCTION_PAYLOAD_END"},
    [QR_COMMAND_FUNCTION_CANCEL] = {"FUNCTION_CANCEL", parse_name, NULL},
    [QR_COMMAND_FUNCTION_PROGRESS] = {"FUNCTION_PROGRESS", parse_name, NULL},
    [QR_COMMAND_NODE_ID] = {"NODE_ID", parse_node_id, NULL},
    [QR_COMMAND_JSON] = {"JSON", parse_name, "JSON_PAYLOAD_END"},
};

int qr_command_parse(struct qr_slice line, struct qr_command *command)
{
    struct qr_words words;
    if (qr_words_split(&words, line) != 0)
        return QR_E_MALFORMED;
    for (enum qr_command_kind kind = 0; kind < QR_COMMAND_NR; kind++)
        if (qr_slice_is(qr_words_get(&words, 0), rows[kind].name)) {
            struct qr_command parsed = {.kind = kind};
            int err = rows[kind].parse(&words, &parsed);
            if (err == 0)
                *command = parsed;
            return err;
        }
    return QR_E_UNKNOWN;
}

bool qr_command_ends(enum qr_command_kind kind, struct qr_slice line)
{
    if (line.len > 0 && line.base[line.len - 1] == '\r')
        line.len--;
    return rows[kind].end != NULL && qr_slice_is(line, rows[kind].end);
}
