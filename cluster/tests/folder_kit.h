/* A folder for one test: setup and teardown of cmocka, and paths in it. */
#ifndef QR_CLUSTER_TESTS_FOLDER_KIT_H
#define QR_CLUSTER_TESTS_FOLDER_KIT_H

#include <stdio.h>
#include <stdlib.h>

static char dir[64];

static inline int set_up(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "%s/quorate-folder-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    return mkdtemp(dir) == NULL;
}

static inline int tear_down(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", dir);
    return system(command);
}

/* Until the next call. */
static inline const char *in_dir(const char *name)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

#endif
