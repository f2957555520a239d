#include "node/jsonwrap.h"

#include <math.h>

#include "base/compiler.h"
#include "node/tests/api_fixture.h"

#define ALPHA "/api/v1/data?chart=qdemo.alpha&"

/* The stored values have 24 bits, the real ones had a few more. */
static void fit_precision(json_t *real)
{
    static const char *const lists[] = {"latest_values", "view_latest_values"};
    for (size_t i = 0; i < QR_COUNT(lists); i++) {
        json_t *list = json_object_get(real, lists[i]), *v;
        size_t at;
        json_array_foreach(list, at, v) if (json_is_real(v))
            json_array_set_new(list, at, json_real(round(json_real_value(v) * 1e6) / 1e6));
    }
}

static void jsonwrap_describes_the_answer(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *example, *target;
    } cases[] = {
        {"data_jsonwrap.json", ALPHA "after=-5&options=jsonwrap,ms,flip,nonzero&format=json&"
                                     "points=3&gtime=0&group=average"},
        {"data_jsonwrap_array.json",
         ALPHA "after=-3&format=array&options=jsonwrap%7Cabsolute&dimensions=one%7Cinc"},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        json_t *real = example(cases[i].example), *ours = ask_json(f, cases[i].target);
        assert_same_shape(real, ours, cases[i].example);
        fit_precision(real);
        /* How many points were read is the store's own matter; so is the value of a row that the
         * real one made of finer numbers. */
        json_object_del(real, "db_points_per_tier");
        json_object_del(ours, "db_points_per_tier");
        json_object_del(real, "result");
        json_object_del(ours, "result");
        fit_precision(ours);
        for (void *at = json_object_iter(real); at; at = json_object_iter_next(real, at)) {
            json_t *v = json_object_get(ours, json_object_iter_key(at));
            if (!json_equal(json_object_iter_value(at), v))
                fail_msg("%s: %s", cases[i].target, json_object_iter_key(at));
        }
        json_decref(real);
        json_decref(ours);
    }
}

static void jsonwrap_lists_charts_of_a_context(void **state)
{
    struct fixture *f = *state;
    const char *body = ask(f, "/api/v1/data?context=qdemo.ctx&after=-3&options=jsonwrap,"
                              "all-dimensions&chart_label_key=device&format=csv");
    static const char *const parts[] = {
        "\"id\": \"context://host:qparent/contexts:qdemo.ctx/instances:*/dimensions:*/after:-3/"
        "before:0/points:0/group:average/options:jsonwrap,all-dimensions\"",
        "\"options\": \"jsonwrap,natural-points,all-dimensions\"",
        "\"dimension_names\": [\"one\", \"Two Name\", \"inc\", \"one\", \"gap\"]",
        "\"dimension_ids\": [\"one\", \"two\", \"inc\", \"one\", \"gap\"]",
        "\"full_dimension_list\": [[\"one\",\"one\"],[\"two\",\"Two Name\"],[\"inc\",\"inc\"],"
        "[\"hid\",\"hid\"],[\"gap\",\"gap\"]]",
        "\"full_chart_list\": [[\"qdemo.alpha\",\"qdemo.qdemo_alpha_name\"],[\"qdemo.beta\","
        "\"qdemo.beta\"]]",
        "\"full_chart_labels\": [[\"_collect_plugin\", \"qdemo.plugin\"],[\"_collect_module\", "
        "\"mod1\"],[\"device\", \"sda\"],[\"kind\", \"test\"],[\"device\", \"sdb\"]]",
        "\"chart_ids\": [\"qdemo.alpha\", \"qdemo.alpha\", \"qdemo.alpha\", \"qdemo.beta\", "
        "\"qdemo.beta\"]",
        "\"chart_labels\": { \"device\" : [\"sda\", \"sda\", \"sda\", \"sdb\", \"sdb\"]}",
        "\"latest_values\": [6, 6.5, 5.945524, -6, 3]",
        "\"view_latest_values\": [5, 5.5, 5.004945, -5, 3]",
        "\"result\": \"time,one,Two Name,inc,one,gap\\n2026-11-23 03:43:05,5,",
    };
    for (size_t i = 0; i < QR_COUNT(parts); i++)
        if (strstr(body, parts[i]) == NULL)
            fail_msg("%s\nis not in\n%s", parts[i], body);
    json_decref(ask_json(f, "/api/v1/data?context=qdemo.ctx&after=-3&options=jsonwrap,"
                            "all-dimensions&chart_label_key=device&format=csv"));
}

static void a_tier_is_named(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *target;
        const char *parts[4];
    } cases[] = {
        {ALPHA "after=1795405080&before=1795405200&tier=1&options=jsonwrap",
         {"/options:jsonwrap,selected-tier/tier:1\"",
          "\"options\": \"jsonwrap,selected-tier,natural-points\"", "\"view_update_every\": 60,",
          "\"db_points_per_tier\": [ 0, 12, 0 ],"}},
        {ALPHA "after=1795405080&before=1795405200&tier=0&options=jsonwrap",
         {"/options:jsonwrap,selected-tier/tier:0\"", "\"view_update_every\": 1,",
          "\"update_every\": 1,", "\"points\": 121,"}},
        {ALPHA "after=1795405080&before=1795405200&tier=3&options=jsonwrap",
         {"/options:jsonwrap\"", "\"options\": \"jsonwrap,natural-points\"",
          "\"view_update_every\": 1,", "\"points\": 121,"}},
    };
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        const char *body = ask(f, cases[i].target);
        for (size_t p = 0; p < QR_COUNT(cases[i].parts); p++)
            if (strstr(body, cases[i].parts[p]) == NULL)
                fail_msg("%s\nis not in\n%s", cases[i].parts[p], body);
    }
}

static void every_format_can_be_wrapped(void **state)
{
    struct fixture *f = *state;
    static const char *const formats[] = {"json",  "csv",  "tsv",      "ssv",      "ssvcomma",
                                          "array", "html", "markdown", "datatable"};
    for (size_t i = 0; i < QR_COUNT(formats); i++) {
        char target[256];
        snprintf(target, sizeof target,
                 ALPHA "after=-5&options=jsonwrap,jw-anomaly-rates&format=%s", formats[i]);
        json_t *root = ask_json(f, target);
        assert_string_equal(text_at(root, "format"), formats[i]);
        json_decref(root);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(jsonwrap_describes_the_answer),
        WITH_FIXTURE(jsonwrap_lists_charts_of_a_context),
        WITH_FIXTURE(a_tier_is_named),
        WITH_FIXTURE(every_format_can_be_wrapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
