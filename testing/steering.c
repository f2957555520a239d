#include "testing/steering.h"

#include <jansson.h>
#include <string.h>

#define GROUP_S 120

uint64_t qr_steering_wait_ms(const struct qr_steering_rules *rules, uint32_t from_s, uint32_t to_s)
{
    uint64_t ms = from_s * 1000ull + qr_rng_below(rules->rng, (to_s - from_s) * 1000ull + 1);
    return (uint64_t)((double)ms * rules->scale);
}

/* The body, if the headers say how long it is (in exactly this spelling) and all of it is here. */
static json_t *body_of(struct qr_slice answer)
{
    static const char length[] = "Content-Length: ", empty[] = "\r\n\r\n";
    const char *at = memmem(answer.base, answer.len, length, sizeof length - 1);
    const char *body = memmem(answer.base, answer.len, empty, sizeof empty - 1);
    if (at == NULL || body == NULL || at > body)
        return NULL;
    size_t bytes = 0, left = (size_t)(answer.base + answer.len - body) - (sizeof empty - 1);
    for (at += sizeof length - 1; *at >= '0' && *at <= '9' && bytes < answer.len; at++)
        bytes = bytes * 10 + (size_t)(*at - '0');
    return bytes > 0 && bytes <= left ? json_loadb(body + sizeof empty - 1, bytes, 0, NULL) : NULL;
}

static const char *text_of(const json_t *info, const char *name)
{
    const char *text = json_string_value(json_object_get(info, name));
    return text != NULL ? text : "";
}

/* All fields are there, of their types. */
static bool is_understood(const json_t *info, bool known)
{
    static const char *const always[] = {"version", "status", "nodes", "receivers", "nonce"};
    static const char *const numbers[] = {"first_time_s", "last_time_s"};
    static const char *const texts[] = {"db_status", "db_liveness", "ingest_type", "ingest_status"};
    struct qr_guid guid;
    if (qr_guid_parse(&guid, qr_slice_str(text_of(info, "host_id"))) != 0)
        return false;
    for (size_t i = 0; i < sizeof always / sizeof *always; i++)
        if (!json_is_integer(json_object_get(info, always[i])))
            return false;
    for (size_t i = 0; known && i < sizeof numbers / sizeof *numbers; i++)
        if (!json_is_integer(json_object_get(info, numbers[i])))
            return false;
    for (size_t i = 0; known && i < sizeof texts / sizeof *texts; i++)
        if (!json_is_string(json_object_get(info, texts[i])))
            return false;
    return true;
}

static enum qr_steering_outcome take_known(struct qr_steering *steering,
                                           const struct qr_steering_rules *rules,
                                           const json_t *info, uint64_t *postpone_ms)
{
    const char *type = text_of(info, "ingest_type"), *status = text_of(info, "ingest_status");
    struct qr_guid host;
    steering->last_time_s = json_integer_value(json_object_get(info, "last_time_s"));
    if (strcmp(type, "localhost") == 0 || strcmp(type, "virtual") == 0)
        return QR_STEERING_BANNED;
    if (strcmp(status, "initializing") == 0) {
        *postpone_ms = qr_steering_wait_ms(rules, 30, 60);
        return QR_STEERING_POSTPONED;
    }
    bool streams = strcmp(status, "replicating") == 0 || strcmp(status, "online") == 0;
    if (streams && qr_guid_parse(&host, qr_slice_str(text_of(info, "host_id"))) == 0 &&
        qr_guid_equal(&host, rules->own))
        return QR_STEERING_BANNED;
    return QR_STEERING_STAYS;
}

enum qr_steering_outcome qr_steering_take(struct qr_steering *steering,
                                          const struct qr_steering_rules *rules,
                                          struct qr_slice answer, uint64_t *postpone_ms)
{
    json_t *info = body_of(answer);
    bool known = json_integer_value(json_object_get(info, "status")) == 200;
    enum qr_steering_outcome outcome = QR_STEERING_STAYS;
    steering->nonce = (uint32_t)qr_rng_next(rules->rng);
    if (is_understood(info, known)) {
        steering->nonce = (uint32_t)json_integer_value(json_object_get(info, "nonce"));
        steering->last_time_s = 0;
        if (known)
            outcome = take_known(steering, rules, info, postpone_ms);
    }
    json_decref(info);
    steering->banned = outcome == QR_STEERING_BANNED;
    steering->asked = outcome == QR_STEERING_STAYS;
    return outcome;
}

static bool is_before(const struct qr_steering *a, const struct qr_steering *b)
{
    if (a->last_time_s != b->last_time_s)
        return a->last_time_s > b->last_time_s;
    if (a->tried_at_ms != b->tried_at_ms)
        return a->tried_at_ms < b->tried_at_ms;
    return a->n_tried < b->n_tried;
}

static void sort(const struct qr_steering *all, uint32_t *order, uint32_t n)
{
    for (uint32_t i = 1; i < n; i++)
        for (uint32_t j = i; j > 0 && is_before(&all[order[j]], &all[order[j - 1]]); j--) {
            uint32_t moved = order[j];
            order[j] = order[j - 1];
            order[j - 1] = moved;
        }
}

/* By the greatest of what the parent drew and what the child draws. */
static void shuffle(const struct qr_steering *all, const struct qr_steering_rules *rules,
                    uint32_t *order, uint32_t n)
{
    for (uint32_t i = 0; i + 1 < n; i++) {
        uint32_t best = i, most = 0;
        for (uint32_t j = i; j < n; j++) {
            uint32_t drawn = all[order[j]].nonce | (uint32_t)qr_rng_next(rules->rng);
            if (drawn > most) {
                most = drawn;
                best = j;
            }
        }
        uint32_t moved = order[i];
        order[i] = order[best];
        order[best] = moved;
    }
}

uint32_t qr_steering_order(const struct qr_steering *all, uint32_t n,
                           const struct qr_steering_rules *rules, uint32_t *order)
{
    uint32_t n_left = 0;
    for (uint32_t i = 0; i < n; i++)
        if (all[i].asked && !all[i].banned)
            order[n_left++] = i;
    sort(all, order, n_left);
    for (uint32_t from = 0, to; from < n_left; from = to) {
        int64_t head_s = all[order[from]].last_time_s;
        for (to = from + 1; to < n_left && head_s - all[order[to]].last_time_s <= GROUP_S;)
            to++;
        shuffle(all, rules, order + from, to - from);
    }
    return n_left;
}
