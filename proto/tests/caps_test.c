#include "proto/caps.h"

#include <stdio.h>

#include "base/compiler.h"
#include "base/error.h"
#include "testing/cmocka.h"

#define HL  QR_CAP_HLABELS
#define CL  QR_CAP_CLAIM
#define CHL QR_CAP_CLABELS
#define NEW (QR_CAP_PROGRESS | QR_CAP_DYNCFG)

static const struct {
    uint32_t ver, ours, caps;
} cases[] = {
    {0, QR_CAPS_OURS, QR_CAP_V1},
    {1, QR_CAPS_OURS, QR_CAP_V1},
    {2, QR_CAPS_OURS, QR_CAP_V2 | HL},
    {3, QR_CAPS_OURS, QR_CAP_VN | HL | CL},
    {4, QR_CAPS_OURS, QR_CAP_VN | HL | CL | CHL},
    {5, QR_CAPS_OURS, QR_CAP_VN | HL | CL | CHL | QR_CAP_LZ4},
    {5, QR_CAPS_OURS & ~QR_CAP_LZ4, QR_CAP_VN | HL | CL | CHL},
    /* 1.37.1 with and without compression */
    {16376, QR_CAPS_OURS, 16376 & ~56u},
    {15352, QR_CAPS_OURS, 15352 & ~56u},
    {16376, QR_CAPS_OURS & ~QR_CAP_REPLICATION, 16376 & ~56u & ~QR_CAP_REPLICATION},
    /* 2.9.0 offers four compressions: the first of the order, or the one that we have */
    {66912248, QR_CAPS_OURS, 0xCFBC0 | NEW},
    {66912248, QR_CAPS_OURS & ~QR_CAP_ZSTD, 0x4FFC0 | NEW},
    {66912248, QR_CAPS_OURS & ~(QR_CAP_ZSTD | QR_CAP_LZ4), 0x24FBC0 | NEW},
    {66912248, QR_CAPS_OURS & ~(QR_CAP_ZSTD | QR_CAP_LZ4 | QR_CAP_BROTLI), 0x14FBC0 | NEW},
    {66912248, 0xFFFFFFFF, 66912248 & ~56u & ~(QR_CAP_LZ4 | QR_CAP_GZIP | QR_CAP_BROTLI)},
    {0x80000000u | QR_CAP_VCAPS, QR_CAPS_OURS, QR_CAP_VCAPS},
    {6, QR_CAPS_OURS, 0},
};

static void negotiates_as_both_sides_do(void **state)
{
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        uint32_t caps =
            qr_caps_negotiate(cases[i].ver, cases[i].ours, &qr_compression_order_default);
        if (caps != cases[i].caps)
            fail_msg("ver %u: 0x%x, not 0x%x", cases[i].ver, caps, cases[i].caps);
    }
}

static void takes_the_compression_that_the_order_names_first(void **state)
{
    struct qr_compression_order order;
    assert_int_equal(qr_compression_order_parse(&order, qr_slice_str(" gzip, lz4 gzip ")), 0);
    assert_int_equal(order.all[0], QR_COMPRESSION_GZIP);
    assert_int_equal(order.all[1], QR_COMPRESSION_LZ4);
    assert_int_equal(order.all[2], QR_COMPRESSION_ZSTD);
    assert_int_equal(order.all[3], QR_COMPRESSION_BROTLI);
    uint32_t caps = qr_caps_negotiate(66912248, QR_CAPS_OURS, &order);
    assert_int_equal(qr_caps_compression(caps), QR_COMPRESSION_GZIP);
    assert_int_equal(qr_caps_compression(qr_caps_negotiate(16376, QR_CAPS_OURS, &order)),
                     QR_COMPRESSION_LZ4);
    assert_int_equal(qr_caps_compression(qr_caps_negotiate(15352, QR_CAPS_OURS, &order)),
                     QR_COMPRESSION_NONE);
    assert_int_equal(qr_compression_order_parse(&order, qr_slice_str("")), 0);
    assert_memory_equal(&order, &qr_compression_order_default, sizeof order);
    assert_int_equal(qr_compression_order_parse(&order, qr_slice_str("zstd bzip2")), QR_E_CONFIG);
}

/* docs/streaming.md has a row for each bit that this build knows, and says the truth of each. */
static void the_table_in_the_docs_is_true(void **state)
{
    (void)state;
    static const uint32_t known =
        QR_CAPS_OURS | QR_CAP_DATA_WITH_ML | QR_CAP_NODE_ID | QR_CAP_PATHS | QR_CAP_ML_MODELS;
    char line[1024], name[32], verdict[16];
    unsigned bit;
    uint32_t seen = 0;
    FILE *file = fopen("docs/streaming.md", "r");
    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "| %31[A-Z0-9_] | %u | %15s |", name, &bit, verdict) != 3)
            continue;
        assert_true(bit < 32);
        bool agreed = (QR_CAPS_OURS & (1u << bit)) != 0;
        if (strcmp(verdict, agreed ? "agreed" : "declined") != 0)
            fail_msg("%s: %s", name, verdict);
        assert_int_equal(seen & (1u << bit), 0);
        seen |= 1u << bit;
    }
    fclose(file);
    assert_int_equal(seen, known);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negotiates_as_both_sides_do),
        cmocka_unit_test(takes_the_compression_that_the_order_names_first),
        cmocka_unit_test(the_table_in_the_docs_is_true),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
