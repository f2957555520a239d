#include "testing/sim/libc.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "testing/sim/fs.h"
#include "testing/sim/tests/on_host.h"

#define ZERO_NS (1700000000 * (int64_t)QR_SIM_S)

/* ---- the same program on a real file system and on a false one ---- */

struct transcript {
    char text[32768];
    size_t len;
    char dir[64];
};

static void say(struct transcript *t, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    t->len += (size_t)vsnprintf(t->text + t->len, sizeof t->text - t->len, format, arguments);
    va_end(arguments);
    assert(t->len < sizeof t->text);
}

/* A path below the folder; a few at a time. */
static const char *in(const struct transcript *t, const char *name)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", t->dir, name);
    return path;
}

/* What a call answered; descriptors are just that. */
#define SAY(t, call)                                                                               \
    do {                                                                                           \
        errno = 0;                                                                                 \
        long answer = (long)(call);                                                                \
        say(t, "%s = %ld %s\n", #call, answer, answer < 0 ? strerror(errno) : "");                 \
    } while (0)
#define SAY_FD(t, fd, call)                                                                        \
    do {                                                                                           \
        errno = 0;                                                                                 \
        fd = (int)(call);                                                                          \
        say(t, "%s %s\n", #call, fd < 0 ? strerror(errno) : "opened");                             \
    } while (0)

static void say_file(struct transcript *t, const char *name)
{
    struct stat status;
    int err = stat(in(t, name), &status);
    if (err != 0) {
        say(t, "%s: %s\n", name, strerror(errno));
        return;
    }
    say(t, "%s: mode %o links %lu size %ld\n", name, status.st_mode,
        S_ISDIR(status.st_mode) ? 0 : (unsigned long)status.st_nlink,
        S_ISDIR(status.st_mode) ? 0 : (long)status.st_size);
}

static void reads_and_writes(struct transcript *t)
{
    char bytes[64] = {0};
    int fd;
    SAY_FD(t, fd, open(in(t, "none"), O_RDONLY));
    SAY_FD(t, fd, open(in(t, "none/below"), O_WRONLY | O_CREAT, 0600));
    SAY_FD(t, fd, open(in(t, "f"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640));
    SAY(t, write(fd, "hello world", 11));
    SAY(t, lseek(fd, 0, SEEK_CUR));
    SAY(t, lseek(fd, 6, SEEK_SET));
    SAY(t, read(fd, bytes, sizeof bytes));
    say(t, "%s\n", bytes);
    SAY(t, read(fd, bytes, sizeof bytes));
    SAY(t, pwrite(fd, "J", 1, 0));
    SAY(t, pread(fd, bytes, 5, 0));
    say(t, "%.5s\n", bytes);
    SAY(t, pread(fd, bytes, 5, -1));
    SAY(t, pread(fd, bytes, 5, 1000));
    SAY(t, pwrite(fd, "far", 3, 10000));
    SAY(t, lseek(fd, -4, SEEK_END));
    SAY(t, read(fd, bytes, sizeof bytes));
    SAY(t, bytes[0]);
    SAY(t, lseek(fd, -1, SEEK_SET));
    struct iovec iov[3] = {{"ab", 2}, {"", 0}, {"cdef", 4}};
    SAY(t, writev(fd, iov, 3));
    SAY(t, pwritev(fd, iov, 3, 4096));
    SAY(t, preadv(fd, &(struct iovec){bytes, 6}, 1, 4096));
    say(t, "%.6s\n", bytes);
    SAY(t, fsync(fd));
    SAY(t, fdatasync(fd));
    int twin = dup(fd);
    SAY(t, lseek(twin, 3, SEEK_SET));
    SAY(t, close(fd));
    SAY(t, read(twin, bytes, 3));
    SAY(t, close(twin));
    SAY(t, close(twin));
    SAY(t, write(twin, "x", 1));
    say_file(t, "f");
}

static void opens_as_told(struct transcript *t)
{
    char bytes[8];
    int fd;
    SAY_FD(t, fd, open(in(t, "f"), O_RDWR | O_CREAT | O_EXCL, 0600));
    SAY_FD(t, fd, open(in(t, "f/"), O_RDONLY));
    SAY_FD(t, fd, open(in(t, "f/g"), O_RDONLY));
    SAY_FD(t, fd, open(in(t, "f"), O_RDONLY | O_DIRECTORY));
    SAY_FD(t, fd, open(in(t, ""), O_WRONLY));
    SAY_FD(t, fd, open(in(t, "f"), O_RDONLY));
    SAY(t, write(fd, "x", 1));
    SAY(t, ftruncate(fd, 1));
    SAY(t, fcntl(fd, F_GETFL) & O_ACCMODE);
    SAY(t, close(fd));
    SAY_FD(t, fd, open(in(t, "f"), O_WRONLY | O_APPEND));
    SAY(t, read(fd, bytes, 1));
    SAY(t, lseek(fd, 0, SEEK_SET));
    SAY(t, write(fd, "end", 3));
    SAY(t, close(fd));
    say_file(t, "f");
    SAY_FD(t, fd, open(in(t, "f"), O_WRONLY | O_TRUNC));
    say_file(t, "f");
    SAY(t, close(fd));
    SAY_FD(t, fd, open(in(t, ""), O_RDONLY | O_DIRECTORY));
    SAY(t, fsync(fd));
    SAY(t, read(fd, bytes, 1));
    SAY(t, mkdirat(fd, "at", 0700));
    SAY(t, unlinkat(fd, "at", 0));
    SAY(t, unlinkat(fd, "at", AT_REMOVEDIR));
    SAY(t, close(fd));
}

static void sizes_change(struct transcript *t)
{
    char bytes[32] = {0};
    int fd;
    SAY_FD(t, fd, open(in(t, "s"), O_RDWR | O_CREAT, 0644));
    SAY(t, write(fd, "0123456789", 10));
    SAY(t, ftruncate(fd, 4));
    SAY(t, ftruncate(fd, 8));
    SAY(t, pread(fd, bytes, sizeof bytes, 0));
    SAY(t, memcmp(bytes, "0123\0\0\0\0", 8));
    SAY(t, ftruncate(fd, -1));
    SAY(t, posix_fallocate(fd, 0, 100000));
    SAY(t, posix_fallocate(fd, 0, 50));
    SAY(t, posix_fallocate(fd, 0, 0));
    say_file(t, "s");
    SAY(t, pread(fd, bytes, 4, 99990));
    SAY(t, memcmp(bytes, "\0\0\0\0", 4));
    SAY(t, close(fd));
    SAY(t, truncate(in(t, "s"), 5));
    SAY(t, truncate(in(t, "none"), 5));
    say_file(t, "s");
}

static void names_change(struct transcript *t)
{
    SAY(t, mkdir(in(t, "d"), 0755));
    SAY(t, mkdir(in(t, "d"), 0755));
    SAY(t, mkdir(in(t, "none/d"), 0755));
    SAY(t, mkdir(in(t, "d/e/"), 0700));
    SAY(t, rename(in(t, "s"), in(t, "d/s")));
    SAY(t, rename(in(t, "s"), in(t, "d/s")));
    SAY(t, rename(in(t, "d"), in(t, "d/e/d")));
    SAY(t, rename(in(t, "d/s"), in(t, "d/e")));
    SAY(t, rename(in(t, "d/e"), in(t, "d/s")));
    SAY(t, rename(in(t, "f"), in(t, "d/s")));
    say_file(t, "f");
    say_file(t, "d/s");
    SAY(t, link(in(t, "d/s"), in(t, "f")));
    SAY(t, link(in(t, "d/s"), in(t, "f")));
    say_file(t, "f");
    SAY(t, rename(in(t, "f"), in(t, "d/s"))); /* The same file: nothing. */
    say_file(t, "f");
    SAY(t, rmdir(in(t, "d")));
    SAY(t, rmdir(in(t, "f")));
    SAY(t, unlink(in(t, "d/e")));
    SAY(t, unlink(in(t, "d/s")));
    SAY(t, unlink(in(t, "d/s")));
    SAY(t, access(in(t, "d/../f"), F_OK));
    SAY(t, access(in(t, "d//./e"), F_OK));
    SAY(t, access(in(t, "f/.."), F_OK));
    SAY(t, remove(in(t, "d/e")));
    say_file(t, "d");
    say_file(t, "d/");
    SAY(t, chmod(in(t, "f"), 0400));
    say_file(t, "f");
    int fd;
    SAY_FD(t, fd, open(in(t, ""), O_TMPFILE | O_WRONLY, 0600));
    char proc[64];
    snprintf(proc, sizeof proc, "/proc/self/fd/%d", fd);
    SAY(t, write(fd, "unnamed", 7));
    SAY(t, linkat(AT_FDCWD, proc, AT_FDCWD, in(t, "named"), AT_SYMLINK_FOLLOW));
    SAY(t, close(fd));
    say_file(t, "named");
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return strcmp((*a)->d_name, (*b)->d_name);
}

static void folders_are_listed(struct transcript *t)
{
    struct dirent **list;
    int n = scandir(t->dir, &list, NULL, by_name);
    for (int i = 0; i < n; i++) {
        say(t, "%s %d\n", list[i]->d_name, list[i]->d_type);
        free(list[i]);
    }
    free(list);
    SAY(t, opendir(in(t, "none")) == NULL ? -errno : 0);
    SAY(t, opendir(in(t, "f")) == NULL ? -errno : 0);
    DIR *dir = opendir(t->dir);
    int seen = 0;
    while (readdir(dir) != NULL)
        seen++;
    say(t, "%d seen\n", seen);
    SAY(t, closedir(dir));
}

static void streams_work(struct transcript *t)
{
    char line[64] = "";
    FILE *file = fopen(in(t, "text"), "we");
    SAY(t, fprintf(file, "%d lines\nlast", 2));
    SAY(t, fclose(file));
    file = fopen(in(t, "text"), "a+");
    SAY(t, fputs(" more\n", file) >= 0);
    SAY(t, fseek(file, 0, SEEK_SET));
    while (fgets(line, sizeof line, file) != NULL)
        say(t, "%s", line);
    SAY(t, ftell(file));
    SAY(t, fclose(file));
    SAY(t, fopen(in(t, "none"), "r") == NULL ? -errno : 0);
    SAY(t, fopen(in(t, "text"), "wx") == NULL ? -errno : 0);
    char *real = realpath(in(t, "d/.././text"), NULL);
    SAY(t, strcmp(real, in(t, "text")));
    free(real);
    SAY(t, realpath(in(t, "d/none"), NULL) == NULL ? -errno : 0);
}

/* As libraft asks for them: without a loop. */
static void libuv_calls(struct transcript *t)
{
    uv_fs_t req;
    uv_buf_t bufs[2] = {{"first", 5}, {"second", 6}};
    int fd = uv_fs_open(NULL, &req, in(t, "uv"), UV_FS_O_WRONLY | UV_FS_O_CREAT, 0600, NULL);
    say(t, "%s\n", fd >= 0 ? "opened" : uv_strerror(fd));
    SAY(t, uv_fs_write(NULL, &req, fd, bufs, 2, 0, NULL));
    SAY(t, uv_fs_write(NULL, &req, fd, bufs, 1, 6, NULL));
    SAY(t, uv_fs_fsync(NULL, &req, fd, NULL));
    SAY(t, uv_fs_fdatasync(NULL, &req, fd, NULL));
    SAY(t, uv_fs_ftruncate(NULL, &req, fd, 9, NULL));
    SAY(t, uv_fs_close(NULL, &req, fd, NULL));
    SAY(t, uv_fs_stat(NULL, &req, in(t, "uv"), NULL));
    say(t, "size %d mode %o\n", (int)req.statbuf.st_size, (unsigned)req.statbuf.st_mode);
    uv_fs_req_cleanup(&req);
    SAY(t, uv_fs_rename(NULL, &req, in(t, "uv"), in(t, "uv2"), NULL));
    uv_fs_req_cleanup(&req);
    SAY(t, uv_fs_scandir(NULL, &req, t->dir, 0, NULL));
    uv_dirent_t entry;
    while (uv_fs_scandir_next(&req, &entry) == 0)
        say(t, "%s %d\n", entry.name, (int)entry.type);
    uv_fs_req_cleanup(&req);
    SAY(t, uv_fs_unlink(NULL, &req, in(t, "uv2"), NULL));
    SAY(t, uv_fs_unlink(NULL, &req, in(t, "uv2"), NULL));
    SAY(t, uv_fs_open(NULL, &req, in(t, "none"), UV_FS_O_RDONLY, 0, NULL));
}

static void direct_writes(struct transcript *t)
{
    int fd;
    SAY_FD(t, fd, open(in(t, "direct"), O_RDWR | O_CREAT, 0600));
    SAY(t, fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_DIRECT));
    void *bytes = aligned_alloc(4096, 4096);
    memset(bytes, 'x', 4096);
    SAY(t, write(fd, bytes, 4096));
    SAY(t, write(fd, bytes, 100));
    SAY(t, pwrite(fd, bytes, 512, 3));
    SAY(t, pwrite(fd, bytes, 512, 512));
    free(bytes);
    SAY(t, close(fd));
    say_file(t, "direct");
}

static void conform(struct transcript *t)
{
    reads_and_writes(t);
    opens_as_told(t);
    sizes_change(t);
    names_change(t);
    folders_are_listed(t);
    streams_work(t);
    libuv_calls(t);
    direct_writes(t);
}

static int conform_on_host(void *data)
{
    struct transcript *t = data;
    expect(mkdir(t->dir, 0755) == 0);
    conform(t);
    return 0;
}

/* Says where. */
static void assert_lines_equal(const char *text, const char *expected)
{
    while (*expected != '\0') {
        size_t len = strcspn(text, "\n"), expected_len = strcspn(expected, "\n");
        if (len != expected_len || memcmp(text, expected, len) != 0)
            fail_msg("\"%.*s\", a real one: \"%.*s\"", (int)len, text, (int)expected_len, expected);
        text += len + 1;
        expected += expected_len + 1;
    }
    assert_int_equal(*text, '\0');
}

static void behaves_as_a_real_file_system(void **state)
{
    (void)state;
    static struct transcript real, simulated;
    snprintf(real.dir, sizeof real.dir, "%s/quorate-libc-XXXXXX",
             getenv("TMPDIR") != NULL ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(real.dir));
    assert_int_equal(chmod(real.dir, 0755), 0);
    conform(&real);
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", real.dir);
    assert_int_equal(system(command), 0);

    snprintf(simulated.dir, sizeof simulated.dir, "/sim/data");
    run_on(qr_sim_host_new("conforming"), conform_on_host, &simulated);
    assert_true(real.len > 4000);
    assert_lines_equal(simulated.text, real.text);
}

/* ---- each host has its own ---- */

static int writes_its_name(void *data)
{
    FILE *file = fopen("/sim/name", "w");
    expect(file != NULL);
    expect(fputs(data, file) >= 0);
    expect(fclose(file) == 0);
    return 0;
}

static int reads_its_name(void *data)
{
    char name[16] = "";
    FILE *file = fopen("/sim/name", "r");
    expect(file != NULL);
    expect(fgets(name, sizeof name, file) != NULL);
    expect(strcmp(name, data) == 0);
    fclose(file);
    return 0;
}

static void each_host_sees_its_own_disk(void **state)
{
    (void)state;
    struct qr_sim_host *a = qr_sim_host_new("a"), *b = qr_sim_host_new("b");
    run_on(a, writes_its_name, "of a");
    run_on(b, writes_its_name, "of b");
    run_on(a, reads_its_name, "of a");
    run_on(b, reads_its_name, "of b");
    assert_int_equal(access("/sim/name", F_OK), -1);
    char name[8] = "";
    assert_int_equal(qr_sim_disk_read(b, "/sim/name", 0, name, sizeof name), 4);
    assert_string_equal(name, "of b");
    assert_int_equal(qr_sim_disk_size(a, "/sim/name"), 4);
    assert_int_equal(qr_sim_disk_size(a, "/sim/none"), -ENOENT);
}

/* ---- clocks, chance, the process ---- */

static int64_t ns_of(clockid_t id)
{
    struct timespec now;
    expect(clock_gettime(id, &now) == 0);
    return now.tv_sec * (int64_t)QR_SIM_S + now.tv_nsec;
}

static int looks_at_clocks(void *data)
{
    (void)data;
    int64_t real = ns_of(CLOCK_REALTIME), mono = ns_of(CLOCK_MONOTONIC);
    expect(real >= ZERO_NS && real < ZERO_NS + 3600 * (int64_t)QR_SIM_S);
    expect(usleep(1500) == 0);
    expect(ns_of(CLOCK_REALTIME) == real + 1500000);
    expect(nanosleep(&(struct timespec){.tv_sec = 2}, NULL) == 0);
    expect(ns_of(CLOCK_MONOTONIC) == mono + 2001500000);
    qr_sim_host()->real_skew_ns = 3600 * (int64_t)QR_SIM_S;
    expect(ns_of(CLOCK_REALTIME) == real + 3602001500000);
    expect(ns_of(CLOCK_BOOTTIME) == mono + 2001500000);
    struct timeval now;
    expect(gettimeofday(&now, NULL) == 0);
    expect(now.tv_sec == ns_of(CLOCK_REALTIME) / (int64_t)QR_SIM_S);
    expect((time)(NULL) == now.tv_sec);
    expect(uv_hrtime() == (uint64_t)ns_of(CLOCK_MONOTONIC));
    return 0;
}

static void clocks_are_the_worlds(void **state)
{
    (void)state;
    uint64_t wall_ns = qr_sim_wall_ns();
    run_on(qr_sim_host_new("clocks"), looks_at_clocks, NULL);
    assert_true(qr_sim_wall_ns() > wall_ns);
    assert_true(qr_sim_wall_ns() - wall_ns < QR_SIM_S); /* Nobody waited. */
}

struct drawn {
    uint8_t libc[16], call[16], openssl[16], key[32];
    int number;
};

static int draws(void *data)
{
    struct drawn *drawn = data;
    qr_rng_seed(&qr_sim_host()->rng, 7);
    expect(getrandom(drawn->libc, sizeof drawn->libc, 0) == sizeof drawn->libc);
    expect(syscall(SYS_getrandom, drawn->call, sizeof drawn->call, 0) == sizeof drawn->call);
    expect(RAND_bytes(drawn->openssl, sizeof drawn->openssl) == 1);
    drawn->number = (rand)();
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    size_t len = sizeof drawn->key;
    expect(key != NULL);
    expect(EVP_PKEY_get_raw_public_key(key, drawn->key, &len) == 1);
    EVP_PKEY_free(key);
    return 0;
}

static void chance_follows_from_the_seed(void **state)
{
    (void)state;
    static struct drawn a, b;
    run_on(qr_sim_host_new("draws"), draws, &a);
    run_on(qr_sim_host_new("draws too"), draws, &b);
    assert_memory_equal(&a, &b, sizeof a);
    assert_memory_not_equal(a.libc, a.call, sizeof a.libc);
    assert_memory_not_equal(a.libc, a.openssl, sizeof a.libc);
}

static int exits(void *data)
{
    int code = *(int *)data;
    if (code == 3)
        _exit(code);
    exit(code);
}

static void exit_ends_the_host_alone(void **state)
{
    (void)state;
    struct qr_sim_host *host = qr_sim_host_new("exits");
    int codes[] = {3, 4};
    for (int i = 0; i < 2; i++) {
        run_on(host, exits, &codes[i]);
        assert_int_equal(host->down, QR_SIM_EXIT);
        assert_int_equal(host->exit_code, codes[i]);
    }
}

static int looks_at_itself(void *data)
{
    (void)data;
    char text[64] = "", name[64];
    FILE *file = fopen("/proc/self/statm", "r");
    expect(file != NULL);
    expect(fgets(text, sizeof text, file) != NULL);
    expect(strcmp(text, "65536 16384 4096 64 0 32768 0\n") == 0);
    fclose(file);
    expect(gethostname(name, sizeof name) == 0);
    expect(strcmp(name, "self") == 0);
    expect(sysconf(_SC_NPROCESSORS_ONLN) == 4);
    expect(open("/etc/hostname", O_RDONLY) < 1 << 16); /* A real one. */
    return 0;
}

static void a_process_finds_the_same_in_each_run(void **state)
{
    (void)state;
    run_on(qr_sim_host_new("self"), looks_at_itself, NULL);
}

static int never_closes(void *data)
{
    (void)data;
    for (int i = 0; i < 100; i++)
        expect(open("/sim/open", O_WRONLY | O_CREAT, 0600) >= 0);
    expect(opendir("/sim") != NULL);
    FILE *file = fopen("/sim/buffered", "w");
    expect(file != NULL);
    expect(fputs("lost with the process", file) >= 0);
    return 0;
}

static int counts_descriptors(void *data)
{
    int fd = open("/sim/open", O_RDONLY);
    expect(fd == *(int *)data);
    struct stat status;
    expect(stat("/sim/buffered", &status) == 0);
    expect(status.st_size == 0);
    return 0;
}

static void the_end_of_a_process_closes_what_it_had_open(void **state)
{
    (void)state;
    struct qr_sim_host *host = qr_sim_host_new("never closes");
    run_on(host, never_closes, NULL);
    int first = (int)host->id << 20;
    run_on(host, counts_descriptors, &first);
}

int main(void)
{
    qr_sim_world(1, ZERO_NS);
    qr_sim_openssl();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(behaves_as_a_real_file_system),
        cmocka_unit_test(each_host_sees_its_own_disk),
        cmocka_unit_test(clocks_are_the_worlds),
        cmocka_unit_test(chance_follows_from_the_seed),
        cmocka_unit_test(exit_ends_the_host_alone),
        cmocka_unit_test(a_process_finds_the_same_in_each_run),
        cmocka_unit_test(the_end_of_a_process_closes_what_it_had_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
