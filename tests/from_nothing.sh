#!/bin/bash
# tests/from_nothing.sh [test|run|all] -- proves that the README's two commands work from nothing.
#
# Makes a bare Debian 12 in build/bare (debootstrap, minbase), installs there only what the README
# names as the prerequisite, clones this checkout's HEAD into it and runs `make run`, then
# `make test`, each with its time. Takes several minutes, root, and debootstrap; no part of
# `make test`. The Debian mirror is the one this machine uses.
set -eu
cd "$(dirname "$0")/.."
[ "$(id -u)" = 0 ] || { echo "needs root: sudo $0" >&2 && exit 1; }
command -v debootstrap >/dev/null || { echo "needs: apt-get install debootstrap" >&2 && exit 1; }

root=$PWD/build/bare
mirror_of() { apt-get indextargets --format '$(REPO_URI)' "Codename: $1" | head -n 1; }
mirror=$(mirror_of bookworm)
security=$(mirror_of bookworm-security)

unmount() { for m in proc dev/pts dev/shm; do umount "$root/$m" 2>/dev/null || true; done; }
trap unmount EXIT
unmount
rm -rf --one-file-system "$root"
mkdir -p "$root"
echo "debootstrap into $root"
debootstrap --variant=minbase bookworm "$root" "$mirror" >build/bare.log 2>&1 ||
  { tail -n 20 build/bare.log >&2 && exit 1; }

cat >"$root/etc/apt/sources.list" <<END
deb $mirror bookworm main
deb $mirror bookworm-updates main
deb $security bookworm-security main
END
# The way to the mirror is this machine's: its names, its proxy, its certificates.
cp /etc/resolv.conf /etc/hosts "$root/etc/"
apt-config dump | grep -E '^Acquire::https?::(Proxy|CAInfo|Verify)' \
  >"$root/etc/apt/apt.conf.d/99mirror" || true
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
mount -t tmpfs tmpfs "$root/dev/shm"

inside() {
  chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 \
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} bash -c "$1"
}

echo "prerequisite: git make ca-certificates"
inside 'apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y \
  --no-install-recommends git make ca-certificates' >build/bare.log 2>&1 ||
  { tail -n 20 build/bare.log >&2 && exit 1; }
git clone -q --no-hardlinks . "$root/iza"

timed() {
  local started=$SECONDS
  echo "==== $1"
  inside "cd /iza && $1" || { echo "FAILED: $1" >&2 && exit 1; }
  echo "==== $1: $((SECONDS - started)) s"
}
case ${1:-all} in
  run) timed "make run" ;;
  test) timed "make test" ;;
  all) timed "make run" && timed "make test" ;;
esac
