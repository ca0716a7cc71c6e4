#!/bin/sh
# The packages this project needs, and the one way to get them.
#
#   .ci/deps.sh check SET   fails, naming what lacks and the one command to run; installs nothing
#   .ci/deps.sh SET         installs what lacks; does nothing when all is there
#
# SET is build (to build and run), test (all that `make test` and `make lint` use) or bench (the
# peers that `make bench` measures against). Packages come from Debian; bench adds npm packages by
# tests/bench/package-lock.json into .deps/. A newer version than named is always fine.
set -eu
cd "$(dirname "$0")/.."

# Below this version libevent has eight known holes.
LIBEVENT_MIN=2.1.12-stable-8+deb12u1

BUILD='gcc libc6-dev make liblua5.4-dev lua-cjson-dev libevent-dev libcurl4-openssl-dev libssl-dev
  libedit-dev'
TEST='libcmocka-dev lua-busted lua-check luarocks lua-filesystem lua-system lua-term curl openssl
  clang clang-format clang-tidy libclang-rt-dev python3'
BENCH='wrk nginx libnginx-mod-http-lua lua5.4'

say() { printf '%s\n' "$*"; }
die() {
  printf '%s\n' "$@" >&2
  exit 1
}

command -v dpkg-query >/dev/null || die "iza builds on Debian 12 or later: dpkg-query is not here."

# Prints those of its arguments that are not installed, one line; libevent-dev counts only when new
# enough.
missing() {
  dpkg-query -W -f '${binary:Package} ${db:Status-Status} ${Version}\n' "$@" 2>/dev/null |
    awk -v want="$*" '
      $2 == "installed" { sub(/:.*/, "", $1); have[$1] = 1 }
      END { n = split(want, w); for (i = 1; i <= n; i++) if (!(w[i] in have)) print w[i] }' |
    tr '\n' ' '
  old_libevent && say libevent-dev || true
}

# Whether libevent-dev is installed and older than LIBEVENT_MIN.
old_libevent() {
  v=$(dpkg-query -W -f '${db:Status-Status} ${Version}' libevent-dev 2>/dev/null) || return 1
  case $v in "installed "*) ;; *) return 1 ;; esac
  dpkg --compare-versions "${v#installed }" lt "$LIBEVENT_MIN"
}

packages() { # the set, with the sets it stands on
  case $1 in
    build) say $BUILD ;;
    test) say $BUILD $TEST ;;
    bench)
      say $BUILD $BENCH
      command -v npm >/dev/null || say npm
      ;;
    *) die "unknown set '$1': build, test or bench" ;;
  esac
}

target() { [ "$1" = build ] && say deps || say "deps-$1"; }

npm_done() { cmp -s tests/bench/package-lock.json .deps/node_modules/.installed; }

check() {
  lack=$(missing $(packages "$1"))
  [ "$1" = bench ] && ! npm_done && lack="$lack npm packages of tests/bench/package-lock.json"
  [ -z "$lack" ] && return
  say "Missing for '$1': $lack" >&2
  old_libevent && say "(libevent older than $LIBEVENT_MIN has known holes and is refused)" >&2
  die "Run: make $(target "$1")"
}

apt() {
  DEBIAN_FRONTEND=noninteractive $ROOT apt-get -o DPkg::Lock::Timeout=300 -qq "$@" </dev/null
}

# Whether apt knows each of its arguments at a version we accept, without asking the network.
known() {
  apt-get -s -qq install --no-install-recommends "$@" >/dev/null 2>&1 || return 1
  case " $* " in *" libevent-dev "*) ;; *) return 0 ;; esac
  v=$(apt-cache policy libevent-dev | awk '$1 == "Candidate:" { print $2 }')
  dpkg --compare-versions "$v" ge "$LIBEVENT_MIN"
}

install() {
  lack=$(missing $(packages "$1"))
  [ -z "$lack" ] && return
  ROOT=
  if [ "$(id -u)" != 0 ]; then
    as_root="su -c \"make -C '$PWD' $(target "$1")\""
    command -v sudo >/dev/null && as_root="sudo make -C '$PWD' $(target "$1")"
    sudo -n true 2>/dev/null || die "Missing for '$1': $lack" "Installing needs root. Run: $as_root"
    ROOT='sudo -n DEBIAN_FRONTEND=noninteractive'
  fi
  say "Installing from Debian: $lack"
  known $lack || { say "Updating Debian's package lists" && apt update; }
  log=build/deps.log
  mkdir -p build
  apt install --no-install-recommends $lack >"$log" 2>&1 ||
    { apt update && apt install --no-install-recommends $lack >"$log" 2>&1; } ||
    { cat "$log" >&2 && die "apt-get could not install: $lack"; }
  lack=$(missing $(packages "$1"))
  [ -z "$lack" ] || die "Still missing after the install: $lack" \
    "Is libevent-dev $LIBEVENT_MIN or newer in reach? It comes with Debian's security updates."
}

install_npm() {
  npm_done && return
  say "Installing by npm into .deps/: $(sed -n 's/^    "\(.*\)": "\(.*\)",\{0,1\}$/\1@\2/p' \
    tests/bench/package.json | tr '\n' ' ')"
  mkdir -p .deps
  cp tests/bench/package.json tests/bench/package-lock.json .deps/
  npm ci --prefix .deps --ignore-scripts --no-audit --no-fund --loglevel=error </dev/null
  cp tests/bench/package-lock.json .deps/node_modules/.installed
}

case ${1-} in
  check) check "${2-}" ;;
  build | test) install "$1" ;;
  bench) install bench && install_npm ;;
  *) die "usage: .ci/deps.sh [check] build|test|bench" ;;
esac
