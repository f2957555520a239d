/* A parent may say any line.
 *
 * Checked: what is taken lies inside the line and within its bounds. */
#include "proto/command.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/limits.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_inside(struct qr_slice line, struct qr_slice word)
{
    if (word.len > 0 && (word.base < line.base || word.base + word.len > line.base + line.len))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_slice line = qr_slice_of(data, size);
    struct qr_command c;
    if (qr_command_parse(line, &c) != 0)
        return 0;
    check_inside(line, c.name);
    check_inside(line, c.function);
    check_inside(line, c.access);
    check_inside(line, c.source);
    check_inside(line, c.content_type);
    check_inside(line, c.url);
    if (c.after_s < 0 || c.before_s < 0 || c.after_s > QR_TIME_S_MAX || c.before_s > QR_TIME_S_MAX)
        abort();
    if ((c.kind == QR_COMMAND_FUNCTION || c.kind == QR_COMMAND_FUNCTION_PAYLOAD) &&
        (c.timeout_s == 0 || c.timeout_s > QR_COMMAND_TIMEOUT_S_MAX || c.function.len == 0))
        abort();
    for (enum qr_command_kind kind = 0; kind < QR_COMMAND_NR; kind++)
        if (qr_command_ends(kind, line))
            abort(); /* A command is no end of one. */
    return 0;
}
