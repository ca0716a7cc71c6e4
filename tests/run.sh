#!/bin/bash
# tests/run.sh [GROUP...] -- runs the tests that `make test` built; the last line totals them.
#
# Groups: c (tests/c, cmocka), fuzz (replay of the committed corpora), quick (the program from the
# shell), lua (tests/lua) and e2e (tests/e2e), both busted inside iza. Every file is a process of
# its own with a time limit, speaks TAP, and its whole output is shown when anything in it failed.
# A process that dies counts as a failure, and so does one that ran no test.
#
# Environment: B (the build's directory), IZA (the program, absolute), QUICK=1 (leave out what needs
# more than the build packages, and e2e, and say so), ONLY=text (only files whose name holds it).
set -u
cd "$(dirname "$0")/.."
export LC_ALL=C.UTF-8
export B=${B:-build/release} IZA=${IZA:-$PWD/iza}
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0}
export LSAN_OPTIONS=${LSAN_OPTIONS:-suppressions=$PWD/tests/lsan.supp:print_suppressions=0}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
export LIMIT=${LIMIT:-480} # seconds a file may take; c/test_oom takes the longest by far
export RESULTS
RESULTS=$(mktemp -d)
trap 'rm -rf "$RESULTS"' EXIT

command_of() { # KIND FILE -> the command that runs it
  case $1 in
    c) echo "$B/tests/c/$(basename "$2" .c)" ;;
    fuzz) echo "$B/tests/fuzz/$2 tests/fuzz/corpus/$2" ;;
    quick) echo "sh $2" ;;
    *) echo "$IZA tests/run.lua $2" ;;
  esac
}

say_that_it_runs() { # NAME: after a while, and once more; its sleep is bash's own, ends with it
  local never
  exec {never}<> <(:)
  read -rt 2 -u "$never"
  echo "...     $1 is running"
  read -rt 60 -u "$never"
  echo "...     $1 still runs"
}

one() { # KIND FILE: runs it, prints one line, leaves "PASSED FAILED SKIPPED" in $RESULTS
  local kind=$1 file=$2 name log started watcher code passed failed took skipped
  name=$kind/$(basename "${file%.*}")
  log=$RESULTS/${name//\//-}
  started=${EPOCHREALTIME/./}
  say_that_it_runs "$name" &
  watcher=$!
  CMOCKA_MESSAGE_OUTPUT=TAP timeout -k 5 "$LIMIT" $(command_of "$kind" "$file") \
    >"$log.out" 2>&1 </dev/null
  code=$?
  { kill "$watcher" && wait "$watcher"; } 2>/dev/null
  took=$(((${EPOCHREALTIME/./} - started) / 100000))
  passed=$(grep '^ok ' "$log.out" | grep -vc '# SKIP')
  skipped=$(grep '^ok ' "$log.out" | grep -c '# SKIP')
  failed=$(grep -c '^not ok ' "$log.out")
  if [ "$failed" = 0 ] && { [ "$code" != 0 ] || [ "$passed" = 0 ]; }; then
    failed=1
    case $code in
      0) echo "# no test ran" ;;
      124 | 137) echo "# still running after $LIMIT s: stopped" ;;
      *) echo "# ended with exit code $code" ;;
    esac >>"$log.out"
  fi
  echo "$passed $failed $skipped" >"$log.count"
  if [ "$failed" = 0 ]; then
    printf 'ok      %-28s %4d passed  %d.%d s\n' "$name" "$passed" $((took / 10)) $((took % 10))
    grep '^ok .*# SKIP' "$log.out" | sed 's/^ok/skipped/'
  else
    printf -- '---- %s ----\n%s\nFAILED  %-28s %4d passed, %d failed\n' \
      "$name" "$(cat "$log.out")" "$name" "$passed" "$failed"
  fi
}
export -f one say_that_it_runs command_of

files() { # GROUP -> its files, one a line
  case $1 in
    c) ls tests/c/test_*.c ;;
    fuzz) ls tests/fuzz/fuzz_*.c | sed 's/.*fuzz_\(.*\)\.c/\1/' ;;
    quick) ls tests/quick.sh ;;
    lua | e2e) ls tests/"$1"/*_spec.lua ;;
  esac 2>/dev/null | grep -F -- "${ONLY:-}"
}

has() { dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null | grep -qx installed; }

left_out() { # GROUP -> why QUICK leaves it out; nothing when it runs
  [ -n "${QUICK:-}" ] || return
  case $1 in
    c) has libcmocka-dev || echo "tests/c needs libcmocka-dev" ;;
    lua) has lua-busted || echo "tests/lua needs lua-busted" ;;
    e2e) echo "tests/e2e takes longer and needs the test packages" ;;
  esac
}

note=()
for group in "${@:-c fuzz quick lua e2e}"; do
  for g in $group; do
    why=$(left_out "$g")
    [ -z "$why" ] || { note+=("$why") && continue; }
    # End-to-end files start servers and measure behaviour under load: one at a time.
    at_once=2
    [ "$g" = e2e ] && at_once=1
    files "$g" | xargs -r -P "$at_once" -I{} bash -c "one $g {}"
  done
done

[ ${#note[@]} = 0 ] || printf 'left out by QUICK=1: %s\n' "${note[@]}"
cat "$RESULTS"/*.count 2>/dev/null | awk '
  { passed += $1; failed += $2; skipped += $3 }
  END { if (skipped) printf "%d skipped: this machine does not allow them\n", skipped
    printf "%d passed, %d failed\n", passed, failed; exit passed == 0 || failed > 0 }'
