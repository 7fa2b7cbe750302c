#!/usr/bin/env bash
# Lints the contract as proto/buf.yaml says, and compares it with those of main
# and of the last release, from which it must not depart. Needs npm, to install buf into
# build/ the first time.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

readonly BUF_VERSION=1.75.0
readonly FOLDER=build/buf-$BUF_VERSION
buf=$FOLDER/node_modules/.bin/buf

if [[ ! -x $buf ]]; then
  if ! command -v npm >/dev/null; then
    echo "npm is not installed, and buf comes from it"
    exit "$EXIT_SKIPPED"
  fi
  npm install --silent --no-audit --no-fund --prefix "$FOLDER" \
    "@bufbuild/buf@$BUF_VERSION"
fi

"$buf" lint proto
echo "proto/ is lint clean."
main=$(git merge-base HEAD origin/main 2>/dev/null || true)
if [[ $main && $main != "$(git rev-parse HEAD)" ]]; then
  "$buf" breaking proto --against ".git#ref=$main,subdir=proto"
  echo "proto/ keeps the contract of main."
else
  echo "This is main, or there is none, to compare the contract with."
fi
if release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null); then
  "$buf" breaking proto --against ".git#tag=$release,subdir=proto"
  echo "proto/ keeps the contract of $release."
else
  echo "No release yet to compare the contract with."
fi
