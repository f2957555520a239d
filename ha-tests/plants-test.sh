#!/usr/bin/env bash
# Of the planted bugs (base/plant.h) nothing is in what is shipped.
#
# usage: ha-tests/plants-test.sh PLANTED PRODUCT...
#
# PLANTED is a program that has them: what is searched for must be found there.
set -u
export LC_ALL=C
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
planted=$1
shift
mapfile -t names < <(sed -nE 's/^ +X\(([a-z0-9_]+)\).*/\1/p' "$root/base/plant.h")
[ ${#names[@]} -ge 12 ] || { echo "FAILED: base/plant.h has ${#names[@]} plants"; exit 1; }

# Symbols, sections and texts that come of them; DWARF names the enum everywhere and is no code.
traces() { # file
    nm "$1" 2>/dev/null | grep -E '\bqr_plant|qr_site'
    readelf -WS "$1" 2>/dev/null | grep -oE '\bqr_plant_sites'
    strings -d "$1" | grep -xF "$(printf '%s\n' "${names[@]}")"
}

failed=0
found=$(traces "$planted")
for what in qr_plant_is_on qr_plant_sites "${names[@]}"; do
    grep -qF "$what" <<<"$found" || { echo "FAILED: $planted has no $what"; failed=1; }
done
for file in "$@"; do
    found=$(traces "$file")
    [ -z "$found" ] || { echo "FAILED: $file has:"; echo "$found"; failed=1; }
done
[ $failed -eq 0 ] && echo "${#names[@]} plants, none of them in: $*"
exit $failed
