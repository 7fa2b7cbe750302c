#!/usr/bin/env bash
# Builds the image of docker/Dockerfile and runs it as its users do, one line a check.
#
#   scripts/test-image.sh
#
# No container engine has to run: buildah builds, on a Debian 12 that mmdebstrap makes,
# and podman runs. They work in namespaces of their own, with a folder of their own, so
# that nothing is left of them. Needs root and what
# scripts/install-dependencies.sh --image installs.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

readonly IMAGE=groupnorm
readonly SIZE_LIMIT_MB=60
# Far above what a server takes to start.
readonly START_LIMIT_MS=1000
readonly PORT=50051
# As strict as an operator can be. The second one because podman otherwise puts
# writable memory at /tmp.
readonly HARDENED=(--read-only --read-only-tmpfs=false --cap-drop=all
  --security-opt=no-new-privileges)

skip() {
  echo "$1"
  exit "$EXIT_SKIPPED"
}

pass() { echo "ok    $*"; }

fail() {
  echo "FAIL  $*"
  exit 1
}

# Repeats a command for at most 30 s until it succeeds.
eventually() {
  local end=$((SECONDS + 30))
  until "$@" >"$state/last" 2>&1; do
    ((SECONDS < end)) || fail "'$*' does not succeed: $(tail -n 1 "$state/last")"
    sleep 0.05
  done
}

now_ms() { date +%s%3N; }

# --- The three stages: outside, building, running ---

outside() {
  PATH=$PATH:/usr/sbin:/sbin
  ((EUID == 0)) || skip "not root, by whom alone containers can be run without an engine"
  local tool
  for tool in mmdebstrap buildah podman runc iptables ip docker-compose; do
    command -v "$tool" >/dev/null ||
      skip "$tool is not installed: scripts/install-dependencies.sh --image"
  done
  unshare --mount --pid --net --fork true 2>/dev/null ||
    skip "namespaces cannot be made here"

  state=$(mktemp --directory)
  cgroups >"$state.cgroups"
  inside=
  trap 'exit 130' INT TERM
  trap clean_up EXIT
  # What is mounted and started inside ends with its first process.
  unshare --mount --pid --fork --kill-child --mount-proc "$0" --build "$state" &
  inside=$!
  local status=0
  wait "$inside" || status=$?
  inside=  # From now on that number may be another process's.
  exit "$status"
}

# Those that podman makes, by whichever run.
cgroups() {
  { find /sys/fs/cgroup -type d -path '*/libpod_parent*' 2>/dev/null || true; } | sort
}

clean_up() {
  local status=$?
  if [[ $inside ]]; then
    # Its child is the first process of the namespaces: as that ends, all others have,
    # and unshare ends as well. Where it has none yet, itself.
    kill -KILL $(<"/proc/$inside/task/$inside/children") 2>/dev/null ||
      kill -KILL "$inside" || true
    wait "$inside" || true
  fi
  # Those that this run left. Of others' only what is not in use could be removed, and
  # what was there before is not even tried.
  cgroups | comm -13 "$state.cgroups" - | sort --reverse | xargs --no-run-if-empty rmdir \
    2>/dev/null || true
  rm --recursive --force --one-file-system "$state" "$state.cgroups"
  exit "$status"
}

# What podman and runc write beside their own folder goes there as well.
cover() {
  local name=${1//\//_}
  mkdir -p "$state/cover/$name" "$state/cover/work$name"
  mount -t overlay \
    -o "lowerdir=$1,upperdir=$state/cover/$name,workdir=$state/cover/work$name" \
    groupnorm-image "$1" || skip "no overlay can be mounted over $1"
}

configure_tools() {
  cat >"$state/storage.conf" <<END
[storage]
driver = "overlay"
graphroot = "$state/graph"
runroot = "$state/run"
END
  cat >"$state/containers.conf" <<END
[engine]
cgroup_manager = "cgroupfs"
runtime = "runc"
events_logger = "file"
tmp_dir = "$state/libpod"
[network]
network_config_dir = "$state/networks"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
END
  cat >"$state/registries.conf" <<'END'
short-name-mode = "disabled"
[aliases]
"debian" = "localhost/debian"
END
  mkdir "$state/networks"
  # podman would have systemd run the health checks.
  export DISABLE_HC_SYSTEMD=true
  export CONTAINERS_STORAGE_CONF=$state/storage.conf \
    CONTAINERS_CONF=$state/containers.conf \
    CONTAINERS_REGISTRIES_CONF=$state/registries.conf
}

# Stands for debian:bookworm-slim, with this machine's mirror and proxy.
make_base() {
  local mirrors
  mirrors=$(apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Created-By: Packages' 'Origin: Debian' | sort -u)
  apt-config dump | grep -E '^Acquire::(https?|Check)' >"$state/apt.conf" || true
  mmdebstrap --variant=minbase --dpkgopt=force-unsafe-io --aptopt="$state/apt.conf" \
    bookworm "$state/base.tar" ${mirrors:+-} <<<"$mirrors" >"$state/last" 2>&1 ||
    skip "no clean Debian 12 can be made: $(tail -n 1 "$state/last")"
  podman import --quiet "$state/base.tar" localhost/debian:bookworm-slim >/dev/null
  rm "$state/base.tar"
  podman run --rm --network=none debian:bookworm-slim true >"$state/last" 2>&1 ||
    skip "no container runs here: $(tail -n 1 "$state/last")"
}

build_image() {
  local cache=()
  if command -v ccache >/dev/null; then
    cache=(--volume "$(ccache --get-config cache_dir):/ccache")
    mkdir -p "$(ccache --get-config cache_dir)"
  fi
  # Without --layers, since nothing that it would keep outlives this run.
  buildah build --isolation=chroot --network=host --pull-never --format=docker \
    "${cache[@]}" --file docker/Dockerfile --tag "$IMAGE" . >"$state/build.log" 2>&1 || {
    tail -n 40 "$state/build.log"
    fail "docker/Dockerfile does not build"
  }
}

build() {
  cover /run
  cover /var/lib
  mount -t tmpfs groupnorm-image /dev/shm
  configure_tools
  local start=$SECONDS
  make_base
  pass "a clean Debian 12 to build on, made in $((SECONDS - start)) s"
  start=$SECONDS
  build_image
  pass "docker/Dockerfile builds, in $((SECONDS - start)) s"
  # The containers' network is a machine of its own.
  unshare --net "$0" --run "$state"
}

run() {
  # podman and docker-compose hand these on to their containers, and they name hosts that
  # this network has no way to.
  unset http_proxy https_proxy ftp_proxy grpc_proxy HTTP_PROXY HTTPS_PROXY FTP_PROXY GRPC_PROXY
  ip link set lo up
  image_root=$(podman image mount "$IMAGE")
  check_size
  check_contents
  check_labels
  podman network create net >/dev/null
  check_start
  check_confinement
  check_health
  check_client
  check_client_ends
  check_mistakes
  check_drain
  check_compose
}

# --- What is in the image ---

check_size() {
  local bytes mb
  bytes=$(podman image inspect --format '{{.Size}}' "$IMAGE")
  mb=$(printf '%d.%d' $((bytes / 1000000)) $((bytes / 100000 % 10)))
  ((bytes < SIZE_LIMIT_MB * 1000000)) ||
    fail "the image has $mb MB, expected less than $SIZE_LIMIT_MB MB"
  pass "the image has $mb MB, less than $SIZE_LIMIT_MB MB"
}

check_contents() {
  local found status=0
  found=$(cd "$image_root" && find . -path '*bin/*' | sort | paste -sd' ')
  [[ $found == "./usr/bin/groupnorm ./usr/bin/groupnorm-server" ]] ||
    fail "programs in the image: $found"
  podman run --rm --network=none --entrypoint=/bin/sh "$IMAGE" -c true \
    >"$state/last" 2>&1 || status=$?
  ((status == 127)) || fail "/bin/sh: exit status $status, expected 127 (not found)"
  pass "no shell, and no program but groupnorm and groupnorm-server"
  found=$(find "$image_root" -perm /6000)
  [[ ! $found ]] || fail "files with the bits of setuid or setgid: $found"
  local package packages
  mapfile -t packages < <(ls "$image_root/var/lib/dpkg/status.d")
  for package in "${packages[@]}" libcli11-dev nlohmann-json3-dev; do
    [[ -s $image_root/usr/share/doc/$package/copyright ]] ||
      fail "/usr/share/doc/$package/copyright is missing"
  done
  pass "names the ${#packages[@]} packages of its libraries; theirs and other terms are in it"
}

check_labels() {
  local labels name
  labels=$(podman image inspect --format '{{json .Labels}}' "$IMAGE")
  for name in '"title":"groupnorm"' '"description":"Group Normalization as a gRPC service"' \
    "\"version\":\"$(project_version)\"" '"licenses":"Apache-2.0"'; do
    [[ $labels == *"\"org.opencontainers.image.${name#\"}"* ]] ||
      fail "labels $labels, expected $name"
  done
  pass "labels: title, description, version $(project_version), licenses"
}

project_version() { sed -n 's/^project(groupnorm VERSION \([^ ]*\).*/\1/p' CMakeLists.txt; }

# --- The server ---

# The command line from the image, on this network but in no container.
groupnorm() { chroot "$image_root" /usr/bin/groupnorm "$@"; }

check_start() {
  podman create --name server --network net --publish "127.0.0.1:$PORT:$PORT" \
    --memory=6g "${HARDENED[@]}" "$IMAGE" >/dev/null
  local start answered process
  start=$(now_ms)
  podman start server >/dev/null &
  eventually groupnorm status --server "127.0.0.1:$PORT" --timeout=1s
  answered=$(now_ms)
  wait $!
  process=$(date --date="$(podman inspect --format '{{.State.StartedAt}}' server |
    cut -d' ' -f1,2)" +%s%3N)
  ((answered - process < START_LIMIT_MS)) ||
    fail "first answer $((answered - process)) ms after the process was started"
  pass "first answer $((answered - process)) ms after the process was started," \
    "$((answered - start)) ms after podman was told to"
}

# As the kernel sees the process.
check_confinement() {
  local pid status root
  pid=$(podman inspect --format '{{.State.Pid}}' server)
  status=$(</proc/"$pid"/status)
  [[ $status =~ Uid:.65532.65532.65532.65532 && $status =~ Gid:.65532.65532 ]] ||
    fail "not the user 65532: $status"
  pass "runs as user and group 65532, by the image's own word"
  [[ $status =~ CapPrm:.0+$'\n' && $status =~ CapEff:.0+$'\n' &&
    $status =~ CapBnd:.0+$'\n' && $status =~ NoNewPrivs:.1 ]] ||
    fail "capabilities: $(grep -E 'Cap|NoNew' <<<"$status" | paste -sd' ')"
  pass "has no capability and can gain none"
  root=$(awk '$5 == "/" { print $6 }' "/proc/$pid/mountinfo")
  [[ ,$root, == *,ro,* ]] || fail "its root is mounted $root"
  pass "its root is read-only"
}

check_health() {
  eventually podman healthcheck run server
  [[ $(podman inspect --format '{{.State.Health.Status}}' server) == healthy ]] ||
    fail "not healthy: $(podman inspect --format '{{json .State.Health}}' server)"
  pass "healthy by its own HEALTHCHECK"

  podman run --detach --name elsewhere --network net "${HARDENED[@]}" \
    --env GROUPNORM_LISTEN=127.0.0.1:1234 "$IMAGE" >/dev/null
  local said
  if said=$(podman healthcheck run elsewhere 2>&1); then
    fail "healthy though nobody answers: $said"
  fi
  podman rm --force --time 0 elsewhere >/dev/null
  pass "its HEALTHCHECK fails where the server does not answer"
}

# A container of the command line.
client() {
  podman run --rm --network net --no-healthcheck "${HARDENED[@]}" \
    --entrypoint groupnorm "$IMAGE" "$@"
}

check_client() {
  client verify --server "server:$PORT" >"$state/last" 2>&1 || {
    cat "$state/last"
    fail "the client container did not verify the server"
  }
  pass "verified by a client container: $(tail -n 1 "$state/last")"
  podman run --rm --network=none --no-healthcheck --entrypoint groupnorm "$IMAGE" \
    verify >"$state/last" 2>&1 || fail "verify: $(tail -n 1 "$state/last")"
  pass "verifies itself without a server and without a network"
}

# As the first process of its container, which no signal ends by default.
check_client_ends() {
  podman run --detach --name endless --network=none --no-healthcheck \
    --entrypoint groupnorm "$IMAGE" bench --embedded --duration=10m >/dev/null
  eventually ends_by_sigterm endless
  local status
  status=$(podman inspect --format '{{.State.ExitCode}}' endless)
  [[ $status == 143 ]] || fail "SIGTERM: a client's exit status is $status, expected 143"
  pass "SIGTERM ends a client container with exit status 143"
  podman rm endless >/dev/null
}

# Again, until the process has come so far as to hear it.
ends_by_sigterm() {
  podman kill --signal TERM "$1"
  [[ $(podman inspect --format '{{.State.Running}}' "$1") == false ]]
}

# one_line STATUS PATTERN COMMAND...: it exits so and prints one line that is so.
one_line() {
  local expected=$1 pattern=$2 status=0 output
  shift 2
  output=$("$@" 2>&1) || status=$?
  [[ $status == "$expected" && $output != *$'\n'* && $output =~ $pattern ]] ||
    fail "'$*': exit status $status, expected $expected, and: $output"
  pass "exit status $status: $output"
}

check_mistakes() {
  local container=(podman run --rm --no-healthcheck "${HARDENED[@]}")
  one_line 2 "^groupnorm-server: --max-message-bytes: '1 GB', expected bytes" \
    "${container[@]}" --network=none "$IMAGE" --max-message-bytes '1 GB'
  one_line 1 "^groupnorm-server: --listen: .*0.0.0.0:$PORT.*in use" \
    "${container[@]}" --network=container:server "$IMAGE"
  one_line 5 "^groupnorm: no answer from nobody:$PORT within 2s" \
    client status --server "nobody:$PORT" --timeout=2s
  local help
  help=$("${container[@]}" --network=none "$IMAGE" --help)
  [[ $help == "Computes Group Normalization"* ]] || fail "--help: $help"
  pass "--help: ${help%%$'\n'*}"
}

check_drain() {
  podman stop --time 40 server >/dev/null
  local status
  status=$(podman inspect --format '{{.State.ExitCode}}' server)
  [[ $status == 0 && $(podman logs server 2>&1 | tail -n 1) == *drained ]] || {
    podman logs server
    fail "SIGTERM: exit status $status, expected 0"
  }
  pass "SIGTERM drains and ends it with exit status 0"
  podman rm server >/dev/null
}

# --- docker/compose.yaml ---

compose() {
  DOCKER_HOST=unix://$state/podman.sock docker-compose --file docker/compose.yaml \
    --project-name groupnorm "$@"
}

check_compose() {
  podman system service --time=0 "unix://$state/podman.sock" &>"$state/service.log" &
  eventually test -S "$state/podman.sock"
  # What the engine does by itself where systemd or Docker runs.
  while sleep 1; do podman healthcheck run groupnorm_server_1 || true; done &>/dev/null &
  local log=$state/compose.log status
  compose up --no-build --no-color --exit-code-from client >"$log" 2>&1 || {
    cat "$log"
    fail "docker/compose.yaml does not verify"
  }
  pass "docker/compose.yaml: client, once server is healthy:" \
    "$(sed -n 's/^client_1 *| \(.* within their bounds\)/\1/p' "$log")"
  status=$(podman inspect --format '{{.State.ExitCode}}' groupnorm_server_1)
  log=$(podman logs groupnorm_server_1 2>&1)
  [[ $status == 0 && $log == *"memory: at most"* && $log != *warning* ]] ||
    fail "docker/compose.yaml: server: exit status $status, $log"
  pass "docker/compose.yaml: server: its memory fits its limit, exit status 0"
  compose down >/dev/null 2>&1
}

case "${1-}" in
  "") outside ;;
  --build | --run)
    state=$2
    "${1#--}"
    ;;
  *)
    sed -n '2,9s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac
