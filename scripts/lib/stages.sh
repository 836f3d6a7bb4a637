# Sourced by scripts/test and scripts/check: runs stages one after the other, failed ones included, and closes
# with what failed, a table and the number of tests that ran.
# shellcheck shell=bash

STAGE_RESULTS=$(mktemp -d)
STAGE_DIR=
STAGE_NAMES=()
STAGE_LINES=()
TOTAL_PASSED=0
TOTAL_FAILED=0
trap 'rm -rf "$STAGE_RESULTS"' EXIT

# stage NAME FUNCTION [ARG...]: the function runs in a subshell under set -e. It is one check by itself, unless
# it leaves JUnit files of ctest in $STAGE_DIR: then those are counted. Never call this in a condition:
# bash would switch set -e off inside.
stage() {
  local name=$1 begun=$SECONDS status passed=0 failed=0 skipped=0 reports elapsed
  shift
  STAGE_DIR=$STAGE_RESULTS/${#STAGE_LINES[@]}
  mkdir "$STAGE_DIR"
  printf '\n=== %s\n' "$name"
  set +e
  (
    set -e
    "$@"
  )
  status=$?
  set -e
  reports=("$STAGE_DIR"/*.xml)
  if [ -e "${reports[0]}" ]; then
    read -r passed failed skipped < <(python3 "$TERRACED_ROOT/scripts/lib/test_reports.py" count '' "${reports[@]}") ||
      passed=0 failed=1 skipped=0  # a report that cannot be read
  elif [ "$status" -eq 0 ]; then
    passed=1
  fi
  # What broke outside of a test (a build, a check) is one failure, so that no failed stage sums up to none.
  if [ "$status" -ne 0 ] && [ "$failed" -eq 0 ]; then
    failed=1
  fi
  TOTAL_PASSED=$((TOTAL_PASSED + passed))
  TOTAL_FAILED=$((TOTAL_FAILED + failed))
  elapsed=$((SECONDS - begun))
  STAGE_NAMES+=("$name")
  STAGE_LINES+=("$(printf '%-44s %3d:%02d  %5d passed %3d failed %3d skipped' \
    "$name" $((elapsed / 60)) $((elapsed % 60)) "$passed" "$failed" "$skipped")")
  say "=== $name: $([ "$failed" -eq 0 ] && echo good || echo FAILED), $elapsed s"
}

# close_stages: the tests that failed once more (their own output may lie thousands of lines back), the table,
# the closing line, and the exit status of the whole.
close_stages() {
  local i reports
  if [ "$TOTAL_FAILED" -gt 0 ]; then
    printf '\n=== tests that failed\n'
    for i in "${!STAGE_NAMES[@]}"; do
      reports=("$STAGE_RESULTS/$i"/*.xml)
      [ -e "${reports[0]}" ] || continue
      python3 "$TERRACED_ROOT/scripts/lib/test_reports.py" failures "${STAGE_NAMES[i]}" "${reports[@]}" ||
        true  # the closing line counts
    done
  fi
  printf '\n=== stages, minutes:seconds\n'
  printf '%s\n' "${STAGE_LINES[@]}"
  say "$TOTAL_PASSED passed, $TOTAL_FAILED failed"
  [ "$TOTAL_FAILED" -eq 0 ]
}

CTEST_PREFIX=()  # words that ctest is started through

# run_ctest BUILD_DIR CTEST_ARG...: ctest with its report where `stage` looks for it.
run_ctest() {
  local build_dir=$1 report
  shift
  report=$(mktemp "$STAGE_DIR/ctest-XXXXXX.xml")
  rm -f "$report"  # ctest writes it; one that never got so far must not leave an empty file to be parsed
  "${CTEST_PREFIX[@]}" ctest --test-dir "$build_dir" --output-on-failure --no-tests=error --output-junit "$report" "$@"
}
