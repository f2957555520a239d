#include "node/ctl/command.h"

#include <stdio.h>

#include "base/compiler.h"
#include "testing/cmocka.h"

static struct qr_ctl_args seen;
static bool seen_json;

static int note(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    seen = *args;
    seen_json = io->json;
    qr_buf_add_str(io->out, "ran");
    return QR_CTL_DEGRADED;
}

static const struct qr_ctl_command commands[] = {
    {
        .name = "walk",
        .line = "Walks.",
        .more = "Far.\n",
        .options = {{"--to", "PLACE", "Where to.", true},
                    {"--via", "PLACE", "Over there.", false},
                    {"--fast", NULL, "Runs.", false}},
        .run = note,
    },
    {
        .name = "carry",
        .line = "Carries.",
        .more = "",
        .exits = "0 carried; 1 dropped",
        .words = "WHAT [WHERE]",
        .words_min = 1,
        .words_max = 2,
        .options = {{"--fast", NULL, "Runs.", false}},
        .run = note,
    },
    {0},
};

static struct qr_buf out, err;

static int run(const char *words)
{
    static char text[256]; /* what the command sees points into it */
    static char *argv[16]; /* So do the words. */
    int argc = 0;
    snprintf(text, sizeof text, "quoratectl %s", words);
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (word[0] != '\0')
            argv[argc++] = word;
    qr_buf_release(&out);
    qr_buf_release(&err);
    seen = (struct qr_ctl_args){0};
    seen_json = false;
    int code = qr_ctl_run(commands, argc, argv, &out, &err);
    qr_buf_add_u8(&out, 0);
    qr_buf_add_u8(&err, 0);
    return code;
}

static void gives_options_to_the_command(void **state)
{
    (void)state;
    assert_int_equal(run("walk --via a --to x --via=b --json --fast"), QR_CTL_DEGRADED);
    assert_string_equal(out.base, "ran");
    assert_string_equal(qr_ctl_value(&seen, 0), "x");
    assert_int_equal(seen.n[1], 2);
    assert_string_equal(seen.values[1][0], "a");
    assert_string_equal(seen.values[1][1], "b");
    assert_int_equal(seen.n[2], 1);
    assert_true(seen_json);
}

static void gives_words_to_the_command(void **state)
{
    (void)state;
    assert_int_equal(run("carry stone --fast uphill"), QR_CTL_DEGRADED);
    assert_int_equal(seen.n_words, 2);
    assert_string_equal(seen.words[0], "stone");
    assert_string_equal(seen.words[1], "uphill");
    assert_int_equal(seen.n[0], 1);
}

static const struct {
    const char *words;
    int code;
    const char *out, *err; /* is in it; "": is empty */
} cases[] = {
    {"", 2, "", "walk       Walks."},
    {"help", 0, "walk       Walks.", ""},
    {"--help", 0, "walk       Walks.", ""},
    {"help walk", 0, "quoratectl walk --to PLACE [--via PLACE] [--fast] [--json]", ""},
    {"walk --help", 0, "Far.", ""},
    {"fly", 2, "", "no command fly"},
    {"help fly", 2, "", "no command fly"},
    {"walk", 2, "", "--to is missing"},
    {"walk --to", 2, "", "--to needs a value"},
    {"walk --to x --tofu y", 2, "", "what is --tofu?"},
    {"walk --to x --fast=1", 2, "", "--fast takes no value"},
    {"walk --to x y", 2, "", "what is y?"},
    {"help carry", 0, "quoratectl carry WHAT [WHERE] [--fast] [--json]", ""},
    {"carry --help", 0, "Exit code: 0 carried; 1 dropped.", ""},
    {"carry --fast", 2, "", "WHAT [WHERE] is missing"},
    {"carry a b c", 2, "", "what is c?"},
    {"carry a --b", 2, "", "what is --b?"},
};

static void explains_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        assert_int_equal(run(cases[i].words), cases[i].code);
        assert_non_null(strstr(out.base, cases[i].out));
        assert_non_null(strstr(err.base, cases[i].err));
        assert_int_equal(cases[i].out[0] == '\0', out.base[0] == '\0');
        assert_int_equal(cases[i].err[0] == '\0', err.base[0] == '\0');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_options_to_the_command),
        cmocka_unit_test(gives_words_to_the_command),
        cmocka_unit_test(explains_itself),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    qr_buf_release(&out);
    qr_buf_release(&err);
    return failed;
}
