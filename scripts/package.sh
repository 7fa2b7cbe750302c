#!/usr/bin/env bash
# Makes the Debian packages groupnorm-server, groupnorm and libgroupnorm-dev in
# build/packages.
set -euo pipefail
cd "$(dirname "$0")/.."

cmake --preset release
cmake --build --preset release --target groupnorm groupnorm-server groupnorm_client
# Packages of an earlier version would be taken for these.
rm -rf build/packages
# The programs of the components alone: nothing else has to be built for them.
cpack --config build/release/CPackConfig.cmake -B build/packages
rm -rf build/packages/_CPack_Packages
ls -l build/packages/*.deb
