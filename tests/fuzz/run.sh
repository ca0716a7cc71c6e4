#!/bin/bash
# tests/fuzz/run.sh NAME... -- fuzzes each target for SECONDS_EACH, two at a time; the small
# parsers, which are explored sooner, for a quarter of it, beside the last of the others.
#
# New inputs go to build/fuzz/corpus/NAME; an input that fails is kept in build/fuzz/failed/ and its
# report shown. Copy it into tests/fuzz/corpus/NAME/ with the fix: from then on it is replayed.
set -u
cd "$(dirname "$0")/../.."
SECONDS_EACH="${SECONDS_EACH:-30}"

# The targets that get the whole time.
long=(copy csv http json sse)

one() {
  name=$1 seconds=$2
  out=build/fuzz/$name.log
  mkdir -p "build/fuzz/corpus/$name" build/fuzz/failed
  # Leaks are looked for at the end: after each input it costs a Lua state nearly all its speed.
  args=(-detect_leaks=0 -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024
    -print_final_stats=1 -artifact_prefix="build/fuzz/failed/$name-")
  [ -f "tests/fuzz/$name.dict" ] && args+=(-dict="tests/fuzz/$name.dict")
  if "build/fuzz/bin/$name" "${args[@]}" "build/fuzz/corpus/$name" "tests/fuzz/corpus/$name" \
    >"$out" 2>&1 </dev/null; then
    echo "ok      fuzz $name: $(awk '/number_of_executed_units/ { print $2 }' "$out") inputs in" \
      "$seconds s"
  else
    cat "$out"
    echo "FAILED  fuzz $name"
    return 1
  fi
}
export -f one

[ $# -gt 0 ] || { echo "no fuzz targets" >&2 && exit 1; }
echo "fuzzing $*: $SECONDS_EACH s each, small ones a quarter, two at a time"
short=$(((SECONDS_EACH + 3) / 4))
for name in "$@"; do
  [[ " ${long[*]} " == *" $name "* ]] && echo "$SECONDS_EACH $name" || echo "$short $name"
done | sort -rn | xargs -P 2 -L 1 bash -c 'one "$2" "$1"' _
