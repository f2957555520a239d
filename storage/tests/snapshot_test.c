#include "storage/snapshot.h"

#include "base/checksum.h"
#include "storage/entry.h"
#include "storage/tests/fixture.h"

/* A state with one of everything, and its bytes. */
static const struct qr_block_id block_id = {
    .start_s = 600, .window_s = 21600, .generation = 1, .shard = 7, .tier = 1};

static const struct qr_block_id merge_id = {
    .start_s = 21600, .window_s = 21600, .generation = 3, .shard = 2};

static int encode(const struct qr_state *state, struct qr_buf *out)
{
    struct qr_ledger ledger = {0};
    assert_int_equal(qr_ledger_read(&ledger, state), 0);
    int err = qr_snapshot_encode(state, &ledger, out);
    qr_ledger_release(&ledger);
    return err;
}

static struct qr_buf sample(void)
{
    struct qr_epoch epoch;
    struct qr_state *state;
    struct qr_host *host;
    struct qr_chart *chart;
    uint32_t n_new, n_old;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_state_new(&state, NULL, &epoch, 600), 0);
    state->retain_s[0] = 600;
    state->retain_s[2] = 1;
    atomic_store(&state->n_rows, 5);
    assert_int_equal(qr_catalog_put_host(&state->catalog, host_def(3), &host), 0);
    atomic_store(&host->connected, true);
    atomic_store(&host->state_changed_us, -1);
    for (uint32_t i = 0; i < 3; i++) {
        char id[8];
        snprintf(id, sizeof id, "c%u", i);
        assert_int_equal(
            qr_catalog_put_chart(&state->catalog, host, chart_def(id, "n", 1, 0, i), &chart), 0);
    }
    atomic_store(&chart->watermark_s, 1801);
    for (int64_t t = 1798; t < 1802; t++)
        assert_int_equal(qr_head_put(&state->head, chart, 1, 2, t, (uint32_t[]){7, (uint32_t)t}, 2,
                                     &n_new, &n_old),
                         0);
    chart->base->cells = malloc(3 * sizeof(uint32_t));
    chart->base->epoch = 5;
    chart->base->n = chart->base->capacity = 3; /* one more than the chart has: it is not asked */
    memcpy(chart->base->cells, (uint32_t[]){7, E, 1 | QR_VALUE_RESET}, 3 * sizeof(uint32_t));
    assert_int_equal(qr_state_add_gap(state, &(struct qr_gap){2, 700, 800, 2}), 0);
    struct qr_block *block = qr_block_new(&block_id, 1234, 0xabcdef, QR_BLOCK_SOUND);
    block->confirmed = true;
    assert_int_equal(qr_manifest_put(&state->manifest, block), 0);
    struct qr_id_runs forgotten = {0};
    assert_int_equal(
        qr_id_runs_missing(&forgotten, &state->catalog.charts, state->catalog.last_chart), 0);
    assert_int_equal(qr_merge_resume(state, &merge_id, &forgotten), 0);
    struct qr_buf out = {0};
    qr_buf_add_u8(&out, 9); /* It appends. */
    assert_int_equal(encode(state, &out), 0);
    qr_buf_consume(&out, 1);
    /* The checksum began after that byte: it is the same without it. */
    qr_epoch_release(&epoch);
    qr_state_release(state);
    return out;
}

static int decode(struct qr_slice bytes, struct qr_buf *again)
{
    struct qr_epoch epoch;
    struct qr_state *state;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_state_new(&state, NULL, &epoch, 60), 0);
    int err = qr_snapshot_decode(state, bytes);
    if (err == 0 && again != NULL) {
        assert_int_equal(state->head.window_s, 600);
        assert_int_equal(state->retain_s[0], 600);
        assert_int_equal(state->retain_s[1], 0);
        assert_int_equal(state->retain_s[2], 1);
        assert_non_null(qr_merge_find(state, &merge_id));
        const struct qr_host *host = qr_catalog_host(&state->catalog, 1);
        assert_true(atomic_load(&host->connected));
        assert_true(atomic_load(&host->state_changed_us) == -1);
        assert_int_equal(atomic_load(&qr_catalog_chart(&state->catalog, 3)->watermark_s), 1801);
        const struct qr_entry_base *base = qr_catalog_chart(&state->catalog, 3)->base;
        assert_int_equal(base->epoch, 5);
        assert_int_equal(base->n, 3);
        assert_memory_equal(base->cells, ((uint32_t[]){7, E, 1 | QR_VALUE_RESET}), 12);
        assert_int_equal(qr_catalog_chart(&state->catalog, 2)->base->epoch, 0);
        const struct qr_block *block = qr_manifest_find(&state->manifest, &block_id);
        assert_int_equal(block->bytes, 1234);
        assert_int_equal(block->hash, 0xabcdef);
        assert_true(block->confirmed);
        assert_int_equal(atomic_load(&block->health), QR_BLOCK_UNCHECKED);
        assert_int_equal(encode(state, again), 0);
    }
    qr_epoch_release(&epoch);
    qr_state_release(state);
    return err;
}

static void a_state_survives_its_bytes(void **state)
{
    (void)state;
    struct qr_buf bytes = sample(), again = {0};
    assert_int_equal(decode(qr_buf_slice(&bytes), &again), 0);
    assert_true(qr_slice_equal(qr_buf_slice(&bytes), qr_buf_slice(&again)));
    qr_buf_release(&bytes);
    qr_buf_release(&again);
}

static void the_envelope_is_checked_first(void **state)
{
    (void)state;
    struct qr_buf bytes = sample();
    for (size_t len = 0; len < bytes.len; len++)
        assert_int_not_equal(decode(qr_slice_of(bytes.base, len), NULL), 0);
    bytes.base[20] = (char)(bytes.base[20] ^ 1);
    assert_int_equal(decode(qr_buf_slice(&bytes), NULL), QR_E_CORRUPT);
    bytes.base[8] = 1;
    assert_int_equal(decode(qr_buf_slice(&bytes), NULL), QR_E_VERSION);
    bytes.base[0] = 'X';
    assert_int_equal(decode(qr_buf_slice(&bytes), NULL), QR_E_MALFORMED);
    qr_buf_release(&bytes);
}

/* Under a right checksum: whatever a byte is changed to, it is refused or makes sound state. */
static void changed_bytes_do_no_harm(void **state)
{
    (void)state;
    struct qr_buf bytes = sample();
    unsigned n_refused = 0, n = 0;
    for (size_t i = 9; i + 4 < bytes.len; i++) {
        char was = bytes.base[i];
        for (unsigned change = 1; change < 256; change += 1 + change / 8, n++) {
            bytes.base[i] = (char)(was ^ (int)change);
            uint32_t crc = qr_crc32c(0, bytes.base, bytes.len - 4);
            bytes.len -= 4;
            qr_buf_add_u32(&bytes, crc);
            n_refused += decode(qr_buf_slice(&bytes), NULL) != 0;
        }
        bytes.base[i] = was;
    }
    assert_true(n_refused > n / 4);
    qr_buf_release(&bytes);
}

/* Raw, all that a member restores would take five times the memory. */
static void what_is_restored_is_encoded(void **unused)
{
    (void)unused;
    struct qr_epoch epoch;
    struct qr_state *state, *restored;
    struct qr_host *host;
    struct qr_chart *chart;
    struct qr_buf bytes = {0};
    struct qr_grid grid = {0};
    uint32_t n_new, n_old;
    qr_epoch_init(&epoch);
    assert_int_equal(qr_state_new(&state, NULL, &epoch, 600), 0);
    assert_int_equal(qr_catalog_put_host(&state->catalog, host_def(3), &host), 0);
    assert_int_equal(
        qr_catalog_put_chart(&state->catalog, host, chart_def("c", "n", 1, 0, 2), &chart), 0);
    for (int64_t t = 1200; t < 1800; t++)
        assert_int_equal(qr_head_put(&state->head, chart, 1, 2, t, (uint32_t[]){7, (uint32_t)t}, 2,
                                     &n_new, &n_old),
                         0);
    assert_int_equal(encode(state, &bytes), 0);
    assert_int_equal(qr_state_new(&restored, NULL, &epoch, 600), 0);
    assert_int_equal(qr_snapshot_decode(restored, qr_buf_slice(&bytes)), 0);
    const struct qr_head_slab *slab = qr_head_first(qr_catalog_chart(&restored->catalog, 1)->head);
    uint32_t n_raw = 0, n_tiles = qr_head_n_tiles(slab);
    assert_true(n_tiles > 8);
    for (uint32_t i = 0; i < n_tiles; i++)
        n_raw += !qr_tile_is_encoded(slab->tiles[i]);
    assert_int_equal(n_raw, 1); /* Where the next row goes. */
    assert_true(restored->head.bytes < state->head.bytes / 2);
    assert_int_equal(qr_head_copy(slab, 0, 600, &grid), 0);
    for (uint32_t i = 0; i < 600; i++)
        assert_int_equal(qr_grid_at(&grid, i, 1), 1200 + i);
    qr_grid_release(&grid);
    qr_buf_release(&bytes);
    qr_epoch_release(&epoch);
    qr_state_release(state);
    qr_state_release(restored);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_survives_its_bytes),
        cmocka_unit_test(the_envelope_is_checked_first),
        cmocka_unit_test(changed_bytes_do_no_harm),
        cmocka_unit_test(what_is_restored_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
