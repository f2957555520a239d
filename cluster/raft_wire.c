#include "cluster/raft_wire.h"

#include <assert.h>
#include <string.h>
#include <uv.h>

#include "base/cursor.h"
#include "base/error.h"
#include "base/limits.h"

#define FORMAT             1u
#define ENTRY_HEADER_BYTES 16u
#define ENTRY_ALIGN        8u
#define ADDRESS_BYTES_MAX  255u

static_assert(QR_ADDRESS_BYTES_MAX > ADDRESS_BYTES_MAX, "an address from the wire fits a buffer");

enum flag {
    FLAG_PRE_VOTE = 1,
    FLAG_DISRUPT = 2, /* of a request */
    FLAG_GRANTED = 2, /* of a result */
};

/* ---- encoding ---- */

static void encode_request_vote(struct qr_buf *b, const struct raft_request_vote *m)
{
    qr_buf_add_u64(b, m->term);
    qr_buf_add_u64(b, m->candidate_id);
    qr_buf_add_u64(b, m->last_log_index);
    qr_buf_add_u64(b, m->last_log_term);
}

static void encode_vote_result(struct qr_buf *b, const struct raft_request_vote_result *m)
{
    qr_buf_add_u64(b, m->term);
    qr_buf_add_u16(b, m->features);
    qr_buf_add_u16(b, m->capacity);
    qr_buf_add_u32(b, 0);
}

static void encode_append_result(struct qr_buf *b, const struct raft_append_entries_result *m)
{
    qr_buf_add_u64(b, m->term);
    qr_buf_add_u64(b, m->rejected);
    qr_buf_add_u64(b, m->last_log_index);
    qr_buf_add_u16(b, m->features);
    qr_buf_add_u16(b, m->capacity);
    qr_buf_add_u32(b, 0);
}

static void encode_timeout_now(struct qr_buf *b, const struct raft_timeout_now *m)
{
    qr_buf_add_u64(b, m->term);
    qr_buf_add_u64(b, m->last_log_index);
    qr_buf_add_u64(b, m->last_log_term);
}

static int encode_append(struct qr_buf *b, const struct raft_append_entries *m, unsigned from,
                         unsigned n)
{
    if (n > QR_RAFT_WIRE_ENTRIES_MAX)
        return QR_E_LIMIT;
    qr_buf_add_u64(b, m->term);
    qr_buf_add_u64(b, m->prev_log_index + from);
    qr_buf_add_u64(b, from == 0 ? m->prev_log_term : m->entries[from - 1].term);
    qr_buf_add_u64(b, m->leader_commit);
    qr_buf_add_u64(b, n);
    for (unsigned i = from; i < from + n; i++) {
        const struct raft_entry *entry = &m->entries[i];
        if (entry->buf.len == 0 || entry->buf.len % ENTRY_ALIGN != 0 ||
            entry->buf.len > QR_ENTRY_BYTES_MAX)
            return QR_E_LIMIT;
        qr_buf_add_u64(b, entry->term);
        qr_buf_add_u32(b, (uint32_t)entry->buf.len);
        qr_buf_add_u32(b, (uint32_t)entry->type);
    }
    return 0;
}

static int encode_snapshot(struct qr_buf *b, const struct raft_install_snapshot *m)
{
    if (m->conf.n > QR_MEMBERS_MAX || m->data.len > QR_SNAPSHOT_BYTES_MAX)
        return QR_E_LIMIT;
    qr_buf_add_u64(b, m->term);
    qr_buf_add_u64(b, m->last_index);
    qr_buf_add_u64(b, m->last_term);
    qr_buf_add_u64(b, m->conf_index);
    qr_buf_add_u64(b, m->conf.n);
    for (unsigned i = 0; i < m->conf.n; i++) {
        const struct raft_server *server = &m->conf.servers[i];
        size_t len = strlen(server->address);
        if (len > ADDRESS_BYTES_MAX)
            return QR_E_LIMIT;
        qr_buf_add_u64(b, server->id);
        qr_buf_add_u8(b, (uint8_t)server->role);
        qr_buf_add_u8(b, (uint8_t)len);
        qr_buf_add(b, server->address, len);
    }
    qr_buf_add_u64(b, m->data.len);
    return 0;
}

static uint8_t flags_of(const struct raft_message *m)
{
    if (m->type == RAFT_REQUEST_VOTE)
        return (uint8_t)((m->request_vote.pre_vote ? FLAG_PRE_VOTE : 0) |
                         (m->request_vote.disrupt_leader ? FLAG_DISRUPT : 0));
    if (m->type == RAFT_REQUEST_VOTE_RESULT)
        return (uint8_t)((m->request_vote_result.pre_vote ? FLAG_PRE_VOTE : 0) |
                         (m->request_vote_result.vote_granted ? FLAG_GRANTED : 0));
    return 0;
}

/* Every message begins with its version. */
static uint8_t version_of(const struct raft_message *m)
{
    return m->request_vote.version;
}

int qr_raft_wire_encode(struct qr_buf *head, const struct raft_message *message, unsigned from,
                        unsigned n)
{
    size_t start = head->len;
    int err = 0;
    qr_buf_add_u8(head, FORMAT);
    qr_buf_add_u8(head, (uint8_t)message->type);
    qr_buf_add_u8(head, version_of(message));
    qr_buf_add_u8(head, flags_of(message));
    qr_buf_add_u32(head, 0);
    switch (message->type) {
    case RAFT_APPEND_ENTRIES:
        err = encode_append(head, &message->append_entries, from, n);
        break;
    case RAFT_APPEND_ENTRIES_RESULT:
        encode_append_result(head, &message->append_entries_result);
        break;
    case RAFT_REQUEST_VOTE:
        encode_request_vote(head, &message->request_vote);
        break;
    case RAFT_REQUEST_VOTE_RESULT:
        encode_vote_result(head, &message->request_vote_result);
        break;
    case RAFT_INSTALL_SNAPSHOT:
        err = encode_snapshot(head, &message->install_snapshot);
        break;
    case RAFT_TIMEOUT_NOW:
        encode_timeout_now(head, &message->timeout_now);
        break;
    default:
        err = QR_E_UNSUPPORTED;
    }
    if (err == 0 && head->failed)
        err = UV_ENOMEM;
    if (err != 0)
        head->len = start;
    return err;
}

/* ---- decoding ---- */

static int decode_request_vote(struct raft_request_vote *m, struct qr_cursor *c, uint8_t flags)
{
    m->term = qr_cursor_u64(c);
    m->candidate_id = qr_cursor_u64(c);
    m->last_log_index = qr_cursor_u64(c);
    m->last_log_term = qr_cursor_u64(c);
    m->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
    m->disrupt_leader = (flags & FLAG_DISRUPT) != 0;
    return 0;
}

static void take_zeros(struct qr_cursor *c)
{
    if (qr_cursor_u32(c) != 0)
        c->failed = true;
}

static int decode_vote_result(struct raft_request_vote_result *m, struct qr_cursor *c,
                              uint8_t flags)
{
    m->term = qr_cursor_u64(c);
    m->features = qr_cursor_u16(c);
    m->capacity = qr_cursor_u16(c);
    take_zeros(c);
    m->pre_vote = (flags & FLAG_PRE_VOTE) != 0;
    m->vote_granted = (flags & FLAG_GRANTED) != 0;
    return 0;
}

static int decode_append_result(struct raft_append_entries_result *m, struct qr_cursor *c)
{
    m->term = qr_cursor_u64(c);
    m->rejected = qr_cursor_u64(c);
    m->last_log_index = qr_cursor_u64(c);
    m->features = qr_cursor_u16(c);
    m->capacity = qr_cursor_u16(c);
    take_zeros(c);
    return 0;
}

static int decode_timeout_now(struct raft_timeout_now *m, struct qr_cursor *c)
{
    m->term = qr_cursor_u64(c);
    m->last_log_index = qr_cursor_u64(c);
    m->last_log_term = qr_cursor_u64(c);
    return 0;
}

struct entry_header {
    uint64_t term;
    uint32_t bytes, type;
};

static struct entry_header take_entry_header(struct qr_cursor *c)
{
    struct entry_header h = {qr_cursor_u64(c), qr_cursor_u32(c), qr_cursor_u32(c)};
    if (h.bytes == 0 || h.bytes % ENTRY_ALIGN != 0 || h.bytes > QR_ENTRY_BYTES_MAX ||
        h.type < RAFT_COMMAND || h.type > RAFT_CHANGE)
        c->failed = true;
    return h;
}

/* The table is walked twice: once to check that the data is all there, once to copy. */
static int decode_entries(struct raft_append_entries *m, struct qr_cursor *c)
{
    struct qr_cursor table = *c;
    size_t bytes = 0;
    for (unsigned i = 0; i < m->n_entries; i++)
        bytes += take_entry_header(c).bytes;
    struct qr_slice data = qr_cursor_take(c, bytes);
    if (!qr_cursor_done(c))
        return QR_E_MALFORMED;

    m->entries = raft_malloc(m->n_entries * sizeof *m->entries);
    char *batch = raft_malloc(bytes);
    if (m->entries == NULL || batch == NULL) {
        raft_free(m->entries);
        raft_free(batch);
        return UV_ENOMEM;
    }
    memcpy(batch, data.base, bytes);
    for (size_t i = 0, at = 0; i < m->n_entries; i++) {
        struct entry_header h = take_entry_header(&table);
        m->entries[i] = (struct raft_entry){.term = h.term,
                                            .type = (enum raft_entry_type)h.type,
                                            .buf = {.base = batch + at, .len = h.bytes},
                                            .batch = batch};
        at += h.bytes;
    }
    return 0;
}

static int decode_append(struct raft_append_entries *m, struct qr_cursor *c)
{
    m->term = qr_cursor_u64(c);
    m->prev_log_index = qr_cursor_u64(c);
    m->prev_log_term = qr_cursor_u64(c);
    m->leader_commit = qr_cursor_u64(c);
    uint64_t n = qr_cursor_u64(c);
    if (c->failed || n > QR_RAFT_WIRE_ENTRIES_MAX)
        return QR_E_MALFORMED;
    m->entries = NULL;
    m->n_entries = (unsigned)n;
    return n == 0 ? 0 : decode_entries(m, c);
}

static int take_server(struct raft_configuration *conf, struct qr_cursor *c)
{
    char address[ADDRESS_BYTES_MAX + 1];
    uint64_t id = qr_cursor_u64(c);
    uint8_t role = qr_cursor_u8(c);
    struct qr_slice text = qr_cursor_take(c, qr_cursor_u8(c));
    if (c->failed || id == 0 || role > RAFT_SPARE || memchr(text.base, '\0', text.len) != NULL)
        return QR_E_MALFORMED;
    memcpy(address, text.base, text.len);
    address[text.len] = '\0';
    int rv = raft_configuration_add(conf, id, address, role);
    if (rv == RAFT_NOMEM)
        return UV_ENOMEM;
    return rv == 0 ? 0 : QR_E_MALFORMED;
}

static int decode_snapshot_data(struct raft_install_snapshot *m, struct qr_cursor *c)
{
    uint64_t len = qr_cursor_u64(c);
    if (c->failed || len == 0 || len > QR_SNAPSHOT_BYTES_MAX || len != qr_cursor_left(c))
        return QR_E_MALFORMED;
    struct qr_slice data = qr_cursor_take(c, (size_t)len);
    m->data.len = data.len;
    m->data.base = raft_malloc(data.len);
    if (m->data.base == NULL)
        return UV_ENOMEM;
    memcpy(m->data.base, data.base, data.len);
    return 0;
}

static int decode_snapshot(struct raft_install_snapshot *m, struct qr_cursor *c)
{
    m->term = qr_cursor_u64(c);
    m->last_index = qr_cursor_u64(c);
    m->last_term = qr_cursor_u64(c);
    m->conf_index = qr_cursor_u64(c);
    uint64_t n = qr_cursor_u64(c);
    if (c->failed || n > QR_MEMBERS_MAX)
        return QR_E_MALFORMED;
    raft_configuration_init(&m->conf);
    int err = 0;
    for (uint64_t i = 0; i < n && err == 0; i++)
        err = take_server(&m->conf, c);
    if (err == 0)
        err = decode_snapshot_data(m, c);
    if (err != 0)
        raft_configuration_close(&m->conf);
    return err;
}

static uint8_t known_flags(uint8_t type)
{
    bool vote = type == RAFT_REQUEST_VOTE || type == RAFT_REQUEST_VOTE_RESULT;
    return vote ? FLAG_PRE_VOTE | FLAG_DISRUPT : 0;
}

static int decode_body(struct raft_message *m, struct qr_cursor *c, uint8_t flags)
{
    switch (m->type) {
    case RAFT_APPEND_ENTRIES:
        return decode_append(&m->append_entries, c);
    case RAFT_APPEND_ENTRIES_RESULT:
        return decode_append_result(&m->append_entries_result, c);
    case RAFT_REQUEST_VOTE:
        return decode_request_vote(&m->request_vote, c, flags);
    case RAFT_REQUEST_VOTE_RESULT:
        return decode_vote_result(&m->request_vote_result, c, flags);
    case RAFT_INSTALL_SNAPSHOT:
        return decode_snapshot(&m->install_snapshot, c);
    case RAFT_TIMEOUT_NOW:
        return decode_timeout_now(&m->timeout_now, c);
    default:
        return QR_E_VERSION;
    }
}

int qr_raft_wire_decode(struct raft_message *message, struct qr_slice payload)
{
    struct qr_cursor c = qr_cursor_of(payload);
    struct raft_message got;
    memset(&got, 0, sizeof got);
    uint8_t format = qr_cursor_u8(&c);
    uint8_t type = qr_cursor_u8(&c);
    uint8_t version = qr_cursor_u8(&c);
    uint8_t flags = qr_cursor_u8(&c);
    take_zeros(&c);
    if (c.failed)
        return QR_E_MALFORMED;
    if (format != FORMAT || type < RAFT_APPEND_ENTRIES || type > RAFT_TIMEOUT_NOW)
        return QR_E_VERSION;
    if ((flags & ~known_flags(type)) != 0)
        return QR_E_MALFORMED;
    got.type = (enum raft_message_type)type;
    got.request_vote.version = version;
    int err = decode_body(&got, &c, flags);
    if (err != 0)
        return err;
    if (!qr_cursor_done(&c)) {
        qr_raft_wire_release(&got);
        return QR_E_MALFORMED;
    }
    *message = got;
    return 0;
}

void qr_raft_wire_release(struct raft_message *message)
{
    if (message->type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&message->install_snapshot.conf);
        raft_free(message->install_snapshot.data.base);
    }
    if (message->type == RAFT_APPEND_ENTRIES && message->append_entries.n_entries != 0) {
        raft_free(message->append_entries.entries[0].batch);
        raft_free(message->append_entries.entries);
    }
}
