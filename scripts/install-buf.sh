#!/usr/bin/env bash
# Prints the path of buf, which lints the contract and calls services. npm installs it
# into build/ the first time. Exits with 77, and says why, where that cannot be.
#
#   scripts/install-buf.sh
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

readonly BUF_VERSION=1.75.0
readonly FOLDER=$PWD/build/buf-$BUF_VERSION
readonly BUF=$FOLDER/node_modules/.bin/buf

skip() {
  echo "$1" >&2
  exit "$EXIT_SKIPPED"
}

if [[ ! -x $BUF ]]; then
  command -v npm >/dev/null || skip "npm is not installed, and buf comes from it"
  # Without a network npm would try again for minutes, and a test wait for it.
  npm install --silent --no-audit --no-fund --fetch-retries=0 --fetch-timeout=30000 \
    --prefix "$FOLDER" "@bufbuild/buf@$BUF_VERSION" >&2 ||
    skip "npm cannot install buf $BUF_VERSION"
fi
# The program itself is an optional package of npm's, and may be lacking.
if [[ $("$BUF" --version 2>/dev/null) != "$BUF_VERSION" ]]; then
  rm --recursive --force "$FOLDER"
  skip "buf $BUF_VERSION as npm installed it does not run"
fi
echo "$BUF"
