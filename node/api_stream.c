#include "node/api_stream.h"

#include "base/json.h"
#include "base/rng.h"

static uint32_t count_receivers(const struct qr_api_call *call)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < call->n_hosts; i++) {
        const struct qr_host *host = call->hosts->at[i];
        n += !qr_api_is_own(call, host) && host->connected;
    }
    return n;
}

static void find_retention(const struct qr_host *host, int64_t *first_s, int64_t *last_s)
{
    *first_s = *last_s = 0;
    for (const struct qr_chart *chart = qr_host_first(host); chart != NULL;
         chart = qr_chart_next(chart)) {
        int64_t first = qr_chart_first_s(chart), last = chart->watermark_s;
        if (first != 0 && (*first_s == 0 || first < *first_s))
            *first_s = first;
        if (last > *last_s)
            *last_s = last;
    }
}

/* What the placement says to this child. */
static enum qr_placement_answer place(const struct qr_api_call *call, const struct qr_guid *guid,
                                      const struct qr_host *host)
{
    const struct qr_status *status = call->status;
    if (status == NULL || !status->group.ready || status->draining)
        return QR_PLACEMENT_NOT_NOW;
    uint32_t owner = 0;
    for (uint32_t i = 0; i < status->n_children && host != NULL; i++)
        if (status->children[i].host == host->id)
            owner = status->children[i].owner;
    return qr_placement_answer(&status->placement, status->group.member_id, guid, owner);
}

static void add_host(struct qr_json *json, const struct qr_api_call *call,
                     const struct qr_host *host, enum qr_placement_answer answer)
{
    int64_t first_s = 0, last_s = 0;
    bool live = host != NULL && qr_api_is_reachable(call, host);
    bool own = host != NULL && qr_api_is_own(call, host);
    bool now = answer != QR_PLACEMENT_NOT_NOW;
    if (host != NULL)
        find_retention(host, &first_s, &last_s);
    if (last_s == 0 && answer == QR_PLACEMENT_HERE)
        first_s = last_s = call->now_s; /* a new child: nothing of it is anywhere */
    if (answer == QR_PLACEMENT_ELSEWHERE) {
        last_s = last_s > QR_PLACEMENT_BEHIND_S ? last_s - QR_PLACEMENT_BEHIND_S : 0;
        first_s = first_s < last_s ? first_s : last_s;
    }
    qr_json_str(json, "db_status", now ? "online" : "initializing");
    qr_json_str(json, "db_liveness", live ? "live" : "stale");
    qr_json_str(json, "ingest_type", own ? "localhost" : live ? "child" : "archived");
    qr_json_str(json, "ingest_status", !now ? "initializing" : live ? "online" : "offline");
    qr_json_i64(json, "first_time_s", first_s);
    qr_json_i64(json, "last_time_s", last_s);
}

void qr_api_stream_info(struct qr_api_call *call)
{
    struct qr_guid guid = {{0}};
    const struct qr_host *host = NULL;
    if (qr_guid_parse(&guid, qr_http_param(call->request, "machine_guid")) == 0)
        host = qr_store_host_by_guid(call->api->store, &guid);
    enum qr_placement_answer answer = place(call, &guid, host);
    if (host != NULL && qr_api_is_own(call, host) && answer == QR_PLACEMENT_ELSEWHERE)
        answer = QR_PLACEMENT_HERE;
    /* One that nobody knows is unknown, unless it must be told where to go. */
    bool told =
        answer == QR_PLACEMENT_NOT_NOW ||
        (answer == QR_PLACEMENT_HERE && qr_placement_n_takers(&call->status->placement) > 1);
    int status = host != NULL || told ? 200 : 404;

    struct qr_rng rng;
    qr_rng_seed(&rng, qr_clock_mono_ms(call->api->clock) ^ (uint64_t)(uintptr_t)call ^
                          (uint64_t)qr_clock_real_us(call->api->clock));
    char own[QR_GUID_TEXT_LEN + 1];
    qr_guid_format(&call->api->host_guid, own);
    struct qr_json json;
    call->response->status = status;
    call->response->content_type = QR_HTTP_JSON;
    qr_json_init(&json, &call->response->body);
    qr_json_object(&json, NULL);
    qr_json_u64(&json, "version", 1);
    qr_json_i64(&json, "status", status);
    qr_json_str(&json, "host_id", own);
    qr_json_u64(&json, "nodes", qr_api_n_hosts(call));
    qr_json_u64(&json, "receivers", count_receivers(call));
    qr_json_u64(&json, "nonce", (uint32_t)qr_rng_next(&rng));
    if (status == 200)
        add_host(&json, call, host, answer);
    qr_json_end(&json);
}
