/* quoratectl — the operator's command. */
#include <stdio.h>

#include "base/compiler.h"
#include "node/ctl/blocks.h"
#include "node/ctl/command.h"
#include "node/ctl/drain.h"
#include "node/ctl/forget.h"
#include "node/ctl/init.h"
#include "node/ctl/key.h"
#include "node/ctl/members.h"
#include "node/ctl/status.h"

static void print(FILE *to, struct qr_buf *text)
{
    if (text->len > 0)
        fwrite(text->base, 1, text->len, to);
    qr_buf_release(text);
}

int main(int argc, char **argv)
{
    const struct qr_ctl_command commands[] = {qr_ctl_init,   qr_ctl_status,  qr_ctl_members,
                                              qr_ctl_drain,  qr_ctl_undrain, qr_ctl_key,
                                              qr_ctl_forget, qr_ctl_blocks,  {0}};
    struct qr_buf out, err;
    qr_buf_init(&out, 0);
    qr_buf_init(&err, 0);
    int code = qr_ctl_run(commands, argc, argv, &out, &err);
    print(stdout, &out);
    print(stderr, &err);
    if (fflush(stdout) != 0)
        code = QR_CTL_FAILED;
    return code;
}
