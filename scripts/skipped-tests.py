#!/usr/bin/env python3
"""Lists the tests that a run of ctest left out, each with its reason.

  scripts/skipped-tests.py JUNIT

JUNIT is what `ctest --output-junit` wrote. A test may be left out as a whole, or cases
within a test that passes, as GoogleTest and Python's unittest (verbose) print it. Prints
`not run: TEST (REASON)` for each, with the number of cases where that is not 1.
"""

import collections
import re
import sys
import xml.etree.ElementTree

GTEST = re.compile(r": Skipped\n(.*?)\n+\[  SKIPPED \] \S+ \(", re.DOTALL)
UNITTEST_SUM = re.compile(r"^OK \(.*skipped=(\d+)", re.MULTILINE)
UNITTEST = re.compile(r"\.\.\. skipped ['\"](.*)['\"]$", re.MULTILINE)


def reasons(case):
    output = case.findtext("system-out") or ""
    if case.find("skipped") is not None:
        return [output.strip().rpartition("\n")[2] or "no reason given"]
    named = UNITTEST.findall(output)
    unnamed = sum(map(int, UNITTEST_SUM.findall(output))) - len(named)
    return ([" ".join(reason.split()) for reason in GTEST.findall(output) + named]
            + ["no reason is printed"] * unnamed)


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    skipped = collections.Counter(
        (case.get("name"), reason)
        for case in xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase")
        for reason in reasons(case))
    for (test, reason), cases in sorted(skipped.items()):
        print(f"not run: {test}{f', {cases} cases' if cases > 1 else ''} ({reason})")


if __name__ == "__main__":
    main()
