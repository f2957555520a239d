#!/usr/bin/env bash
# Breaks each rule of tidy in a small tree of its own and sees that tidy says so, and nothing else.
set -u
tidy=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/tidy.sh
tree=$(mktemp -d) || exit 1
trap 'rm -rf "$tree"' EXIT
failed=0

sound_tree() {
    rm -rf "${tree:?}"/*
    mkdir -p "$tree"/{base,proto,node,testing}/tests "$tree/base/tests/corpus/list" "$tree/docs"
    printf '/* base/list.h — a list. */\n#ifndef QR_BASE_LIST_H\n#define QR_BASE_LIST_H\n#endif\n' \
        >"$tree/base/list.h"
    printf '#include "base/list.h"\n\nint x;\n' >"$tree/base/list.c"
    printf '#include "base/list.h"\n#include "testing/cmocka.h"\n' >"$tree/base/tests/list_test.c"
    printf '#include "base/list.h"\n' >"$tree/base/tests/list_fuzz.c"
    echo example >"$tree/base/tests/corpus/list/one"
    # Words that only look like findings: in comments, in strings, as parts of names.
    printf '/* time() and sprintf( are banned */\nchar *s = "atoi(x) // ";\nint f(void);\nint a = my_rand(1) + c->time(2);\nint main(void)\n' \
        >"$tree/node/main.c"
    printf 'See [the list](../base/list.h) and [elsewhere](https://example.org/x).\n' >"$tree/docs/a.md"
    printf '#!/bin/sh\nexit 0\n' >"$tree/docs/run.sh"
    chmod +x "$tree/docs/run.sh"
}

# The sound tree plus one slip: exactly one line, and it holds the text.
expect() { # what it should say
    local said
    said=$("$tidy" "$tree")
    local status=$?
    if [ $status -ne 1 ] || [ "$(wc -l <<<"$said")" -ne 2 ] || ! grep -qF -- "$1" <<<"$said"; then
        echo "FAILED: expected one finding with \"$1\", got (exit $status):"
        echo "$said"
        failed=1
    fi
    sound_tree
}

sound_tree
if ! said=$("$tidy" "$tree"); then
    echo "FAILED: the sound tree is not sound:"
    echo "$said"
    failed=1
fi

echo '#include "proto/words.h"' >>"$tree/base/list.c"
expect "base/list.c:4: base may not include proto"
echo '#include "testing/cmocka.h"' >>"$tree/base/list.c"
expect "base/list.c:4: base may not include testing"
echo '#include "list.h"' >>"$tree/base/list.c"
expect 'base/list.c:4: "list.h" is not rooted'
for call in 'strcpy(a, b)' 'sprintf (a, b)' 'strtok(a, b)' 'atoi(a)' 'rand()' 'time(NULL)'; do
    echo "int y = $call;" >>"$tree/base/list.c"
    expect "base/list.c:4: ${call%%[ (]*}() is banned"
done
echo 'int f(void);' >"$tree/proto/words.c"
sed 's/BASE_LIST/PROTO_WORDS/; s|base/list|proto/words|' "$tree/base/list.h" >"$tree/proto/words.h"
expect "proto/words.c:1: no test"
rm "$tree"/base/tests/corpus/list/*
expect "base/tests/list_fuzz.c:1: no corpus"
echo "/* TO""DO: finish */" >>"$tree/base/list.c"
expect "base/list.c:4: left for later"
echo "see ../sha""red/notes" >>"$tree/docs/a.md"
expect "docs/a.md:2: names a place outside"
echo "from deb.deb""ian.org" >>"$tree/docs/a.md"
expect "docs/a.md:2: names a package registry"
chmod -x "$tree/docs/run.sh"
expect "docs/run.sh:1: starts with #!"
chmod +x "$tree/docs/a.md"
expect "docs/a.md:1: has a run bit"
seq 1300 | sed 's|.*|// &|' >>"$tree/base/list.c"
expect "base/list.c:1: 1303 lines"
sed -i 's/LIST_H/LSIT_H/' "$tree/base/list.h"
expect "base/list.h:1: is not guarded by QR_BASE_LIST_H"
sed -i '1s/.*/\/* a list *\//' "$tree/base/list.h"
expect "base/list.h:1: does not open with"
echo '[gone](gone.md)' >>"$tree/docs/a.md"
expect "docs/a.md:2: the link to gone.md leads nowhere"

[ $failed -eq 0 ] && echo "tidy's rules: each breach was found"
exit $failed
