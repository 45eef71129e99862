#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-10s}
count=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

fuzz() { # DIR TARGET TAGS
  go test -tags "$3" -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel 2 "$1" >"$log" 2>&1
}

# The go command sometimes ends a target whose time is up with "context deadline exceeded" although it found nothing; what it
# finds it writes to a file, and says so. Such a run proves neither: the target is run again, and must then pass.
timed_out() { grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input written|panic:|fatal error:' "$log"; }

while IFS=: read -r file target; do
  dir=./$(dirname "$file")
  tags=$(sed -n 's|^//go:build \([a-z]*\)$|\1|p' "$file") # a target may need a build of its own
  echo "fuzz: $dir $target $time"
  if ! fuzz "$dir" "$target" "$tags"; then
    timed_out || { cat "$log"; exit 1; }
    echo "fuzz: $dir $target again: its end was not clean"
    fuzz "$dir" "$target" "$tags" || { cat "$log"; exit 1; }
  fi
  count=$((count + 1))
done < <(grep -rEo --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' . | sed -E 's/^\.\///; s/:func /:/' | sort)
echo "fuzz: $count targets, $time each, nothing found"
