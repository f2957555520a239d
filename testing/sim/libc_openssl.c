/* Chance of OpenSSL: the host's, so that keys and nonces follow from the seed. */
#define OPENSSL_SUPPRESS_DEPRECATED /* RAND_METHOD: the way to do so without a provider. */
#include <assert.h>
#include <openssl/rand.h>

#include "testing/sim/libc.h"

static int draw_bytes(unsigned char *bytes, int len)
{
    qr_sim_random(bytes, (size_t)len);
    return 1;
}

static int say_seeded(void)
{
    return 1;
}

void qr_sim_openssl(void)
{
    static RAND_METHOD method;
    method.bytes = method.pseudorand = draw_bytes;
    method.status = say_seeded;
    int ok = RAND_set_rand_method(&method);
    assert(ok == 1);
    (void)ok;
}
