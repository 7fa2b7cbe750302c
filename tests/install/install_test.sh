#!/usr/bin/env bash
# Installs a build, and builds the quick start against what is installed, with CMake
# and with pkg-config; then runs it, and makes sure that nothing else is needed.
#
#   tests/install/install_test.sh BUILD_FOLDER
set -euo pipefail

build=${1:?the folder of the build is missing}
source=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
server=
cleanup() {
  if [[ -n $server ]]; then kill "$server" && wait "$server" || true; fi
  rm -rf "$folder"
}
trap cleanup EXIT
prefix=$folder/prefix

cmake --install "$build" --prefix "$prefix" >"$folder/log" || {
  cat "$folder/log"
  exit 1
}
# Somewhere else, where the checkout cannot be found by accident.
cp -r "$source/client/quickstart" "$folder"
cd "$folder/quickstart"

"$prefix/bin/groupnorm-server" --listen=127.0.0.1:0 --log-level=warning \
  --drain-delay=0s >"$folder/ready" &
server=$!
until grep -q listening "$folder/ready"; do
  kill -0 "$server"
  sleep 0.01
done
address=$(awk '{print $NF}' "$folder/ready")

expect_output() {
  local output
  output=$("$1" "$address")
  if [[ $output != "-1.34164 -0.447212 0.447212 1.34164 "* ]]; then
    echo "$1 printed: $output" >&2
    exit 1
  fi
}

cmake -G Ninja -B build -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_BUILD_TYPE=Release \
  >"$folder/log" && cmake --build build >>"$folder/log" || {
  cat "$folder/log"
  exit 1
}
expect_output build/quickstart

PKG_CONFIG_PATH=$(dirname "$(find "$prefix" -name groupnorm.pc)")
export PKG_CONFIG_PATH
read -ra flags <<<"$(pkg-config --cflags --libs groupnorm)"
g++ -std=c++20 quickstart.cc -o with-pkg-config "${flags[@]}"
expect_output ./with-pkg-config

# Whoever says which version is wanted gets it, or hears that it is not there.
version=$(pkg-config --modversion groupnorm)
[[ $("$prefix/bin/groupnorm" --version) == *"$version"* ]]
[[ $("$prefix/bin/groupnorm-server" --version) == *"$version"* ]]
sed -i "s/find_package(groupnorm /&$version EXACT /" CMakeLists.txt
cmake -G Ninja -B exact -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
sed -i "s/$version EXACT/99.0/" CMakeLists.txt
if cmake -G Ninja -B newer -DCMAKE_PREFIX_PATH="$prefix" >/dev/null 2>&1; then
  echo "version 99.0 was found" >&2
  exit 1
fi
echo "installed version $version, built the quick start with CMake and pkg-config"
