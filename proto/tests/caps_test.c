#include "proto/caps.h"

#include "base/compiler.h"
#include "testing/cmocka.h"

#define HL  QR_CAP_HLABELS
#define CL  QR_CAP_CLAIM
#define CHL QR_CAP_CLABELS

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
    /* 2.9.0 offers four compressions; we keep the one that we have */
    {66912248, QR_CAPS_OURS, 0x4FFC0},
    {66912248, 0xFFFFFFFF, 66912248 & ~56u & ~(QR_CAP_LZ4 | QR_CAP_GZIP | QR_CAP_BROTLI)},
    {0x80000000u | QR_CAP_VCAPS, QR_CAPS_OURS, QR_CAP_VCAPS},
    {6, QR_CAPS_OURS, 0},
};

static void negotiates_as_both_sides_do(void **state)
{
    for (size_t i = 0; i < QR_COUNT(cases); i++) {
        uint32_t caps = qr_caps_negotiate(cases[i].ver, cases[i].ours);
        if (caps != cases[i].caps)
            fail_msg("ver %u: 0x%x, not 0x%x", cases[i].ver, caps, cases[i].caps);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(negotiates_as_both_sides_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
