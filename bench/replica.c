#include "bench/replica.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/fleet.h"

static ssize_t counted_read(struct qr_disk *disk, const char *path, uint64_t offset, void *bytes,
                            size_t len)
{
    struct qr_bench_disk *counted = disk->data;
    atomic_fetch_add(&counted->n_reads, 1);
    atomic_fetch_add(&counted->n_read_bytes, len);
    return qr_disk_files.read(&qr_disk_files, path, offset, bytes, len);
}

static void on_fatal(void *data, const char *sentence)
{
    (void)data;
    fprintf(stderr, "%s\n", sentence);
    exit(1);
}

void qr_replica_init(struct qr_replica *replica, uv_loop_t *loop, uint32_t window_s)
{
    const char *tmp = getenv("TMPDIR");
    *replica = (struct qr_replica){0};
    snprintf(replica->dir, sizeof replica->dir, "%.40s/qr-bench-XXXXXX",
             tmp != NULL ? tmp : "/tmp");
    qr_bench_must(mkdtemp(replica->dir));
    replica->disk.disk = qr_disk_files;
    replica->disk.disk.data = &replica->disk;
    replica->disk.disk.read = counted_read;
    const struct qr_store_config config = {
        .loop = loop, .disk = &replica->disk.disk, .dir = replica->dir, .window_s = window_s};
    qr_bench_must_be_0(qr_store_open(&replica->store, &config, NULL), "store");
    qr_bench_must_be_0(qr_glue_init(&replica->glue, replica->store, 1, 1), "glue");
    struct qr_sink sink = qr_glue_sink(&replica->glue);
    const struct qr_machine_events events = {.fatal = on_fatal};
    replica->machine = qr_bench_must(calloc(1, sizeof *replica->machine));
    qr_bench_must_be_0(qr_machine_init(replica->machine, &sink, &events), "machine");
}

static void remove_files(const char *dir)
{
    DIR *entries = opendir(dir);
    const struct dirent *entry;
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        char path[512];
        snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
        unlink(path);
    }
    if (entries != NULL)
        closedir(entries);
    rmdir(dir);
}

void qr_replica_release(struct qr_replica *replica)
{
    qr_machine_release(replica->machine);
    free(replica->machine);
    qr_glue_release(&replica->glue);
    qr_store_close(replica->store);
    remove_files(replica->dir);
}

void qr_replica_apply(void *data, struct qr_slice entry)
{
    struct qr_replica *replica = data;
    double start = qr_bench_cpu_ns();
    qr_machine_apply(replica->machine, ++replica->index, entry);
    replica->apply_ns += qr_bench_cpu_ns() - start;
    if (replica->machine->n_applied != replica->index || replica->glue.n_refused_blocks != 0 ||
        replica->glue.n_rows_refused != 0)
        on_fatal(NULL, "an entry was not taken");
}
