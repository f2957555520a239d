/* quorate-histories — random histories of the log, lived through by members of every kind and
 * compared: see testing/history.
 *
 * A long leg that a person starts: quorate-histories --count 10000 --seed 1 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "testing/history.h"
#include "testing/process.h"

#define PROGRESS_MS 5000

static int usage(int code)
{
    printf("usage: quorate-histories [--count N] [--seed N]\n\n"
           "Random logs, each applied by members that restart, are wiped, or have slow disks, and\n"
           "compared: state hashes, snapshots, block files, and every second against a table.\n"
           "  --count N  how many (10000)\n"
           "  --seed N   of the first; the others follow (1)\n"
           "Exit: 0 all agree, 1 not; the seed that is printed shows it again with --count 1.\n");
    return code;
}

static void print_progress(uint64_t done, uint64_t n, uint64_t elapsed_ms)
{
    uint64_t left_s = done != 0 ? elapsed_ms * (n - done) / done / 1000 : 0;
    printf("%llu of %llu histories, %llu s, about %llu s left\n", (unsigned long long)done,
           (unsigned long long)n, (unsigned long long)elapsed_ms / 1000,
           (unsigned long long)left_s);
    fflush(stdout);
}

static unsigned run(uint64_t first, uint64_t n)
{
    struct qr_history_result all = {0}, one;
    unsigned n_failed = 0;
    uint64_t started_ms = qr_mono_ms(), printed_ms = started_ms;
    for (uint64_t i = 0; i < n; i++) {
        if (!qr_history_run(first + i, QR_HISTORY_PACKED, &one)) {
            printf("FAILED --seed %llu: %s\n", (unsigned long long)(first + i), one.failure);
            n_failed++;
        }
        all.n_entries += one.n_entries;
        all.n_samples += one.n_samples;
        all.n_files += one.n_files;
        all.n_restarts += one.n_restarts;
        if (qr_mono_ms() - printed_ms >= PROGRESS_MS) {
            printed_ms = qr_mono_ms();
            print_progress(i + 1, n, printed_ms - started_ms);
        }
    }
    print_progress(n, n, qr_mono_ms() - started_ms);
    printf("%llu entries, %llu samples, %llu files, %llu restarts; %u histories failed\n",
           (unsigned long long)all.n_entries, (unsigned long long)all.n_samples,
           (unsigned long long)all.n_files, (unsigned long long)all.n_restarts, n_failed);
    return n_failed;
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {{"count", required_argument, NULL, 'c'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    uint64_t n = 10000, first = 1;
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c == 'c')
            n = strtoull(optarg, NULL, 0);
        else if (c == 's')
            first = strtoull(optarg, NULL, 0);
        else
            return usage(c == 'h' ? 0 : 2);
    }
    if (optind < argc)
        return usage(2);
    qr_log_open(-1, QR_LOG_ERROR);
    return run(first, n) == 0 ? 0 : 1;
}
