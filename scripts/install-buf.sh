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

if [[ ! -x $BUF ]]; then
  if ! command -v npm >/dev/null; then
    echo "npm is not installed, and buf comes from it" >&2
    exit "$EXIT_SKIPPED"
  fi
  if ! npm install --silent --no-audit --no-fund --prefix "$FOLDER" \
    "@bufbuild/buf@$BUF_VERSION" >&2; then
    echo "npm cannot install buf $BUF_VERSION" >&2
    exit "$EXIT_SKIPPED"
  fi
fi
echo "$BUF"
