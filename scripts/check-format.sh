#!/usr/bin/env bash
# Fails where a C++ file is not formatted as .clang-format says, and shows where.
set -euo pipefail
cd "$(dirname "$0")/.."

mapfile -t files < <(git ls-files -- '*.cc' '*.h')
clang-format --dry-run --Werror "${files[@]}"
echo "${#files[@]} files are formatted."
