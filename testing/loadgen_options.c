#include <errno.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/error.h"
#include "proto/caps.h"
#include "testing/loadgen_options.h"

enum kind { FLAG, NUMBER, REAL, TEXT, URL };

/* An option is a row; "%g" in a sentence is never needed: the default is printed behind it. */
static const struct row {
    const char *name;
    enum kind kind;
    size_t offset;
    double min, max, initial;
    const char *sentence;
} rows[] = {
#define AT(field) offsetof(struct qr_loadgen, field)
    {"to", TEXT, AT(to), 0, 0, 0, "stream to these HOST:PORT, comma separated, in this order"},
    {"key", TEXT, AT(key), 0, 0, 0, "API key (a UUID)"},
    {"rotate", FLAG, AT(rotate), 0, 0, 0, "host i starts at the i-th destination"},
    {"hosts", NUMBER, AT(hosts), 1, 10000, 1, "simulated hosts, one stream each"},
    {"charts", NUMBER, AT(charts), 1, 99999, 20, "charts of each host"},
    {"dims", NUMBER, AT(dims), 1, 1000, 8, "dimensions of each chart"},
    {"every", NUMBER, AT(update_every), 1, 3600, 1, "update_every of the charts, s"},
    {"seed", NUMBER, AT(seed), 0, 9e15, 1, "names hosts and values"},
    {"plain", FLAG, AT(plain), 0, 0, 0, "no gaps, pauses and slow charts: each value each second"},
    {"first", NUMBER, AT(first_s), 0, 4e9, 0, "unix second at which the history starts (or:)"},
    {"history", NUMBER, AT(history_s), 3, 1e7, 60, "seconds collected before the first connect"},
    {"duration", NUMBER, AT(duration_s), 0, 1e7, 30, "stop after so many seconds; 0: when told"},
    {"full-speed", FLAG, AT(full_speed), 0, 0, 0, "as fast as the parent takes it, own clock"},
    {"data-seconds", NUMBER, AT(data_s), 1, 1e7, 600, "full speed: seconds of data to send"},
    {"stay", FLAG, AT(stay), 0, 0, 0, "full speed: stay connected until told, as children do"},
    {"compression", TEXT, AT(compression), 0, 0, 0,
     "offer lz4 (default), zstd, gzip, brotli or none"},
    {"tls", FLAG, AT(tls), 0, 0, 0, "stream over TLS; the certificate is not checked"},
    {"no-replication", FLAG, AT(no_replication), 0, 0, 0, "do not offer replication"},
    {"v2", FLAG, AT(v2), 0, 0, 0, "offer INTERPOLATED and IEEE754 (BEGIN2, SET2)"},
    {"rules", TEXT, AT(rules), 0, 0, 0, "answers as of 1.37 (default) or 2.9"},
    {"asks", FLAG, AT(asks), 0, 0, 0, "ask stream_info, and go where it says, as 2.9 does"},
    {"truncate", FLAG, AT(truncate), 0, 0, 0, "1.37's bug: answers end at an empty second"},
    {"late-every", NUMBER, AT(late_every), 0, 1e6, 0, "each n-th final answer says false"},
    {"reconnect-delay", NUMBER, AT(reconnect_delay_ms), 1, 1e6, 5000, "ms after a failure"},
    {"timeout", NUMBER, AT(timeout_ms), 1, 1e6, 60000, "of connect and handshake, ms"},
    {"postpone-scale", REAL, AT(postpone_scale), 0, 1, 1, "shortens what refusals cost"},
    {"buffer", NUMBER, AT(buffer_mib), 1, 1024, 10, "send buffer, MiB"},
    {"url", URL, AT(urls), 0, 0, 0, "verify: a node's http://HOST:PORT (repeatable)"},
    {"from", NUMBER, AT(from_s), 0, 4e9, 0, "verify: first unix second"},
    {"until", NUMBER, AT(to_s), 0, 4e9, 0, "verify: last unix second"},
    {"corpus", TEXT, AT(corpus), 0, 0, 0, "values from this file of recorded ones, with --plain"},
    {"json-file", TEXT, AT(json_path), 0, 0, 0, "write the figures there each second"},
    {"json", FLAG, AT(json), 0, 0, 0, "print the figures as JSON at the end"},
    {"quiet", FLAG, AT(quiet), 0, 0, 0, "no progress line"},
#undef AT
};

static void print_help(void)
{
    printf("usage: quorate-loadgen [run] --to HOST:PORT[,HOST:PORT..] --key UUID [options]\n"
           "       quorate-loadgen verify --url URL [--url URL..] --from T --until T [options]\n\n"
           "Simulated Netdata children that stream to a parent, and the check that a node has\n"
           "stored every sample of them (give both the same hosts, charts, dims, every, seed and\n"
           "plain).  SIGTERM ends a run and prints its figures; SIGUSR1 breaks all connections.\n"
           "Exit: 0 done, 1 a sample is missing or wrong or no child ever connected, 2 usage.\n\n");
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        static const char *const values[] = {"", "N", "X", "TEXT", "URL"};
        printf("  --%-16s %-5s %s", rows[i].name, values[rows[i].kind], rows[i].sentence);
        if (rows[i].kind == NUMBER || rows[i].kind == REAL)
            printf(" (%g)", rows[i].initial);
        printf("\n");
    }
}

static int complain(const char *name, const char *what, const char *text)
{
    fprintf(stderr, "quorate-loadgen: --%s %s: %s (see --help)\n", name, what, text);
    return QR_E_CONFIG;
}

static int set(struct qr_loadgen *options, const struct row *row, const char *text)
{
    void *field = (char *)options + row->offset;
    char *end = NULL;
    errno = 0;
    double value = row->kind == NUMBER || row->kind == REAL ? strtod(text, &end) : 0;
    if (end != NULL && (errno != 0 || end == text || *end != '\0'))
        return complain(row->name, "is not a number", text);
    if (end != NULL && (value < row->min || value > row->max))
        return complain(row->name, "is out of its bounds", text);
    switch (row->kind) {
    case FLAG:
        *(bool *)field = true;
        break;
    case NUMBER:
        *(int64_t *)field = (int64_t)value;
        break;
    case REAL:
        *(double *)field = value;
        break;
    case TEXT:
        *(const char **)field = text;
        break;
    case URL:
        if (options->n_urls == QR_LOADGEN_URLS_MAX)
            return complain(row->name, "is given too often", text);
        options->urls[options->n_urls++] = text;
        break;
    }
    return 0;
}

static void set_defaults(struct qr_loadgen *options)
{
    memset(options, 0, sizeof *options);
    for (size_t i = 0; i < QR_COUNT(rows); i++) {
        void *field = (char *)options + rows[i].offset;
        if (rows[i].kind == NUMBER)
            *(int64_t *)field = (int64_t)rows[i].initial;
        else if (rows[i].kind == REAL)
            *(double *)field = rows[i].initial;
    }
    options->rules = "1.37";
    options->compression = "lz4";
    options->key = "11111111-2222-3333-4444-555555555555";
}

static int parse_destinations(struct qr_loadgen *options)
{
    for (const char *p = options->to; p != NULL && *p != '\0';) {
        char text[64];
        size_t len = strcspn(p, ",");
        if (options->n_destinations == QR_CHILD_DESTINATIONS_MAX || len >= sizeof text)
            return complain("to", "is too long", options->to);
        memcpy(text, p, len);
        text[len] = '\0';
        if (qr_child_destination_parse(&options->destinations[options->n_destinations++], text) !=
            0)
            return complain("to", "is not an address", text);
        p += len + (p[len] == ',');
    }
    return options->n_destinations > 0 ? 0 : complain("to", "is missing", "");
}

static int check(struct qr_loadgen *options)
{
    options->model = (struct qr_model){.seed = (uint64_t)options->seed,
                                       .n_hosts = (uint32_t)options->hosts,
                                       .n_charts = (uint32_t)options->charts,
                                       .n_dims = (uint32_t)options->dims,
                                       .update_every = (uint32_t)options->update_every,
                                       .mix = !options->plain};
    struct qr_guid key;
    if (qr_guid_parse(&key, qr_slice_str(options->key)) != 0)
        return complain("key", "is not a UUID", options->key);
    if (strcmp(options->rules, "1.37") != 0 && strcmp(options->rules, "2.9") != 0)
        return complain("rules", "is not 1.37 or 2.9", options->rules);
    options->compression_caps =
        qr_compression_cap(qr_compression_of_name(qr_slice_str(options->compression)));
    if (options->compression_caps == 0 && strcmp(options->compression, "none") != 0)
        return complain("compression", "is not one of them", options->compression);
    if (!options->verify)
        return parse_destinations(options);
    if (options->n_urls == 0 || options->from_s == 0 || options->to_s < options->from_s)
        return complain("url, --from, --until", "are needed to verify", "");
    return 0;
}

int qr_loadgen_options(struct qr_loadgen *options, int argc, char **argv)
{
    struct option longs[QR_COUNT(rows) + 2] = {{"help", no_argument, NULL, 'h'}};
    for (size_t i = 0; i < QR_COUNT(rows); i++)
        longs[i + 1] = (struct option){
            rows[i].name, rows[i].kind == FLAG ? no_argument : required_argument, NULL, 0};
    set_defaults(options);
    int c, at;
    while ((c = getopt_long(argc, argv, "h", longs, &at)) != -1) {
        if (c == 'h') {
            print_help();
            return 1;
        }
        if (c != 0)
            return QR_E_CONFIG;
        int err = set(options, &rows[at - 1], optarg);
        if (err != 0)
            return err;
    }
    if (optind < argc) {
        const char *command = argv[optind++];
        options->verify = strcmp(command, "verify") == 0;
        if (optind < argc || (!options->verify && strcmp(command, "run") != 0))
            return complain("help", "lists the commands, unknown is", command);
    }
    return check(options);
}
