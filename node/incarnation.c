#include "node/incarnation.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/plant.h"

/* A second of the clock that numbers begin with. */
#define RAISE_BY 1000000u

static uint64_t read_last(const char *path)
{
    char text[32] = "";
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fgets(text, sizeof text, file) == NULL)
        text[0] = '\0';
    fclose(file);
    return strtoull(text, NULL, 10);
}

static int sync_path(const char *path, int flags)
{
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int err = fsync(fd) == 0 ? 0 : -errno;
    close(fd);
    return err;
}

static int write_next(const char *dir, const char *path, uint64_t next)
{
    char temporary[1024];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    FILE *file = fopen(temporary, "we");
    if (file == NULL)
        return -errno;
    int printed = fprintf(file, "%llu\n", (unsigned long long)next);
    if (fclose(file) != 0 || printed < 0)
        return -EIO;
    int err = sync_path(temporary, O_RDONLY);
    if (err == 0 && rename(temporary, path) != 0)
        err = -errno;
    return err == 0 ? sync_path(dir, O_RDONLY | O_DIRECTORY) : err;
}

static int write_logged(const char *dir, uint64_t next)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/incarnation", dir);
    int err = write_next(dir, path, next);
    if (err != 0)
        qr_error("cannot write path=%s error=\"%s\"", path, qr_strerror(err));
    return err;
}

int qr_incarnation_next(const char *dir, uint64_t *incarnation)
{
    char path[1000];
    snprintf(path, sizeof path, "%s/incarnation", dir);
    uint64_t last = read_last(path);
    uint64_t next = last != 0 ? last + 1 : (uint64_t)qr_clock_real_us(&qr_clock_system);
    if (QR_PLANT(incarnation_reused) && last != 0)
        next = last;
    int err = write_logged(dir, next);
    if (err == 0)
        *incarnation = next;
    return err;
}

int qr_incarnation_raise(const char *dir, uint64_t known, uint64_t *incarnation)
{
    uint64_t next = known + RAISE_BY;
    int err = next > known ? write_logged(dir, next) : QR_E_LIMIT;
    if (err == 0)
        *incarnation = next;
    return err;
}
