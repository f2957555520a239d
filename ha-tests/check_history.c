/* quorate-check-history — reads the history of a run (testing/journal.h) and nothing else, and says
 * whether the cluster kept its promises: the rules are in testing/judge.h. */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/judge.h"

static int usage(int status)
{
    printf(
        "usage: quorate-check-history [--json] FILE\n\n"
        "Judges the history of a run: no answered value changes or goes, none is missing, twice\n"
        "or wrong in the end, one state at an index, one leader a term, one owner an epoch, the\n"
        "same block files, well again in time after the faults.\n"
        "Exit: 0 all of it holds, 1 something does not (each finding has its line), 2 usage.\n");
    return status;
}

static void print(const char *path, const struct qr_judge_verdict *v)
{
    for (uint64_t i = 0; i < v->n_findings && i < QR_JUDGE_FINDINGS_MAX; i++)
        printf("%s:%" PRIu64 ": %s: %s\n", path, v->findings[i].line, v->findings[i].rule,
               v->findings[i].text);
    printf("%" PRIu64 " lines, %" PRIu64 " answers, %" PRIu64 " samples checked, %" PRIu64
           " lost, %" PRIu64 " duplicated, %" PRIu64 " wrong, %" PRIu64 " elections, %" PRIu64
           " moves, %" PRIu64 " faults, %" PRIu64 " block files, well again after %" PRIu64
           " ms, %" PRIu64 " violations\n",
           v->n_lines, v->n_said + v->n_reads, v->n_checked, v->n_lost, v->n_duplicates, v->n_wrong,
           v->n_elections, v->n_moves, v->n_faults, v->n_blocks, v->recovered_ms, v->n_findings);
}

int main(int argc, char **argv)
{
    static const struct option longs[] = {
        {"json", no_argument, NULL, 'j'}, {"help", no_argument, NULL, 'h'}, {0}};
    bool as_json = false;
    int c;
    while ((c = getopt_long(argc, argv, "h", longs, NULL)) != -1) {
        if (c != 'j')
            return usage(c == 'h' ? 0 : 2);
        as_json = true;
    }
    if (optind + 1 != argc)
        return usage(2);
    const char *path = argv[optind];
    FILE *file = fopen(path, "re");
    struct qr_judge *judge = qr_judge_new();
    if (file == NULL || judge == NULL) {
        fprintf(stderr, "quorate-check-history: %s: cannot be read\n", path);
        return 2;
    }
    qr_judge_file(judge, file);
    fclose(file);
    const struct qr_judge_verdict *verdict = qr_judge_end(judge);
    if (as_json) {
        json_t *json = qr_judge_json(verdict);
        json_dumpf(json, stdout, JSON_INDENT(2));
        printf("\n");
        json_decref(json);
    } else {
        print(path, verdict);
    }
    int status = verdict->n_findings > 0;
    qr_judge_free(judge);
    return status;
}
