#!/usr/bin/env bash
# Fails where a file of the tree speaks of one particular machine or of work that
# is not finished, and shows where.
set -euo pipefail
cd "$(dirname "$0")/.."

# Folders of one user, or of one machine's own arrangement. /usr, /etc, /run and
# /tmp are on every machine.
paths='(^|[^[:alnum:]_./$}-])/(home|root|work|Users|mnt|media|workspace|builds)/[[:alnum:]_.~-]'
paths+='|[[:upper:]]:\\Users'
words='\b(TO''DO|FIX''ME|XX''X|HA''CK|WI''P)\b|not (yet )?impl''emented|lorem ip''sum'

status=0
for pattern in "$paths" "$words"; do
  if git grep --untracked -nIE "$pattern" -- ':!*.svg'; then status=1; fi
done
if git grep --untracked -nIE '^(<{7}|>{7}) '; then status=1; fi
if ((status != 0)); then
  echo "These lines name a folder of one machine, or unfinished work."
  exit 1
fi
echo "$(git ls-files | wc -l) files hold no machine's paths and no unfinished work."
