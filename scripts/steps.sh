# Sourced by scripts/test.sh and .ci/run: runs named steps one after the other,
# goes on after a failure, and sums up at the end.
#
# A step is a command. It passes with exit code 0; 77 says that it cannot run
# here, and the last line it printed gives the reason; all else is a failure. It may
# leave out a part: a line `not run: PART (REASON)` goes into the sum as well.

readonly EXIT_SKIPPED=77

# One cache for all clones: paths below this one count as relative.
export CCACHE_BASEDIR=$PWD CCACHE_NOHASHDIR=1

summary=()
failed=0

# step NAME COMMAND...
step() {
  local name=$1 log status=0 start=$SECONDS
  shift
  log=$(mktemp)
  printf '\n==> %s: %s\n' "$name" "$*"
  "$@" 2>&1 </dev/null | tee "$log" || status=${PIPESTATUS[0]}
  local taken=$((SECONDS - start))
  case $status in
    0) summary+=("$(printf 'passed   %4d s  %s' "$taken" "$name")") ;;
    "$EXIT_SKIPPED")
      summary+=("$(printf 'skipped  %4d s  %s (%s)' "$taken" "$name" "$(tail -n 1 "$log")")")
      ;;
    *)
      summary+=("$(printf 'FAILED   %4d s  %s (exit code %d)' "$taken" "$name" "$status")")
      failed=1
      ;;
  esac
  local part
  while read -r part; do
    summary+=("left out         $name: ${part#not run: }")
  done < <(grep '^not run: ' "$log")
  rm -f "$log"
}

# not_run NAME REASON: a step that this run leaves out on purpose.
not_run() { summary+=("$(printf 'left out         %s (%s)' "$1" "$2")"); }

# Prints what became of every step; fails where one of them failed.
finish_steps() {
  printf '\n==> Summary, %d s in all\n' "$SECONDS"
  printf '%s\n' "${summary[@]}"
  return "$failed"
}

# build_and_test PRESET: configures, builds and runs every test of one preset, and names
# the tests and cases that were not run.
build_and_test() {
  local results=build/$1/tests.xml status=0
  cmake --preset "$1" && cmake --build --preset "$1" || return
  rm -f "$results"
  ctest --preset "$1" --output-junit "$PWD/$results" \
    --test-output-size-passed 1000000 || status=$?
  scripts/skipped-tests.py "$results" || status=1
  return "$status"
}

# build_only PRESET: for a preset whose warnings are its purpose.
build_only() { cmake --preset "$1" && cmake --build --preset "$1"; }
