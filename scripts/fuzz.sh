#!/usr/bin/env bash
# Runs every fuzz target of the module for FUZZTIME each.
set -euo pipefail
cd "$(dirname "$0")/.."
time=${FUZZTIME:-10s}
count=0
while IFS=: read -r file target; do
  dir=./$(dirname "$file")
  echo "fuzz: $dir $target $time"
  go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 10x -parallel 2 "$dir" >/tmp/fuzz.$$ 2>&1 || {
    cat /tmp/fuzz.$$
    exit 1
  }
  count=$((count + 1))
done < <(grep -rEo --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' . | sed -E 's/^\.\///; s/:func /:/' | sort)
rm -f /tmp/fuzz.$$
echo "fuzz: $count targets, $time each, nothing found"
