#include "node/ctl/key.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/compiler.h"
#include "base/error.h"
#include "cluster/keys.h"
#include "node/ctl/ask.h"
#include "node/ctl/fetch.h"
#include "node/ctl/table.h"

enum {
    O_URL,
    O_NAME,
    O_ALLOW_FROM,
    O_UPDATE_EVERY,
    O_SET,
    O_STDIN,
    O_OVERLAP,
    O_KEY,
    O_CERTIFICATE,
    O_INSECURE
};

/* What is asked for. */
struct order {
    const struct qr_ctl_io *io;
    const struct qr_ctl_args *args;
    const char *verb, *word;
    const char *base; /* The URL of the member that is asked, or NULL. */
    bool insecure;
    struct qr_buf url, status, body;
    struct qr_guid key; /* add, rotate: the new one. */
};

static int fail(const struct order *order, const char *format, ...) QR_PRINTF(2, 3);

static int fail(const struct order *order, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    qr_buf_printf(order->io->err, "quoratectl key %s: ", order->verb);
    qr_buf_vprintf(order->io->err, format, args);
    qr_buf_add_str(order->io->err, "\n");
    va_end(args);
    return QR_CTL_FAILED;
}

/* ---- small things ---- */

int qr_ctl_key_make(struct qr_guid *key)
{
    struct qr_guid made;
    ssize_t n = getrandom(made.bytes, sizeof made.bytes, 0);
    if (n != (ssize_t)sizeof made.bytes)
        return n < 0 ? -errno : -EIO;
    made.bytes[6] = (uint8_t)((made.bytes[6] & 0x0f) | 0x40);
    made.bytes[8] = (uint8_t)((made.bytes[8] & 0x3f) | 0x80);
    *key = made;
    return 0;
}

int qr_ctl_key_seconds(const char *text, uint64_t *seconds)
{
    static const struct {
        const char *unit;
        uint64_t seconds;
    } units[] = {{"", 1}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}};
    char *end;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    for (size_t i = 0; i < QR_COUNT(units); i++) {
        if (errno != 0 || end == text || text[0] == '-' || number > UINT32_MAX ||
            strcmp(end, units[i].unit) != 0)
            continue;
        *seconds = number * units[i].seconds;
        return 0;
    }
    return QR_E_MALFORMED;
}

/* ---- list ---- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL && text[0] != '\0' ? text : "-";
}

/* "2026-11-23 16:10", UTC, or the word for none. */
static void add_time(struct qr_ctl_table *table, const json_t *object, const char *key,
                     const char *none)
{
    const json_t *value = json_object_get(object, key);
    time_t time_s = (time_t)json_integer_value(value);
    struct tm tm;
    char text[32];
    if (!json_is_integer(value) || gmtime_r(&time_s, &tm) == NULL ||
        strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm) == 0)
        snprintf(text, sizeof text, "%s", none);
    qr_ctl_table_cell(table, "%s", text);
}

/* Its lines in one. */
static void add_policy(struct qr_ctl_table *table, const json_t *key)
{
    char text[QR_KEY_POLICY_BYTES];
    snprintf(text, sizeof text, "%s", text_of(key, "policy"));
    size_t len = strlen(text);
    if (len > 0 && text[len - 1] == '\n')
        text[len - 1] = '\0';
    for (char *p = text; *p != '\0'; p++)
        if (*p == '\n')
            *p = ';';
    qr_ctl_table_cell(table, "%s", text);
}

static void render_keys(const json_t *keys, struct qr_buf *out)
{
    struct qr_ctl_table table;
    size_t i;
    const json_t *key;
    qr_ctl_table_init(&table, (const char *const[]){">id", "name", "state", "made (UTC)", "ends",
                                                    "last used", ">line", "policy", NULL});
    json_array_foreach(keys, i, key)
    {
        qr_ctl_table_cell(&table, "%lld", json_integer_value(json_object_get(key, "id")));
        qr_ctl_table_cell(&table, "%s", text_of(key, "name"));
        qr_ctl_table_cell(&table, "%s", text_of(key, "state"));
        add_time(&table, key, "created", "-");
        add_time(&table, key, "ends", "-");
        add_time(&table, key, "last_used", "never");
        qr_ctl_table_cell(&table, "%lld", json_integer_value(json_object_get(key, "line")));
        add_policy(&table, key);
    }
    qr_ctl_table_print(&table, out);
    qr_ctl_table_release(&table);
}

static void render_bindings(const json_t *bindings, struct qr_buf *out)
{
    size_t i;
    const json_t *binding;
    if (json_array_size(bindings) > 0)
        qr_buf_add_str(out, "\nbound machines:\n");
    json_array_foreach(bindings, i, binding)
    {
        const json_t *line = json_object_get(binding, "line");
        const char *certificate = json_string_value(json_object_get(binding, "certificate"));
        qr_buf_printf(out, "  %s", text_of(binding, "machine_guid"));
        if (json_is_integer(line))
            qr_buf_printf(out, "  keys of line %lld", json_integer_value(line));
        if (certificate != NULL)
            qr_buf_printf(out, "  certificate %s", certificate);
        qr_buf_add_str(out, "\n");
    }
}

int qr_ctl_key_render(struct qr_slice text, struct qr_buf *out, struct qr_buf *err)
{
    json_error_t error;
    json_t *root = json_loadb(text.base, text.len, 0, &error);
    const json_t *keys = json_object_get(root, "keys");
    if (!json_is_array(keys)) {
        qr_buf_add_str(err, "the answer is no list of keys of a Quorate cluster\n");
        json_decref(root);
        return QR_CTL_FAILED;
    }
    if (json_array_size(keys) == 0)
        qr_buf_add_str(out, "There is no key in the log; `quoratectl key add` makes one.\n");
    else
        render_keys(keys, out);
    render_bindings(json_object_get(root, "bindings"), out);
    json_decref(root);
    return QR_CTL_DONE;
}

/* ---- asking ---- */

static void begin(struct order *order)
{
    qr_ctl_url(&order->url, order->base, "/api/quorate/v1/keys");
    qr_ctl_url_param(&order->url, "do", order->verb);
}

static int ask(struct order *order)
{
    char reason[QR_CTL_FETCH_REASON] = "out of memory";
    long status = 0;
    char command[32];
    if (order->url.failed ||
        qr_ctl_post(order->url.base, order->insecure, &order->body, &status, reason) != 0)
        return fail(order, "%s", reason);
    snprintf(command, sizeof command, "key %s", order->verb);
    return status == 200 ? QR_CTL_DONE : qr_ctl_refused(order->io, command, status, &order->body);
}

static int list(struct order *order)
{
    int code = ask(order);
    if (code != QR_CTL_DONE)
        return code;
    if (order->io->json)
        qr_buf_printf(order->io->out, "%.*s\n", (int)order->body.len, order->body.base);
    else
        code = qr_ctl_key_render(qr_buf_slice(&order->body), order->io->out, order->io->err);
    return code;
}

/* ---- a new key ---- */

static int read_stdin(struct order *order)
{
    char line[256];
    if (fgets(line, sizeof line, stdin) == NULL)
        return fail(order, "there is nothing on standard input");
    struct qr_slice text = qr_slice_of(line, strcspn(line, " \t\r\n"));
    int code = QR_CTL_DONE;
    if (qr_guid_parse(&order->key, text) != 0)
        code = fail(order, "what is on standard input is not a UUID");
    explicit_bzero(line, sizeof line);
    return code;
}

static int take_key(struct order *order)
{
    if (order->args->n[O_STDIN] > 0)
        return read_stdin(order);
    int err = qr_ctl_key_make(&order->key);
    return err == 0 ? QR_CTL_DONE : fail(order, "there is no randomness: %s", qr_strerror(err));
}

static int get_status(struct order *order)
{
    struct qr_buf url = {0};
    char reason[QR_CTL_FETCH_REASON] = "out of memory";
    qr_ctl_url(&url, order->base, "/api/quorate/v1/status");
    int err = qr_ctl_fetch(url.base, order->insecure, &order->status, reason);
    qr_buf_release(&url);
    return err == 0 ? QR_CTL_DONE : fail(order, "%s", reason);
}

/* The key is hashed with the cluster's id, which a member says. */
static int add_hash(struct order *order)
{
    uint8_t hash[QR_KEY_HASH_BYTES];
    char text[2 * QR_KEY_HASH_BYTES + 1];
    struct qr_guid cluster;
    json_error_t error;
    json_t *root = json_loadb(order->status.base, order->status.len, 0, &error);
    const char *id = json_string_value(json_object_get(json_object_get(root, "cluster"), "id"));
    bool known = id != NULL && qr_guid_parse(&cluster, qr_slice_str(id)) == 0;
    json_decref(root);
    if (!known)
        return fail(order, "the answer is no status of a member of a Quorate cluster");
    qr_key_hash(&cluster, &order->key, hash);
    for (unsigned i = 0; i < QR_KEY_HASH_BYTES; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", hash[i]);
    qr_ctl_url_param(&order->url, "hash", text);
    return QR_CTL_DONE;
}

static bool take_host(const char *address, char *host, size_t host_bytes)
{
    const char *colon = address != NULL ? strrchr(address, ':') : NULL;
    if (colon == NULL || (size_t)(colon - address) >= host_bytes)
        return false;
    snprintf(host, host_bytes, "%.*s", (int)(colon - address), address);
    return true;
}

/* "host:port" of a URL. */
static void take_authority(const char *url, char *text, size_t text_bytes)
{
    const char *at = strstr(url, "://");
    at = at != NULL ? at + 3 : url;
    snprintf(text, text_bytes, "%.*s", (int)strcspn(at, "/"), at);
}

void qr_ctl_key_destination(struct qr_slice status, const char *const *urls, unsigned n_urls,
                            struct qr_buf *out)
{
    char hosts[QR_MEMBERS_MAX][128], asked[256];
    unsigned n = 0;
    bool distinct = true;
    size_t i;
    const json_t *member;
    json_error_t error;
    json_t *root = json_loadb(status.base, status.len, 0, &error);
    take_authority(n_urls > 0 ? urls[0] : QR_CTL_DEFAULT_URL, asked, sizeof asked);
    json_array_foreach(json_object_get(root, "members"), i, member)
    {
        if (n == QR_MEMBERS_MAX ||
            !take_host(text_of(member, "address"), hosts[n], sizeof hosts[n]))
            continue;
        for (unsigned k = 0; k < n; k++)
            distinct = distinct && strcmp(hosts[k], hosts[n]) != 0;
        n++;
    }
    json_decref(root);
    const char *port = strrchr(asked, ':');
    bool from_urls = n == 0 || !distinct || n_urls > 1;
    if (from_urls)
        qr_buf_add_str(out, asked);
    for (unsigned k = 1; k < n_urls && from_urls; k++) {
        take_authority(urls[k], asked, sizeof asked);
        qr_buf_printf(out, " %s", asked);
    }
    for (unsigned k = 0; k < n && !from_urls; k++)
        qr_buf_printf(out, "%s%s%s", k > 0 ? " " : "", hosts[k], port != NULL ? port : ":19999");
}

static void print_lines(const struct order *order, const char *key)
{
    qr_buf_add_str(order->io->out, "\n[stream]\n    enabled = yes\n    destination = ");
    qr_ctl_key_destination(qr_buf_slice(&order->status), order->args->values[O_URL],
                           order->args->n[O_URL], order->io->out);
    qr_buf_printf(order->io->out, "\n    api key = %s\n", key);
}

static int print_new(struct order *order)
{
    char key[QR_GUID_TEXT_LEN + 1];
    json_error_t error;
    json_t *root = json_loadb(order->body.base, order->body.len, 0, &error);
    const json_t *replaces = json_object_get(root, "replaces");
    long long id = json_integer_value(json_object_get(root, "id"));
    qr_guid_format(&order->key, key);
    if (order->io->json) {
        json_object_set_new(root, "key", json_string(key));
        char *text = json_dumps(root, JSON_COMPACT);
        qr_buf_printf(order->io->out, "%s\n", text != NULL ? text : "{}");
        free(text);
    } else {
        qr_buf_printf(order->io->out, "Key %lld is in the log", id);
        if (json_is_integer(replaces))
            qr_buf_printf(order->io->out, "; key %lld, which it replaced, works for another %s",
                          json_integer_value(replaces), qr_ctl_value(order->args, O_OVERLAP));
        qr_buf_add_str(order->io->out, ".  It is shown this once; a child's stream.conf:\n");
        print_lines(order, key);
    }
    json_decref(root);
    return QR_CTL_DONE;
}

static int make(struct order *order)
{
    int code = take_key(order);
    if (code == QR_CTL_DONE)
        code = get_status(order);
    if (code == QR_CTL_DONE)
        code = add_hash(order);
    if (code == QR_CTL_DONE)
        code = ask(order);
    return code == QR_CTL_DONE ? print_new(order) : code;
}

static void add_policy_lines(const struct qr_ctl_args *args, struct qr_buf *policy)
{
    if (args->n[O_ALLOW_FROM] > 0)
        qr_buf_printf(policy, "allow from = %s\n", qr_ctl_value(args, O_ALLOW_FROM));
    if (args->n[O_UPDATE_EVERY] > 0)
        qr_buf_printf(policy, "update every = %s\n", qr_ctl_value(args, O_UPDATE_EVERY));
    for (unsigned i = 0; i < args->n[O_SET]; i++)
        qr_buf_printf(policy, "%s\n", args->values[O_SET][i]);
}

static int add(struct order *order)
{
    struct qr_buf policy = {0};
    add_policy_lines(order->args, &policy);
    if (order->args->n[O_NAME] > 0)
        qr_ctl_url_param(&order->url, "name", qr_ctl_value(order->args, O_NAME));
    if (policy.len > 0)
        qr_ctl_url_param(&order->url, "policy", policy.base);
    qr_buf_release(&policy);
    return make(order);
}

static int rotate(struct order *order)
{
    const char *overlap = qr_ctl_value(order->args, O_OVERLAP);
    uint64_t seconds = 0;
    char text[32];
    if (overlap == NULL)
        return fail(order, "say how long the old key still works, such as --overlap 1d");
    if (qr_ctl_key_seconds(overlap, &seconds) != 0 || seconds > QR_KEY_OVERLAP_S_MAX)
        return fail(order, "%s is not a duration such as 12h or 7d, of 366 days at most", overlap);
    snprintf(text, sizeof text, "%llu", (unsigned long long)seconds);
    qr_ctl_url_param(&order->url, "key", order->word);
    qr_ctl_url_param(&order->url, "overlap", text);
    return make(order);
}

/* ---- the others ---- */

static int ask_and_say(struct order *order, const char *sentence)
{
    int code = ask(order);
    if (code != QR_CTL_DONE)
        return code;
    if (order->io->json)
        qr_buf_printf(order->io->out, "%.*s\n", (int)order->body.len, order->body.base);
    else
        qr_buf_printf(order->io->out, "%s\n", sentence);
    return QR_CTL_DONE;
}

static int revoke(struct order *order)
{
    qr_ctl_url_param(&order->url, "key", order->word);
    return ask_and_say(order, "The key is revoked; children that came with it are closed.");
}

static int bind_machine(struct order *order)
{
    const char *key = qr_ctl_value(order->args, O_KEY);
    const char *certificate = qr_ctl_value(order->args, O_CERTIFICATE);
    if (key == NULL && certificate == NULL)
        return fail(order, "say --key ID, --certificate FINGERPRINT, or both");
    qr_ctl_url_param(&order->url, "machine_guid", order->word);
    if (key != NULL)
        qr_ctl_url_param(&order->url, "key", key);
    if (certificate != NULL)
        qr_ctl_url_param(&order->url, "certificate", certificate);
    return ask_and_say(order, "The machine is bound: it is let in so, or not at all.");
}

static int unbind(struct order *order)
{
    qr_ctl_url_param(&order->url, "machine_guid", order->word);
    return ask_and_say(order, "The machine is bound no more.");
}

/* Which options belong to which verb. */
static const struct verb {
    const char *name, *word;
    int (*run)(struct order *order);
    unsigned options;
} verbs[] = {
    {"list", NULL, list, 0},
    {"add", NULL, add,
     1u << O_NAME | 1u << O_ALLOW_FROM | 1u << O_UPDATE_EVERY | 1u << O_SET | 1u << O_STDIN},
    {"rotate", "the key", rotate, 1u << O_OVERLAP | 1u << O_STDIN},
    {"revoke", "the key", revoke, 0},
    {"bind", "the machine's GUID", bind_machine, 1u << O_KEY | 1u << O_CERTIFICATE},
    {"unbind", "the machine's GUID", unbind, 0},
};

static int run_verb(struct order *order, const struct verb *verb)
{
    const unsigned common = 1u << O_URL | 1u << O_INSECURE;
    for (unsigned i = 0; i < QR_CTL_OPTIONS_MAX; i++)
        if (order->args->n[i] > 0 && ((verb->options | common) >> i & 1) == 0)
            return fail(order, "%s does not belong to it", qr_ctl_key.options[i].name);
    if (verb->word != NULL && order->word == NULL)
        return fail(order, "%s is missing", verb->word);
    if (verb->word == NULL && order->word != NULL)
        return fail(order, "%s is too much", order->word);
    begin(order);
    return verb->run(order);
}

static int run(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    struct order order = {.io = io,
                          .args = args,
                          .verb = args->words[0],
                          .word = args->n_words > 1 ? args->words[1] : NULL,
                          .base = qr_ctl_value(args, O_URL),
                          .insecure = args->n[O_INSECURE] > 0};
    int code = -1;
    for (size_t i = 0; i < QR_COUNT(verbs) && code < 0; i++)
        if (strcmp(order.verb, verbs[i].name) == 0)
            code = run_verb(&order, &verbs[i]);
    if (code < 0)
        code = fail(&order, "there is no such command; try: quoratectl help key");
    qr_buf_release(&order.url);
    qr_buf_release(&order.status);
    qr_buf_release(&order.body);
    explicit_bzero(&order.key, sizeof order.key);
    return code;
}

const struct qr_ctl_command qr_ctl_key = {
    .name = "key",
    .line = "Lists children's API keys, adds, rotates or revokes one, binds a machine to one.",
    .more =
        "  list                  the keys in the log, when each was used last (to the hour), and\n"
        "                        which machines are bound\n"
        "  add                   a new key, for all members; prints it, once, with the lines for\n"
        "                        a child's stream.conf\n"
        "  rotate KEY --overlap DURATION\n"
        "                        a new key like KEY, which works that long yet; children keep\n"
        "                        streaming meanwhile\n"
        "  revoke KEY            at once: children that came with it are closed everywhere\n"
        "  bind GUID --key KEY | --certificate FINGERPRINT\n"
        "                        the machine comes with KEY, or one that replaced it, or with "
        "that\n"
        "                        client certificate, or not at all; both may be given\n"
        "  unbind GUID           it comes as any other\n"
        "KEY is an id, or a name that one key has.  The log has a hash of each key, nobody the "
        "key\n"
        "itself: one that is lost is rotated.  A section of stream.conf for the same key goes\n"
        "before its policy here, but not before a revocation.  Any member can be asked; it must\n"
        "allow it: `allow management from`.\n",
    .exits = "0 done; 2 refused or not done",
    .words = "list|add|rotate|revoke|bind|unbind [KEY|GUID]",
    .words_min = 1,
    .words_max = 2,
    .options =
        {
            [O_URL] = QR_CTL_URL_OPTION("; the first is asked, all are printed."),
            [O_NAME] = {"--name", "NAME", "add: what people call it.", false},
            [O_ALLOW_FROM] = {"--allow-from", "PATTERN",
                              "add: simple pattern on the child's address.", false},
            [O_UPDATE_EVERY] = {"--update-every", "DURATION",
                                "add: instead of what the child says.", false},
            [O_SET] = {"--set", "OPTION=VALUE",
                       "add: another option of an API key's section of stream.conf.", false},
            [O_STDIN] = {"--stdin", NULL,
                         "add, rotate: a key that children have already, from standard input.",
                         false},
            [O_OVERLAP] = {"--overlap", "DURATION", "rotate: 12h, 7d; 0: the old one is over.",
                           false},
            [O_KEY] = {"--key", "KEY", "bind: an id or a name.", false},
            [O_CERTIFICATE] = {"--certificate", "SHA256",
                               "bind: as `openssl x509 -fingerprint -sha256` prints it.", false},
            [O_INSECURE] = QR_CTL_INSECURE_OPTION,
        },
    .run = run,
};
