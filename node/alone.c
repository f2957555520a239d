#include "node/alone.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/error.h"
#include "base/log.h"

#define PATH_BYTES 1024

static int draw(struct qr_guid *id)
{
    int err = uv_random(NULL, NULL, id->bytes, sizeof id->bytes, 0, NULL);
    id->bytes[6] = (uint8_t)((id->bytes[6] & 0x0f) | 0x40); /* RFC 9562: version 4, random */
    id->bytes[8] = (uint8_t)((id->bytes[8] & 0x3f) | 0x80);
    return err;
}

static int read_id(const char *path, struct qr_guid *id)
{
    char text[64] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return -errno;
    char *line = fgets(text, sizeof text, file);
    fclose(file);
    text[strcspn(text, "\n")] = '\0';
    return line != NULL && qr_guid_parse(id, qr_slice_str(text)) == 0 ? 0 : QR_E_CORRUPT;
}

static int sync_folder(const char *data)
{
    int fd = open(data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

/* Whole or not at all. */
static int write_id(const char *data, const char *path, const struct qr_guid *id)
{
    char text[QR_GUID_TEXT_LEN + 1], temporary[PATH_BYTES + 8];
    qr_guid_format(id, text);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return -errno;
    bool written = fprintf(file, "%s\n", text) > 0 && fflush(file) == 0 && fsync(fileno(file)) == 0;
    int err = written ? 0 : -EIO;
    if (fclose(file) != 0 && err == 0)
        err = -EIO;
    if (err == 0 && rename(temporary, path) != 0)
        err = -errno;
    return err == 0 ? sync_folder(data) : err;
}

int qr_alone_id(const char *data, struct qr_guid *id)
{
    char path[PATH_BYTES];
    struct qr_guid found;
    snprintf(path, sizeof path, "%s/cluster-id", data);
    int err = read_id(path, &found);
    if (err == -ENOENT) {
        err = draw(&found);
        if (err == 0)
            err = write_id(data, path, &found);
    }
    if (err != 0)
        qr_error("cannot keep the cluster's id path=%s error=\"%s\"", path, qr_strerror(err));
    else
        *id = found;
    return err;
}
