/* storage/block_layout.h — sizes and magics of a block file, for who writes and who reads it. */
#ifndef QR_STORAGE_BLOCK_LAYOUT_H
#define QR_STORAGE_BLOCK_LAYOUT_H

#define QR_BLOCK_MAGIC        "QRBLOCK"   /* And its NUL. */
#define QR_BLOCK_FOOTER_MAGIC 0x46425251u /* "QRBF" */
#define QR_BLOCK_VERSION      2u

/* Footer: offsets of what is not read in order. */
#define QR_BLOCK_FOOTER_CRC_AT  104u
#define QR_BLOCK_FOOTER_HASH_AT 112u

/* Rows of the index. */
#define QR_BLOCK_HOST_BYTES     8u
#define QR_BLOCK_ROW_BYTES      8u
#define QR_BLOCK_PAGE_ROW_BYTES 20u

/* How a copied piece of a chunk is found: src << 2 | one of */
enum {
    QR_COPY_SAME_CHUNK, /* at src in the chunk, as it is put together */
    QR_COPY_SAME_PAGE,  /* at src in the page */
    QR_COPY_OTHER_PAGE, /* at src in the chunk's other page */
    QR_COPY_KINDS,
};

#endif
