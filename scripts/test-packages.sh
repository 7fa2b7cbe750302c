#!/usr/bin/env bash
# Installs each package of scripts/package.sh alone on a clean Debian 12, tries it and
# purges it again; then all of them together. One line a check.
#
#   scripts/test-packages.sh
#
# Needs root and what scripts/install-dependencies.sh --test installs.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

readonly PACKAGES=(groupnorm-server groupnorm libgroupnorm-dev)
# What the checks need themselves; the packages have to bring along everything else.
# ca-certificates for mirrors behind TLS.
readonly TOOLS=ca-certificates,systemd,g++,cmake,make,pkg-config
readonly UNIT=groupnorm-server.service
# Seen from the clean system.
readonly SOCKET=/tmp/socket
readonly QUICKSTART=/tmp/quickstart
# Far above what a server takes to start.
readonly START_LIMIT_S=30

skip() {
  echo "$1"
  exit "$EXIT_SKIPPED"
}

pass() { echo "ok    $*"; }

fail() {
  echo "FAIL  $*"
  exit 1
}

# Shows what a command printed only where it fails.
quietly() {
  "$@" >"$state/last" 2>&1 </dev/null || {
    tail -n 40 "$state/last"
    fail "'$*'"
  }
}

clean_up() {
  local status=$?
  if [[ $server ]]; then
    kill -KILL "$server" && wait "$server" || true
  fi 2>/dev/null
  rm --recursive --force --one-file-system "$state"
  exit "$status"
}

# With this machine's mirror and proxy.
make_root() {
  local mirrors start=$SECONDS
  mirrors=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' | sort -u)
  apt-config dump | grep -E '^Acquire::(https?|Check)' >"$state/apt.conf" || true
  # Otherwise a dependency stays, after the package, where one of the tools recommends it.
  echo 'APT::AutoRemove::RecommendsImportant "false";' >>"$state/apt.conf"
  mmdebstrap --variant=apt --include="$TOOLS" --skip=cleanup/apt/lists \
    --dpkgopt=force-unsafe-io --aptopt="$state/apt.conf" \
    bookworm "$root" ${mirrors:+-} <<<"$mirrors" >"$state/last" 2>&1 || {
    # By then nothing has been asked for but the mirror's lists.
    if grep -q '^E: apt-get update .* failed' "$state/last" &&
      grep '^E: Failed to fetch' "$state/last" >"$state/unreached"; then
      skip "no Debian mirror is reached: $(tail -n 1 "$state/unreached")"
    fi
    tail -n 40 "$state/last"
    fail "no clean Debian 12 can be made with $TOOLS"
  }
  mkdir "$root/tmp/packages"
  cp -r client/quickstart "$root$QUICKSTART"
  files >"$state/before"
  pass "a clean Debian 12, made in $((SECONDS - start)) s"
}

# Without what programs keep for themselves: caches, logs, lists of packages.
files() {
  (cd "$root" && find . -xdev \
    '(' -path ./dev -o -path ./proc -o -path ./run -o -path ./sys -o -path ./tmp \
    -o -path ./var/cache -o -path ./var/log -o -path ./var/lib/apt \
    -o -path ./var/lib/dpkg -o -name __pycache__ ')' -prune -o -print | sort)
}

inside() {
  chroot "$root" env --ignore-environment DEBIAN_FRONTEND=noninteractive LC_ALL=C \
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

# --- Packages ---

# Prints where the one file of a package is, seen from the clean system.
deb_of() {
  local found=(build/packages/"$1"_*.deb)
  ((${#found[@]} == 1)) && [[ -f ${found[0]} ]] ||
    fail "packages of the name $1: ${found[*]}, expected one" >&2
  cp "${found[0]}" "$root/tmp/packages"
  echo "/tmp/packages/${found[0]##*/}"
}

# They get from the mirror what they depend on, and nothing that they only recommend.
install() {
  local package debs=()
  for package; do debs+=("$(deb_of "$package")"); done
  quietly inside apt-get install --yes --no-install-recommends "${debs[@]}"
  for package; do
    [[ -s $root/usr/share/doc/$package/copyright ]] ||
      fail "$package: /usr/share/doc/$package/copyright is missing"
  done
  pass "$*: installs with apt-get"
}

purge() {
  quietly inside apt-get purge --yes --auto-remove "$@"
  files | diff "$state/before" - >"$state/last" || {
    cat "$state/last"
    fail "$*: purging leaves the files with >, or takes away those with <"
  }
  pass "$*: purging leaves nothing behind"
}

# --- The server ---

start_server() {
  rm -f "$root$SOCKET"  # Of an earlier one, which is not to be taken for this one.
  chroot "$root" env --ignore-environment /usr/bin/groupnorm-server --listen="unix:$SOCKET" --log-level=warning \
    --drain-delay=0s >"$state/server.log" 2>&1 &
  server=$!
  local end=$((SECONDS + START_LIMIT_S))
  until test -S "$root$SOCKET"; do
    kill -0 "$server" 2>/dev/null ||
      fail "the server ended at its start: $(tail -n 1 "$state/server.log")"
    ((SECONDS < end)) || fail "the server does not listen within $START_LIMIT_S s"
    sleep 0.05
  done
}

stop_server() {
  local status=0
  kill "$server"
  wait "$server" || status=$?
  server=  # From now on that number may be another process's.
  ((status == 0)) ||
    fail "SIGTERM: exit status $status, expected 0: $(tail -n 1 "$state/server.log")"
}

check_server() {
  start_server
  stop_server
  pass "groupnorm-server: starts, and ends by SIGTERM"
  inside systemd-analyze verify "/lib/systemd/system/$UNIT" >"$state/last" 2>&1 ||
    fail "$UNIT: $(<"$state/last")"
  [[ ! -s $state/last ]] || fail "$UNIT: $(<"$state/last")"
  pass "$UNIT: systemd-analyze verify has nothing to say"
  check_maintainer_scripts
}

# No systemd runs in the clean system: one is played that notes what it is told.
check_maintainer_scripts() {
  local deb
  deb=$(deb_of groupnorm-server)
  mkdir -p "$root/run/systemd/system"
  cat >"$root/usr/local/bin/systemctl" <<'END'
#!/bin/sh
echo "$@" >>/tmp/told
END
  chmod +x "$root/usr/local/bin/systemctl"

  expect_told "try-restart $UNIT" dpkg --install "$deb"
  pass "groupnorm-server: an upgrade restarts a server that runs"
  expect_told "disable --now $UNIT" dpkg --purge groupnorm-server
  pass "groupnorm-server: a removal stops it"
  expect_told "" dpkg --install "$deb"
  pass "groupnorm-server: an installation starts nothing"

  rm -r "$root/usr/local/bin/systemctl" "$root/run/systemd/system"
}

# expect_told WHAT COMMAND...: beside reading its units anew, systemd is told that.
expect_told() {
  local told expected=$1
  shift
  : >"$root/tmp/told"
  quietly inside "$@"
  grep -qx daemon-reload "$root/tmp/told" || fail "'$*': no systemctl daemon-reload"
  told=$(grep -vx daemon-reload "$root/tmp/told" || true)
  [[ $told == "$expected" ]] || fail "'$*': systemctl $told, expected '$expected'"
}

# --- The command line ---

check_cli() {
  quietly inside groupnorm verify
  pass "groupnorm: verifies itself: $(tail -n 1 "$state/last")"
}

# --- The library ---

check_library() {
  quietly inside cmake -S "$QUICKSTART" -B "$QUICKSTART/build" -DCMAKE_BUILD_TYPE=Release
  quietly inside cmake --build "$QUICKSTART/build"
  pass "libgroupnorm-dev: the quick start builds with CMake"
  quietly inside sh -c "g++ -std=c++20 $QUICKSTART/quickstart.cc \
    -o $QUICKSTART/with-pkg-config \$(pkg-config --cflags --libs groupnorm)"
  pass "libgroupnorm-dev: the quick start builds with pkg-config"
}

# --- All together ---

check_together() {
  start_server
  quietly inside groupnorm verify --server "unix:$SOCKET"
  pass "groupnorm: verifies groupnorm-server: $(tail -n 1 "$state/last")"
  local program
  for program in build/quickstart with-pkg-config; do
    quietly inside "$QUICKSTART/$program" "unix:$SOCKET"
    [[ $(<"$state/last") == "-1.34164 -0.447212 0.447212 1.34164 "* ]] ||
      fail "$program printed: $(<"$state/last")"
    pass "libgroupnorm-dev: groupnorm-server answers the quick start, $program"
  done
  stop_server
}

((EUID == 0)) || skip "not root, which a clean system has to be made by"
command -v mmdebstrap >/dev/null || skip "mmdebstrap is not installed"

state=$(mktemp --directory)
root=$state/root
server=
trap 'exit 130' INT TERM
trap clean_up EXIT

quietly scripts/package.sh
pass "scripts/package.sh: $(grep -o '[^/]*\.deb$' "$state/last" | paste -sd' ')"
make_root

install groupnorm-server
check_server
purge groupnorm-server
install groupnorm
check_cli
purge groupnorm
install libgroupnorm-dev
check_library
purge libgroupnorm-dev
install "${PACKAGES[@]}"
check_together
purge "${PACKAGES[@]}"
