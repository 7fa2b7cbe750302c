#!/usr/bin/env bash
# Lints the contract as proto/buf.yaml says, and compares it with those of main
# and of the last release, from which it must not depart. Needs npm, from which
# buf comes.
set -euo pipefail
cd "$(dirname "$0")/.."

buf=$(scripts/install-buf.sh)
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
