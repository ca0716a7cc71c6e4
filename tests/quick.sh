#!/bin/sh
# tests/quick.sh -- the program as a shell sees it: arguments, streams, exit codes, modules. Needs
# only the build packages, so QUICK=1 runs it too. Speaks TAP. IZA names the program.
set -u
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1
export IZA_DATA="$dir/data" HOME="$dir"

# is NAME EXPECTED-CODE EXPECTED-OUTPUT COMMAND...: output is stdout, newlines kept as they are.
is() {
  name=$1 code=$2 want=$3
  shift 3
  [ ! -e stderr ] || mv stderr before
  got=$("$@" 2>stderr)
  status=$?
  if [ "$status" = "$code" ] && [ "$got" = "$want" ]; then
    echo "ok $name"
  else
    echo "not ok $name"
    printf 'exit code %s, expected %s\nstdout: %s\nexpected: %s\nstderr: %s\n' \
      "$status" "$code" "$got" "$want" "$(cat stderr)" | sed 's/^/#   /'
  fi
}
stdin_of() { printf '%s' "$1" | "$IZA" -; }
said() { grep -q -- "$1" before; } # the command before this one, on standard error

mkdir -p beside
echo 'print(arg[0], #arg, arg[1], ...)' >args.lua
is "a script gets its arguments" 0 "args.lua	2	x	x	y" "$IZA" args.lua x y
printf '#!/usr/bin/env iza\nprint("shebang")\n' >shebang.lua
is "a script may begin with #!" 0 shebang "$IZA" shebang.lua
is "-e runs code" 0 3 "$IZA" -e 'print(1 + 2)'
is "- reads the script from standard input" 0 in stdin_of 'print("in")'
is "os.exit sets the exit code" 7 "" "$IZA" -e 'os.exit(7)'
is "an error ends with 1" 1 "" "$IZA" -e 'error("broken here")'
is "and is told on standard error" 0 "" said 'broken here'
is "a syntax error ends with 1" 1 "" "$IZA" -e 'local = 3'
is "an unknown verb ends with 2" 2 "" "$IZA" nosuchverb
echo 'return {name = "neighbour"}' >beside/neighbour.lua
echo 'print(require("neighbour").name)' >beside/main.lua
is "require finds modules beside the script" 0 neighbour "$IZA" beside/main.lua
is "a script may wait" 0 done "$IZA" -e 'iza.sleep(0.01) print("done")'
is "tasks run side by side" 0 "b a" "$IZA" -e '
  local order = {}
  local function note(after, name) iza.sleep(after) order[#order + 1] = name end
  iza.all{function() note(0.02, "a") end, function() note(0, "b") end}
  print(table.concat(order, " "))'
is "JSON keeps integers and empty arrays" 0 '[9007199254740993,[]]' "$IZA" -e '
  print(iza.json.encode(iza.json.decode("[9007199254740993,[]]")))'
is "lua-cjson is there for rocks" 0 '[1]' "$IZA" -e 'print(require("cjson").encode({1}))'

is "version says so" 0 iza sh -c '"$IZA" version | cut -d" " -f1 | head -n 1'
echo 'local x = 1 print(y)' >globals.lua
is "check finds an unknown global" 1 "" sh -c '"$IZA" check globals.lua >&2'
is "and names its place" 0 "" said 'globals.lua:1'
