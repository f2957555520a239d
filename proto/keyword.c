#include "proto/keyword.h"

const struct qr_keyword_row qr_keyword_rows[QR_KEYWORD_NR] = {
#define QR_KEYWORD_ROW(name, words_min, slot) {#name, sizeof #name - 1, words_min, slot},
    QR_KEYWORD_MAP(QR_KEYWORD_ROW)
#undef QR_KEYWORD_ROW
};

/* A scan: the lengths differ, and the frequent keywords are the first rows. */
enum qr_keyword qr_keyword_find(struct qr_slice word)
{
    for (unsigned i = 0; i < QR_KEYWORD_NR; i++)
        if (qr_keyword_rows[i].len == word.len &&
            memcmp(qr_keyword_rows[i].name, word.base, word.len) == 0)
            return (enum qr_keyword)i;
    return QR_KEYWORD_UNKNOWN;
}
