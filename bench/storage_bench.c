/* bench/storage_bench.c — what storage takes a sample: nanoseconds, bytes in the log and on disk.
 *
 *   qr_bench_storage                          synthetic series
 *   qr_bench_storage SERIES.TSV VALUES.F64    recorded ones: a line a series (number, chart, ...;
 *                                             samples in the 11th field), columns of doubles
 *
 * One thread, thread CPU time, the best of three passes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/compiler.h"
#include "base/rng.h"
#include "storage/codec.h"
#include "storage/entry.h"
#include "storage/query.h"
#include "storage/store.h"
#include "storage/value.h"

#define CHARTS_MAX 4096
#define WINDOW_S   600
#define START_S    INT64_C(1699999800) /* A window's start. */

struct series_chart {
    char name[256];
    uint32_t first, n; /* Series. */
};

static struct {
    uint32_t n_series, n_rows, n_charts;
    double *doubles;  /* Column by column. */
    uint32_t *values; /* The same, packed. */
    struct series_chart charts[CHARTS_MAX];
} data;

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void *must(void *memory)
{
    if (memory == NULL) {
        perror("bench");
        exit(1);
    }
    return memory;
}

static void must_be_0(int err, const char *what)
{
    if (err != 0) {
        fprintf(stderr, "%s: %d\n", what, err);
        exit(1);
    }
}

static void print(const char *what, double ns, uint64_t n)
{
    printf("%-34s %8.2f ns/sample\n", what, ns / (double)n);
}

/* ---- data ---- */

/* Half constant, a sixth sparse, the rest counters, short decimals and noise: the mix of a host. */
static double synthetic(struct qr_rng *rng, uint32_t series, double before, uint32_t row)
{
    switch (series % 12) {
    case 0:
        return (double)qr_rng_below(rng, 100000) / 1000;
    case 1:
        return before + (double)qr_rng_below(rng, 100);
    case 2:
        return sin((double)qr_rng_below(rng, 1000000)) * 1000;
    case 3:
        return (double)qr_rng_below(rng, 40);
    case 4:
    case 5:
        return row == 0 || qr_rng_below(rng, 50) == 0 ? (double)qr_rng_below(rng, 10000) : before;
    default:
        return row == 0 ? (double)qr_rng_below(rng, 1000) / 4 : before;
    }
}

static void make_synthetic(void)
{
    struct qr_rng rng;
    qr_rng_seed(&rng, 1);
    data.n_series = 2000;
    data.n_rows = 1800;
    data.n_charts = 200;
    data.doubles = must(malloc(data.n_series * (size_t)data.n_rows * sizeof *data.doubles));
    for (uint32_t s = 0; s < data.n_series; s++) {
        double value = 0;
        for (uint32_t row = 0; row < data.n_rows; row++)
            data.doubles[(size_t)s * data.n_rows + row] = value =
                synthetic(&rng, s / 3, value, row);
    }
    for (uint32_t c = 0; c < data.n_charts; c++) {
        snprintf(data.charts[c].name, sizeof data.charts[c].name, "synthetic.c%u", c);
        data.charts[c].first = c * 10;
        data.charts[c].n = 10;
    }
}

/* A line of the list: the chart's name, and how many samples its column has. */
static uint32_t parse_line(char *line, const char **chart)
{
    char *fields[12] = {0};
    for (size_t i = 0; i < QR_COUNT(fields); i++)
        fields[i] = strsep(&line, "\t");
    *chart = fields[1];
    return fields[10] != NULL ? (uint32_t)strtoul(fields[10], NULL, 10) : 0;
}

static void add_series(const char *name, const double *column)
{
    struct series_chart *chart = data.n_charts != 0 ? &data.charts[data.n_charts - 1] : NULL;
    if (chart == NULL || strcmp(chart->name, name) != 0) {
        if (data.n_charts == CHARTS_MAX)
            return;
        chart = &data.charts[data.n_charts++];
        snprintf(chart->name, sizeof chart->name, "%s", name);
        chart->first = data.n_series;
    }
    size_t n = (size_t)(data.n_series + 1) * data.n_rows;
    data.doubles = must(realloc(data.doubles, n * sizeof *data.doubles));
    memcpy(data.doubles + n - data.n_rows, column, data.n_rows * sizeof *column);
    chart->n++;
    data.n_series++;
}

/* Takes the series that are as long as the first one: those of one second. */
static void read_recorded(const char *tsv, const char *f64)
{
    FILE *list = must(fopen(tsv, "r")), *columns = must(fopen(f64, "r"));
    char line[4096];
    while (fgets(line, sizeof line, list) != NULL) {
        const char *chart;
        uint32_t n_rows = line[0] == '#' ? 0 : parse_line(line, &chart);
        if (n_rows == 0)
            continue;
        if (data.n_rows == 0)
            data.n_rows = n_rows - n_rows % WINDOW_S;
        double *column = must(malloc(n_rows * sizeof *column));
        if (fread(column, sizeof *column, n_rows, columns) != n_rows)
            must(NULL);
        if (n_rows >= data.n_rows)
            add_series(chart, column);
        free(column);
    }
    fclose(list);
    fclose(columns);
}

/* ---- measurements ---- */

static uint64_t n_samples(void)
{
    return (uint64_t)data.n_series * data.n_rows;
}

static void bench_pack(void)
{
    data.values = must(malloc(n_samples() * sizeof *data.values));
    double best = INFINITY, best_back = INFINITY, sum = 0;
    for (int pass = 0; pass < 3; pass++) {
        double start = cpu_ns();
        for (uint64_t i = 0; i < n_samples(); i++)
            data.values[i] = qr_value_pack(data.doubles[i], 0);
        best = fmin(best, cpu_ns() - start);
        start = cpu_ns();
        for (uint64_t i = 0; i < n_samples(); i++)
            sum += qr_value_unpack(data.values[i]);
        best_back = fmin(best_back, cpu_ns() - start);
    }
    print("value: pack", best, n_samples());
    print("value: unpack", best_back, n_samples());
    if (sum == 1)
        puts("");
}

static void bench_codec(void)
{
    struct qr_codec codec = {0};
    struct qr_buf out = {0};
    uint32_t back[WINDOW_S];
    double best = INFINITY, best_back = INFINITY;
    for (int pass = 0; pass < 3; pass++) {
        qr_buf_clear(&out);
        double start = cpu_ns();
        for (uint32_t s = 0; s < data.n_series; s++)
            for (uint32_t row = 0; row + WINDOW_S <= data.n_rows; row += WINDOW_S)
                must_be_0(qr_codec_encode(&codec, &out, data.values + (size_t)s * data.n_rows + row,
                                          WINDOW_S, 1),
                          "encode");
        best = fmin(best, cpu_ns() - start);
        struct qr_cursor in = qr_cursor_of(qr_buf_slice(&out));
        start = cpu_ns();
        while (qr_cursor_left(&in) > 0)
            must_be_0(qr_codec_decode(&codec, &in, back, WINDOW_S, 1), "decode");
        best_back = fmin(best_back, cpu_ns() - start);
    }
    uint64_t n = (uint64_t)data.n_series * (data.n_rows / WINDOW_S * WINDOW_S);
    print("codec: encode", best, n);
    print("codec: decode", best_back, n);
    printf("%-34s %8.3f B/sample\n", "codec: bytes", (double)out.len / (double)n);
    qr_codec_release(&codec);
    qr_buf_release(&out);
}

/* Hosts of one batch: the same one, at shifted times. */
#define HOSTS_MAX 20

static struct {
    struct qr_entry_block blocks[HOSTS_MAX];
    struct qr_entry_base written[HOSTS_MAX][CHARTS_MAX], read[HOSTS_MAX][CHARTS_MAX];
    uint32_t values[CHARTS_MAX * 64];
    double build, encode, decode;
    uint64_t bytes;
} entries;

static void fill_block(uint32_t h, uint32_t row)
{
    struct qr_entry_block *block = &entries.blocks[h];
    uint32_t from = (row + h * 67) % data.n_rows;
    qr_entry_block_clear(block);
    block->host = h + 1;
    block->epoch = 1;
    block->block_seq = row + 1;
    for (uint32_t s = 0; s < data.n_series; s++)
        entries.values[s] = data.values[(size_t)s * data.n_rows + from];
    double start = cpu_ns();
    for (uint32_t c = 0; c < data.n_charts; c++)
        must_be_0(qr_entry_block_row(block, &entries.written[h][c], h * data.n_charts + c + 1,
                                     START_S + row, entries.values + data.charts[c].first,
                                     data.charts[c].n),
                  "row");
    entries.build += cpu_ns() - start;
}

static struct qr_entry_base *find_base(void *unused, uint32_t host, uint32_t chart)
{
    (void)unused;
    return &entries.read[host - 1][(chart - 1) % data.n_charts];
}

static uint64_t decode_body(struct qr_slice body)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    uint64_t sum = 0;
    must_be_0(qr_entry_reader_new(&reader, body), "reader");
    while (qr_entry_next_host(reader, &host)) {
        must_be_0(qr_entry_read_rows(reader, find_base, NULL), "rows");
        while (qr_entry_next_row(reader, &row))
            sum += row.values[0];
    }
    qr_entry_reader_free(reader);
    return sum;
}

/* One entry a second, as n hosts make them: of one host to `bodies`, for the next measurement. */
static void bench_entry(struct qr_buf *bodies, uint32_t n_hosts)
{
    struct qr_entry_block *blocks[HOSTS_MAX];
    struct qr_buf body = {0};
    uint64_t sum = 0;
    must_be_0(data.n_series > QR_COUNT(entries.values), "too many series");
    memset(&entries, 0, sizeof entries);
    for (uint32_t row = 0; row < data.n_rows; row++) {
        struct qr_buf *out = n_hosts == 1 ? &bodies[row] : &body;
        for (uint32_t h = 0; h < n_hosts; h++) {
            blocks[h] = &entries.blocks[h];
            fill_block(h, row);
        }
        qr_buf_clear(&body);
        double start = cpu_ns();
        must_be_0(qr_entry_encode(out, blocks, n_hosts), "entry");
        double encoded = cpu_ns();
        sum += decode_body(qr_buf_slice(out));
        entries.decode += cpu_ns() - encoded;
        entries.encode += encoded - start;
        entries.bytes += out->len;
    }
    uint64_t n = n_samples() * n_hosts;
    printf("%u hosts an entry:\n", n_hosts);
    print("entry: rows to a block", entries.build, n);
    print("entry: encode", entries.encode, n);
    print("entry: decode", entries.decode, n);
    printf("%-34s %8.3f B/sample\n", "entry: bytes in the log", (double)entries.bytes / (double)n);
    for (uint32_t h = 0; h < n_hosts; h++) {
        qr_entry_block_release(&entries.blocks[h]);
        for (uint32_t c = 0; c < data.n_charts; c++) {
            qr_entry_base_release(&entries.written[h][c]);
            qr_entry_base_release(&entries.read[h][c]);
        }
    }
    qr_buf_release(&body);
    if (sum == 1)
        puts("");
}

static void define_charts(struct qr_store *store)
{
    uint32_t id;
    struct qr_buf bytes = {0};
    struct qr_host_def host = {.hostname = "bench"}, *host_def;
    must_be_0(qr_host_def_encode(&bytes, &host), "host");
    struct qr_cursor in = qr_cursor_of(qr_buf_slice(&bytes));
    must_be_0(qr_host_def_decode(&host_def, &in), "host");
    must_be_0(qr_store_apply_host(store, host_def, &id), "host");
    for (uint32_t c = 0; c < data.n_charts; c++) {
        struct qr_dim_def *dims = must(calloc(data.charts[c].n, sizeof *dims));
        char(*names)[16] = must(calloc(data.charts[c].n, sizeof *names));
        for (uint32_t d = 0; d < data.charts[c].n; d++) {
            snprintf(names[d], sizeof names[d], "d%u", d);
            dims[d] = (struct qr_dim_def){names[d], names[d], 1, 1, 0, 0};
        }
        char name[300];
        snprintf(name, sizeof name, "%s_%u", data.charts[c].name, c);
        struct qr_chart_def view = {.id = name,
                                    .name = name,
                                    .update_every = 1,
                                    .n_dims = data.charts[c].n,
                                    .dims = dims},
                            *def;
        qr_buf_clear(&bytes);
        must_be_0(qr_chart_def_encode(&bytes, &view), "chart");
        in = qr_cursor_of(qr_buf_slice(&bytes));
        must_be_0(qr_chart_def_decode(&def, &in), "chart");
        must_be_0(qr_store_apply_chart(store, 1, def, &id), "chart");
        free(names);
        free(dims);
    }
    qr_buf_release(&bytes);
}

static void apply_body(struct qr_store *store, struct qr_slice body)
{
    struct qr_entry_reader *reader;
    struct qr_entry_host host;
    struct qr_entry_row row;
    uint32_t n_new;
    must_be_0(qr_entry_reader_new(&reader, body), "reader");
    while (qr_entry_next_host(reader, &host)) {
        must_be_0(qr_entry_read_rows(reader, qr_store_base, store), "rows");
        while (qr_entry_next_row(reader, &row))
            must_be_0(qr_store_apply_row(store, host.host, row.chart, row.end_s, row.end_s,
                                         row.values, row.n, &n_new),
                      "apply");
    }
    qr_entry_reader_free(reader);
}

static double query_all(struct qr_store *store)
{
    double start = cpu_ns();
    uint64_t sum = 0;
    int slot = qr_store_enter(store);
    for (uint32_t c = 1; c <= data.n_charts; c++) {
        struct qr_query *query;
        struct qr_slab slab;
        must_be_0(qr_query_open(&query, store, qr_store_chart_by_id(store, c), START_S,
                                START_S + data.n_rows),
                  "query");
        while (qr_query_next(query, &slab) == 1)
            sum += qr_slab_at(&slab, 0, 0);
        qr_query_close(query);
    }
    qr_store_leave(store, slot);
    return sum == 1 ? 0 : cpu_ns() - start;
}

static void bench_store(const struct qr_buf *bodies)
{
    char dir[] = "/tmp/qr-bench-storage-XXXXXX";
    must(mkdtemp(dir));
    struct qr_store *store;
    struct qr_store_config config = {.disk = &qr_disk_files, .dir = dir, .window_s = WINDOW_S};
    must_be_0(qr_store_open(&store, &config, NULL), "open");
    define_charts(store);
    double apply = 0, seal = 0;
    uint64_t head_bytes = 0;
    struct qr_store_stats stats;
    for (uint32_t row = 0; row < data.n_rows; row++) {
        double start = cpu_ns();
        apply_body(store, qr_buf_slice(&bodies[row]));
        apply += cpu_ns() - start;
        if (row == WINDOW_S - 1) {
            qr_store_get_stats(store, &stats);
            head_bytes = stats.head_bytes;
        }
        if ((row + 1) % WINDOW_S == 0) {
            start = cpu_ns();
            must_be_0(qr_store_apply_seal(store, START_S + row + 1 - WINDOW_S), "seal");
            seal += cpu_ns() - start;
        }
    }
    qr_store_get_stats(store, &stats);
    print("store: entry to head, in all", apply, n_samples());
    print("store: seal (encode, CRC, write)", seal, n_samples());
    printf("%-34s %8.3f B/sample (%llu files)\n", "store: bytes on disk",
           (double)stats.block_bytes / (double)stats.n_samples, (unsigned long long)stats.n_blocks);
    printf("%-34s %8.0f B/metric\n", "store: head, one full window",
           (double)head_bytes / data.n_series);
    query_all(store);
    print("query: all rows from files", query_all(store), n_samples());
    struct qr_buf snapshot = {0};
    double start = cpu_ns();
    must_be_0(qr_store_snapshot(store, &snapshot), "snapshot");
    printf("%-34s %8.2f ms, %zu bytes\n", "snapshot after a seal", (cpu_ns() - start) / 1e6,
           snapshot.len);
    qr_buf_release(&snapshot);
    must_be_0(qr_store_apply_retain(store, START_S + data.n_rows + WINDOW_S), "retain");
    qr_store_close(store);
    rmdir(dir);
}

int main(int argc, char **argv)
{
    if (argc == 3)
        read_recorded(argv[1], argv[2]);
    else
        make_synthetic();
    printf("%u series in %u charts, %u seconds\n", data.n_series, data.n_charts, data.n_rows);
    bench_pack();
    bench_codec();
    struct qr_buf *bodies = must(calloc(data.n_rows, sizeof *bodies));
    bench_entry(bodies, 1);
    bench_entry(NULL, HOSTS_MAX);
    bench_store(bodies);
    for (uint32_t row = 0; row < data.n_rows; row++)
        qr_buf_release(&bodies[row]);
    free(bodies);
    free(data.values);
    free(data.doubles);
    return 0;
}
