#!/usr/bin/env bash
# Installs what the project needs from Debian 12's packages. Safe to run again:
# when everything is there it says so and touches nothing.
#
#   scripts/install-dependencies.sh --programs  to build the programs alone
#   scripts/install-dependencies.sh             to build all, and to run the demo
#   scripts/install-dependencies.sh --test      also to test and to contribute
#   scripts/install-dependencies.sh --image     also to try the container image
set -euo pipefail

packages=(
  g++ cmake ninja-build ccache pkg-config
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  libabsl-dev libhwy-dev libcli11-dev libspdlog-dev nlohmann-json3-dev
)
demo=(
  libbenchmark-dev libgtest-dev libgmock-dev # which CMake looks for
  python3 python3-numpy python3-pil # the pictures of the demo
)
test=(
  git
  python3-mpmath python3-protobuf # the conformance vectors
  python3-grpcio python3-pip python3-setuptools python3-venv python3-wheel # the Python client
  zsh fish # which the command line is completed in
  python3-matplotlib # the picture of the benchmarks
  clang clang-format clang-tidy
  dpkg-dev mmdebstrap # the packages, and a clean system to try them on
  libclang-rt-14-dev # libFuzzer
)
image=(
  mmdebstrap buildah podman runc
  iproute2 iptables # the containers' network
  golang-github-containernetworking-plugin-dnsname # and the names in it
  docker-compose
)
case "${1-}" in
  --programs) ;;
  "") packages+=("${demo[@]}") ;;
  --test) packages+=("${demo[@]}" "${test[@]}") ;;
  --image) packages+=("${demo[@]}" "${test[@]}" "${image[@]}") ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

# A removed package whose configuration stayed is not installed, hence the status.
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" \
    2>/dev/null || true)
  [[ $status == installed ]] || missing+=("$package")
done
if ((${#missing[@]} == 0)); then
  echo "All ${#packages[@]} packages are installed."
  exit 0
fi

sudo=()
if ((EUID != 0)); then
  if ! command -v sudo >/dev/null; then
    echo "Run this as root: sudo is not there, and these packages are missing:" \
      "${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi
apt_get=("${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q)
echo "Installing: ${missing[*]}"
"${apt_get[@]}" update
"${apt_get[@]}" install -y --no-install-recommends "${missing[@]}"
