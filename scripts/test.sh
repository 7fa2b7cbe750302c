#!/usr/bin/env bash
# Tests the project. Installs what that needs, builds, runs every test, and says
# which suites it did not run and why.
#
#   scripts/test.sh          builds preset dev and runs its tests
#   scripts/test.sh --all    also the sanitizers, Clang, the fuzzers and every check
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

all=
case "${1-}" in
  "") ;;
  --all) all=yes ;;
  *)
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

# more NAME COMMAND...: a step of --all.
more() {
  if [[ $all ]]; then step "$@"; else not_run "$1" "runs with --all"; fi
}

if [[ $all ]]; then
  scripts/install-dependencies.sh --image
else
  scripts/install-dependencies.sh --test
fi
step "build and tests (dev)" build_and_test dev
more "build and tests (asan)" build_and_test asan
more "build and tests (tsan)" build_and_test tsan
more "build (clang)" build_only clang
for preset in dev asan tsan; do
  # One after the other: each keeps every processor busy.
  more "load in full ($preset)" \
    env GROUPNORM_LOAD=full ctest --preset "$preset" -L load --parallel 1
done
more "fuzz (10 min each)" scripts/fuzz.sh
more "Python client from an index" \
  /usr/bin/python3 -B client/python/tests/index_install_test.py build/dev/server/groupnorm-server
more "packages: install and purge" scripts/test-packages.sh
more "image: build and run" scripts/test-image.sh
more "clang-tidy" scripts/check-tidy.sh
more "format" scripts/check-format.sh
more "layers" scripts/check-layers.py
more "contract" scripts/check-proto.sh
more "text" scripts/check-text.sh
finish_steps
