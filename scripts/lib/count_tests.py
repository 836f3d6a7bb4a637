#!/usr/bin/env python3
"""count_tests.py FILE...: prints "PASSED FAILED SKIPPED", summed over the JUnit files that ctest wrote.

A test that a case skipped by itself (GTEST_SKIP) is skipped; one that ctest could not run has failed.
"""

import sys
import xml.etree.ElementTree

SKIPPED_BY_ITSELF = ("SKIP_REGULAR_EXPRESSION_MATCHED", "SKIP_RETURN_CODE")


def outcome_of(case):
    if case.get("status") == "run":
        return "passed"
    reason = case.find("skipped")
    if reason is not None and reason.get("message", "").startswith(SKIPPED_BY_ITSELF):
        return "skipped"
    return "skipped" if case.get("status") == "disabled" else "failed"


def main():
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sys.argv[1:]:
        for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
            count[outcome_of(case)] += 1
    print(count["passed"], count["failed"], count["skipped"])


if __name__ == "__main__":
    main()
