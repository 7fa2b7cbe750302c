#!/usr/bin/env bash
# Fuzzes with libFuzzer: builds preset fuzz and runs each target. A finding ends
# the run; its input is kept, and the way to run it again is printed.
#
#   scripts/fuzz.sh [SECONDS] [TARGET...]    SECONDS for each target (default 600)
#
# What is found to be worth trying lies in build/fuzz/corpus and is where the next
# run begins. Exit code 77: clang's libFuzzer is not installed.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

readonly ALL=(parser_oracle_fuzz request_fuzz response_fuzz service_fuzz)
readonly MAX_INPUT_BYTES=2048
readonly FINDINGS=build/fuzz/findings

seconds=${1-600}
shift || true
if [[ ! $seconds =~ ^[0-9]+$ ]]; then
  sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
targets=("${@:-${ALL[@]}}")

if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }' |
  clang++ -x c++ -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
  echo "clang++ cannot link libFuzzer: libclang-rt-14-dev is missing"
  exit "$EXIT_SKIPPED"
fi

build_only fuzz
mkdir -p "$FINDINGS"
for target in "${targets[@]}"; do
  corpus=build/fuzz/corpus/$target
  kept=tests/fuzz/corpus/$target
  mkdir -p "$corpus"
  folders=("$corpus" build/fuzz/tests/fuzz/seeds)
  if [[ -d $kept ]]; then folders+=("$kept"); fi
  printf '\n%s: %d s\n' "$target" "$seconds"
  log=$FINDINGS/$target.log
  if ! build/fuzz/tests/fuzz/"$target" -max_total_time="$seconds" \
    -max_len="$MAX_INPUT_BYTES" -timeout=10 -rss_limit_mb=2048 \
    -print_final_stats=1 -artifact_prefix="$FINDINGS/" "${folders[@]}" \
    >"$log" 2>&1; then
    grep -v '^#' "$log" | tail -n 60
    echo "Run it again: build/fuzz/tests/fuzz/$target $FINDINGS/<file>"
    exit 1
  fi
  grep -E '^#[0-9]+.*DONE|number_of_executed_units|peak_rss' "$log"
done
