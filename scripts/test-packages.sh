#!/usr/bin/env bash
# Installs the packages of scripts/package.sh on a clean Debian 12, tries them, and
# removes them again. Needs root, mmdebstrap and a Debian mirror.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

skip() {
  echo "$1"
  exit "$EXIT_SKIPPED"
}
((EUID == 0)) || skip "not root, which a clean system has to be made by"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"

scripts/package.sh
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
packages=(groupnorm-server groupnorm libgroupnorm-dev)
# What they need comes with the system, so that only their own files are compared.
needed=$(for package in "${packages[@]}"; do
  dpkg-deb --field build/packages/"$package"_*.deb Depends
done | tr ',' '\n' | sed 's/ *(.*)//; s/ //g' | sort -u | paste -sd,)
mmdebstrap --quiet --variant=apt --include="systemd,pkg-config,g++,$needed" bookworm "$root" ||
  skip "no Debian mirror is reached from here"

files() { (cd "$root" && find etc usr lib var/lib -xdev -not -path '*/apt/*' \
  -not -path 'var/lib/dpkg/*' -not -path '*/__pycache__*' | sort); }
inside() { chroot "$root" env DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"; }

cp build/packages/*.deb client/quickstart/quickstart.cc "$root/tmp"
files >"$root/tmp/before"
inside sh -c 'dpkg --install /tmp/*.deb' >/dev/null

inside systemd-analyze verify /lib/systemd/system/groupnorm-server.service
inside sh -euc '
  groupnorm-server --listen=unix:/tmp/socket --log-level=warning &
  server=$!
  until test -S /tmp/socket; do sleep 0.1; done
  groupnorm status --server unix:/tmp/socket
  kill "$server"
  wait "$server"
  ls /usr/share/doc/groupnorm*/copyright.*
  g++ -std=c++20 /tmp/quickstart.cc -o /tmp/quickstart $(pkg-config --cflags --libs groupnorm)'

inside dpkg --purge "${packages[@]}" >/dev/null
files | diff "$root/tmp/before" - || {
  echo "the packages left these files behind, or took them away"
  exit 1
}
echo "The packages install, run and leave nothing behind."
