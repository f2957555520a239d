#include "node/ini.h"

#include <errno.h>
#include <ini.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

struct reading {
    FILE *file;
    int line;
    int too_long_at; /* A line, or 0. */
    qr_ini_option_cb option;
    void *data;
    bool refused;
};

/* What inih calls for the next line: without its indentation, whole or not at all. */
static char *read_line(char *text, int size, void *stream)
{
    struct reading *reading = stream;
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n = getline(&line, &capacity, reading->file);
    if (n < 0) {
        free(line);
        return NULL;
    }
    reading->line++;
    const char *from = line;
    while (*from == ' ' || *from == '\t')
        from++;
    size_t len = strlen(from);
    if (len >= (size_t)size && reading->too_long_at == 0)
        reading->too_long_at = reading->line;
    if (len < (size_t)size)
        memcpy(text, from, len + 1);
    else
        text[0] = '\0';
    free(line);
    return text;
}

static int on_option(void *data, const char *section, const char *key, const char *value)
{
    struct reading *reading = data;
    if (reading->option(reading->data, section, key, value) != 0)
        return 1;
    reading->refused = true;
    return 0;
}

int qr_ini_parse(const char *path, qr_ini_option_cb option, void *data, char *sentence,
                 size_t sentence_bytes)
{
    struct reading reading = {.file = fopen(path, "re"), .option = option, .data = data};
    if (reading.file == NULL) {
        snprintf(sentence, sentence_bytes, "%s cannot be read: %s.", path, strerror(errno));
        return QR_E_CONFIG;
    }
    int bad_line = ini_parse_stream(read_line, &reading, on_option, &reading);
    fclose(reading.file);
    if (reading.too_long_at != 0)
        snprintf(sentence, sentence_bytes, "%s: line %d is too long.", path, reading.too_long_at);
    else if (bad_line != 0 && !reading.refused)
        snprintf(sentence, sentence_bytes, "%s: line %d is not `[section]` or `key = value`.", path,
                 bad_line);
    return bad_line != 0 || reading.too_long_at != 0 ? QR_E_CONFIG : 0;
}
