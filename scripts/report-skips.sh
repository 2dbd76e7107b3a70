#!/usr/bin/env bash
# Run test commands and report at the end which tests were skipped and why.
# Usage: report-skips.sh clear | run COMMAND... | print
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-target}
mkdir -p "$target"
target=$(cd "$target" && pwd)
export DAPR_TEST_SKIPS=$target/skipped-tests.txt

case $1 in
  clear) rm -f "$DAPR_TEST_SKIPS" ;;
  run)
    shift
    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    status=0
    "$@" 2>&1 | tee "$log" || status=$?
    awk '/^test result: / { passed += $4; failed += $6 }
         END { printf "\n%d passed, %d failed\n", passed, failed }' "$log"
    exit "$status"
    ;;
  print)
    if [ -s "$DAPR_TEST_SKIPS" ]; then
      echo "skipped:"
      sort -u "$DAPR_TEST_SKIPS" | sed 's/^/  /'
    else
      echo "skipped: nothing"
    fi
    ;;
esac
