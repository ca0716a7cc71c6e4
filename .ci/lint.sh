#!/bin/bash
# The quick part of `make lint`: format, Lua, banned functions, layering, file sizes. (clang-tidy,
# the slow part, runs file by file from the Makefile.) Prints each finding with its place.
set -u
cd "$(dirname "$0")/.."
failed=0
# Reads the finding from its standard input.
bad() {
  echo "lint: $1"
  sed 's/^/  /'
  failed=1
}
# Runs a search; what it prints is a finding.
none() {
  local what=$1 found
  shift
  found=$("$@")
  [ -z "$found" ] || bad "$what" <<<"$found"
}

c_files=$(git ls-files -co --exclude-standard '*.c' '*.h')

out=$(clang-format --dry-run -Werror $c_files 2>&1) ||
  bad "not in the project's format: run clang-format -i" < <(grep error: <<<"$out")

lua_files=$(git ls-files -co --exclude-standard '*.lua' '*.rockspec')
if [ -n "$lua_files" ]; then
  out=$(luacheck --quiet --codes $lua_files 2>&1) || bad "luacheck" <<<"$out"
fi

# Functions without a bound, with hidden state, or that cannot report an error. A comment may name
# one; a call has the parenthesis.
banned='sprintf|vsprintf|strcpy|strcat|stpcpy|strncpy|strncat|gets|atoi|atol|atoll|atof|strtok'
banned="$banned|tmpnam|tempnam|mktemp|gmtime|localtime|asctime|ctime|alloca"
banned="$banned|scanf|sscanf|rand_r"
none "banned function" grep -nE "\b($banned)\(" $c_files
# Memory goes through base/alloc.h, where a test can make it fail.
none "allocate by engine/base/alloc.h" \
  grep -nE '(^|[^_[:alnum:]>.])(malloc|calloc|realloc|free|strdup|strndup|asprintf)\(' \
  $(grep -v '^engine/base/alloc' <<<"$c_files" | grep '^engine/')

# Who may include whom (design: lua/ -> */lua_*.c -> primitives -> base/), by #include "a/b.h":
# base/ sees base/; loop/ sees base/ and loop/; another primitive sees those, its own room, and
# of other rooms only the public header a/a.h. vm/, main.c and lua_*.c see all.
layering() {
  grep -nE '^#include' $c_files | grep '^engine/' | awk -F: '
    {
      file = $1; line = $3; split(file, part, "/"); room = part[2]; name = part[3]
      lua = room == "vm" || name ~ /^lua_.*\.[ch]$/ || file == "engine/main.c"
      if (line ~ /<(lua|lauxlib|lualib)\.h>/ && !lua) print file ":" $2 ": lua.h is for bindings"
      if (line !~ /"/ || lua) next
      split(line, quoted, "\""); split(quoted[2], to, "/")
      if (to[2] == "" || to[1] == room || to[1] == "base") next
      if (room != "base" && to[1] == "loop") next
      if (room != "base" && room != "loop" && to[1] != "vm" && to[2] == to[1] ".h") next
      print file ":" $2 ": " room "/ may not include " quoted[2]
    }'
}
none "layering" layering

none "over 40 KB: split it" find $(ls -d engine lua tests .ci 2>/dev/null) -size +40k \
  \( -name '*.c' -o -name '*.h' -o -name '*.lua' -o -name '*.sh' \)

scripts=$(git ls-files -co --exclude-standard '*.sh' .ci/run)
none "line over 100 columns" awk 'length > 100 { print FILENAME ":" FNR }' Makefile $scripts
for f in $scripts; do none "shell syntax" bash -c "bash -n $f 2>&1"; done

[ $failed = 0 ] && echo "lint: clean"
exit $failed
