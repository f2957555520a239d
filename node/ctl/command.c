#include "node/ctl/command.h"

#include <string.h>

/* ---- help ---- */

static void help_exit_codes(const char *exits, struct qr_buf *out)
{
    qr_buf_printf(out, "\nExit code: %s.\n",
                  exits != NULL ? exits
                                : "0 done, and healthy; 1 the cluster is degraded; "
                                  "2 not done, or the cluster is down");
}

static void help_all(const struct qr_ctl_command *commands, struct qr_buf *out)
{
    qr_buf_add_str(out, "quoratectl " QR_VERSION " operates a Quorate cluster.\n\n"
                        "Usage: quoratectl COMMAND [OPTION]... [--json]\n\n");
    for (const struct qr_ctl_command *c = commands; c->name != NULL; c++)
        qr_buf_printf(out, "  %-10s %s\n", c->name, c->line);
    qr_buf_add_str(out, "  help       Says this, or with a command how to use that.\n"
                        "\n  --json     Prints one JSON object for programs.\n");
    help_exit_codes(NULL, out);
}

static void help_one(const struct qr_ctl_command *command, struct qr_buf *out)
{
    qr_buf_printf(out, "Usage: quoratectl %s", command->name);
    if (command->words != NULL)
        qr_buf_printf(out, " %s", command->words);
    for (const struct qr_ctl_option *o = command->options; o->name != NULL; o++)
        qr_buf_printf(out, o->required ? " %s%s%s" : " [%s%s%s]", o->name,
                      o->value != NULL ? " " : "", o->value != NULL ? o->value : "");
    qr_buf_printf(out, " [--json]\n\n%s\n%s\n", command->line, command->more);
    for (const struct qr_ctl_option *o = command->options; o->name != NULL; o++)
        qr_buf_printf(out, "  %s %-*s %s\n", o->name, (int)(30 - strlen(o->name)),
                      o->value != NULL ? o->value : "", o->sentence);
    qr_buf_printf(out, "  %-31s %s\n", "--json", "Prints one JSON object for programs.");
    help_exit_codes(command->exits, out);
}

/* ---- arguments ---- */

const char *qr_ctl_value(const struct qr_ctl_args *args, unsigned option)
{
    return args->n[option] > 0 ? args->values[option][0] : NULL;
}

/* The row of an option given as `--name` or `--name=value` (then *value is set); -1: none. */
static int find_option(const struct qr_ctl_command *command, const char *arg, const char **value)
{
    for (int i = 0; i < QR_CTL_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        size_t len = strlen(command->options[i].name);
        if (strncmp(arg, command->options[i].name, len) != 0)
            continue;
        if (arg[len] == '\0' || arg[len] == '=') {
            *value = arg[len] == '=' ? arg + len + 1 : NULL;
            return i;
        }
    }
    return -1;
}

static int refuse(const struct qr_ctl_command *command, struct qr_buf *err)
{
    qr_buf_printf(err, "Try: quoratectl help %s\n", command->name);
    return QR_CTL_FAILED;
}

/* Words are gathered at the beginning of argv, whose order so changes. */
static int read_args(const struct qr_ctl_command *command, int argc, char **argv,
                     struct qr_ctl_args *args, struct qr_buf *err)
{
    for (int i = 0; i < argc; i++) {
        const char *value;
        int row = find_option(command, argv[i], &value);
        if (row < 0 && argv[i][0] != '-' && args->n_words < command->words_max) {
            argv[args->n_words++] = argv[i];
            continue;
        }
        if (row < 0) {
            qr_buf_printf(err, "quoratectl %s: what is %s?\n", command->name, argv[i]);
            return refuse(command, err);
        }
        if (command->options[row].value == NULL)
            value = value == NULL ? "" : NULL; /* a flag takes none */
        else if (value == NULL && i + 1 < argc)
            value = argv[++i];
        if (value == NULL || args->n[row] == QR_CTL_VALUES_MAX) {
            qr_buf_printf(err, "quoratectl %s: %s %s\n", command->name, command->options[row].name,
                          value != NULL                         ? "is given too often"
                          : command->options[row].value != NULL ? "needs a value"
                                                                : "takes no value");
            return refuse(command, err);
        }
        args->values[row][args->n[row]++] = value;
    }
    if (args->n_words < command->words_min) {
        qr_buf_printf(err, "quoratectl %s: %s is missing\n", command->name, command->words);
        return refuse(command, err);
    }
    for (int i = 0; i < QR_CTL_OPTIONS_MAX && command->options[i].name != NULL; i++) {
        if (!command->options[i].required || args->n[i] > 0)
            continue;
        qr_buf_printf(err, "quoratectl %s: %s is missing\n", command->name,
                      command->options[i].name);
        return refuse(command, err);
    }
    return QR_CTL_DONE;
}

/* ---- running ---- */

/* Takes the words that every command knows out of argv; returns what is left of argc. */
static int take_common(int argc, char **argv, bool *json, bool *help)
{
    int kept = 0;
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0)
            *json = true;
        else if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            *help = true;
        else
            argv[kept++] = argv[i];
    }
    return kept;
}

static const struct qr_ctl_command *find(const struct qr_ctl_command *commands, const char *name)
{
    for (const struct qr_ctl_command *c = commands; c->name != NULL; c++)
        if (strcmp(c->name, name) == 0)
            return c;
    return NULL;
}

int qr_ctl_run(const struct qr_ctl_command *commands, int argc, char **argv, struct qr_buf *out,
               struct qr_buf *err)
{
    bool json = false, help = false;
    argc = take_common(argc, argv, &json, &help);
    int at = 1;
    if (argc > 1 && strcmp(argv[1], "help") == 0) {
        help = true;
        at++;
    }
    if (argc <= at) {
        help_all(commands, help ? out : err);
        return help ? QR_CTL_DONE : QR_CTL_FAILED;
    }
    const struct qr_ctl_command *command = find(commands, argv[at]);
    if (command == NULL) {
        qr_buf_printf(err, "quoratectl: there is no command %s\nTry: quoratectl help\n", argv[at]);
        return QR_CTL_FAILED;
    }
    if (help) {
        help_one(command, out);
        return QR_CTL_DONE;
    }
    struct qr_ctl_args args = {.words = (const char *const *)argv + at + 1};
    int code = read_args(command, argc - at - 1, argv + at + 1, &args, err);
    if (code != QR_CTL_DONE)
        return code;
    return command->run(&(struct qr_ctl_io){out, err, json}, &args);
}
