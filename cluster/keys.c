#include "cluster/keys.h"

#include <assert.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <xxhash.h>

#include "base/error.h"

enum what { ADD = 1, ROTATE = 2, REVOKE = 3, BIND = 4, UNBIND = 5, USED = 6 };

static_assert(QR_KEY_HASH_BYTES == SHA256_DIGEST_LENGTH, "it is SHA-256");

void qr_keys_release(struct qr_keys *keys)
{
    free(keys->keys);
    free(keys->bindings);
    *keys = (struct qr_keys){0};
}

void qr_key_hash(const struct qr_guid *cluster_id, const struct qr_guid *key,
                 uint8_t hash[QR_KEY_HASH_BYTES])
{
    static const char label[16] = "quorate api key";
    unsigned char text[sizeof label + 2 * sizeof key->bytes];
    memcpy(text, label, sizeof label);
    memcpy(text + sizeof label, cluster_id->bytes, sizeof cluster_id->bytes);
    memcpy(text + sizeof label + sizeof cluster_id->bytes, key->bytes, sizeof key->bytes);
    SHA256(text, sizeof text, hash);
}

/* ---- looking ---- */

enum qr_key_standing qr_key_standing(const struct qr_key *key, int64_t now_s)
{
    if (key->revoked)
        return QR_KEY_REVOKED;
    if (key->ends_s == 0)
        return QR_KEY_ACTIVE;
    return now_s < key->ends_s ? QR_KEY_OVERLAPS : QR_KEY_ENDED;
}

static struct qr_key *find(const struct qr_keys *keys, uint32_t id)
{
    uint32_t low = 0, high = keys->n_keys;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (keys->keys[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low < keys->n_keys && keys->keys[low].id == id ? &keys->keys[low] : NULL;
}

const struct qr_key *qr_keys_by_id(const struct qr_keys *keys, uint32_t id)
{
    return find(keys, id);
}

const struct qr_key *qr_keys_by_hash(const struct qr_keys *keys,
                                     const uint8_t hash[QR_KEY_HASH_BYTES])
{
    for (uint32_t i = 0; i < keys->n_keys; i++)
        if (memcmp(keys->keys[i].hash, hash, QR_KEY_HASH_BYTES) == 0)
            return &keys->keys[i];
    return NULL;
}

/* Where the binding of this machine is, or belongs. */
static uint32_t binding_at(const struct qr_keys *keys, const struct qr_guid *guid, bool *found)
{
    uint32_t low = 0, high = keys->n_bindings;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (memcmp(keys->bindings[middle].guid.bytes, guid->bytes, sizeof guid->bytes) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < keys->n_bindings && qr_guid_equal(&keys->bindings[low].guid, guid);
    return low;
}

bool qr_key_name_is_valid(struct qr_slice name)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (name.len >= QR_KEY_NAME_BYTES)
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (name.base[i] == '\0' || strchr(allowed, name.base[i]) == NULL)
            return false;
    return true;
}

/* ---- fields ---- */

static void take_name(struct qr_cursor *in, char name[QR_KEY_NAME_BYTES])
{
    struct qr_slice text = qr_cursor_bytes(in, QR_KEY_NAME_BYTES - 1);
    if (in->failed || !qr_key_name_is_valid(text)) {
        in->failed = true;
        return;
    }
    memcpy(name, text.base, text.len);
}

static void take_policy(struct qr_cursor *in, char policy[QR_KEY_POLICY_BYTES])
{
    struct qr_slice text = qr_cursor_bytes(in, QR_KEY_POLICY_BYTES - 1);
    if (in->failed || memchr(text.base, '\0', text.len) != NULL) {
        in->failed = true;
        return;
    }
    memcpy(policy, text.base, text.len);
}

static void take_raw(struct qr_cursor *in, void *bytes, size_t len)
{
    struct qr_slice got = qr_cursor_take(in, len);
    if (!in->failed)
        memcpy(bytes, got.base, len);
}

static int64_t take_time(struct qr_cursor *in)
{
    uint64_t time = qr_cursor_u64(in);
    if (time > (uint64_t)QR_TIME_S_MAX)
        in->failed = true;
    return in->failed ? 0 : (int64_t)time;
}

static uint32_t take_id(struct qr_cursor *in)
{
    return (uint32_t)qr_cursor_varint_max(in, UINT32_MAX);
}

/* ---- applying ---- */

static int reserve_key(struct qr_keys *keys)
{
    if (keys->n_keys < keys->keys_capacity)
        return 0;
    uint32_t capacity = keys->keys_capacity == 0 ? 16 : 2 * keys->keys_capacity;
    struct qr_key *grown = realloc(keys->keys, capacity * sizeof *grown);
    if (grown == NULL)
        return UV_ENOMEM;
    keys->keys = grown;
    keys->keys_capacity = capacity;
    return 0;
}

static int reserve_binding(struct qr_keys *keys)
{
    if (keys->n_bindings < keys->bindings_capacity)
        return 0;
    uint32_t capacity = keys->bindings_capacity == 0 ? 16 : 2 * keys->bindings_capacity;
    struct qr_key_binding *grown = realloc(keys->bindings, capacity * sizeof *grown);
    if (grown == NULL)
        return UV_ENOMEM;
    keys->bindings = grown;
    keys->bindings_capacity = capacity;
    return 0;
}

/* Makes room by dropping the key that has been over for longest.  `spared` stays. */
static int make_room(struct qr_keys *keys, int64_t now_s, uint32_t spared)
{
    if (keys->n_keys < QR_KEYS_MAX)
        return reserve_key(keys);
    uint32_t oldest = keys->n_keys;
    for (uint32_t i = 0; i < keys->n_keys; i++) {
        const struct qr_key *key = &keys->keys[i];
        if (key->id != spared && qr_key_standing(key, now_s) >= QR_KEY_ENDED &&
            (oldest == keys->n_keys || key->ends_s < keys->keys[oldest].ends_s))
            oldest = i;
    }
    if (oldest == keys->n_keys)
        return QR_E_LIMIT;
    keys->n_keys--;
    memmove(&keys->keys[oldest], &keys->keys[oldest + 1],
            (keys->n_keys - oldest) * sizeof *keys->keys);
    return 0;
}

/* Enters `key` with the next id; line 0: it begins its own. */
static int enter(struct qr_keys *keys, struct qr_key *key, uint32_t spared, int64_t now_s)
{
    if (qr_keys_by_hash(keys, key->hash) != NULL)
        return QR_E_EXISTS;
    if (keys->last_id == UINT32_MAX)
        return QR_E_LIMIT;
    int err = make_room(keys, now_s, spared);
    if (err != 0)
        return err;
    key->id = ++keys->last_id;
    key->line = key->line == 0 ? key->id : key->line;
    key->created_s = now_s;
    keys->keys[keys->n_keys++] = *key;
    return 0;
}

static uint64_t digest(enum what what, const struct qr_keys *keys, const struct qr_key *key)
{
    const uint64_t told[] = {(uint64_t)what,
                             keys->n_keys,
                             keys->n_bindings,
                             key != NULL ? key->id : 0,
                             key != NULL ? key->line : 0,
                             key != NULL ? (uint64_t)key->ends_s : 0,
                             key != NULL ? (uint64_t)key->last_used_s : 0};
    return XXH3_64bits(told, sizeof told);
}

static int apply_add(struct qr_keys *keys, struct qr_cursor *in, int64_t now_s, uint64_t *effect)
{
    struct qr_key key = {0};
    take_raw(in, key.hash, sizeof key.hash);
    take_name(in, key.name);
    take_policy(in, key.policy);
    if (!qr_cursor_done(in))
        return QR_E_MALFORMED;
    int err = enter(keys, &key, 0, now_s);
    if (err == 0)
        *effect = digest(ADD, keys, &key);
    return err;
}

static int apply_rotate(struct qr_keys *keys, struct qr_cursor *in, int64_t now_s, uint64_t *effect)
{
    uint8_t hash[QR_KEY_HASH_BYTES];
    uint32_t id = take_id(in);
    take_raw(in, hash, sizeof hash);
    uint64_t overlap_s = qr_cursor_varint_max(in, QR_KEY_OVERLAP_S_MAX);
    if (!qr_cursor_done(in))
        return QR_E_MALFORMED;
    const struct qr_key *old = find(keys, id);
    if (old == NULL)
        return QR_E_UNKNOWN;
    if (qr_key_standing(old, now_s) != QR_KEY_ACTIVE)
        return QR_E_BUSY;
    struct qr_key key = {.line = old->line};
    memcpy(key.hash, hash, sizeof hash);
    memcpy(key.name, old->name, sizeof key.name);
    memcpy(key.policy, old->policy, sizeof key.policy);
    int err = enter(keys, &key, id, now_s);
    if (err != 0)
        return err;
    find(keys, id)->ends_s = now_s + (int64_t)overlap_s;
    *effect = digest(ROTATE, keys, find(keys, id)) ^ digest(ADD, keys, &key);
    return 0;
}

static int apply_revoke(struct qr_keys *keys, struct qr_cursor *in, int64_t now_s, uint64_t *effect)
{
    uint32_t id = take_id(in);
    if (!qr_cursor_done(in))
        return QR_E_MALFORMED;
    struct qr_key *key = find(keys, id);
    if (key == NULL)
        return QR_E_UNKNOWN;
    if (key->revoked)
        return QR_E_EXISTS;
    key->revoked = true;
    if (key->ends_s == 0 || key->ends_s > now_s)
        key->ends_s = now_s;
    *effect = digest(REVOKE, keys, key);
    return 0;
}

static int apply_bind(struct qr_keys *keys, struct qr_cursor *in, int64_t now_s, uint64_t *effect)
{
    struct qr_key_binding binding = {0};
    take_raw(in, binding.guid.bytes, sizeof binding.guid.bytes);
    uint32_t id = take_id(in);
    uint8_t has_certificate = qr_cursor_u8(in);
    if (has_certificate == 1)
        take_raw(in, binding.certificate, sizeof binding.certificate);
    if (!qr_cursor_done(in) || has_certificate > 1 || (id == 0 && has_certificate == 0))
        return QR_E_MALFORMED;
    const struct qr_key *key = find(keys, id);
    if (id != 0 && key == NULL)
        return QR_E_UNKNOWN;
    if (id != 0 && qr_key_standing(key, now_s) >= QR_KEY_ENDED)
        return QR_E_BUSY;
    binding.line = id != 0 ? key->line : 0;
    binding.has_certificate = has_certificate == 1;
    bool found;
    uint32_t at = binding_at(keys, &binding.guid, &found);
    if (!found) {
        int err = keys->n_bindings == QR_KEY_BINDINGS_MAX ? QR_E_LIMIT : reserve_binding(keys);
        if (err != 0)
            return err;
        memmove(&keys->bindings[at + 1], &keys->bindings[at],
                (keys->n_bindings - at) * sizeof *keys->bindings);
        keys->n_bindings++;
    }
    keys->bindings[at] = binding;
    *effect = digest(BIND, keys, key) ^ XXH3_64bits(&binding.guid, sizeof binding.guid);
    return 0;
}

static int apply_unbind(struct qr_keys *keys, struct qr_cursor *in, uint64_t *effect)
{
    struct qr_guid guid = {0};
    bool found;
    take_raw(in, guid.bytes, sizeof guid.bytes);
    if (!qr_cursor_done(in))
        return QR_E_MALFORMED;
    uint32_t at = binding_at(keys, &guid, &found);
    if (!found)
        return QR_E_UNKNOWN;
    keys->n_bindings--;
    memmove(&keys->bindings[at], &keys->bindings[at + 1],
            (keys->n_bindings - at) * sizeof *keys->bindings);
    *effect = digest(UNBIND, keys, NULL) ^ XXH3_64bits(&guid, sizeof guid);
    return 0;
}

/* Walks the ids of a USED body; with `keys`, notes them. */
static void walk_used(struct qr_cursor *in, struct qr_keys *keys, int64_t now_s, uint64_t *effect)
{
    uint64_t n = qr_cursor_varint_max(in, QR_KEYS_MAX);
    uint32_t last = 0;
    if (n == 0)
        in->failed = true;
    for (uint64_t i = 0; i < n && !in->failed; i++) {
        uint32_t id = take_id(in);
        if (id <= last)
            in->failed = true;
        last = id;
        struct qr_key *key = keys != NULL ? find(keys, id) : NULL;
        if (key == NULL)
            continue; /* Dropped meanwhile. */
        if (key->last_used_s < now_s)
            key->last_used_s = now_s;
        *effect ^= digest(USED, keys, key);
    }
}

static int apply_used(struct qr_keys *keys, struct qr_cursor *in, int64_t now_s, uint64_t *effect)
{
    struct qr_cursor check = *in;
    walk_used(&check, NULL, now_s, effect);
    if (!qr_cursor_done(&check))
        return QR_E_MALFORMED;
    *effect = 0;
    walk_used(in, keys, now_s, effect);
    return 0;
}

int qr_keys_apply(struct qr_keys *keys, struct qr_slice body, uint64_t *effect)
{
    struct qr_cursor in = qr_cursor_of(body);
    uint8_t what = qr_cursor_u8(&in);
    int64_t now_s = take_time(&in);
    if (in.failed)
        return QR_E_MALFORMED;
    switch (what) {
    case ADD:
        return apply_add(keys, &in, now_s, effect);
    case ROTATE:
        return apply_rotate(keys, &in, now_s, effect);
    case REVOKE:
        return apply_revoke(keys, &in, now_s, effect);
    case BIND:
        return apply_bind(keys, &in, now_s, effect);
    case UNBIND:
        return apply_unbind(keys, &in, effect);
    case USED:
        return apply_used(keys, &in, now_s, effect);
    default:
        return QR_E_MALFORMED;
    }
}

/* ---- bodies ---- */

static void begin(struct qr_buf *out, enum what what, int64_t now_s)
{
    qr_buf_add_u8(out, (uint8_t)what);
    qr_buf_add_u64(out, (uint64_t)now_s);
}

static int end(const struct qr_buf *out)
{
    return out->failed ? UV_ENOMEM : 0;
}

int qr_keys_add(struct qr_buf *out, int64_t now_s, const uint8_t hash[QR_KEY_HASH_BYTES],
                struct qr_slice name, struct qr_slice policy)
{
    begin(out, ADD, now_s);
    qr_buf_add(out, hash, QR_KEY_HASH_BYTES);
    qr_buf_add_bytes(out, name);
    qr_buf_add_bytes(out, policy);
    return end(out);
}

int qr_keys_rotate(struct qr_buf *out, int64_t now_s, uint32_t id,
                   const uint8_t hash[QR_KEY_HASH_BYTES], uint32_t overlap_s)
{
    begin(out, ROTATE, now_s);
    qr_buf_add_varint(out, id);
    qr_buf_add(out, hash, QR_KEY_HASH_BYTES);
    qr_buf_add_varint(out, overlap_s);
    return end(out);
}

int qr_keys_revoke(struct qr_buf *out, int64_t now_s, uint32_t id)
{
    begin(out, REVOKE, now_s);
    qr_buf_add_varint(out, id);
    return end(out);
}

int qr_keys_bind(struct qr_buf *out, int64_t now_s, const struct qr_guid *guid, uint32_t id,
                 const uint8_t *certificate)
{
    begin(out, BIND, now_s);
    qr_buf_add(out, guid->bytes, sizeof guid->bytes);
    qr_buf_add_varint(out, id);
    qr_buf_add_u8(out, certificate != NULL);
    if (certificate != NULL)
        qr_buf_add(out, certificate, QR_KEY_HASH_BYTES);
    return end(out);
}

int qr_keys_unbind(struct qr_buf *out, int64_t now_s, const struct qr_guid *guid)
{
    begin(out, UNBIND, now_s);
    qr_buf_add(out, guid->bytes, sizeof guid->bytes);
    return end(out);
}

int qr_keys_used(struct qr_buf *out, int64_t now_s, const uint32_t *ids, uint32_t n)
{
    begin(out, USED, now_s);
    qr_buf_add_varint(out, n);
    for (uint32_t i = 0; i < n; i++)
        qr_buf_add_varint(out, ids[i]);
    return end(out);
}

/* ---- snapshots ---- */

int qr_keys_encode(const struct qr_keys *keys, struct qr_buf *out)
{
    qr_buf_add_varint(out, keys->last_id);
    qr_buf_add_varint(out, keys->n_keys);
    for (uint32_t i = 0; i < keys->n_keys; i++) {
        const struct qr_key *key = &keys->keys[i];
        qr_buf_add_varint(out, key->id);
        qr_buf_add_varint(out, key->line);
        qr_buf_add(out, key->hash, sizeof key->hash);
        qr_buf_add_u8(out, key->revoked);
        qr_buf_add_u64(out, (uint64_t)key->created_s);
        qr_buf_add_u64(out, (uint64_t)key->ends_s);
        qr_buf_add_u64(out, (uint64_t)key->last_used_s);
        qr_buf_add_bytes(out, qr_slice_str(key->name));
        qr_buf_add_bytes(out, qr_slice_str(key->policy));
    }
    qr_buf_add_varint(out, keys->n_bindings);
    for (uint32_t i = 0; i < keys->n_bindings; i++) {
        const struct qr_key_binding *binding = &keys->bindings[i];
        qr_buf_add(out, binding->guid.bytes, sizeof binding->guid.bytes);
        qr_buf_add_varint(out, binding->line);
        qr_buf_add_u8(out, binding->has_certificate);
        if (binding->has_certificate)
            qr_buf_add(out, binding->certificate, sizeof binding->certificate);
    }
    return end(out);
}

static void take_key(struct qr_cursor *in, uint32_t last, uint32_t last_id, struct qr_key *key)
{
    *key = (struct qr_key){.id = take_id(in)};
    key->line = take_id(in);
    take_raw(in, key->hash, sizeof key->hash);
    uint8_t revoked = qr_cursor_u8(in);
    key->revoked = revoked == 1;
    key->created_s = take_time(in);
    /* An overlap may end behind the last time that an entry may have. */
    key->ends_s = (int64_t)qr_cursor_u64(in);
    key->last_used_s = take_time(in);
    take_name(in, key->name);
    take_policy(in, key->policy);
    if (revoked > 1 || key->id <= last || key->id > last_id || key->line == 0 ||
        key->line > key->id || key->ends_s < 0 ||
        key->ends_s > QR_TIME_S_MAX + (int64_t)QR_KEY_OVERLAP_S_MAX)
        in->failed = true;
}

static int take_keys(struct qr_keys *keys, struct qr_cursor *in)
{
    keys->last_id = take_id(in);
    uint64_t n = qr_cursor_varint_max(in, QR_KEYS_MAX);
    for (uint64_t i = 0; i < n && !in->failed; i++) {
        struct qr_key key;
        uint32_t last = i == 0 ? 0 : keys->keys[i - 1].id;
        take_key(in, last, keys->last_id, &key);
        if (in->failed || qr_keys_by_hash(keys, key.hash) != NULL)
            return QR_E_MALFORMED;
        int err = reserve_key(keys);
        if (err != 0)
            return err;
        keys->keys[keys->n_keys++] = key;
    }
    return in->failed ? QR_E_MALFORMED : 0;
}

static int take_bindings(struct qr_keys *keys, struct qr_cursor *in)
{
    uint64_t n = qr_cursor_varint_max(in, QR_KEY_BINDINGS_MAX);
    for (uint64_t i = 0; i < n && !in->failed; i++) {
        struct qr_key_binding binding = {0};
        take_raw(in, binding.guid.bytes, sizeof binding.guid.bytes);
        binding.line = take_id(in);
        uint8_t has_certificate = qr_cursor_u8(in);
        binding.has_certificate = has_certificate == 1;
        if (has_certificate == 1)
            take_raw(in, binding.certificate, sizeof binding.certificate);
        bool rises = i == 0 || memcmp(keys->bindings[i - 1].guid.bytes, binding.guid.bytes,
                                      sizeof binding.guid.bytes) < 0;
        if (in->failed || !rises || has_certificate > 1 || binding.line > keys->last_id ||
            (binding.line == 0 && has_certificate == 0))
            return QR_E_MALFORMED;
        int err = reserve_binding(keys);
        if (err != 0)
            return err;
        keys->bindings[keys->n_bindings++] = binding;
    }
    return in->failed ? QR_E_MALFORMED : 0;
}

int qr_keys_decode(struct qr_keys *keys, struct qr_cursor *in)
{
    struct qr_keys got = {0};
    int err = take_keys(&got, in);
    if (err == 0)
        err = take_bindings(&got, in);
    if (err != 0) {
        qr_keys_release(&got);
        return err;
    }
    qr_keys_release(keys);
    *keys = got;
    return 0;
}
