#!/usr/bin/env bash
# From a fresh clone to verified numbers: installs what is missing, builds, starts a
# server, sends a photograph through Forward and Backward over gRPC, compares every
# number with the reference, and stops the server. The results, pictures among them,
# are left in build/demo/.
#
#   scripts/demo.sh
set -euo pipefail
cd "$(dirname "$0")/.."

readonly OUT=build/demo
readonly GROUPNORM=build/release/client/cli/groupnorm
readonly SERVER=build/release/server/groupnorm-server
readonly PHOTOGRAPH=examples/astronaut.npy

run() {
  printf '\n$ %s\n' "$*"
  "$@"
}

# The first Python that has what the examples import: another one may come before
# Debian's on the PATH.
python_with_numpy() {
  local python
  for python in python3 /usr/bin/python3; do
    if "$python" -c 'import numpy, PIL' 2>/dev/null; then
      echo "$python"
      return
    fi
  done
  echo "no python3 here has numpy and Pillow" >&2
  return 1
}

start_server() {
  printf '\n$ %s --listen 127.0.0.1:0 &\n' "$SERVER"
  coproc server { exec "$SERVER" --listen 127.0.0.1:0; }
  server_pid=$server_PID
  trap 'kill "$server_pid" 2>/dev/null || true' EXIT
  local ready
  if ! read -r -t 30 ready <&"${server[0]}"; then
    echo "the server did not say that it listens" >&2
    return 1
  fi
  echo "$ready"
  address=${ready##* }
}

stop_server() {
  printf '\n$ kill -TERM %s; wait %s\n' "$server_pid" "$server_pid"
  local status=0
  kill -TERM "$server_pid"
  wait "$server_pid" || status=$?
  trap - EXIT
  echo "The server ended with exit code $status."
  return "$status"
}

run scripts/install-dependencies.sh
run cmake --preset release
run cmake --build --preset release --target groupnorm-server groupnorm
python=$(python_with_numpy)
mkdir -p "$OUT"

start_server
run "$GROUPNORM" status --server "$address"

# Each colour is a group of its own.
run "$GROUPNORM" forward "$PHOTOGRAPH" --num-groups 3 --server "$address" \
  -o "$OUT/after.npy" --mean-output "$OUT/mean.npy" --rstd-output "$OUT/rstd.npy"
run "$python" examples/mirror_loss.py "$OUT/after.npy" "$OUT/grad_output.npy"
run "$GROUPNORM" backward "$PHOTOGRAPH" "$OUT/grad_output.npy" --num-groups 3 \
  --server "$address" --mean "$OUT/mean.npy" --rstd "$OUT/rstd.npy" \
  --grad-input "$OUT/grad_input.npy" --grad-weight "$OUT/grad_weight.npy" \
  --grad-bias "$OUT/grad_bias.npy"

run "$python" examples/picture.py picture "$PHOTOGRAPH" "$OUT/before.png" \
  --range 0 255
run "$python" examples/picture.py picture "$OUT/after.npy" "$OUT/after.png"
run "$python" examples/picture.py picture "$OUT/grad_input.npy" \
  "$OUT/grad_input.png"

# Both tables are wanted, whatever the first one says.
verified=0
run "$GROUPNORM" verify "$PHOTOGRAPH" --num-groups 3 \
  --grad-output "$OUT/grad_output.npy" --server "$address" || verified=$?
run "$GROUPNORM" verify --server "$address" || verified=$?

stop_server
exit "$verified"
