#include "base/pattern.h"

/* One entry, with its backslashes still in it. */
struct entry {
    const char *p, *end;
    bool negative;
};

static bool is_separator(const char *separators, char c)
{
    return c != '\0' && strchr(separators, c) != NULL;
}

/* Takes the next entry that has a text from the front of the list. */
static bool next_entry(struct qr_slice *list, const char *separators, struct entry *entry)
{
    const char *p = list->base;
    const char *end = p + list->len;
    bool found = false;
    while (p < end && !found) {
        while (p < end && is_separator(separators, *p))
            p++;
        entry->negative = p < end && *p == '!';
        if (entry->negative)
            p++;
        entry->p = p;
        for (; p < end && !is_separator(separators, *p); p++)
            if (*p == '\\' && p + 1 < end)
                p++;
        entry->end = p;
        found = entry->p < entry->end;
    }
    *list = qr_slice_of(p, (size_t)(end - p));
    return found;
}

/* Steps over a backslash that has a byte to make ordinary. */
static const char *unescaped(const char *p, const char *end)
{
    return p + 1 < end && *p == '\\' ? p + 1 : p;
}

/* Greedy from the left, going back only to the last star: enough, since stars match anything. */
static bool entry_matches(const struct entry *entry, struct qr_slice text)
{
    const char *p = entry->p;
    const char *t = text.base, *t_end = text.base + text.len;
    const char *star = NULL, *star_text = NULL; /* Behind the last star, and what it gave up. */
    while (t < t_end) {
        const char *literal = unescaped(p, entry->end);
        if (p < entry->end && *literal == '*') {
            star = p = literal + 1;
            star_text = t;
        } else if (p < entry->end && *literal == *t) {
            p = literal + 1;
            t++;
        } else if (star != NULL) {
            p = star;
            t = ++star_text;
        } else {
            return false;
        }
    }
    while (p < entry->end && *unescaped(p, entry->end) == '*')
        p = unescaped(p, entry->end) + 1;
    return p == entry->end;
}

bool qr_pattern_matches_any(struct qr_slice list, const char *separators,
                            const struct qr_slice *texts, size_t n)
{
    struct entry entry;
    while (list.len > 0 && next_entry(&list, separators, &entry))
        for (size_t i = 0; i < n; i++)
            if (entry_matches(&entry, texts[i]))
                return !entry.negative;
    return false;
}

bool qr_pattern_matches(struct qr_slice list, const char *separators, struct qr_slice text)
{
    return qr_pattern_matches_any(list, separators, &text, 1);
}

bool qr_pattern_is_empty(struct qr_slice list, const char *separators)
{
    struct entry entry;
    return list.len == 0 || !next_entry(&list, separators, &entry);
}
