#!/usr/bin/env bash
# Runs go test with the given arguments, shows what failed, and fails when a test that must not be skipped was.
# The list is scripts/never-skip.txt: a missing MinIO, sipp or decoder must show, not hide.
set -euo pipefail
cd "$(dirname "$0")/.."

log=$(mktemp)
trap 'rm -f "$log"' EXIT

# The tests read GREFFIER_CORPUS; when a corpus lies beside the checkout they may not miss it.
if [ -z "${GREFFIER_CORPUS:-}" ] && [ -d ../shared/corpus ]; then
  GREFFIER_CORPUS=$(cd ../shared/corpus && pwd)
  export GREFFIER_CORPUS
fi

# Two packages at a time: the load test measures, and must not share the cores with everything else. Four tests of one at a time: those that
# are parallel wait for real calls most of the time.
status=0
go test -v -timeout 30m -parallel "${TEST_PARALLEL:-4}" -p "${TEST_P:-2}" "$@" >"$log" 2>&1 || status=$?

grep -E '^(ok|FAIL|---? FAIL|panic:|\?)' "$log" | grep -v 'no test files' || true
if [ "$status" -ne 0 ]; then
  echo "----- what failed -----"
  grep -B 60 -E '^\s*--- FAIL|^panic:|^FAIL|DATA RACE' "$log" | tail -n 400
fi

whole=0
for arg in "$@"; do [ "$arg" = ./... ] && whole=1; done
while read -r name; do
  case "$name" in ''|'#'*) continue ;; esac
  if grep -qE "^ *--- SKIP: $name( |/)" "$log"; then
    echo "test: $name was skipped, and must not be"
    status=1
  elif [ "$whole" = 1 ] && [ "$status" = 0 ] && ! grep -qE "^--- PASS: $name( |/)" "$log"; then
    echo "test: $name did not run, and must"
    status=1
  fi
done <scripts/never-skip.txt

passed=$(grep -cE '^--- PASS' "$log" || true)
failed=$(grep -cE '^--- FAIL' "$log" || true)
skipped=$(grep -cE '^ *--- SKIP' "$log" || true)
echo "$passed passed, $failed failed, $skipped skipped"
exit "$status"
