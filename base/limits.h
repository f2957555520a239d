/* base/limits.h — every limit of Quorate, with its unit and its reason. */
#ifndef QR_BASE_LIMITS_H
#define QR_BASE_LIMITS_H

#include <assert.h>
#include <stdint.h>

/* ---- a child's stream ---- */

/* 1.44+ children cut lines at 15487 bytes; parents are asked to take 64 KiB. */
#define QR_LINE_BYTES_MAX (64u * 1024)
/* Netdata's parents take 20 (1.37) or 30 (2.x) words a line. */
#define QR_LINE_WORDS_MAX 32u
/* The request line of a 2.x parent may have 128 KiB. */
#define QR_REQUEST_BYTES_MAX (128u * 1024)
/* A compressed frame carries a 14-bit length. */
#define QR_FRAME_BYTES_MAX 16383u
/* Stock parents refuse a frame that unpacks to more. */
#define QR_FRAME_PLAIN_BYTES_MAX (16u * 1024)
/* LZ4 blocks may refer to the last 64 KiB of the connection's text. */
#define QR_LZ4_WINDOW_BYTES  (64u * 1024)
#define QR_CHILD_INBUF_BYTES (256u * 1024)
static_assert(QR_CHILD_INBUF_BYTES >= 2 * QR_LINE_BYTES_MAX, "a whole line fits behind a part");
static_assert(QR_CHILD_INBUF_BYTES >= QR_REQUEST_BYTES_MAX, "a whole request line fits");

/* What waits to be sent to a child that does not read: a request for each of 100000 charts is 10
 * MiB. */
#define QR_CHILD_OUTBUF_BYTES (32u * 1024 * 1024)

/* Netdata's own limit on ids is 1200 characters. */
#define QR_NAME_BYTES_MAX      1200u
#define QR_CHARTS_PER_HOST_MAX 100000u
/* Of a cluster: some 4 GiB of catalog on each member. */
#define QR_CHARTS_MAX         (16u * 1024 * 1024)
#define QR_DIMS_PER_CHART_MAX 65535u
#define QR_DIMS_PER_HOST_MAX  1000000u
#define QR_LABELS_MAX         256u
/* Host ids are small integers that the log hands out, never twice; tables are indexed by them. */
#define QR_HOSTS_MAX        1000000u
#define QR_UPDATE_EVERY_MAX 86400u
/* Recorded holes of a group: each costs some bytes of every snapshot. */
#define QR_GAPS_MAX 65536u
/* End times of samples, s: the year 2242; leaves room for arithmetic and for 33 bits in names. */
#define QR_TIME_S_MAX (INT64_C(1) << 33)
/* All definitions of one connection, labels included, and of one host; 20000 charts need some 20
 * MiB. */
#define QR_DEFINITION_BYTES_MAX (256u * 1024 * 1024)
/* The body of a function's result or a JSON payload, as the stream lets it pass: 2.9 sends up to
 * 100 MiB. */
#define QR_PAYLOAD_BYTES_MAX (128u * 1024 * 1024)
/* Functions that one child may offer; their names, and what is shown of their help.  Netdata's own
 * plugins have some dozens. */
#define QR_FUNCTIONS_PER_HOST_MAX  1000u
#define QR_FUNCTION_NAME_BYTES_MAX 256u
#define QR_FUNCTION_HELP_BYTES_MAX 2048u
/* A call's words: 1.37 takes lines of 15 KiB. */
#define QR_FUNCTION_CALL_BYTES_MAX 8192u
#define QR_FUNCTION_TIMEOUT_S_MAX  600u
/* What is sent along with a call: a configuration, some KiB.  It crosses a member link in one
 * frame, with the call's words. */
#define QR_FUNCTION_PAYLOAD_BYTES_MAX (960u * 1024)
static_assert(QR_FUNCTION_PAYLOAD_BYTES_MAX + 4 * QR_FUNCTION_CALL_BYTES_MAX <= 1024u * 1024,
              "a call and its payload fit a frame");
/* The body of one answer, as 1.37's parents; and of all that a member has in work. */
#define QR_FUNCTION_RESULT_BYTES_MAX  (10u * 1024 * 1024)
#define QR_FUNCTION_RESULTS_BYTES_MAX (64u * 1024 * 1024)
/* Calls in work: of one child (it answers on its one stream), and on one member. */
#define QR_FUNCTION_CALLS_PER_HOST_MAX 16u
#define QR_FUNCTION_CALLS_MAX          256u
/* The path of a host: an entry of some 600 bytes for each parent on it. */
#define QR_STREAM_PATH_BYTES_MAX (64u * 1024)
/* Indexes of block files that queries keep in memory: some 8 bytes a chart and file. */
#define QR_INDEX_BYTES_MAX (64u * 1024 * 1024)
/* The span of one block file, s. */
#define QR_WINDOW_S_MAX 86400u

/* ---- the log ---- */

/* An entry must stay well below a log segment of 8 MiB (guard, G4 and G6). */
#define QR_ENTRY_BYTES_MAX (1024u * 1024)
/* A tick batch is cut here: some 32 000 metrics, which take the loop 10 ms where memory is new
 * (docs/decisions/0018). */
#define QR_BATCH_BYTES_MAX (128u * 1024)
/* Proposals that a member keeps until it has seen them applied. */
#define QR_PROPOSALS_IN_FLIGHT_MAX 8u
/* Proposals that wait behind those, and their bytes; then the proposer is told to wait. */
#define QR_PROPOSALS_WAITING_MAX       256u
#define QR_PROPOSALS_WAITING_BYTES_MAX (32u * 1024 * 1024)
/* The body of a tick batch, and its bytes before LZ4. */
#define QR_ENTRY_BODY_BYTES_MAX  (QR_ENTRY_BYTES_MAX - 4096)
#define QR_ENTRY_PLAIN_BYTES_MAX (4u * 1024 * 1024)
/* One host's block: its bytes before LZ4, and its values and rows, which a reader unpacks to 4 and
 * 32 bytes each.  A row of QR_DIMS_PER_CHART_MAX values of 5 bytes fits an empty block. */
#define QR_ENTRY_BLOCK_BYTES_MAX (640u * 1024)
#define QR_ENTRY_BLOCK_CELLS_MAX (512u * 1024)
static_assert(QR_BATCH_BYTES_MAX + QR_ENTRY_BLOCK_BYTES_MAX < QR_ENTRY_BODY_BYTES_MAX / 64 * 63,
              "a batch and one block that fills it over fit a body, even if nothing shrinks");
/* One chart's definition in an entry; what is longer is refused by name. */
#define QR_CHART_DEF_BYTES_MAX (QR_ENTRY_BODY_BYTES_MAX - 1024)
/* Of 1 M metrics, right after a seal: 60 MB. */
#define QR_SNAPSHOT_BYTES_MAX (256u * 1024 * 1024)
/* Entries that a snapshot has behind its state: copied on the loop, in some 5 ms. */
#define QR_SNAPSHOT_TAIL_BYTES_MAX (16u * 1024 * 1024)
/* How long entries are applied in one turn of the loop before what else it has to do. */
#define QR_APPLY_SLICE_US 4000u
static_assert(QR_BATCH_BYTES_MAX * 2 <= QR_ENTRY_BYTES_MAX, "a batch and its header fit an entry");

/* API keys in the log, those that are over included, and machines that are bound to one: they are
 * in every snapshot, with 0.6 KiB and 56 bytes. */
#define QR_KEYS_MAX         4096u
#define QR_KEY_BINDINGS_MAX 16384u

/* ---- member links ---- */

#define QR_LINK_FRAME_BYTES_MAX (QR_SNAPSHOT_BYTES_MAX + 64u * 1024)
#define QR_MEMBERS_MAX          16u
#define QR_ADDRESS_BYTES_MAX    256u

/* ---- HTTP ---- */

#define QR_HTTP_REQUEST_BYTES_MAX 16384u
#define QR_HTTP_IDLE_MS           60000u

/* ---- queries ---- */

/* Rows x columns of one answer: 8 bytes each while it is made, some 10 to 20 in its text. */
#define QR_QUERY_CELLS_MAX (8u * 1024 * 1024)

#endif
