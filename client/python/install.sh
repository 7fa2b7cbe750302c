#!/usr/bin/env bash
# Makes a virtual environment with this package, on the packages of the system, and
# asks no index for anything.
#
#   client/python/install.sh ENVIRONMENT
set -euo pipefail

environment=${1:?the folder of the environment is missing}
package=$(cd "$(dirname "$0")" && pwd)
# pip leaves its traces beside what it builds.
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
mkdir -p "$sources/client"
cp -r "$package" "$sources/client/python"
cp -r "$package/../../proto" "$package/../../CMakeLists.txt" "$sources"

/usr/bin/python3 -m venv --clear --system-site-packages "$environment"
"$environment/bin/pip" install --quiet --no-index --no-build-isolation \
  --disable-pip-version-check "$sources/client/python"
