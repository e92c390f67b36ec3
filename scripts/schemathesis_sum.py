"""Sums up schemathesis' reports: says what failed, then "N passed, N failed" over the operations of each role.

usage: schemathesis_sum.py LEAST_REQUESTS DIRECTORY ROLE..; exit status 0 only when nothing failed.
"""

import json
import sys
from pathlib import Path

least, work, roles = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
requests = passed = failed = 0
for role in roles:
    try:
        report = json.loads((work / f"{role}.json").read_text())
    except (OSError, ValueError) as error:
        print(f"FAIL {role}: no report ({error}); see {work}/log/{role}.log")
        failed += 1
        continue
    broken = {name for failure in report["failures"] for name in failure["operations"]}
    for failure in report["failures"]:
        print(f"FAIL {role}: {failure['title']}: {', '.join(failure['operations'])}; see {work}/log/{role}.log")
    for error in report["errors"]:
        print(f"FAIL {role}: {json.dumps(error)[:500]}")
    tested, selected = report["operations"]["tested"], report["operations"]["selected"]
    if tested < selected:
        print(f"FAIL {role}: only {tested} of {selected} operations were tested")
    generated = report["test_cases"]["generated"]
    print(f"{role}: {generated} requests to {tested} operations")
    requests += generated
    wrong = len(broken) + len(report["errors"]) + selected - tested
    failed += wrong
    passed += max(0, selected - wrong)
if requests < least:
    print(f"FAIL {requests} requests were made, {least} were meant: a slow machine, or a server that went away")
    failed += 1
print(f"{requests} requests in all")
print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)
