/* Our sender and a real Netdata 1.37.1 as its parent: what it answers at /api/v1/data is what was
 * sent, by replication and live, over two connections; and it knows our labels and functions. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/compiler.h"
#include "proto/tests/sending_pair.h"
#include "testing/netdata.h"

#define KEY     "11111111-2222-3333-4444-555555555555"
#define WAIT_MS 60000

struct parent {
    struct qr_netdata netdata;
    struct qr_fetch fetch;
    struct pair pair;
    int fd;
    struct pair_chart *chart; /* Waited for. */
};

/* ---- the connection ---- */

static void connect_to(struct parent *p)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned port = 0;
    assert_int_equal(sscanf(strrchr(p->netdata.url, ':'), ":%u", &port), 1);
    address.sin_port = htons((uint16_t)port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    p->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(p->fd >= 0);
    assert_int_equal(connect(p->fd, (struct sockaddr *)&address, sizeof address), 0);
}

static void write_all(int fd, struct qr_slice bytes)
{
    while (bytes.len > 0) {
        ssize_t n = send(fd, bytes.base, bytes.len, MSG_NOSIGNAL);
        assert_true(n > 0);
        bytes = qr_slice_of(bytes.base + n, bytes.len - (size_t)n);
    }
}

static size_t read_some(int fd, char *bytes, size_t room, int timeout_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    if (poll(&poll_fd, 1, timeout_ms) <= 0)
        return 0;
    ssize_t n = recv(fd, bytes, room, 0);
    if (n <= 0)
        fail_msg("the parent has closed the connection");
    return (size_t)n;
}

/* One request and its reply. */
static struct qr_reply ask(struct parent *p, uint32_t offered)
{
    const struct qr_request request = {
        .api_key = qr_slice_str(KEY),
        .machine_guid = pair_guid,
        .hostname = qr_slice_str("forwarded child"),
        .os = qr_slice_str("linux"),
        .timezone = qr_slice_str("Etc/UTC"),
        .update_every = 1,
        .hops = 2,
        .caps = offered,
        .program_name = qr_slice_str("netdata"),
        .program_version = qr_slice_str("v1.37.1"),
        .sysinfo[QR_SYSINFO_OS_NAME] = qr_slice_str("Debian & GNU/Linux (12)"),
    };
    struct qr_buf out;
    qr_buf_init(&out, 0);
    assert_int_equal(qr_request_encode(&request, &out), 0);
    connect_to(p);
    write_all(p->fd, qr_buf_slice(&out));
    qr_buf_release(&out);
    char text[QR_REPLY_BYTES_MAX];
    size_t len = 0;
    struct qr_reply reply;
    do {
        size_t n = read_some(p->fd, text + len, sizeof text - len, WAIT_MS);
        assert_true(n > 0);
        len += n;
    } while (qr_reply_parse(qr_slice_of(text, len), offered, &reply) != 0);
    return reply;
}

static void open_stream(struct parent *p, uint32_t offered)
{
    uint64_t until_ms = qr_mono_ms() + WAIT_MS;
    struct qr_reply reply = ask(p, offered);
    while (reply.kind == QR_REPLY_ALREADY && qr_mono_ms() < until_ms) {
        close(p->fd); /* It has not seen yet that the last one has ended. */
        reply = ask(p, offered);
    }
    assert_string_equal(reply.sentence, "accepted");
    assert_int_equal(reply.caps & (QR_CAP_REPLICATION | QR_CAP_INTERPOLATED), QR_CAP_REPLICATION);
    assert_int_equal(qr_caps_compression(reply.caps),
                     offered & QR_CAP_LZ4 ? QR_COMPRESSION_LZ4 : QR_COMPRESSION_NONE);
    p->pair.caps = reply.caps;
    pair_connect_sender(&p->pair, &qr_clock_system);
}

static void close_stream(struct parent *p)
{
    qr_sender_free(p->pair.sender);
    qr_buf_clear(&p->pair.to_parent);
    for (uint32_t i = 0; i < p->pair.n_charts; i++) {
        p->pair.charts[i].handle = NULL;
        p->pair.charts[i].asked = false;
    }
    close(p->fd);
}

/* Says what there is to say, hears what has come. */
static void turn(struct parent *p, int timeout_ms)
{
    char text[4096];
    for (uint32_t i = 0; i < p->pair.n_charts; i++)
        if (p->pair.charts[i].asked)
            pair_answer(&p->pair, &p->pair.charts[i]);
    qr_sender_flush(p->pair.sender);
    write_all(p->fd, qr_buf_slice(&p->pair.to_parent));
    qr_buf_clear(&p->pair.to_parent);
    size_t n = read_some(p->fd, text, sizeof text, timeout_ms);
    assert_int_equal(qr_sender_feed(p->pair.sender, qr_slice_of(text, n)), 0);
}

static void wait_until_live(struct parent *p, const struct pair_chart *c)
{
    uint64_t until_ms = qr_mono_ms() + WAIT_MS;
    while (!qr_sender_is_live(c->handle)) {
        if (qr_mono_ms() > until_ms)
            fail_msg("the parent does not let %s stream", c->text[0]);
        turn(p, 20);
    }
}

/* ---- what is sent ---- */

/* Every kind of value, missing values, rows and times, over `seconds`. */
static void make_rows(struct pair_chart *c, uint32_t seed, int64_t seconds)
{
    /* Its API interpolates between points that are 2 s apart: a huge one would spoil the next. */
    static const double kinds[] = {0, 1, -0.25, 0.1234567, 123456.7, -9e7, 42, 16777215, 3e-7};
    struct qr_rng rng;
    qr_rng_seed(&rng, seed);
    for (uint32_t i = 0; i < seconds / c->def.update_every; i++) {
        pair_row(c, i);
        if (i % 50 > 44 || (i > 150 && i < 170 + 70 / c->def.update_every))
            continue; /* Pauses, and one that is too long to be said. */
        for (uint32_t d = 0; d < c->def.n_dims; d++) {
            double value = kinds[qr_rng_below(&rng, QR_COUNT(kinds))];
            if (d == 1) /* One that outgrows its divisor, and shrinks again. */
                value = i / 60 % 2 && c->def.update_every == 1 ? 12345678e11 : (double)i * 0.5;
            else if (d == 2)
                value = -(double)qr_rng_below(&rng, 10000000) / 1000;
            if (d == 0 || qr_rng_below(&rng, 8) > 0)
                pair_set(c, i, d, value, 0);
        }
    }
}

/* Rows of (from, to] come to exist, and are sent if there is a connection. */
static void live_until(struct parent *p, int64_t from_s, int64_t to_s, bool connected)
{
    for (int64_t t = from_s + 1; t <= to_s; t++)
        for (uint32_t k = 0; k < p->pair.n_charts; k++) {
            struct pair_chart *c = &p->pair.charts[k];
            double values[PAIR_DIMS_MAX];
            uint8_t flags[PAIR_DIMS_MAX];
            struct qr_stream_row row;
            if (t < c->first_s || (t - c->first_s) % c->def.update_every != 0)
                continue;
            uint32_t i = (uint32_t)((t - c->first_s) / c->def.update_every);
            if (i >= c->n_rows)
                continue;
            c->n_visible = i + 1;
            if (!pair_fill_row(c, i, &row, values, flags) || !connected)
                continue;
            if (c->handle == NULL)
                pair_define(&p->pair, c);
            wait_until_live(p, c);
            if (!qr_sender_row(p->pair.sender, c->handle, &row))
                wait_until_live(p, c);
        }
    if (connected)
        turn(p, 0);
}

/* ---- what the parent has ---- */

static json_t *get_data(struct parent *p, const struct pair_chart *c)
{
    int status = qr_fetch_get(
        &p->fetch, WAIT_MS,
        "%s/host/forwarded%%20child/api/v1/data?chart=%s&after=%lld&before=%lld&format=json"
        "&options=seconds,flip",
        p->netdata.url, c->text[0], (long long)(c->first_s - c->def.update_every),
        (long long)pair_end_of(c, c->n_visible - 1));
    return status == 200 ? qr_fetch_json(&p->fetch) : NULL;
}

/* Its API prints 7 decimals, and what is above 2^64 not at all. */
static bool is_close(double a, double b)
{
    return fabs(a - b) <= 1e-6 * fabs(a) + 1e-7;
}

/* Marks what has arrived; the number of values that are wrong. */
static unsigned compare_chart(struct parent *p, struct pair_chart *c, uint64_t *n_values)
{
    unsigned n_wrong = 0;
    json_t *answer = get_data(p, c), *rows = json_object_get(answer, "data");
    for (uint32_t i = 0; i < c->n_visible; i++)
        for (uint32_t d = 0; d < c->def.n_dims; d++)
            c->arrived[i * PAIR_DIMS_MAX + d].n = 0;
    for (size_t r = 0; r < json_array_size(rows); r++) {
        json_t *row = json_array_get(rows, r);
        int64_t t = json_integer_value(json_array_get(row, 0)) - c->first_s;
        if (t < 0 || t % c->def.update_every != 0 || t / c->def.update_every >= c->n_visible)
            continue;
        for (uint32_t d = 0; d < c->def.n_dims; d++) {
            json_t *value = json_array_get(row, d + 1);
            struct pair_cell *cell = &c->arrived[t / c->def.update_every * PAIR_DIMS_MAX + d];
            cell->n = json_is_number(value);
            cell->value = json_number_value(value);
        }
    }
    json_decref(answer);
    for (uint32_t i = 0; i < c->n_visible; i++)
        for (uint32_t d = 0; d < c->def.n_dims; d++) {
            const struct pair_cell *sent = &c->rows[i * PAIR_DIMS_MAX + d];
            const struct pair_cell *arrived = &c->arrived[i * PAIR_DIMS_MAX + d];
            bool has = !(sent->flags & QR_STREAM_EMPTY);
            *n_values += has;
            if (has == (arrived->n > 0) && (!has || is_close(sent->value, arrived->value)))
                continue;
            if (n_wrong++ < 5)
                print_message("%s row %u dim %u: sent %.17g, the parent has %.17g\n", c->text[0], i,
                              d, has ? sent->value : (double)NAN,
                              arrived->n > 0 ? arrived->value : (double)NAN);
        }
    return n_wrong;
}

static bool has_newest(void *data)
{
    struct parent *p = data;
    bool has = false;
    json_t *answer = get_data(p, p->chart), *rows = json_object_get(answer, "data");
    for (size_t i = 0; i < json_array_size(rows); i++)
        has |= json_integer_value(json_array_get(json_array_get(rows, i), 0)) ==
                   pair_newest_s(p->chart) &&
               json_is_number(json_array_get(json_array_get(rows, i), 1));
    json_decref(answer);
    return has;
}

static void expect_all_at_the_parent(struct parent *p)
{
    uint64_t n_values = 0;
    unsigned n_wrong = 0;
    for (uint32_t k = 0; k < p->pair.n_charts; k++) {
        p->chart = &p->pair.charts[k];
        if (!qr_wait_for(has_newest, p, WAIT_MS, 50))
            print_message("%s: the newest row does not come\n", p->chart->text[0]);
        n_wrong += compare_chart(p, p->chart, &n_values);
    }
    print_message("%llu values compared\n", (unsigned long long)n_values);
    assert_true(n_values > 1000);
    assert_int_equal(n_wrong, 0);
}

static void start(struct parent *p)
{
    const struct qr_netdata_options options = {
        .name = "sender-parent", .api_key = KEY, .parent = true};
    memset(p, 0, sizeof *p);
    assert_int_equal(qr_fetch_init(&p->fetch), 0);
    assert_int_equal(qr_netdata_start(&p->netdata, &options), 0);
    pair_open(&p->pair, 0);
    pair_add_chart(&p->pair, "fwd.second", 1, 4);
    pair_add_chart(&p->pair, "fwd.two", 2, 3);
    pair_add_chart(&p->pair, "fwd.five", 5, 1);
}

static void stop(struct parent *p)
{
    pair_close(&p->pair);
    qr_fetch_release(&p->fetch);
    qr_netdata_release(&p->netdata, false);
}

static void a_1_37_parent_stores_what_was_sent(void **state)
{
    struct parent p;
    if (!qr_netdata_available()) {
        print_message("netdata is not installed here: skipped\n");
        skip();
    }
    start(&p);
    int64_t now_s = (int64_t)(qr_real_ms() / 1000), seconds = 500;
    int64_t start_s = now_s - seconds - 10;
    start_s -= start_s % 10;
    for (uint32_t k = 0; k < p.pair.n_charts; k++) {
        p.pair.charts[k].first_s = start_s + p.pair.charts[k].def.update_every;
        make_rows(&p.pair.charts[k], k, seconds);
    }
    live_until(&p, start_s, start_s + 60, false); /* What was before us. */
    open_stream(&p, QR_SENDER_CAPS & ~QR_CAPS_COMPRESSIONS);
    live_until(&p, start_s + 60, start_s + 300, true);
    expect_all_at_the_parent(&p);
    close_stream(&p);

    live_until(&p, start_s + 300, start_s + 340, false);
    open_stream(&p, QR_SENDER_CAPS); /* The parent has LZ4. */
    live_until(&p, start_s + 340, start_s + seconds, true);
    expect_all_at_the_parent(&p);
    close_stream(&p);
    stop(&p);
}

/* ---- what is known of the host ---- */

/* Calls come through its cloud link only; what was declared shows here. */
static bool knows_the_host(void *data)
{
    struct parent *p = data;
    int status =
        qr_fetch_get(&p->fetch, WAIT_MS, "%s/host/forwarded%%20child/api/v1/info", p->netdata.url);
    json_t *answer = status == 200 ? qr_fetch_json(&p->fetch) : NULL;
    json_t *functions = json_object_get(answer, "functions");
    bool has =
        json_object_get(functions, "say") != NULL && json_object_get(functions, "tell") != NULL;
    const char *rack =
        json_string_value(json_object_get(json_object_get(answer, "host_labels"), "rack"));
    const char *os = json_string_value(json_object_get(answer, "os_name"));
    has = has && rack != NULL && strcmp(rack, "a. shelf 3") == 0;
    has = has && os != NULL && strcmp(os, "Debian   GNU/Linux (12)") == 0; /* '&' is a blank. */
    json_decref(answer);
    return has;
}

static void a_1_37_parent_knows_the_host(void **state)
{
    static const struct qr_stream_label label = {{"rack", 4}, {"a. shelf 3", 10}, 2};
    static const struct qr_sender_function say = {
        .name = {"say", 3}, .help = {"says it", 7}, .timeout_s = 10};
    struct parent p;
    if (!qr_netdata_available())
        skip();
    start(&p);
    struct pair_chart *c = &p.pair.charts[0];
    c->first_s = (int64_t)(qr_real_ms() / 1000) - 100;
    c->functions[0] = say;
    c->functions[0].name = qr_slice_str("tell");
    c->n_functions = 1;
    make_rows(c, 1, 20);
    p.pair.n_charts = 1;
    open_stream(&p, QR_SENDER_CAPS);
    qr_sender_claimed(p.pair.sender, NULL);
    qr_sender_labels(p.pair.sender, &label, 1);
    qr_sender_function(p.pair.sender, &say);
    live_until(&p, c->first_s - 1, c->first_s + 19, true);
    assert_true(qr_wait_for(knows_the_host, &p, WAIT_MS, 50));
    close_stream(&p);
    stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_1_37_parent_stores_what_was_sent),
        cmocka_unit_test(a_1_37_parent_knows_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
