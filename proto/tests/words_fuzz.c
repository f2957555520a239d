/* Whatever the bytes, the words lie inside the line, in order, without overlap. */
#include "proto/words.h"

#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct qr_words words;
    int err = qr_words_split(&words, qr_slice_of(data, size));
    if (err != 0 && words.n != 0)
        abort();
    const char *at = (const char *)data;
    const char *end = at + size;
    for (size_t i = 0; i < words.n; i++) {
        if (words.at[i].base < at || words.at[i].len > (size_t)(end - words.at[i].base))
            abort();
        at = words.at[i].base + words.at[i].len;
    }
    return 0;
}
