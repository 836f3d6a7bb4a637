#!/usr/bin/env python3
"""test_reports.py {count,failures} STAGE FILE...: sums up the JUnit files that ctest and tests/clients/run.py wrote.

count prints "PASSED FAILED SKIPPED"; failures prints each test that failed, its STAGE and the end of what
it said.
A test that a case skipped by itself (GTEST_SKIP) is skipped; one that ctest could not run has failed.
"""

import sys
import xml.etree.ElementTree

SKIPPED_BY_ITSELF = ("SKIP_REGULAR_EXPRESSION_MATCHED", "SKIP_RETURN_CODE")
LINES_OF_A_FAILURE = 25


def outcome_of(case):
    if case.get("status") == "run":
        return "passed"
    reason = case.find("skipped")
    if reason is not None and reason.get("message", "").startswith(SKIPPED_BY_ITSELF):
        return "skipped"
    return "skipped" if case.get("status") in ("disabled", "skipped") else "failed"


def print_count(_, cases):
    outcomes = [outcome_of(case) for case in cases]
    print(*(outcomes.count(outcome) for outcome in ("passed", "failed", "skipped")))


def print_failures(stage, cases):
    for case in cases:
        if outcome_of(case) == "failed":
            print(f"failed: {stage}: {case.get('name')} after {float(case.get('time', 0)):.1f} s")
            for line in (case.findtext("system-out") or "").strip().splitlines()[-LINES_OF_A_FAILURE:]:
                print(f"  | {line}")


def main():
    cases = [case for path in sys.argv[3:] for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase")]
    {"count": print_count, "failures": print_failures}[sys.argv[1]](sys.argv[2], cases)


if __name__ == "__main__":
    main()
