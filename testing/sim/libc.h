/* testing/sim/libc.h — the libc of the simulated world, and the way past it.
 *
 * testing/sim/libc*.c define the calls of libc that touch files, clocks, chance and the process, in
 * the simulator's executable, so that they are also what libraft, libuv and OpenSSL call.  For
 * paths below /sim, for false descriptors and for the code of a host they are testing/sim/fd and
 * sched; for all others the kernel's.  Clocks are the world's always.  Sockets are another's. */
#ifndef QR_TESTING_SIM_LIBC_H
#define QR_TESTING_SIM_LIBC_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Must be called before anything of OpenSSL is: its chance is then the host's or the world's. */
void qr_sim_openssl(void);

/* The real time that has passed, and the processor's: for those who measure the simulator. */
uint64_t qr_sim_wall_ns(void);
uint64_t qr_sim_cpu_ns(void);

/* ---- for testing/sim/libc*.c ---- */

/* The kernel itself; -errno. */
static inline long qr_sim_kernel(long number, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    register long x5 __asm__("x5") = f;
    __asm__ volatile("svc 0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory");
    return x0;
#else
#error "the simulator knows no way past libc on this machine"
#endif
}

/* As libc answers: -1 and errno. */
static inline long qr_sim_answer(long result)
{
    if (result < 0 && result > -4096) {
        errno = (int)-result;
        return -1;
    }
    return result;
}

/* libraft's asynchronous input and output: io_setup and the like, by its number.  false: not one of
 * them. */
bool qr_sim_aio(long number, const long arguments[6], long *result);
void qr_sim_random(void *bytes, size_t len);
/* What the host whose code runs would read there in /proc; NULL: the real file. */
const char *qr_sim_proc_text(const char *path);

#endif
