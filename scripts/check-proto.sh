#!/usr/bin/env bash
# Lints the contract as proto/buf.yaml says, and compares it with those of main
# and of the last release, from which it must not depart. Needs npm, from which
# buf comes.
set -euo pipefail
cd "$(dirname "$0")/.."

buf=$(scripts/install-buf.sh)
"$buf" lint proto
echo "proto/ is lint clean."
head=$(git rev-parse HEAD)
main=$(git merge-base HEAD origin/main 2>/dev/null || echo "$head")
# On main itself, or where none is known: what was there before the last commit.
if [[ $main == "$head" ]]; then
  main=$(git rev-parse --verify --quiet HEAD~1) || main=
fi
if [[ $main ]]; then
  "$buf" breaking proto --against ".git#ref=$main,subdir=proto"
  echo "proto/ keeps the contract of main ($(git rev-parse --short "$main"))."
else
  echo "No earlier commit to compare the contract with."
fi
if release=$(git describe --tags --abbrev=0 --match 'v*' 2>/dev/null); then
  "$buf" breaking proto --against ".git#tag=$release,subdir=proto"
  echo "proto/ keeps the contract of $release."
else
  echo "No release yet to compare the contract with."
fi
