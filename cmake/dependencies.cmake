# The libraries Quorate stands on, all of them Debian packages.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
pkg_check_modules(UV REQUIRED IMPORTED_TARGET libuv>=1.44)
pkg_check_modules(OPENSSL REQUIRED IMPORTED_TARGET openssl>=3.0)
pkg_check_modules(LZ4 REQUIRED IMPORTED_TARGET liblz4)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd)
pkg_check_modules(BROTLIDEC REQUIRED IMPORTED_TARGET libbrotlidec)
pkg_check_modules(BROTLIENC REQUIRED IMPORTED_TARGET libbrotlienc)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(JANSSON REQUIRED IMPORTED_TARGET jansson)
pkg_check_modules(INIH REQUIRED IMPORTED_TARGET inih)
pkg_check_modules(ZLIB REQUIRED IMPORTED_TARGET zlib)
pkg_check_modules(CURL REQUIRED IMPORTED_TARGET libcurl)
pkg_check_modules(CMOCKA REQUIRED IMPORTED_TARGET cmocka)
pkg_check_modules(RAFT REQUIRED IMPORTED_TARGET raft)

# Exactly 0.22.1: cluster/guard reaches into struct raft and mends ten defects of this release
# (docs/decisions/0002).  Debian 12's own 0.15.0 loses acknowledged data.
if(NOT RAFT_VERSION VERSION_EQUAL 0.22.1)
  message(FATAL_ERROR
    "Quorate needs libraft 0.22.1, this machine has ${RAFT_VERSION}.  On Debian 12 install "
    "libraft-dev from bookworm-backports (./deploy/run-local does it).")
endif()
