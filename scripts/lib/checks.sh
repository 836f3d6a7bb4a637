# Sourced by scripts/test and scripts/check: the checks that read the tree, each a function that fails.
# shellcheck shell=bash

readonly CLANG_BUILD=$TERRACED_ROOT/build/clang

# tree_files: the tree's own C++ files, one a line, from the root.
tree_files() {
  (cd "$TERRACED_ROOT" && find src tiering storage tests -name '*.cc' -o -name '*.h' | sort)
}

# changed_files: those that differ from the main branch, or on it from the last commit; what is not committed
# is part of both. Without git (an unpacked archive) or a commit to compare with: all of them.
changed_files() {
  local base=''
  cd "$TERRACED_ROOT" || return
  if git rev-parse --quiet --verify HEAD >/dev/null 2>&1; then
    base=$(git merge-base HEAD origin/HEAD 2>/dev/null || git merge-base HEAD origin/main 2>/dev/null || true)
    if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then
      base=$(git rev-parse --quiet --verify HEAD~1 || true)
    fi
  fi
  if [ -z "$base" ]; then
    tree_files
    return 0
  fi
  {
    git diff --name-only --diff-filter=d "$base"
    git ls-files --others --exclude-standard
  } | grep -E '^(src|tiering|storage|tests)/.*\.(cc|h)$' | sort -u || true
}

check_format() {
  local files unformatted
  mapfile -t files < <(tree_files)
  cd "$TERRACED_ROOT" || return
  mapfile -t unformatted < <(clang-format --dry-run -Werror "${files[@]}" 2>&1 |
    sed -n 's/^\([^ :]*\):[0-9]*:[0-9]*: error: .*/\1/p' | sort -u)
  if [ "${#unformatted[@]}" -gt 0 ]; then
    say "format: mend these with clang-format -i" "${unformatted[@]}"
    return 1
  fi
  say "format: ${#files[@]} files are as .clang-format wants them"
}

check_layers() {
  python3 "$TERRACED_ROOT/scripts/check_layers.py" --self-test
  python3 "$TERRACED_ROOT/scripts/check_layers.py"
}

# Needs a configured build/.
check_tests() {
  python3 "$TERRACED_ROOT/scripts/check_tests.py" --strict --build-dir "$TERRACED_ROOT/build"
}

# run_clang MODE [FILE...]
run_clang() {
  local mode=$1
  shift
  CXX=clang++ configure_build "$CLANG_BUILD" -DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON
  python3 "$TERRACED_ROOT/scripts/lib/run_clang.py" "$mode" --build-dir "$CLANG_BUILD" --jobs "$(job_count)" "$@"
}

# Every source of the daemon and the tests that changed; scripts/check compiles all tests with clang.
check_syntax() {
  local files
  mapfile -t files < <(
    tree_files | grep -E '^(src|tiering|storage)/.*\.cc$'
    changed_files | grep -E '^tests/.*\.cc$' || true
  )
  run_clang syntax "${files[@]}"
}

# The changed sources, headers through them; tests are left out: gtest's macros keep clang-tidy busy for long
# and say nothing about the daemon. TIDY_FILES_MAX bounds the time of a change to everything.
check_tidy_changed() {
  local files limit=${TIDY_FILES_MAX:-40}
  mapfile -t files < <(changed_files | grep -E '^(src|tiering|storage)/.*\.cc$' || true)
  if [ "${#files[@]}" -eq 0 ]; then
    say "tidy: no source changed"
    return 0
  fi
  if [ "${#files[@]}" -gt "$limit" ]; then
    say "tidy: ${#files[@]} sources changed, the first $limit are checked; scripts/check --tidy-all takes them all"
    files=("${files[@]:0:$limit}")
  fi
  run_clang tidy "${files[@]}"
}

check_tidy_all() {
  local files
  mapfile -t files < <(tree_files | grep -E '^(src|tiering|storage)/.*\.cc$')
  run_clang tidy "${files[@]}"
}
