#include "node/ctl/init.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/address.h"
#include "base/error.h"
#include "base/guid.h"
#include "base/json.h"
#include "base/pki.h"
#include "cluster/identity.h"
#include "cluster/link.h"

enum { O_DIR, O_MEMBERS, O_NAME, O_ADD };

/* Two for the CA, two for the cluster, three and a folder a member, and DIR. */
#define MADE_MAX (5 + 4 * QR_MEMBERS_MAX)

struct plan {
    const char *dir;
    const char *name;
    struct qr_guid id;
    char id_text[QR_GUID_TEXT_LEN + 1];
    struct qr_link_member members[QR_MEMBERS_MAX];
    unsigned n_members;
    char *made[MADE_MAX]; /* Paths, in the order they were made. */
    unsigned n_made;
    struct qr_buf *err;
};

static int fail(struct plan *plan, const char *format, ...) QR_PRINTF(2, 3);

static int fail(struct plan *plan, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    qr_buf_add_str(plan->err, "quoratectl init: ");
    qr_buf_vprintf(plan->err, format, args);
    qr_buf_add_str(plan->err, "\n");
    va_end(args);
    return QR_CTL_FAILED;
}

/* ---- what is asked for ---- */

/* One `id=host:port`. */
static int read_member(struct plan *plan, struct qr_slice text)
{
    struct qr_link_member *member = &plan->members[plan->n_members];
    struct qr_address address;
    const char *equals = memchr(text.base, '=', text.len);
    size_t id_len = equals != NULL ? (size_t)(equals - text.base) : 0;
    uint32_t id = 0;
    for (size_t i = 0; i < id_len && id_len <= 5; i++)
        id = text.base[i] >= '0' && text.base[i] <= '9' ? id * 10 + (uint32_t)(text.base[i] - '0')
                                                        : 65536;
    if (id == 0 || id > 65535)
        return fail(plan, "member \"%.*s\" is not id=host:port with an id of 1 to 65535",
                    (int)text.len, text.base);
    size_t address_len = text.len - id_len - 1;
    if (address_len >= sizeof member->address ||
        qr_address_parse(&address, qr_slice_of(equals + 1, address_len)) != 0 ||
        address.host[0] == '\0')
        return fail(plan, "the address of member %u is not host:port: \"%.*s\"", id,
                    (int)address_len, equals + 1);
    for (unsigned i = 0; i < plan->n_members; i++)
        if (plan->members[i].id == id)
            return fail(plan, "member %u is there twice", id);
    *member = (struct qr_link_member){.id = id};
    memcpy(member->address, equals + 1, address_len);
    plan->n_members++;
    return QR_CTL_DONE;
}

static int read_members(struct plan *plan, const char *text)
{
    for (const char *at = text;;) {
        size_t len = strcspn(at, ",");
        if (plan->n_members == QR_MEMBERS_MAX)
            return fail(plan, "more than %u members", QR_MEMBERS_MAX);
        if (read_member(plan, qr_slice_of(at, len)) != QR_CTL_DONE)
            return QR_CTL_FAILED;
        if (at[len] == '\0')
            return QR_CTL_DONE;
        at += len + 1;
    }
}

/* The name goes into certificates and an INI file. */
static int check_name(struct plan *plan)
{
    size_t len = strlen(plan->name);
    for (size_t i = 0; i < len; i++) {
        char c = plan->name[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '-' || c == '_' || c == '.';
        if (!plain)
            len = 0;
    }
    if (len == 0 || len > 40)
        return fail(plan, "a name is 1 to 40 letters, digits, '-', '_' or '.'");
    return QR_CTL_DONE;
}

static int make_id(struct plan *plan)
{
    if (RAND_bytes(plan->id.bytes, sizeof plan->id.bytes) != 1)
        return fail(plan, "no random numbers from OpenSSL");
    plan->id.bytes[6] = (uint8_t)((plan->id.bytes[6] & 0x0f) | 0x40); /* RFC 4122, version 4 */
    plan->id.bytes[8] = (uint8_t)((plan->id.bytes[8] & 0x3f) | 0x80);
    qr_guid_format(&plan->id, plan->id_text);
    return QR_CTL_DONE;
}

/* ---- files ---- */

static void path_in(char path[PATH_MAX], const struct plan *plan, const char *name)
{
    snprintf(path, PATH_MAX, "%s/%s", plan->dir, name);
}

static void path_of_member(char path[PATH_MAX], const struct plan *plan, uint32_t member,
                           const char *name)
{
    snprintf(path, PATH_MAX, "%s/member-%u%s%s", plan->dir, member, name[0] != '\0' ? "/" : "",
             name);
}

static void note_made(struct plan *plan, const char *path)
{
    plan->made[plan->n_made] = strdup(path);
    if (plan->made[plan->n_made] != NULL)
        plan->n_made++;
}

static void take_back(struct plan *plan)
{
    while (plan->n_made > 0) {
        char *path = plan->made[--plan->n_made];
        if (remove(path) != 0)
            fail(plan, "%s is left over: %s", path, strerror(errno));
        free(path);
    }
}

static void forget_made(struct plan *plan)
{
    while (plan->n_made > 0)
        free(plan->made[--plan->n_made]);
}

static int make_folder(struct plan *plan, const char *path)
{
    if (mkdir(path, 0700) == 0)
        note_made(plan, path);
    else if (errno != EEXIST)
        return fail(plan, "the folder %s cannot be made: %s", path, strerror(errno));
    return QR_CTL_DONE;
}

static int write_text(struct plan *plan, const char *path, struct qr_slice text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return fail(plan, "%s cannot be made: %s", path, strerror(errno));
    note_made(plan, path);
    bool done = write(fd, text.base, text.len) == (ssize_t)text.len && fsync(fd) == 0;
    int why = errno;
    if (close(fd) != 0 || !done)
        return fail(plan, "%s cannot be written: %s", path, strerror(why));
    return QR_CTL_DONE;
}

static int make_ca(struct plan *plan, struct qr_buf *ca_pem)
{
    char crt[PATH_MAX], key[PATH_MAX], name[64], reason[QR_PKI_REASON_BYTES], chunk[4096];
    path_in(crt, plan, "ca.crt");
    path_in(key, plan, "ca.key");
    snprintf(name, sizeof name, "%s cluster CA", plan->name);
    if (qr_pki_make_ca(crt, key, name, reason) != 0)
        return fail(plan, "%s", reason);
    note_made(plan, key);
    note_made(plan, crt);
    FILE *in = fopen(crt, "r");
    if (in == NULL)
        return fail(plan, "%s cannot be read: %s", crt, strerror(errno));
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, in)) > 0;)
        qr_buf_add(ca_pem, chunk, n);
    fclose(in);
    return QR_CTL_DONE;
}

static int make_member(struct plan *plan, const struct qr_link_member *member,
                       const struct qr_buf *ca_pem)
{
    char folder[PATH_MAX], crt[PATH_MAX], key[PATH_MAX], ca[PATH_MAX], ca_crt[PATH_MAX],
        ca_key[PATH_MAX], uri[QR_IDENTITY_BYTES], name[64], reason[QR_PKI_REASON_BYTES];
    path_of_member(folder, plan, member->id, "");
    path_of_member(crt, plan, member->id, "member.crt");
    path_of_member(key, plan, member->id, "member.key");
    path_of_member(ca, plan, member->id, "ca.crt");
    path_in(ca_crt, plan, "ca.crt");
    path_in(ca_key, plan, "ca.key");
    snprintf(name, sizeof name, "%s member %u", plan->name, member->id);
    qr_identity_format(&(struct qr_identity){plan->id, member->id}, uri);
    if (make_folder(plan, folder) != QR_CTL_DONE)
        return QR_CTL_FAILED;
    struct qr_pki_request request = {crt, key, ca_crt, ca_key, name, uri, NULL};
    if (qr_pki_make_cert(&request, reason) != 0)
        return fail(plan, "%s", reason);
    note_made(plan, key);
    note_made(plan, crt);
    return write_text(plan, ca, qr_buf_slice(ca_pem));
}

static int write_conf(struct plan *plan)
{
    char path[PATH_MAX];
    struct qr_buf text;
    qr_buf_init(&text, 0);
    qr_buf_printf(&text,
                  "# From `quoratectl init`: the same in the quorate.conf of every member.\n"
                  "[cluster]\n    name = %s\n    id = %s\n",
                  plan->name, plan->id_text);
    for (unsigned i = 0; i < plan->n_members; i++)
        qr_buf_printf(&text, "    member %u = %s\n", plan->members[i].id, plan->members[i].address);
    path_in(path, plan, "cluster.conf");
    int code = write_text(plan, path, qr_buf_slice(&text));
    qr_buf_release(&text);
    return code;
}

/* Last, because it says that all the rest is there. */
static int write_id(struct plan *plan)
{
    char path[PATH_MAX], text[QR_GUID_TEXT_LEN + 2];
    int len = snprintf(text, sizeof text, "%s\n", plan->id_text);
    path_in(path, plan, "cluster.id");
    return write_text(plan, path, qr_slice_of(text, (size_t)len));
}

static int make_all(struct plan *plan)
{
    char path[PATH_MAX];
    struct qr_buf ca_pem;
    path_in(path, plan, "cluster.id");
    if (access(path, F_OK) == 0)
        return fail(plan, "%s is there: this folder holds a cluster already", path);
    qr_buf_init(&ca_pem, 0);
    int code = make_folder(plan, plan->dir);
    if (code == QR_CTL_DONE)
        code = make_ca(plan, &ca_pem);
    for (unsigned i = 0; i < plan->n_members && code == QR_CTL_DONE; i++)
        code = make_member(plan, &plan->members[i], &ca_pem);
    if (code == QR_CTL_DONE)
        code = write_conf(plan);
    if (code == QR_CTL_DONE)
        code = write_id(plan);
    qr_buf_release(&ca_pem);
    return code;
}

/* ---- more members of a cluster that is there ---- */

static int read_text(struct plan *plan, const char *path, struct qr_buf *text)
{
    char chunk[4096];
    FILE *in = fopen(path, "re");
    if (in == NULL)
        return fail(plan, "%s cannot be read: %s", path, strerror(errno));
    for (size_t n; (n = fread(chunk, 1, sizeof chunk, in)) > 0;)
        qr_buf_add(text, chunk, n);
    fclose(in);
    return QR_CTL_DONE;
}

static int read_id(struct plan *plan)
{
    char path[PATH_MAX];
    struct qr_buf text = {0};
    path_in(path, plan, "cluster.id");
    int code = read_text(plan, path, &text);
    struct qr_slice id = qr_slice_of(text.base, text.len < QR_GUID_TEXT_LEN ? 0 : QR_GUID_TEXT_LEN);
    if (code == QR_CTL_DONE && qr_guid_parse(&plan->id, id) != 0)
        code = fail(plan, "%s does not hold a cluster's id", path);
    qr_guid_format(&plan->id, plan->id_text);
    qr_buf_release(&text);
    return code;
}

static int make_more(struct plan *plan)
{
    char path[PATH_MAX];
    struct qr_buf ca_pem = {0};
    path_in(path, plan, "ca.crt");
    int code = read_id(plan);
    if (code == QR_CTL_DONE)
        code = read_text(plan, path, &ca_pem);
    for (unsigned i = 0; i < plan->n_members && code == QR_CTL_DONE; i++)
        code = make_member(plan, &plan->members[i], &ca_pem);
    qr_buf_release(&ca_pem);
    return code;
}

/* ---- the command ---- */

static void print_text(const struct plan *plan, bool add, struct qr_buf *out)
{
    if (add)
        qr_buf_printf(out, "Cluster id %s, %u more members.\n", plan->id_text, plan->n_members);
    else
        qr_buf_printf(
            out,
            "Cluster %s, id %s, %u members.\n"
            "  %s/ca.key        signs certificates: keep it safe, members do not need it\n"
            "  %s/cluster.conf  goes into the quorate.conf of every member\n",
            plan->name, plan->id_text, plan->n_members, plan->dir, plan->dir);
    for (unsigned i = 0; i < plan->n_members; i++)
        qr_buf_printf(
            out, "  %s/member-%u/     ca.crt, member.crt, member.key for member %u (%s)\n",
            plan->dir, plan->members[i].id, plan->members[i].id, plan->members[i].address);
}

static void print_json(const struct plan *plan, struct qr_buf *out)
{
    char path[PATH_MAX];
    struct qr_json json;
    qr_json_init(&json, out);
    qr_json_object(&json, NULL);
    qr_json_str(&json, "name", plan->name);
    qr_json_str(&json, "id", plan->id_text);
    path_in(path, plan, "ca.crt");
    qr_json_str(&json, "ca", path);
    path_in(path, plan, "ca.key");
    qr_json_str(&json, "ca_key", path);
    qr_json_array(&json, "members");
    for (unsigned i = 0; i < plan->n_members; i++) {
        qr_json_object(&json, NULL);
        qr_json_u64(&json, "id", plan->members[i].id);
        qr_json_str(&json, "address", plan->members[i].address);
        path_of_member(path, plan, plan->members[i].id, "member.crt");
        qr_json_str(&json, "certificate", path);
        path_of_member(path, plan, plan->members[i].id, "member.key");
        qr_json_str(&json, "key", path);
        qr_json_end(&json);
    }
    qr_json_end(&json);
    qr_json_end(&json);
    qr_buf_add_str(out, "\n");
}

static int run(const struct qr_ctl_io *io, const struct qr_ctl_args *args)
{
    struct plan plan = {.dir = qr_ctl_value(args, O_DIR), .err = io->err};
    plan.name = args->n[O_NAME] > 0 ? qr_ctl_value(args, O_NAME) : "quorate";
    if (strlen(plan.dir) > PATH_MAX / 2)
        return fail(&plan, "the name of the folder is too long");
    bool add = args->n[O_ADD] > 0;
    if (check_name(&plan) != QR_CTL_DONE || make_id(&plan) != QR_CTL_DONE ||
        read_members(&plan, qr_ctl_value(args, O_MEMBERS)) != QR_CTL_DONE)
        return QR_CTL_FAILED;
    int code = add ? make_more(&plan) : make_all(&plan);
    if (code != QR_CTL_DONE)
        take_back(&plan);
    else if (io->json)
        print_json(&plan, io->out);
    else
        print_text(&plan, add, io->out);
    forget_made(&plan);
    return code;
}

const struct qr_ctl_command qr_ctl_init = {
    .name = "init",
    .line = "Makes the identity of a new cluster: its id, CA and the members' certificates.",
    .more = "DIR gets ca.crt, ca.key, cluster.id, cluster.conf, and a folder member-<id> for each\n"
            "member with its ca.crt, member.crt and member.key.  Nothing is overwritten.  With\n"
            "--add only the folders, for members that `quoratectl members add` takes in.\n",
    .options =
        {
            [O_DIR] = {"--dir", "DIR", "Where to write; made if it is not there.", true},
            [O_MEMBERS] = {"--members", "ID=HOST:PORT,...",
                           "The members and the addresses of their links.", true},
            [O_NAME] = {"--name", "NAME", "What people call the cluster (quorate).", false},
            [O_ADD] = {"--add", NULL, "More members of the cluster in DIR, which has ca.key.",
                       false},
        },
    .run = run,
};
