#!/usr/bin/env bash
# Runs clang-tidy, as .clang-tidy says, with the compile commands of preset dev,
# which must have been built (for the generated headers).
#
#   scripts/check-tidy.sh              on every source
#   scripts/check-tidy.sh --changed    on the sources that this branch touched, or
#                                      on main the last ten commits, and those that
#                                      include a header touched
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/steps.sh

# The commit that a change is counted from; nothing in a history without one.
base() {
  local head fork
  head=$(git rev-parse HEAD)
  fork=$(git merge-base HEAD origin/main 2>/dev/null || true)
  if [[ $fork && $fork != "$head" ]]; then
    echo "$fork"
  else
    git rev-parse --quiet --verify HEAD~10 || true
  fi
}

sources() { git ls-files --cached --others --exclude-standard -- '*.cc'; }

changed_sources() {
  local from file
  from=$(base)
  if [[ -z $from ]]; then
    sources
    return
  fi
  git diff --name-only --diff-filter=d "$from" -- '*.cc'
  while read -r file; do
    # Includes name a header from the root, or from an include/ folder.
    sources | xargs grep -lF "#include \"${file##*include/}\"" || true
  done < <(git diff --name-only --diff-filter=d "$from" -- '*.h')
}

readonly DATABASE=build/dev/compile_commands.json
if [[ ! -f $DATABASE ]]; then
  echo "preset dev is not built: cmake --preset dev && cmake --build --preset dev"
  exit 1
fi

case "${1-}" in
  "") mapfile -t files < <(sources) ;;
  --changed) mapfile -t files < <(changed_sources | sort -u) ;;
  *)
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

# A source that nothing builds has no command (a quickstart is a project apart).
built=()
for file in "${files[@]}"; do
  if grep -qF "\"$PWD/$file\"" "$DATABASE"; then built+=("$file"); fi
done
if ((${#built[@]} == 0)); then
  echo "No source to look at."
  exit 0
fi
# The compile commands are those of g++, which knows other warnings and options.
printf '%s\0' "${built[@]}" |
  xargs -0 -n 1 -P "$(nproc)" clang-tidy -p build/dev --quiet \
    --extra-arg=-Wno-unknown-warning-option \
    --extra-arg=-Wno-ignored-optimization-argument
echo "${#built[@]} sources are clean."
