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

# run_shards BUILD_DIR PROGRAM...: test programs of gtest by themselves, each in as many shards as there are processors.
# ctest starts one process a test; under a sanitizer a start takes longer than most tests. A program that dies takes
# what was left of its shard with it, and its words are shown.
run_shards() {
  local build_dir=$1 shards program shard log status=0
  shards=$(nproc)
  shift
  for program; do
    local pids=()
    for ((shard = 0; shard < shards; ++shard)); do
      log=$STAGE_DIR/$program-$shard
      GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$shard GTEST_BRIEF=1 GTEST_OUTPUT=xml:$log.xml \
        "${CTEST_PREFIX[@]}" timeout --foreground 20m "$build_dir/tests/$program" >"$log.txt" 2>&1 &
      pids+=($!)
    done
    for ((shard = 0; shard < shards; ++shard)); do
      wait "${pids[shard]}" && continue
      status=1
      say "$program, shard $shard of $shards:"
      tail -n 60 "$STAGE_DIR/$program-$shard.txt"
    done
    say "$program: $shards shards have ended"
  done
  return "$status"
}
