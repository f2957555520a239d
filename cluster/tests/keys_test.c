#include "cluster/keys.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "testing/cmocka.h"

#define NOW 1700000000

/* A hash that stands for key `n`. */
static const uint8_t *hash_of(unsigned n)
{
    static uint8_t hash[QR_KEY_HASH_BYTES];
    memset(hash, 0x5a, sizeof hash);
    qr_le_put(hash, n, 4);
    return hash;
}

static struct qr_guid guid_of(unsigned n)
{
    struct qr_guid guid = {{0}};
    qr_le_put(guid.bytes + 12, n, 4);
    return guid;
}

static uint64_t last_effect;

static int apply(struct qr_keys *keys, struct qr_buf *body)
{
    last_effect = 0;
    int result = qr_keys_apply(keys, qr_buf_slice(body), &last_effect);
    qr_buf_release(body);
    return result;
}

static int add(struct qr_keys *keys, int64_t now_s, unsigned n, const char *name)
{
    struct qr_buf body = {0};
    qr_keys_add(&body, now_s, hash_of(n), qr_slice_str(name), qr_slice_str("allow from = 10.*\n"));
    return apply(keys, &body);
}

static int rotate(struct qr_keys *keys, int64_t now_s, uint32_t id, unsigned n, uint32_t overlap_s)
{
    struct qr_buf body = {0};
    qr_keys_rotate(&body, now_s, id, hash_of(n), overlap_s);
    return apply(keys, &body);
}

static int revoke(struct qr_keys *keys, int64_t now_s, uint32_t id)
{
    struct qr_buf body = {0};
    qr_keys_revoke(&body, now_s, id);
    return apply(keys, &body);
}

static int bind_to(struct qr_keys *keys, unsigned n, uint32_t id, const uint8_t *certificate)
{
    struct qr_buf body = {0};
    const struct qr_guid guid = guid_of(n);
    qr_keys_bind(&body, NOW, &guid, id, certificate);
    return apply(keys, &body);
}

static int unbind(struct qr_keys *keys, unsigned n)
{
    struct qr_buf body = {0};
    const struct qr_guid guid = guid_of(n);
    qr_keys_unbind(&body, NOW, &guid);
    return apply(keys, &body);
}

static int use(struct qr_keys *keys, int64_t now_s, const uint32_t *ids, uint32_t n)
{
    struct qr_buf body = {0};
    qr_keys_used(&body, now_s, ids, n);
    return apply(keys, &body);
}

static enum qr_key_standing standing(const struct qr_keys *keys, uint32_t id, int64_t now_s)
{
    const struct qr_key *key = qr_keys_by_id(keys, id);
    assert_non_null(key);
    return qr_key_standing(key, now_s);
}

/* The hash is what `printf 'quorate api key\0<16 bytes><16 bytes>' | sha256sum` says. */
static void a_key_is_hashed_with_its_cluster(void **state)
{
    (void)state;
    static const uint8_t expected[QR_KEY_HASH_BYTES] = {
        0xf4, 0x1b, 0x52, 0xbe, 0x1b, 0xcd, 0xc0, 0x1d, 0x71, 0xe7, 0x74,
        0x27, 0x34, 0x1d, 0x38, 0x3d, 0x7f, 0x93, 0x2a, 0x63, 0xe5, 0x6e,
        0x93, 0x3c, 0xa7, 0xa7, 0x4c, 0xac, 0xd3, 0xa3, 0x43, 0xa0};
    struct qr_guid cluster, key, other;
    uint8_t hash[QR_KEY_HASH_BYTES];
    assert_int_equal(qr_guid_parse(&cluster, qr_slice_str("00112233-4455-6677-8899-aabbccddeeff")),
                     0);
    assert_int_equal(qr_guid_parse(&key, qr_slice_str("11111111-2222-3333-4444-555555555555")), 0);
    qr_key_hash(&cluster, &key, hash);
    assert_memory_equal(hash, expected, sizeof hash);
    other = cluster;
    other.bytes[0] ^= 1;
    qr_key_hash(&other, &key, hash);
    assert_memory_not_equal(hash, expected, sizeof hash);
}

static void a_key_is_added_once(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    assert_int_equal(add(&keys, NOW, 1, "web"), 0);
    assert_true(last_effect != 0);
    assert_int_equal(add(&keys, NOW, 1, "other"), QR_E_EXISTS);
    assert_int_equal(add(&keys, NOW + 1, 2, ""), 0);
    assert_int_equal(keys.n_keys, 2);
    const struct qr_key *key = qr_keys_by_hash(&keys, hash_of(1));
    assert_non_null(key);
    assert_int_equal(key->id, 1);
    assert_int_equal(key->line, 1);
    assert_int_equal(key->created_s, NOW);
    assert_string_equal(key->name, "web");
    assert_string_equal(key->policy, "allow from = 10.*\n");
    assert_int_equal(standing(&keys, 1, NOW), QR_KEY_ACTIVE);
    assert_null(qr_keys_by_hash(&keys, hash_of(3)));
    assert_null(qr_keys_by_id(&keys, 3));
    qr_keys_release(&keys);
}

static void a_rotated_key_works_until_the_overlap_is_over(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    add(&keys, NOW, 1, "web");
    assert_int_equal(rotate(&keys, NOW + 10, 1, 2, 100), 0);
    assert_int_equal(standing(&keys, 1, NOW + 109), QR_KEY_OVERLAPS);
    assert_int_equal(standing(&keys, 1, NOW + 110), QR_KEY_ENDED);
    const struct qr_key *next = qr_keys_by_id(&keys, 2);
    assert_non_null(next);
    assert_int_equal(next->line, 1);
    assert_int_equal(next->created_s, NOW + 10);
    assert_string_equal(next->name, "web");
    assert_string_equal(next->policy, "allow from = 10.*\n");
    assert_int_equal(standing(&keys, 2, NOW + 1000), QR_KEY_ACTIVE);
    /* The one that has an end is not rotated again; its successor is. */
    assert_int_equal(rotate(&keys, NOW + 11, 1, 3, 100), QR_E_BUSY);
    assert_int_equal(rotate(&keys, NOW + 11, 2, 1, 100), QR_E_EXISTS);
    assert_int_equal(rotate(&keys, NOW + 11, 9, 3, 100), QR_E_UNKNOWN);
    assert_int_equal(rotate(&keys, NOW + 11, 2, 3, 0), 0);
    assert_int_equal(standing(&keys, 2, NOW + 11), QR_KEY_ENDED);
    assert_int_equal(qr_keys_by_id(&keys, 3)->line, 1);
    qr_keys_release(&keys);
}

static void a_revoked_key_is_over_for_good(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    add(&keys, NOW, 1, "");
    assert_int_equal(revoke(&keys, NOW + 5, 2), QR_E_UNKNOWN);
    assert_int_equal(revoke(&keys, NOW + 5, 1), 0);
    assert_int_equal(revoke(&keys, NOW + 5, 1), QR_E_EXISTS);
    assert_int_equal(standing(&keys, 1, 0), QR_KEY_REVOKED);
    assert_int_equal(qr_keys_by_id(&keys, 1)->ends_s, NOW + 5);
    assert_int_equal(rotate(&keys, NOW + 6, 1, 2, 60), QR_E_BUSY);
    assert_int_equal(add(&keys, NOW + 6, 1, ""), QR_E_EXISTS); /* nobody brings it back */
    qr_keys_release(&keys);
}

static void machines_are_bound_to_lines_and_certificates(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    add(&keys, NOW, 1, "");
    rotate(&keys, NOW, 1, 2, 60);
    add(&keys, NOW, 3, "");
    revoke(&keys, NOW, 3);
    assert_int_equal(bind_to(&keys, 7, 2, NULL), 0);
    assert_int_equal(bind_to(&keys, 5, 0, hash_of(9)), 0);
    assert_int_equal(bind_to(&keys, 6, 9, NULL), QR_E_UNKNOWN);
    assert_int_equal(bind_to(&keys, 6, 3, NULL), QR_E_BUSY);
    assert_int_equal(keys.n_bindings, 2);
    assert_int_equal(keys.bindings[1].line, 1);
    assert_false(keys.bindings[1].has_certificate);
    assert_int_equal(keys.bindings[0].line, 0);
    assert_memory_equal(keys.bindings[0].certificate, hash_of(9), QR_KEY_HASH_BYTES);
    /* Once more says something else of the same machine. */
    assert_int_equal(bind_to(&keys, 7, 1, hash_of(8)), 0);
    assert_int_equal(keys.n_bindings, 2);
    assert_true(keys.bindings[1].has_certificate);
    assert_int_equal(unbind(&keys, 6), QR_E_UNKNOWN);
    assert_int_equal(unbind(&keys, 5), 0);
    assert_int_equal(keys.n_bindings, 1);
    qr_keys_release(&keys);
}

static void use_is_noted_and_never_goes_back(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    add(&keys, NOW, 1, "");
    add(&keys, NOW, 2, "");
    assert_int_equal(use(&keys, NOW + 50, (uint32_t[]){1, 2, 77}, 3), 0);
    assert_int_equal(use(&keys, NOW + 20, (uint32_t[]){1}, 1), 0);
    assert_int_equal(qr_keys_by_id(&keys, 1)->last_used_s, NOW + 50);
    assert_int_equal(use(&keys, NOW + 60, (uint32_t[]){2, 1}, 2), QR_E_MALFORMED);
    assert_int_equal(use(&keys, NOW + 60, NULL, 0), QR_E_MALFORMED);
    assert_int_equal(qr_keys_by_id(&keys, 2)->last_used_s, NOW + 50);
    qr_keys_release(&keys);
}

/* Every cut of every body, and what no member writes. */
static void bad_bodies_change_nothing(void **state)
{
    (void)state;
    const struct qr_guid guid = guid_of(4);
    struct qr_buf bodies[6] = {{0}};
    qr_keys_add(&bodies[0], NOW, hash_of(2), qr_slice_str("a"), qr_slice_str("b"));
    qr_keys_rotate(&bodies[1], NOW, 1, hash_of(2), 60);
    qr_keys_revoke(&bodies[2], NOW, 1);
    qr_keys_bind(&bodies[3], NOW, &guid, 1, hash_of(3));
    qr_keys_unbind(&bodies[4], NOW, &guid);
    qr_keys_used(&bodies[5], NOW, (uint32_t[]){1}, 1);
    for (unsigned i = 0; i < 6; i++) {
        struct qr_keys keys = {0};
        struct qr_buf before = {0}, after = {0};
        uint64_t effect;
        add(&keys, NOW, 1, "");
        qr_keys_encode(&keys, &before);
        for (size_t len = 0; len < bodies[i].len; len++)
            assert_int_equal(qr_keys_apply(&keys, qr_slice_of(bodies[i].base, len), &effect),
                             QR_E_MALFORMED);
        qr_buf_add_u8(&bodies[i], 0);
        assert_int_equal(qr_keys_apply(&keys, qr_buf_slice(&bodies[i]), &effect), QR_E_MALFORMED);
        qr_keys_encode(&keys, &after);
        assert_true(qr_slice_equal(qr_buf_slice(&before), qr_buf_slice(&after)));
        qr_buf_release(&before);
        qr_buf_release(&after);
        qr_buf_release(&bodies[i]);
        qr_keys_release(&keys);
    }
    struct qr_keys keys = {0};
    assert_int_equal(add(&keys, NOW, 1, "a b"), QR_E_MALFORMED);
    assert_int_equal(add(&keys, -1, 1, ""), QR_E_MALFORMED);
    assert_int_equal(add(&keys, QR_TIME_S_MAX + 1, 1, ""), QR_E_MALFORMED);
    assert_int_equal(add(&keys, NOW, 1, "123456789012345678901234567890123"), QR_E_MALFORMED);
    add(&keys, NOW, 1, "");
    assert_int_equal(rotate(&keys, NOW, 1, 2, QR_KEY_OVERLAP_S_MAX + 1), QR_E_MALFORMED);
    assert_int_equal(bind_to(&keys, 1, 0, NULL), QR_E_MALFORMED);
    qr_keys_release(&keys);
}

/* A full table drops what has been over for longest, and nothing that works. */
static void room_is_made_by_what_is_over(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    for (unsigned n = 1; n <= QR_KEYS_MAX; n++)
        assert_int_equal(add(&keys, NOW, n, ""), 0);
    assert_int_equal(add(&keys, NOW, 9999, ""), QR_E_LIMIT);
    revoke(&keys, NOW + 20, 5);
    revoke(&keys, NOW + 10, 9);
    assert_int_equal(add(&keys, NOW + 30, 10000, ""), 0);
    assert_null(qr_keys_by_id(&keys, 9));
    assert_non_null(qr_keys_by_id(&keys, 5));
    assert_int_equal(rotate(&keys, NOW + 30, 6, 10001, 60), 0);
    assert_null(qr_keys_by_id(&keys, 5));
    assert_int_equal(qr_keys_by_id(&keys, 6)->ends_s, NOW + 90);
    assert_int_equal(rotate(&keys, NOW + 31, 7, 10002, 60), QR_E_LIMIT);
    assert_int_equal(qr_keys_by_id(&keys, 7)->ends_s, 0);
    assert_int_equal(keys.n_keys, QR_KEYS_MAX);
    qr_keys_release(&keys);
}

static void machines_have_a_limit(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    add(&keys, NOW, 1, "");
    for (unsigned n = 1; n <= QR_KEY_BINDINGS_MAX; n++)
        assert_int_equal(bind_to(&keys, n, 1, NULL), 0);
    assert_int_equal(bind_to(&keys, 0, 1, NULL), QR_E_LIMIT);
    assert_int_equal(bind_to(&keys, 1, 1, hash_of(1)), 0);
    qr_keys_release(&keys);
}

static void a_snapshot_holds_all_of_it(void **state)
{
    (void)state;
    struct qr_keys keys = {0}, read = {0};
    struct qr_buf one = {0}, two = {0};
    add(&keys, NOW, 1, "web");
    rotate(&keys, NOW + 1, 1, 2, 3600);
    add(&keys, NOW + 2, 3, "");
    revoke(&keys, NOW + 3, 3);
    bind_to(&keys, 7, 2, hash_of(5));
    bind_to(&keys, 3, 1, NULL);
    use(&keys, NOW + 4, (uint32_t[]){1}, 1);
    assert_int_equal(qr_keys_encode(&keys, &one), 0);
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&one));
    assert_int_equal(qr_keys_decode(&read, &in), 0);
    assert_true(qr_cursor_done(&in));
    assert_int_equal(qr_keys_encode(&read, &two), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&one), qr_buf_slice(&two)));
    /* And what is cut is not taken, and changes nothing. */
    for (size_t len = 0; len < one.len; len++) {
        in = qr_cursor_of(qr_slice_of(one.base, len));
        assert_int_equal(qr_keys_decode(&read, &in), QR_E_MALFORMED);
        assert_int_equal(read.n_keys, 3);
    }
    /* Both go on alike. */
    assert_int_equal(add(&keys, NOW + 9, 4, ""), 0);
    uint64_t effect = last_effect;
    assert_int_equal(add(&read, NOW + 9, 4, ""), 0);
    assert_int_equal(last_effect, effect);
    qr_buf_release(&one);
    qr_buf_release(&two);
    qr_keys_release(&keys);
    qr_keys_release(&read);
}

/* The bytes between the n-th ```hex and its ```. */
static void read_example(unsigned n, struct qr_buf *out)
{
    char line[256];
    bool inside = false;
    FILE *file = fopen(QR_SOURCE_DIR "/docs/formats/keys.md", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, "```", 3) == 0) {
            if (!inside && strncmp(line, "```hex", 6) == 0 && n-- == 0)
                inside = true;
            else if (inside)
                break;
            continue;
        }
        for (char *p = line, *end; inside; p = end) {
            unsigned long byte = strtoul(p, &end, 16);
            if (end == p)
                break;
            qr_buf_add_u8(out, (uint8_t)byte);
        }
    }
    fclose(file);
}

static void assert_example(unsigned n, const struct qr_buf *made)
{
    struct qr_buf example = {0};
    read_example(n, &example);
    if (!qr_slice_equal(qr_buf_slice(&example), qr_buf_slice(made))) {
        for (size_t i = 0; i < made->len; i++)
            fprintf(stderr, "%02x%s", (uint8_t)made->base[i], i % 16 == 15 ? "\n" : " ");
        fail_msg("example %u of docs/formats/keys.md has other bytes", n);
    }
    qr_buf_release(&example);
}

/* The examples of docs/formats/keys.md. */
static void the_page_of_the_format_is_true(void **state)
{
    (void)state;
    struct qr_keys keys = {0};
    struct qr_buf body = {0}, snapshot = {0};
    uint64_t effect;
    qr_keys_add(&body, NOW, hash_of(1), qr_slice_str("web"), qr_slice_str("allow from = 10.*\n"));
    assert_example(0, &body);
    assert_int_equal(qr_keys_apply(&keys, qr_buf_slice(&body), &effect), 0);
    qr_buf_clear(&body);
    qr_keys_rotate(&body, NOW + 60, 1, hash_of(2), 86400);
    assert_example(1, &body);
    assert_int_equal(qr_keys_apply(&keys, qr_buf_slice(&body), &effect), 0);
    bind_to(&keys, 7, 2, NULL);
    qr_keys_encode(&keys, &snapshot);
    assert_example(2, &snapshot);
    qr_buf_release(&body);
    qr_buf_release(&snapshot);
    qr_keys_release(&keys);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_hashed_with_its_cluster),
        cmocka_unit_test(a_key_is_added_once),
        cmocka_unit_test(a_rotated_key_works_until_the_overlap_is_over),
        cmocka_unit_test(a_revoked_key_is_over_for_good),
        cmocka_unit_test(machines_are_bound_to_lines_and_certificates),
        cmocka_unit_test(use_is_noted_and_never_goes_back),
        cmocka_unit_test(bad_bodies_change_nothing),
        cmocka_unit_test(room_is_made_by_what_is_over),
        cmocka_unit_test(machines_have_a_limit),
        cmocka_unit_test(a_snapshot_holds_all_of_it),
        cmocka_unit_test(the_page_of_the_format_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
