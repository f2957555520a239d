#include "proto/words.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

/* A table and not memchr(): this runs for every byte that a child sends. */
static const bool separators[256] = {
    [' '] = true,  ['\t'] = true, ['\n'] = true, ['\v'] = true,
    ['\f'] = true, ['\r'] = true, ['='] = true,
};

static bool is_separator(char c)
{
    return separators[(unsigned char)c];
}

static const char *skip_separators(const char *p, const char *end)
{
    while (p < end && is_separator(*p))
        p++;
    return p;
}

/* Where the word at `p` stops: at its closing quote, at a separator, or at `end`. */
static const char *find_stop(const char *p, const char *end, char quote)
{
    for (; p < end; p++) {
        if (*p == '\\' && p + 1 < end)
            p++;
        else if (quote ? *p == quote : is_separator(*p))
            break;
    }
    return p;
}

int qr_words_split(struct qr_words *words, struct qr_slice line)
{
    words->n = 0;
    if (line.len == 0)
        return 0;
    if (memchr(line.base, '\0', line.len) != NULL)
        return QR_E_MALFORMED;

    const char *end = line.base + line.len;
    const char *p = skip_separators(line.base, end);
    while (p < end) {
        if (words->n == QR_LINE_WORDS_MAX) {
            words->n = 0;
            return QR_E_LIMIT;
        }
        char quote = '\0';
        if (*p == '"' || *p == '\'')
            quote = *p++;
        const char *stop = find_stop(p, end, quote);
        words->at[words->n++] = qr_slice_of(p, (size_t)(stop - p));

        bool closed = quote && stop < end;
        p = skip_separators(closed ? stop + 1 : stop, end);
    }
    assert(words->n <= QR_LINE_WORDS_MAX);
    return 0;
}
