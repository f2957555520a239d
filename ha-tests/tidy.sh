#!/usr/bin/env bash
# tidy — a test of the source itself.
#
# usage: ha-tests/tidy.sh [ROOT]
#
# Prints one line a finding, "file:line: what is wrong; what to do", and fails if there is any.
# The rules are the functions below, one each; ha-tests/tidy-test.sh breaks each of them on purpose.
set -u
export LC_ALL=C
root=${1:-$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)}
cd "$root" || exit 2

# Everything that is, or would be, committed.
if git rev-parse --show-toplevel >/dev/null 2>&1 && [ "$(git rev-parse --show-toplevel)" = "$PWD" ]; then
    mapfile -t files < <(git ls-files --cached --others --exclude-standard | sort -u)
else
    mapfile -t files < <(find . -type f -not -path './build*' -not -path './.git/*' -printf '%P\n' | sort)
fi
present=()
for f in "${files[@]}"; do
    [ -f "$f" ] && present+=("$f")
done
mapfile -t code < <(printf '%s\n' "${present[@]}" | grep -E '\.[ch]$')
mapfile -t headers < <(printf '%s\n' "${present[@]}" | grep -E '\.h$')
# What a reader reads; captures and corpora are others' bytes.
mapfile -t text < <(printf '%s\n' "${present[@]}" |
    grep -vE '(^|/)(corpus|data|captures)/|\.(xz|zst|gz|pem|png|bin)$|^LICENSE$')

# The code without comments and the insides of strings: "file:line:code".
strip_code() {
    [ ${#code[@]} -eq 0 ] || awk '
        FNR == 1 { in_comment = 0 }
        {
            line = $0; out = ""
            while (line != "") {
                if (in_comment) {
                    end = index(line, "*/")
                    if (end == 0) { line = ""; break }
                    line = substr(line, end + 2); in_comment = 0; continue
                }
                if (match(line, /\/\*|\/\/|"([^"\\]|\\.)*"|'\''([^'\''\\]|\\.)*'\''/) == 0) {
                    out = out line; break
                }
                token = substr(line, RSTART, RLENGTH)
                out = out substr(line, 1, RSTART - 1)
                line = substr(line, RSTART + RLENGTH)
                if (token == "/*") in_comment = 1
                else if (token == "//") line = ""
                else if (out ~ /^[ \t]*#[ \t]*include/) out = out token
                else out = out "\"\""
            }
            print FILENAME ":" FNR ":" out
        }' "${code[@]}"
}

# Who may include whom: arrows only go up.
layers() {
    awk -F: '
        BEGIN {
            may["base"] = "base"
            may["proto"] = "base proto"
            may["storage"] = "base storage"
            may["cluster"] = "base cluster"
            may["node"] = "base proto storage cluster node"
        }
        match($3, /#[ \t]*include[ \t]*"[^"]*"/) {
            path = substr($3, RSTART, RLENGTH)
            sub(/^[^"]*"/, "", path); sub(/".*/, "", path)
            from = $1; sub(/\/.*/, "", from)
            to = path
            if (sub(/\/.*/, "", to) == 0) {
                print $1 ":" $2 ": \"" path "\" is not rooted at the top; write \"" from "/" path "\""
                next
            }
            if (!(from in may))
                next
            allowed = " " may[from] " "
            if ($1 ~ /\/tests\//)
                allowed = allowed "testing "
            if (index(allowed, " " to " ") == 0)
                print $1 ":" $2 ": " from " may not include " to "; see the layers in ARCHITECTURE.md"
        }' <<<"$stripped"
}

banned_calls() {
    awk -F: '{
        line = $0; sub(/^[^:]*:[^:]*:/, "", line); line = " " line
        while (match(line, /[^A-Za-z0-9_.>](strcpy|strcat|sprintf|vsprintf|gets|strtok|atoi|atol|atof|rand|srand|random|time)[ \t]*\(/)) {
            name = substr(line, RSTART + 1, RLENGTH - 1); sub(/[ \t]*\(/, "", name)
            print $1 ":" $2 ": " name "() is banned; base/ has what to use instead"
            line = substr(line, RSTART + RLENGTH)
        }
    }' <<<"$stripped"
}

every_module_has_a_test() {
    local f folder module
    for f in "${code[@]}"; do
        [[ $f =~ ^((base|proto|storage|cluster|node|testing)(/[a-z]+)?)/([a-z0-9_]+)\.c$ ]] || continue
        folder=${BASH_REMATCH[1]} module=${BASH_REMATCH[4]}
        [[ $folder != */tests ]] || continue
        [ -f "$folder/$module.h" ] || continue # a program, or a part of one: see ha-tests
        grep -qE '^int main\(' "$f" && continue
        [ -f "$folder/tests/${module}_test.c" ] && continue
        # A part of another module (link_frame of link), or covered by a neighbour's test.
        [ -f "$folder/tests/${module%_*}_test.c" ] && continue
        grep -qsF "#include \"$folder/$module.h\"" "$folder"/tests/*_test.c && continue
        # A test of several modules names those it is for: "Tests also: catalog, head."
        grep -qsE "Tests also: (.*[ ,])?${module}[.,]" "$folder"/tests/*_test.c && continue
        echo "$f:1: no test; write $folder/tests/${module}_test.c"
    done
}

every_fuzz_target_has_a_corpus() {
    local f corpus
    for f in "${code[@]}"; do
        [[ $f =~ ^([a-z/-]+)/tests/([a-z0-9_]+)_fuzz\.c$ ]] || continue
        corpus=${BASH_REMATCH[1]}/tests/corpus/${BASH_REMATCH[2]}
        [ -n "$(ls -A "$corpus" 2>/dev/null)" ] || echo "$f:1: no corpus; put examples in $corpus/"
    done
}

# "What is wrong" for each line of the text files that matches a pattern.
no_line_with() { # pattern, sentence
    grep -nE -e "$1" -- "${text[@]}" /dev/null | sed -E "s|^([^:]*:[0-9]+):.*|\1: $2|"
}

nothing_left_for_later() {
    no_line_with '\b(TO''DO|FIX''ME)\b' 'left for later; do it, or open an issue'
}

no_private_places() {
    no_line_with '(\.\./|/work/)sha''red\b|/work/(wt|main)\b' \
        'names a place outside the repository; copy what is needed into it'
}

no_registry_hosts() {
    no_line_with '\b(deb|ftp|security|snapshot)[.]debian[.]|\barchive[.]ubuntu[.]|\bpypi[.]org|\bnpmjs[.]|\bcrates[.]io|\bproxy[.]golang[.]|\b(docker|ghcr|quay)[.]io' \
        'names a package registry; use what the machine is set up with'
}

run_bits() {
    local f
    for f in "${present[@]}"; do
        if [ "$(head -c 2 -- "$f" | tr -d '\0')" = '#!' ]; then
            [ -x "$f" ] || echo "$f:1: starts with #! and cannot be run; chmod +x it"
        elif [ -x "$f" ]; then
            echo "$f:1: has a run bit and does not start with #!; chmod -x it"
        fi
    done
}

no_long_files() {
    local f lines
    for f in "${code[@]}"; do
        lines=$(wc -l <"$f")
        [ "$lines" -le 1200 ] || echo "$f:1: $lines lines; is it still one job?"
    done
}

headers_are_contracts() {
    local f guard
    for f in "${headers[@]}"; do
        guard=QR_$(printf '%s' "${f%.h}" | tr 'a-z/.-' 'A-Z___')_H
        if [ "$(grep -m 2 -E '^#' "$f" | head -n 2)" != "#ifndef $guard"$'\n'"#define $guard" ]; then
            echo "$f:1: is not guarded by $guard"
        fi
        [[ $f == */tests/* ]] || head -n 1 "$f" | grep -qF "/* $f — " ||
            echo "$f:1: does not open with \"/* $f — \" and what it is for"
    done
}

# A relative link in a page leads to a file.
links_lead_somewhere() {
    local f n target
    while IFS=: read -r f n target; do
        target=${target#\](} target=${target%)} target=${target%%#*}
        case $target in '' | http://* | https://* | mailto:*) continue ;; esac
        [ -e "$(dirname "$f")/$target" ] || echo "$f:$n: the link to $target leads nowhere"
    done < <(printf '%s\0' "${present[@]}" | grep -zE '\.md$' | xargs -0 -r grep -HnoE '\]\([^) ]+\)')
}

shell_scripts_parse() {
    local f
    for f in "${present[@]}"; do
        head -n 1 -- "$f" | tr -d '\0' | grep -qE '^#!.*\b(ba)?sh$' || continue
        bash -n "$f" 2>&1 | sed "s|^|$f:1: |"
        if command -v shellcheck >/dev/null; then
            shellcheck -x -f gcc "$f" | sed -E 's/^([^:]*:[0-9]+):[0-9]+/\1/'
        fi
    done
}

stripped=$(strip_code)
findings=$(
    for rule in layers banned_calls every_module_has_a_test every_fuzz_target_has_a_corpus \
        nothing_left_for_later no_private_places no_registry_hosts run_bits no_long_files \
        headers_are_contracts links_lead_somewhere shell_scripts_parse; do
        $rule
    done
)
if [ -n "$findings" ]; then
    printf '%s\n' "$findings"
    echo "tidy: $(wc -l <<<"$findings") findings"
    exit 1
fi
echo "tidy: ${#present[@]} files, nothing to say"
