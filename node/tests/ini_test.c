#include "node/ini.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "testing/cmocka.h"

static char path[] = "/tmp/quorate-ini-XXXXXX";
static char sentence[512];
static char seen[4096];

static int collect(void *data, const char *section, const char *key, const char *value)
{
    (void)data;
    if (strcmp(value, "refuse") == 0) {
        snprintf(sentence, sizeof sentence, "refused");
        return 0;
    }
    size_t n = strlen(seen);
    snprintf(seen + n, sizeof seen - n, "%s/%s=%s;", section, key, value);
    return 1;
}

static int parse(const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    seen[0] = sentence[0] = '\0';
    return qr_ini_parse(path, collect, NULL, sentence, sizeof sentence);
}

static void takes_indented_lines_as_netdata_writes_them(void **state)
{
    (void)state;
    assert_int_equal(parse("# comment\n[a b]\n    x y = 1 2\n\t  # another\n    z =\n"), 0);
    assert_string_equal(seen, "a b/x y=1 2;a b/z=;");
}

static void names_the_line_that_is_wrong(void **state)
{
    (void)state;
    char long_line[4096];
    memset(long_line, 'x', sizeof long_line);
    memcpy(long_line, "[a]\nk = ", 8);
    long_line[sizeof long_line - 1] = '\0';
    assert_int_equal(parse("[a]\nb = 1\nnonsense\n"), QR_E_CONFIG);
    assert_non_null(strstr(sentence, "line 3"));
    assert_int_equal(parse(long_line), QR_E_CONFIG);
    assert_non_null(strstr(sentence, "line 2 is too long"));
    assert_int_equal(parse("[a]\nb = refuse\n"), QR_E_CONFIG);
    assert_string_equal(sentence, "refused");
    assert_int_equal(qr_ini_parse("/nowhere/x", collect, NULL, sentence, sizeof sentence),
                     QR_E_CONFIG);
    assert_non_null(strstr(sentence, "/nowhere/x"));
}

static int setup(void **state)
{
    (void)state;
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int teardown(void **state)
{
    (void)state;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_indented_lines_as_netdata_writes_them),
        cmocka_unit_test(names_the_line_that_is_wrong),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
