#include "ha-tests/odd_child.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/caps.h"

#define CAPS                                                                                       \
    (QR_CAP_VCAPS | QR_CAP_HLABELS | QR_CAP_CLABELS | QR_CAP_REPLICATION | QR_CAP_INTERPOLATED)
#define STORED_MS 60000

static const char dim_names[ODD_DIMS_MAX][2] = {"a", "b", "c", "d"};

void odd_init(struct odd_child *child, struct stage *stage, unsigned n, int64_t clock_s)
{
    *child = (struct odd_child){.stage = stage, .fd = -1, .clock_s = clock_s, .update_every = 1};
    snprintf(child->guid, sizeof child->guid, "0ddc0de0-0000-4000-8000-%012u", n);
}

void odd_connect(struct odd_child *child, unsigned member, const char *hostname)
{
    char reply[256];
    const struct stranger stranger = {
        .port = (unsigned)strtoul(strrchr(child->stage->cluster.members[member].http, ':') + 1,
                                  NULL, 10),
        .key = child->stage->cluster.api_key,
        .guid = child->guid,
        .hostname = hostname,
        .caps = CAPS};
    child->fd = stranger_stream(&stranger, reply);
    child->n_in = 0;
    child->live = false;
    child->n_asked = 0;
    expect(child->stage, strncmp(reply, STRANGER_GRANTED, strlen(STRANGER_GRANTED)) == 0);
}

void odd_disconnect(struct odd_child *child)
{
    close(child->fd);
    child->fd = -1;
    child->live = false;
}

/* ---- rows ---- */

static int64_t value_of(int64_t end_s, unsigned dim)
{
    return end_s % 1000 * 10 + dim;
}

static void say_live(struct odd_child *child, const struct odd_row *row)
{
    stranger_print(child->fd, "BEGIN2 '" ODD_CHART "' %u %lld #\n", row->update_every,
                   (long long)row->end_s);
    for (unsigned d = 0; d < ODD_DIMS_MAX; d++)
        if (row->has[d])
            stranger_print(child->fd, "SET2 '%s' 0 %lld A\n", dim_names[d],
                           (long long)row->values[d]);
    expect(child->stage, stranger_print(child->fd, "END2\n"));
}

void odd_collect(struct odd_child *child, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        int64_t every_s = child->update_every;
        expect(child->stage, child->n_rows < ODD_ROWS_MAX);
        struct odd_row *row = &child->rows[child->n_rows++];
        child->clock_s += every_s - child->clock_s % every_s;
        *row = (struct odd_row){.end_s = child->clock_s, .update_every = child->update_every};
        for (unsigned d = 0; d < ODD_DIMS_MAX; d++) {
            row->has[d] = child->collects[d];
            row->values[d] = value_of(row->end_s, d);
        }
        if (child->live)
            say_live(child, row);
    }
}

/* ---- the past ---- */

static int64_t first_s(const struct odd_child *child)
{
    int64_t first_s = child->n_rows > 0 ? child->rows[0].end_s - child->rows[0].update_every : 0;
    return child->since_s != 0 ? child->since_s : first_s;
}

static void say_replayed(struct odd_child *child, const struct odd_row *row)
{
    stranger_print(child->fd, "RBEGIN '' %lld %lld %lld\n",
                   (long long)(row->end_s - row->update_every), (long long)row->end_s,
                   (long long)child->clock_s);
    for (unsigned d = 0; d < ODD_DIMS_MAX; d++)
        if (row->has[d])
            stranger_print(child->fd, "RSET '%s' %lld A\n", dim_names[d],
                           (long long)row->values[d]);
}

static void answer(struct odd_child *child, bool last, int64_t after_s, int64_t before_s)
{
    child->n_asked++;
    if (last)
        before_s = child->clock_s;
    stranger_print(child->fd, "RBEGIN '" ODD_CHART "'\n");
    for (unsigned i = 0; i < child->n_rows; i++) {
        int64_t end_s = child->rows[i].end_s;
        if (end_s <= after_s || end_s > before_s)
            continue;
        if (end_s > child->told_to_s && end_s <= child->kept_to_s)
            break;
        say_replayed(child, &child->rows[i]);
    }
    stranger_print(child->fd, "REND %u %lld %lld %s %lld %lld %lld\n", child->update_every,
                   (long long)first_s(child), (long long)child->clock_s, last ? "true" : "false",
                   (long long)after_s, (long long)before_s, (long long)child->clock_s);
    child->live = child->live || last;
}

static void obey(struct odd_child *child, const char *line)
{
    char flag[8];
    long long after_s, before_s;
    if (sscanf(line, "REPLAY_CHART \"" ODD_CHART "\" \"%7[a-z]\" %lld %lld", flag, &after_s,
               &before_s) == 3)
        answer(child, strcmp(flag, "true") == 0, after_s, before_s);
}

/* False: nothing came in time. */
static bool hear(struct odd_child *child, int quiet_ms)
{
    struct pollfd poll_fd = {child->fd, POLLIN, 0};
    if (poll(&poll_fd, 1, quiet_ms) != 1)
        return false;
    ssize_t n = recv(child->fd, child->in + child->n_in, sizeof child->in - 1 - child->n_in, 0);
    expect(child->stage, n > 0); /* It is not let go. */
    child->n_in += (size_t)n;
    child->in[child->n_in] = '\0';
    char *newline;
    while ((newline = strchr(child->in, '\n')) != NULL) {
        *newline++ = '\0';
        obey(child, child->in);
        child->n_in -= (size_t)(newline - child->in);
        memmove(child->in, newline, child->n_in + 1);
    }
    return true;
}

void odd_serve(struct odd_child *child, int quiet_ms)
{
    while (hear(child, quiet_ms))
        ;
}

void odd_define(struct odd_child *child, const char *type, const char *options,
                const char *dimensions)
{
    child->live = false;
    stranger_print(child->fd,
                   "CHART '" ODD_CHART "' '' 'odd' 'things' 'f' 'odd.context' '%s' 1 %u '%s' 'p' "
                   "'m'\n%s",
                   type, child->update_every, options, dimensions);
    stranger_print(child->fd, "CHART_DEFINITION_END %lld %lld %lld\n", (long long)first_s(child),
                   child->n_rows > 0 ? (long long)child->clock_s : 0LL, (long long)child->clock_s);
    while (!child->live)
        expect(child->stage, hear(child, STRANGER_ANSWER_MS));
}

/* ---- the check ---- */

struct answers {
    struct odd_child *child;
    unsigned member;
    const char *const *names;
    char why[256];
};

static const struct odd_row *row_at(const struct odd_child *child, int64_t end_s)
{
    for (unsigned i = 0; i < child->n_rows; i++)
        if (child->rows[i].end_s == end_s)
            return &child->rows[i];
    return NULL;
}

/* Column of the dimension that has this name, 0: there is none. */
static size_t column_of(const json_t *labels, const char *name)
{
    for (size_t i = 1; i < json_array_size(labels); i++)
        if (strcmp(json_string_value(json_array_get(labels, i)), name) == 0)
            return i;
    return 0;
}

static bool is_row_right(struct answers *a, const json_t *labels, const json_t *cells,
                         unsigned *n_found)
{
    int64_t end_s = json_integer_value(json_array_get(cells, 0));
    const struct odd_row *row = row_at(a->child, end_s);
    for (unsigned d = 0; d < ODD_DIMS_MAX; d++) {
        size_t column = a->names[d] != NULL ? column_of(labels, a->names[d]) : 0;
        const json_t *cell = column != 0 ? json_array_get(cells, column) : NULL;
        bool wanted = row != NULL && row->has[d] && a->names[d] != NULL;
        bool right = wanted
                         ? json_is_number(cell) && json_number_value(cell) == (double)row->values[d]
                         : cell == NULL || json_is_null(cell);
        if (!right) {
            char *text = json_dumps(cells, JSON_ENCODE_ANY);
            snprintf(a->why, sizeof a->why, "member %u, second %lld, dimension %s: %s", a->member,
                     (long long)end_s, a->names[d], text);
            free(text);
            return false;
        }
    }
    *n_found += row != NULL;
    return true;
}

static bool is_answer_right(struct answers *a, const json_t *answer)
{
    const json_t *labels = json_object_get(answer, "labels"), *cells;
    unsigned n_found = 0;
    size_t i;
    json_array_foreach(json_object_get(answer, "data"), i, cells)
    {
        if (!is_row_right(a, labels, cells, &n_found))
            return false;
    }
    if (n_found != a->child->n_rows)
        snprintf(a->why, sizeof a->why, "member %u: %u of %u rows", a->member, n_found,
                 a->child->n_rows);
    return n_found == a->child->n_rows;
}

static bool is_right(void *data)
{
    struct answers *a = data;
    struct qr_cluster *cluster = &a->child->stage->cluster;
    if (a->child->fd >= 0)
        odd_serve(a->child, 0); /* It may be asked for what is missing. */
    for (a->member = 1; a->member <= cluster->n; a->member++) {
        int status = qr_fetch_get(&cluster->fetch, 3000,
                                  "%s/host/%s/api/v1/data?chart=" ODD_CHART
                                  "&format=json&after=%lld&before=%lld",
                                  cluster->members[a->member].url, a->child->guid,
                                  (long long)first_s(a->child), (long long)a->child->clock_s);
        snprintf(a->why, sizeof a->why, "member %u: status %d", a->member, status);
        json_t *answer = status == 200 ? qr_fetch_json(&cluster->fetch) : NULL;
        bool right = answer != NULL && is_answer_right(a, answer);
        json_decref(answer);
        if (!right)
            return false;
    }
    return true;
}

void odd_check(struct odd_child *child, const char *const names[ODD_DIMS_MAX])
{
    struct answers answers = {.child = child, .names = names};
    if (child->fd >= 0)
        odd_serve(child, 300);
    bool right = qr_wait_for(is_right, &answers, STORED_MS, 100);
    if (!right)
        fprintf(stderr, "%s\n", answers.why);
    expect(child->stage, right);
}
