#!/usr/bin/env python3
"""test_reports.py {count,failures} STAGE FILE...: sums up JUnit files of ctest, of gtest and of tests/clients/run.py.

count prints "PASSED FAILED SKIPPED"; failures prints each test that failed, its STAGE and the end of what
it said.
A test that a case skipped by itself (GTEST_SKIP) is skipped; one that ctest could not run has failed.
"""

import sys
import xml.etree.ElementTree

SKIPPED_BY_ITSELF = ("SKIP_REGULAR_EXPRESSION_MATCHED", "SKIP_RETURN_CODE")
LINES_OF_A_FAILURE = 25


def outcome_of(case):
    reason = case.find("skipped")
    if case.get("result"):  # gtest: what became of one that has run
        if case.find("failure") is not None:
            return "failed"
        return "skipped" if reason is not None else "passed"
    if case.get("status") == "run":
        return "passed"
    if reason is not None and reason.get("message", "").startswith(SKIPPED_BY_ITSELF):
        return "skipped"
    return "skipped" if case.get("status") in ("disabled", "skipped") else "failed"


def print_count(_, cases):
    outcomes = [outcome_of(case) for case in cases]
    print(*(outcomes.count(outcome) for outcome in ("passed", "failed", "skipped")))


def print_failures(stage, cases):
    for case in cases:
        if outcome_of(case) == "failed":
            name = f"{case.get('classname')}.{case.get('name')}" if case.get("result") else case.get("name")
            print(f"failed: {stage}: {name} after {float(case.get('time', 0)):.1f} s")
            said = case.findtext("system-out") or "\n".join(one.text or "" for one in case.iter("failure"))
            for line in said.strip().splitlines()[-LINES_OF_A_FAILURE:]:
                print(f"  | {line}")


def main():
    cases = [case for path in sys.argv[3:] for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase")]
    {"count": print_count, "failures": print_failures}[sys.argv[1]](sys.argv[2], cases)


if __name__ == "__main__":
    main()
