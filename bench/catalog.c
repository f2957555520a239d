/* The catalog at the size of a large group: memory, speed, and what churn leaves behind.
 *
 * usage: qr_bench_catalog [HOSTS]          (default 10000)
 *
 * Ten thousand hosts with the same charts, every tenth chart with a name and a label of its host's
 * own, as containers have; then a million charts that come and go.  Memory is what the allocator
 * has handed out; the process's own peak is printed beside it. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/compiler.h"
#include "bench/measure.h"
#include "storage/disk.h"
#include "storage/index.h"
#include "storage/store.h"

struct shape {
    const char *name;
    unsigned charts, dims;
};

static uint64_t handed_out(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static double peak_mib(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

/* ---- definitions ---- */

static struct qr_host_def *host_def(unsigned h)
{
    char name[32], value[32];
    snprintf(name, sizeof name, "host-%05u", h);
    snprintf(value, sizeof value, "rack-%u", h % 100);
    struct qr_def_label labels[] = {{"rack", value, 1}, {"_os_name", "Debian GNU/Linux", 1}};
    struct qr_def_label sysinfo[] = {{"NETDATA_HOST_OS_NAME", "Debian GNU/Linux", 0},
                                     {"NETDATA_SYSTEM_KERNEL_VERSION", "6.1.0-18-amd64", 0},
                                     {"NETDATA_SYSTEM_CPU_MODEL", "AMD EPYC 7763", 0}};
    struct qr_host_def view = {.hostname = name,
                               .registry_hostname = name,
                               .os = "linux",
                               .timezone = "Etc/UTC",
                               .abbrev_timezone = "UTC",
                               .update_every = 1,
                               .program_name = "netdata",
                               .program_version = "v1.37.1",
                               .n_sysinfo = QR_COUNT(sysinfo),
                               .sysinfo = sysinfo,
                               .n_labels = QR_COUNT(labels),
                               .labels = labels};
    memcpy(view.guid.bytes, &h, sizeof h);
    view.guid.bytes[15] = 1;
    struct qr_buf bytes = {0};
    struct qr_host_def *def = NULL;
    qr_bench_must_be(qr_host_def_encode(&bytes, &view) == 0, "a host cannot be encoded");
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    qr_bench_must_be(qr_host_def_decode(&def, &in) == 0, "a host cannot be decoded");
    qr_buf_release(&bytes);
    return def;
}

/* The bytes as a CHARTS entry has them. */
static void encode_chart(struct qr_buf *out, unsigned h, unsigned c, unsigned n_dims, uint8_t flags)
{
    static char ids[64][16];
    struct qr_dim_def dims[64];
    char id[64], name[80], title[64], context[32], device[32];
    bool own = c % 10 == 9;
    for (unsigned d = 0; d < n_dims; d++) {
        snprintf(ids[d], sizeof ids[d], "dim%u", d);
        dims[d] = (struct qr_dim_def){ids[d], ids[d], 1, 1000, 1, 0};
    }
    if (own)
        snprintf(device, sizeof device, "container-%05u-%u", h, c);
    else
        snprintf(device, sizeof device, "device-%u", c);
    snprintf(id, sizeof id, "%s_%u.%s", own ? "cgroup" : "system", c, device);
    snprintf(name, sizeof name, "%s%s", id, c % 4 == 0 ? "_named" : "");
    snprintf(title, sizeof title, "What resource number %u is used for", c % 40);
    snprintf(context, sizeof context, "%s.metric%u", own ? "cgroup" : "system", c % 40);
    struct qr_def_label labels[] = {{"device", device, 1}, {"kind", own ? "own" : "shared", 1}};
    struct qr_chart_def view = {.id = id,
                                .name = name,
                                .title = title,
                                .units = "KiB/s",
                                .family = own ? device : "system",
                                .context = context,
                                .plugin = own ? "cgroups.plugin" : "proc.plugin",
                                .module = "stats",
                                .flags = flags,
                                .priority = (int32_t)c,
                                .update_every = 1,
                                .n_dims = n_dims,
                                .dims = dims,
                                .n_labels = 2,
                                .labels = labels};
    qr_buf_clear(out);
    qr_bench_must_be(qr_chart_def_encode(out, &view) == 0, "a chart cannot be encoded");
}

static uint32_t put_chart(struct qr_store *store, uint32_t host, const struct qr_buf *bytes)
{
    struct qr_chart_def *def;
    uint32_t id = 0;
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(bytes));
    qr_bench_must_be(qr_chart_def_decode(&def, &in) == 0, "a chart cannot be decoded");
    qr_bench_must_be(qr_store_apply_chart(store, host, def, &id) == 0, "a chart was refused");
    return id;
}

static struct qr_store *open_store(void)
{
    struct qr_store *store;
    static char dir[] = "/tmp/quorate-bench-XXXXXX";
    static bool made;
    qr_bench_must_be(made || mkdtemp(dir) != NULL, "there is no folder to work in");
    made = true;
    const struct qr_store_config config = {.disk = &qr_disk_files, .dir = dir, .window_s = 600};
    qr_bench_must_be(qr_store_open(&store, &config, NULL) == 0, "the store does not open");
    return store;
}

/* ---- look-ups ---- */

static void print_ns(const char *what, double seconds, double n)
{
    printf("  %-44s %10.0f ns\n", what, seconds * 1e9 / n);
}

static uint32_t count_ids(const struct qr_term *term)
{
    struct qr_postings_at at;
    uint32_t n = 0;
    qr_postings_seek(&term->ids, &at, 1);
    while (qr_postings_next(&at) != 0)
        n++;
    return n;
}

static void look_up_charts(struct qr_store *store, unsigned n_hosts, unsigned n_charts)
{
    const unsigned n = 200000;
    char id[64];
    uint64_t found = 0;
    double start = qr_bench_cpu_s();
    for (unsigned i = 0; i < n; i++)
        found += qr_store_chart_by_id(store, 1 + (i * 7919u) % (n_hosts * n_charts)) != NULL;
    print_ns("chart by id", qr_bench_cpu_s() - start, n);
    start = qr_bench_cpu_s();
    for (unsigned i = 0; i < n; i++) {
        const struct qr_host *host = qr_store_host_by_id(store, 1 + (i * 7919u) % n_hosts);
        snprintf(id, sizeof id, "system_%u.device-%u", i % 9, i % 9);
        found += qr_store_chart_find(store, host, qr_slice_str(id)) != NULL;
    }
    print_ns("chart of a host by name, with the host", qr_bench_cpu_s() - start, n);
    qr_bench_must_be(found == 2ull * n, "a chart was not found");
}

static void look_up_hosts(struct qr_store *store, unsigned n_hosts)
{
    const unsigned n = 200000;
    uint64_t found = 0;
    double start = qr_bench_cpu_s();
    for (unsigned i = 0; i < n; i++) {
        unsigned h = (i * 7919u) % n_hosts;
        struct qr_guid guid = {{0}};
        memcpy(guid.bytes, &h, sizeof h);
        guid.bytes[15] = 1;
        found += qr_store_host_by_guid(store, &guid) != NULL;
    }
    print_ns("host by GUID", qr_bench_cpu_s() - start, n);
    start = qr_bench_cpu_s();
    for (unsigned i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "host-%05u", (i * 7919u) % n_hosts);
        found += qr_store_host_by_name(store, qr_slice_str(name)) != NULL;
    }
    print_ns("host by name", qr_bench_cpu_s() - start, n);
    qr_bench_must_be(found == 2ull * n, "a host was not found");
}

static void look_up_terms(struct qr_store *store, unsigned n_hosts)
{
    const struct qr_index *index = qr_store_index(store);
    const struct qr_slice none = qr_slice_of("", 0);
    double start = qr_bench_cpu_s();
    const struct qr_term *context = NULL, *label = NULL;
    for (unsigned i = 0; i < 100000; i++) {
        context = qr_index_find(index, QR_TERM_CONTEXT, none, qr_slice_str("system.metric3"));
        label =
            qr_index_find(index, QR_TERM_HOST_LABEL, qr_slice_str("rack"), qr_slice_str("rack-7"));
    }
    print_ns("context, or host label, to its ids", qr_bench_cpu_s() - start, 200000);
    qr_bench_must_be(context != NULL && label != NULL, "a term was not found");
    start = qr_bench_cpu_s();
    uint32_t n = count_ids(context);
    qr_bench_must_be(n >= n_hosts && count_ids(label) == (n_hosts + 92) / 100,
                     "a term has not all its ids");
    print_ns("walking the ids of a context, each", qr_bench_cpu_s() - start, n);
    struct qr_lookup_at at = {0};
    start = qr_bench_cpu_s();
    for (n = 0; qr_index_walk(index, QR_TERM_CONTEXT, &at) != NULL;)
        n++;
    printf("  %-44s %10.1f us for %u\n", "enumerating the distinct contexts",
           (qr_bench_cpu_s() - start) * 1e6, n);
    at = (struct qr_lookup_at){0};
    start = qr_bench_cpu_s();
    for (n = 0; qr_index_walk(index, QR_TERM_CHART_LABEL, &at) != NULL;)
        n++;
    printf("  %-44s %10.1f ms for %u\n", "enumerating the distinct chart labels",
           (qr_bench_cpu_s() - start) * 1e3, n);
}

/* ---- the whole ---- */

static void snapshots(struct qr_store *store, double n_metrics)
{
    struct qr_buf bytes = {0};
    double start = qr_bench_cpu_s();
    qr_bench_must_be(qr_store_snapshot(store, &bytes) == 0, "no snapshot");
    printf("  %-44s %10.2f s, %.1f MiB, %.0f B a metric\n", "snapshot", qr_bench_cpu_s() - start,
           (double)bytes.len / 1048576, (double)bytes.len / n_metrics);
    struct qr_store *other = open_store();
    start = qr_bench_cpu_s();
    qr_bench_must_be(qr_store_restore(other, qr_buf_slice(&bytes)) == 0, "no restore");
    printf("  %-44s %10.2f s\n", "restore, index included", qr_bench_cpu_s() - start);
    qr_store_close(other);
    qr_buf_release(&bytes);
}

static void fill(const struct shape *shape, unsigned n_hosts)
{
    double n_charts = (double)n_hosts * shape->charts, n_metrics = n_charts * shape->dims;
    printf("%s: %u hosts x %u charts x %u dimensions = %.2f M metrics\n", shape->name, n_hosts,
           shape->charts, shape->dims, n_metrics / 1e6);
    struct qr_store *store = open_store();
    struct qr_buf bytes = {0};
    uint64_t before = handed_out();
    double spent = 0, slowest = 0;
    for (unsigned h = 0; h < n_hosts; h++) {
        uint32_t host;
        qr_bench_must_be(qr_store_apply_host(store, host_def(h), &host) == 0, "a host was refused");
        for (unsigned c = 0; c < shape->charts; c++) {
            encode_chart(&bytes, h, c, shape->dims, 0);
            double start = qr_bench_cpu_s();
            put_chart(store, host, &bytes);
            double took = qr_bench_cpu_s() - start;
            spent += took;
            slowest = took > slowest ? took : slowest;
        }
    }
    uint64_t taken = handed_out() - before;
    printf("  %-44s %10.0f B a metric, %.0f B a chart, %.0f MiB\n", "memory",
           (double)taken / n_metrics, (double)taken / n_charts, (double)taken / 1048576);
    printf("  %-44s %10.2f us a chart, slowest %.2f ms\n", "decoding and applying a definition",
           spent * 1e6 / n_charts, slowest * 1e3);
    look_up_charts(store, n_hosts, shape->charts);
    look_up_hosts(store, n_hosts);
    look_up_terms(store, n_hosts);
    snapshots(store, n_metrics);
    double start = qr_bench_cpu_s();
    uint32_t after = 0, n_looked = 0;
    struct qr_forgotten found[64];
    while (after != UINT32_MAX)
        n_looked += qr_store_expired(store, &after, found, QR_COUNT(found));
    printf("  %-44s %10.1f ms\n", "looking for what is expired (a worker)",
           (qr_bench_cpu_s() - start) * 1e3);
    qr_store_close(store);
    qr_buf_release(&bytes);
    (void)n_looked;
}

/* A day of containers in rounds of ten minutes: each comes, is obsolete, and goes. */
static void churn(void)
{
    enum { ROUNDS = 144, PER_ROUND = 7000 };
    struct qr_store *store = open_store();
    struct qr_buf bytes = {0};
    uint32_t host, n, *ids = calloc(PER_ROUND, sizeof *ids);
    qr_bench_must_be(ids != NULL && qr_store_apply_host(store, host_def(0), &host) == 0, "no host");
    double start = qr_bench_cpu_s(), forgetting = 0;
    printf("churn: %u charts come and go\n", (unsigned)ROUNDS * PER_ROUND);
    for (unsigned r = 0; r < ROUNDS; r++) {
        for (unsigned i = 0; i < PER_ROUND; i++) {
            encode_chart(&bytes, r * PER_ROUND + i, 9, 4, 1);
            ids[i] = put_chart(store, host, &bytes);
        }
        double begin = qr_bench_cpu_s();
        for (unsigned i = 0; i < PER_ROUND; i++) {
            const struct qr_forgotten what = {host, ids[i]};
            qr_bench_must_be(qr_store_apply_forget(store, &what, true, &n) == 0 && n == 1,
                             "not forgotten");
            if (i % 2048 == 2047 || i + 1 == PER_ROUND)
                qr_bench_must_be(qr_store_apply_forgotten(store) == 0, "not forgotten");
        }
        forgetting += qr_bench_cpu_s() - begin;
        if (r == 0 || r == 11 || r == ROUNDS - 1)
            printf("  after %7u: %8.2f MiB handed out, peak of the process %.0f MiB\n",
                   (r + 1) * PER_ROUND, (double)handed_out() / 1048576, peak_mib());
    }
    printf("  %-44s %10.2f us a chart\n", "come and go",
           (qr_bench_cpu_s() - start) * 1e6 / ROUNDS / PER_ROUND);
    printf("  %-44s %10.2f us a chart\n", "of that forgetting",
           forgetting * 1e6 / ROUNDS / PER_ROUND);
    free(ids);
    qr_buf_release(&bytes);
    qr_store_close(store);
}

int main(int argc, char **argv)
{
    static const struct shape shapes[] = {
        {"typical", 17, 6},
        {"one dimension a chart", 100, 1},
    };
    unsigned n_hosts = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 10000;
    churn(); /* First: the peak is its own. */
    for (size_t i = 0; i < QR_COUNT(shapes); i++)
        fill(&shapes[i], n_hosts);
    return 0;
}
