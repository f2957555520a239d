#include "node/page.h"

extern const char qr_page_start[], qr_page_end[];

/* The assembler puts the file between two symbols: no generated source, no limit of the compiler's
 * on strings. */
__asm__(".section .rodata\n"
        ".global qr_page_start, qr_page_end\n"
        "qr_page_start: .incbin \"" QR_SOURCE_DIR "/node/page.html\"\n"
        "qr_page_end: .byte 0\n"
        ".previous\n");

struct qr_slice qr_page(void)
{
    return qr_slice_of(qr_page_start, (size_t)(qr_page_end - qr_page_start));
}
