#include "node/keyring.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"

static int64_t now_s(const struct qr_keyring *keyring)
{
    return qr_clock_real_s(keyring->clock);
}

/* ---- tables ---- */

/* Notes of use that were not read yet; both are in the order of the hashes. */
static void carry_use(struct qr_key_table *to, const struct qr_key_table *from)
{
    for (uint32_t i = 0, k = 0; from != NULL && i < from->n_keys; i++) {
        struct qr_table_key *old = &from->keys[i];
        while (k < to->n_keys && memcmp(to->keys[k].hash, old->hash, sizeof old->hash) < 0)
            k++;
        if (old->used && k < to->n_keys && to->keys[k].id == old->id)
            to->keys[k].used = true;
    }
}

static int make_table(struct qr_keyring *keyring)
{
    struct qr_key_table *made;
    int err = qr_key_table_new(&made, &keyring->cluster_id, qr_group_keys(keyring->group),
                               now_s(keyring));
    if (err != 0)
        return err; /* Tried again with the next tick. */
    carry_use(made, keyring->table);
    qr_key_table_release(keyring->table);
    keyring->table = made;
    keyring->changed = false;
    keyring->published_ms = qr_clock_mono_ms(keyring->clock);
    return 0;
}

int qr_keyring_init(struct qr_keyring *keyring, struct qr_mailbox *mailbox, struct qr_group *group,
                    const struct qr_clock *clock, const struct qr_guid *cluster_id)
{
    *keyring = (struct qr_keyring){
        .mailbox = mailbox, .group = group, .clock = clock, .cluster_id = *cluster_id};
    return make_table(keyring);
}

static bool publish(struct qr_keyring *keyring)
{
    keyring->changed = true;
    if (keyring->hand_out == NULL || make_table(keyring) != 0)
        return false;
    keyring->changed = keyring->hand_out(keyring->data) != 0;
    return !keyring->changed;
}

void qr_keyring_applied(struct qr_keyring *keyring, enum qr_command_type type)
{
    if (type == QR_COMMAND_KEYS)
        publish(keyring);
}

void qr_keyring_restored(struct qr_keyring *keyring)
{
    keyring->changed = true;
}

/* ---- use ---- */

static void on_told(void *data, int status, uint64_t index)
{
    struct qr_keyring *keyring = data;
    (void)index;
    keyring->telling = false;
    if (status != 0 && status != UV_ECANCELED)
        qr_warn("log refused a note that keys are used error=\"%s\"", qr_strerror(status));
}

/* The ids of keys that were seen, and are due to be told of, rising. */
static uint32_t take_used(struct qr_keyring *keyring, uint32_t ids[QR_KEYS_MAX])
{
    const struct qr_keys *keys = qr_group_keys(keyring->group);
    uint32_t n = 0;
    for (uint32_t i = 0; i < keyring->table->n_keys; i++) {
        struct qr_table_key *seen = &keyring->table->keys[i];
        if (!atomic_exchange_explicit(&seen->used, false, memory_order_relaxed))
            continue;
        const struct qr_key *key = qr_keys_by_id(keys, seen->id);
        if (key == NULL || now_s(keyring) < key->last_used_s + QR_KEY_USED_EVERY_S)
            continue;
        uint32_t at = n++;
        for (; at > 0 && ids[at - 1] > seen->id; at--)
            ids[at] = ids[at - 1];
        ids[at] = seen->id;
    }
    return n;
}

static void tell_used(struct qr_keyring *keyring)
{
    uint32_t ids[QR_KEYS_MAX];
    struct qr_buf body = {0};
    if (keyring->telling || !qr_group_ready(keyring->group))
        return;
    uint32_t n = take_used(keyring, ids);
    if (n == 0)
        return;
    int err = qr_keys_used(&body, now_s(keyring), ids, n);
    if (err == 0)
        err = qr_group_propose(keyring->group, QR_COMMAND_KEYS, qr_buf_slice(&body), on_told,
                               keyring);
    keyring->telling = err == 0; /* Otherwise the next audit finds them in use. */
    qr_buf_release(&body);
}

bool qr_keyring_tick(struct qr_keyring *keyring)
{
    if (keyring->group == NULL)
        return false;
    tell_used(keyring);
    const struct qr_key_table *table = keyring->table;
    bool ends = table->next_end_s != 0 && now_s(keyring) >= table->next_end_s;
    bool due = qr_clock_mono_ms(keyring->clock) - keyring->published_ms >= QR_KEYRING_AUDIT_MS;
    return (keyring->changed || ends || due) && publish(keyring);
}

/* ---- answers ---- */

static void run_done(struct qr_message *message)
{
    struct qr_key_request *request = QR_CONTAINER_OF(message, struct qr_key_request, message);
    request->done(request);
}

static void answer(struct qr_key_request *request, int status)
{
    request->status = status != 0 ? status : request->json.failed ? UV_ENOMEM : 0;
    request->message.run = run_done;
    qr_mailbox_post(request->home, &request->message);
}

static void add_time(struct qr_json *json, const char *key, int64_t time_s)
{
    if (time_s == 0)
        qr_json_null(json, key);
    else
        qr_json_i64(json, key, time_s);
}

static void add_key(struct qr_json *json, const struct qr_key *key, int64_t at_s)
{
    static const char *const states[] = {[QR_KEY_ACTIVE] = "active",
                                         [QR_KEY_OVERLAPS] = "overlapping",
                                         [QR_KEY_ENDED] = "ended",
                                         [QR_KEY_REVOKED] = "revoked"};
    qr_json_u64(json, "id", key->id);
    qr_json_u64(json, "line", key->line);
    qr_json_str(json, "name", key->name);
    qr_json_str(json, "state", states[qr_key_standing(key, at_s)]);
    add_time(json, "created", key->created_s);
    add_time(json, "ends", key->ends_s);
    add_time(json, "last_used", key->last_used_s);
    qr_json_str(json, "policy", key->policy);
}

static void add_binding(struct qr_json *json, const struct qr_key_binding *binding)
{
    char guid[QR_GUID_TEXT_LEN + 1], certificate[2 * QR_KEY_HASH_BYTES + 1];
    qr_guid_format(&binding->guid, guid);
    qr_json_str(json, "machine_guid", guid);
    if (binding->line != 0)
        qr_json_u64(json, "line", binding->line);
    else
        qr_json_null(json, "line");
    for (unsigned i = 0; i < QR_KEY_HASH_BYTES; i++)
        snprintf(certificate + 2 * (size_t)i, 3, "%02x", binding->certificate[i]);
    qr_json_str(json, "certificate", binding->has_certificate ? certificate : NULL);
}

static void add_list(struct qr_json *json, const struct qr_keyring *keyring)
{
    const struct qr_keys *keys = qr_group_keys(keyring->group);
    qr_json_i64(json, "time", now_s(keyring));
    qr_json_array(json, "keys");
    for (uint32_t i = 0; i < keys->n_keys; i++) {
        qr_json_object(json, NULL);
        add_key(json, &keys->keys[i], now_s(keyring));
        qr_json_end(json);
    }
    qr_json_end(json);
    qr_json_array(json, "bindings");
    for (uint32_t i = 0; i < keys->n_bindings; i++) {
        qr_json_object(json, NULL);
        add_binding(json, &keys->bindings[i]);
        qr_json_end(json);
    }
    qr_json_end(json);
}

static void answer_list(struct qr_key_request *request)
{
    struct qr_json json;
    qr_json_init(&json, &request->json);
    qr_json_object(&json, NULL);
    add_list(&json, request->keyring);
    qr_json_end(&json);
    answer(request, 0);
}

/* What has become of it, as this member has applied it. */
static void on_applied(void *data, int status, uint64_t index)
{
    struct qr_key_request *request = data;
    struct qr_keyring *keyring = request->keyring;
    struct qr_json json;
    (void)index;
    if (status != 0 || keyring->group == NULL) {
        answer(request, status != 0 ? status : QR_E_CLOSED);
        return;
    }
    const struct qr_keys *keys = qr_group_keys(keyring->group);
    bool makes = request->verb == QR_KEY_ADD || request->verb == QR_KEY_ROTATE;
    const struct qr_key *key =
        makes ? qr_keys_by_hash(keys, request->hash) : qr_keys_by_id(keys, request->id);
    qr_json_init(&json, &request->json);
    qr_json_object(&json, NULL);
    qr_json_bool(&json, "done", true);
    if (key != NULL)
        add_key(&json, key, now_s(keyring));
    if (request->verb == QR_KEY_ROTATE)
        qr_json_u64(&json, "replaces", request->id);
    qr_json_end(&json);
    answer(request, 0);
}

/* ---- requests ---- */

/* The key that is meant: an id, or the name of one key that works. */
static int find_key(const struct qr_keyring *keyring, struct qr_slice text, uint32_t *id)
{
    const struct qr_keys *keys = qr_group_keys(keyring->group);
    char number[16];
    *id = 0;
    for (uint32_t i = 0; i < keys->n_keys; i++) {
        const struct qr_key *key = &keys->keys[i];
        snprintf(number, sizeof number, "%u", key->id);
        if (qr_slice_is(text, number)) {
            *id = key->id;
            return 0;
        }
        if (!qr_slice_is(text, key->name) || qr_key_standing(key, now_s(keyring)) >= QR_KEY_ENDED)
            continue;
        if (*id != 0)
            return QR_E_DENIED;
        *id = key->id;
    }
    return *id != 0 ? 0 : QR_E_UNKNOWN;
}

static int fill_body(struct qr_key_request *request, struct qr_buf *body)
{
    const struct qr_keyring *keyring = request->keyring;
    int err = request->key.len > 0 ? find_key(keyring, request->key, &request->id) : 0;
    if (err != 0)
        return err;
    switch (request->verb) {
    case QR_KEY_ADD:
        return qr_keys_add(body, now_s(keyring), request->hash, request->name, request->policy);
    case QR_KEY_ROTATE:
        return qr_keys_rotate(body, now_s(keyring), request->id, request->hash, request->overlap_s);
    case QR_KEY_REVOKE:
        return qr_keys_revoke(body, now_s(keyring), request->id);
    case QR_KEY_BIND:
        return qr_keys_bind(body, now_s(keyring), &request->guid, request->id,
                            request->has_certificate ? request->certificate : NULL);
    default:
        return qr_keys_unbind(body, now_s(keyring), &request->guid);
    }
}

static void run_ask(struct qr_message *message)
{
    struct qr_key_request *request = QR_CONTAINER_OF(message, struct qr_key_request, message);
    struct qr_group *group = request->keyring->group;
    struct qr_buf body = {0};
    if (group == NULL) {
        answer(request, QR_E_CLOSED);
        return;
    }
    if (request->verb == QR_KEY_LIST) {
        answer_list(request);
        return;
    }
    int err = fill_body(request, &body);
    if (err == 0) {
        err = qr_group_propose(group, QR_COMMAND_KEYS, qr_buf_slice(&body), on_applied, request);
        err = err == QR_E_BUSY || err == QR_E_LIMIT ? QR_E_NO_QUORUM : err;
    }
    qr_buf_release(&body);
    if (err != 0)
        answer(request, err);
}

void qr_keyring_ask(struct qr_keyring *keyring, struct qr_key_request *request)
{
    request->keyring = keyring;
    request->message.run = run_ask;
    qr_mailbox_post(keyring->mailbox, &request->message);
}

const char *qr_keyring_refusal(enum qr_key_verb verb, int status)
{
    switch (status) {
    case QR_E_EXISTS:
        return verb == QR_KEY_REVOKE ? "The key is revoked already." : "This key is there already.";
    case QR_E_UNKNOWN:
        return verb == QR_KEY_UNBIND ? "This machine is not bound." : "There is no such key.";
    case QR_E_DENIED:
        return "Several keys that work have this name: say the id of the one you mean.";
    case QR_E_BUSY:
        return verb == QR_KEY_BIND ? "The key is over: no machine could come with it."
                                   : "The key was rotated or revoked already: rotate the one that "
                                     "replaced it, or add another.";
    case QR_E_LIMIT:
        return verb == QR_KEY_BIND
                   ? "Too many machines are bound: unbind some that are gone."
                   : "There are too many keys that work: revoke some that are not used.";
    case QR_E_MALFORMED:
        return "Something of it is not valid.";
    default:
        return "The log did not take it.";
    }
}
