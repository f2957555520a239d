/* Odd lives of children: what changes while they stream.  Every second of every one of them is
 * compared on every member, and so are the neighbours'. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "ha-tests/odd_child.h"

#define TELL_MS 30000

static struct stage stage;
static struct odd_child child;
static unsigned n_children;

static const char *const abcd[] = {"a", "b", "c", "d"};

#define DIM(id, name, rest) "DIMENSION '" id "' '" name "' " rest "\n"
#define PLAIN               "'absolute' 1 1 ''"

static int set_up(void **state)
{
    (void)state;
    struct stage_options options = {.name = "odd", .n_hosts = 2};
    stage_up(&stage, &options);
    stage_fault(&stage);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    stage_down(&stage);
    return 0;
}

/* A new child with a past of nothing, some time ago, on a round second. */
static void begin_life(const char *hostname)
{
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    odd_init(&child, &stage, ++n_children, now_s - now_s % 60 - 900);
    odd_connect(&child, 1, hostname);
}

static void collect(unsigned n, bool a, bool b, bool c)
{
    const bool which[ODD_DIMS_MAX] = {a, b, c, false};
    memcpy(child.collects, which, sizeof which);
    odd_collect(&child, n);
}

static void reconnect(unsigned member, const char *hostname)
{
    odd_disconnect(&child);
    odd_collect(&child, 7);
    odd_connect(&child, member, hostname);
}

static void dimensions_come_change_and_go(void **state)
{
    (void)state;
    begin_life("dimensions");
    odd_define(&child, "line", "", DIM("a", "a", PLAIN) DIM("b", "b", PLAIN));
    collect(20, true, true, false);
    odd_define(&child, "line", "", DIM("a", "a", PLAIN) DIM("b", "b", PLAIN) DIM("c", "c", PLAIN));
    collect(20, true, true, true);
    odd_define(&child, "line", "",
               DIM("c", "c", PLAIN) DIM("a", "a", PLAIN)
                   DIM("b", "b", "'absolute' 1 1 'obsolete'"));
    collect(20, true, false, true);
    /* Another algorithm, other arithmetic, another name: what was stored stays what it is. */
    odd_define(&child, "line", "", DIM("a", "alpha", "'incremental' -3 7 ''") DIM("c", "c", PLAIN));
    collect(20, true, false, true);
    reconnect(2, "dimensions");
    odd_define(&child, "line", "",
               DIM("b", "b", PLAIN) DIM("a", "alpha", "'incremental' -3 7 ''")
                   DIM("c", "c", PLAIN));
    collect(20, true, true, true);
    odd_check(&child, (const char *const[]){"alpha", "b", "c", NULL});
    odd_disconnect(&child);
}

static void set_interval(uint32_t update_every)
{
    child.update_every = update_every;
    odd_define(&child, "line", "", DIM("a", "a", PLAIN) DIM("b", "b", PLAIN));
}

static void intervals_change(void **state)
{
    (void)state;
    begin_life("intervals");
    set_interval(1);
    collect(33, true, true, false);
    set_interval(5);
    collect(12, true, true, false);
    reconnect(3, "intervals"); /* in the middle of the coarse grid */
    set_interval(5);
    collect(5, true, true, false);
    set_interval(1); /* and back to the finer one, */
    collect(23, true, true, false);
    reconnect(1, "intervals"); /* with an outage behind it, */
    set_interval(1);
    collect(10, true, true, false);
    child.update_every = 3; /* a change that BEGIN2 alone says, */
    collect(5, true, true, false);
    child.update_every = 1;
    collect(5, true, true, false);
    odd_disconnect(&child);
    child.update_every = 5; /* and one that was made while nobody listened. */
    odd_collect(&child, 6);
    child.update_every = 1;
    odd_collect(&child, 17);
    odd_connect(&child, 2, "intervals");
    set_interval(1);
    collect(5, true, true, false);
    odd_check(&child, abcd);
    odd_disconnect(&child);
    /* What lies between the points of a coarser time is not missing. */
    odd_collect(&child, 9);
    odd_connect(&child, 3, "intervals");
    set_interval(1);
    odd_check(&child, abcd);
    unsigned n_asked = child.n_asked;
    odd_disconnect(&child);
    expect(&stage, n_asked == 1);
    expect(&stage, stage_gaps(&stage, child.guid) == 0);
}

/* What every member says of the chart. */
struct said {
    const char *key, *value;
    int status;
};

static bool all_say(void *data)
{
    const struct said *said = data;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        int status =
            qr_fetch_get(&stage.cluster.fetch, 3000, "%s/host/%s/api/v1/chart?chart=" ODD_CHART,
                         stage.cluster.members[id].url, child.guid);
        json_t *chart = qr_fetch_json(&stage.cluster.fetch);
        const char *value = json_string_value(json_object_get(chart, said->key));
        bool right = status == 200 && value != NULL && strcmp(value, said->value) == 0;
        json_decref(chart);
        if (!right)
            return false;
    }
    return true;
}

static void expect_chart(const char *key, const char *value)
{
    struct said said = {.key = key, .value = value};
    expect(&stage, qr_wait_for(all_say, &said, TELL_MS, 50));
}

struct listed {
    bool is;
};

static bool all_list(void *data)
{
    const struct listed *listed = data;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        qr_fetch_get(&stage.cluster.fetch, 3000, "%s/host/%s/api/v1/charts",
                     stage.cluster.members[id].url, child.guid);
        json_t *charts = qr_fetch_json(&stage.cluster.fetch);
        bool is = json_object_get(json_object_get(charts, "charts"), ODD_CHART) != NULL;
        json_decref(charts);
        if (is != listed->is)
            return false;
    }
    return true;
}

static void expect_listed(bool is)
{
    struct listed listed = {is};
    expect(&stage, qr_wait_for(all_list, &listed, TELL_MS, 50));
}

static void charts_change_type_go_and_come_back(void **state)
{
    (void)state;
    static const char dims[] = DIM("a", "a", PLAIN) DIM("b", "b", PLAIN);
    begin_life("charts");
    odd_define(&child, "line", "", dims);
    collect(15, true, true, false);
    odd_define(&child, "stacked", "detail", dims);
    expect_chart("chart_type", "stacked");
    collect(15, true, true, false);
    odd_define(&child, "stacked", "obsolete", dims);
    expect_listed(false);
    reconnect(2, "charts");
    odd_define(&child, "area", "", dims);
    expect_listed(true);
    expect_chart("chart_type", "area");
    collect(15, true, true, false);
    odd_check(&child, abcd);
    odd_disconnect(&child);
}

static int status_of(unsigned member, const char *host)
{
    return qr_fetch_get(&stage.cluster.fetch, 3000, "%s/host/%s/api/v1/info",
                        stage.cluster.members[member].url, host);
}

static bool is_renamed(void *data)
{
    (void)data;
    for (unsigned id = 1; id <= stage.cluster.n; id++)
        if (status_of(id, "renamed") != 200 || status_of(id, "to-be-renamed") != 404)
            return false;
    return true;
}

static void a_child_is_renamed(void **state)
{
    (void)state;
    static const char dims[] = DIM("a", "a", PLAIN);
    begin_life("to-be-renamed");
    odd_define(&child, "line", "", dims);
    collect(20, true, false, false);
    odd_check(&child, abcd);
    expect(&stage, status_of(2, "to-be-renamed") == 200);
    reconnect(2, "renamed");
    odd_define(&child, "line", "", dims);
    collect(20, true, false, false);
    expect(&stage, qr_wait_for(is_renamed, NULL, TELL_MS, 50));
    odd_check(&child, abcd);
    odd_disconnect(&child);
}

/* Nodes that one agent stands for stream beside it, from one address, each with its own GUID. */
static void virtual_nodes_are_hosts_of_their_own(void **state)
{
    (void)state;
    static struct odd_child nodes[3];
    int64_t now_s = (int64_t)(qr_real_ms() / 1000);
    for (unsigned i = 0; i < 3; i++) {
        char hostname[32];
        snprintf(hostname, sizeof hostname, "virtual-%u", i);
        odd_init(&nodes[i], &stage, ++n_children, now_s - now_s % 60 - 900 + i);
        odd_connect(&nodes[i], 1 + i % 2, hostname);
        nodes[i].collects[0] = true;
        odd_define(&nodes[i], "line", "", DIM("a", "a", PLAIN));
    }
    for (unsigned round = 0; round < 10; round++)
        for (unsigned i = 0; i < 3; i++)
            odd_collect(&nodes[i], 3);
    for (unsigned i = 0; i < 3; i++) {
        odd_check(&nodes[i], abcd);
        odd_disconnect(&nodes[i]);
    }
}

static bool is_in_log(unsigned id, const char *text)
{
    const struct qr_process *process = &stage.cluster.members[id].process;
    char line[1024];
    bool found = false;
    FILE *file = fopen(process->log, "r");
    while (file != NULL && !found && fgets(line, sizeof line, file) != NULL)
        found = strstr(line, text) != NULL;
    if (file != NULL)
        fclose(file);
    return found;
}

static bool is_marked(void *data)
{
    (void)data;
    for (unsigned id = 1; id <= stage.cluster.n; id++) {
        qr_fetch_get(&stage.cluster.fetch, 3000, "%s/host/%s/api/v1/info",
                     stage.cluster.members[id].url, child.guid);
        json_t *info = qr_fetch_json(&stage.cluster.fetch);
        const json_t *labels = json_object_get(info, "host_labels");
        const char *mark = json_string_value(json_object_get(labels, "_is_ephemeral"));
        const char *own = json_string_value(json_object_get(labels, "room"));
        bool marked = mark != NULL && strcmp(mark, "true") == 0 && own != NULL;
        json_decref(info);
        if (!marked)
            return false;
    }
    return true;
}

static bool has_reloaded(void *data)
{
    (void)data;
    return is_in_log(2, "stream.conf and certificate file=");
}

/* stream.conf of the member that it streams to says so. */
static void an_ephemeral_node_is_marked(void **state)
{
    (void)state;
    char path[512];
    odd_init(&child, &stage, ++n_children, (int64_t)(qr_real_ms() / 1000) - 900);
    snprintf(path, sizeof path, "%s/stream.conf", stage.cluster.members[2].dir);
    FILE *file = fopen(path, "a");
    expect(&stage, file != NULL);
    fprintf(file, "[%s]\ntype = machine\nis ephemeral node = yes\n", child.guid);
    fclose(file);
    qr_process_signal(&stage.cluster.members[2].process, SIGHUP);
    expect(&stage, qr_wait_for(has_reloaded, NULL, TELL_MS, 50));
    odd_connect(&child, 2, "ephemeral");
    stranger_print(child.fd, "LABEL \"room\" = 1 \"north\"\nLABEL \"_is_ephemeral\" = 1 "
                             "\"false\"\nOVERWRITE labels\n");
    odd_define(&child, "line", "", DIM("a", "a", PLAIN));
    collect(3, true, false, false);
    expect(&stage, qr_wait_for(is_marked, NULL, TELL_MS, 50));
    odd_check(&child, abcd);
    odd_disconnect(&child);
}

/* ---- a definition longer than an entry of the log ---- */

static bool has_refused_chart(void *data)
{
    (void)data;
    return is_in_log(1, "chart=\"odd.long\" reason=\"its definition is longer than an entry");
}

static void a_chart_that_is_too_long_is_refused_by_name(void **state)
{
    (void)state;
    begin_life("long");
    char line[1300];
    stranger_print(child.fd, "CHART 'odd.long' '' 't' 'u' 'f' 'c' 'line' 1 1 '' 'p' 'm'\n");
    for (unsigned i = 0; i < 1200; i++) { /* 1.2 MB */
        snprintf(line, sizeof line, "DIMENSION 'd%u_%01000u' '' 'absolute' 1 1 ''\n", i, i);
        expect(&stage, stranger_say(child.fd, line, strlen(line)));
    }
    stranger_print(child.fd, "CHART_DEFINITION_END 0 0 0\n");
    odd_define(&child, "line", "", DIM("a", "a", PLAIN));
    collect(20, true, false, false);
    odd_check(&child, abcd);
    expect(&stage, qr_wait_for(has_refused_chart, NULL, TELL_MS, 50));
    odd_disconnect(&child);
}

static void the_neighbours_lack_nothing(void **state)
{
    (void)state;
    stage_check(&stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dimensions_come_change_and_go),
        cmocka_unit_test(intervals_change),
        cmocka_unit_test(charts_change_type_go_and_come_back),
        cmocka_unit_test(a_child_is_renamed),
        cmocka_unit_test(virtual_nodes_are_hosts_of_their_own),
        cmocka_unit_test(an_ephemeral_node_is_marked),
        cmocka_unit_test(a_chart_that_is_too_long_is_refused_by_name),
        cmocka_unit_test(the_neighbours_lack_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
