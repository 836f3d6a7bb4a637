"""memcached-tool, the script that comes with memcached: every mode it has."""

import re
import subprocess

from support import checks
from support.checks import check, check_that, settle
from support.raw import Raw

TOOL = "/usr/share/memcached/scripts/memcached-tool"
ADDRESS = checks.SOCKET or f"{checks.HOST}:{checks.PORT}"
TOOL_TIMEOUT_S = 15


def run(*mode):
    """The lines that the tool prints in a mode; None where it waits for an end that does not come."""
    try:
        done = subprocess.run([TOOL, ADDRESS, *mode], stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=TOOL_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.decode(errors="replace").splitlines() if done.returncode == 0 else None


def fields(*mode):
    """The modes that print a field and a value on each line."""
    lines = run(*mode)
    return dict(line.split(maxsplit=1) for line in lines[1:]) if lines else {}


def test_display():
    lines = run() or [""]
    check("display: head", lines[0].split(), ["#", "Item_Size", "Max_age", "Pages", "Count", "Full?", "Evicted",
                                              "Evict_Time", "OOM"])
    check_that("display: a line for each class in use", len(lines) > 1 and
               all(re.fullmatch(r"\s*\d+\s+[\d.]+[BK]\s+\d+s\s+\d+\s+\d+\s+(yes|no)\s+\d+\s+\d+\s+\d+", line)
                   for line in lines[1:]), lines)


def test_fields():
    stats = fields("stats")
    check_that("stats", int(stats.get("curr_items", 0)) >= 3 and "pid" in stats, stats)
    check("settings", fields("settings").get("item_size_max", "").strip(), "1048576")
    check("sizes, which are switched off", fields("sizes").get("sizes_status", "").strip(), "disabled")


def test_dumps():
    """Keys are listed where they lie in RAM; a server that keeps keys of flash items elsewhere may leave those out."""
    keys = {line.split()[0] for line in run("keys") or [] if line.startswith("key=")}
    check("keys", keys, {"key=plain", "key=caf%C3%A9", "key=counted"})
    check("keys 1", len(run("keys", "1") or []), 1)
    lines = run("dump") or []
    check_that("dump: a value with its flags", "add plain 5 0 5" in lines and "value" in lines, lines)
    check_that("dump: a key of other bytes, with its exptime",
               any(re.fullmatch(r"add caf.* 0 1\d{9} 4", line) for line in lines), lines)


def main():
    raw = Raw()
    for key, value, flags, exptime in ((b"plain", b"value", 5, 0), (b"caf\xc3\xa9", b"qu\r\n", 0, 1000),
                                       (b"counted", b"42", 0, 0)):
        check(f"set {key!r}", raw.store(key, value, flags, exptime), True)
    test_dumps()
    settle()
    for _ in range(5):
        check("get", (raw.get(b"plain"), raw.get(b"counted")), (b"value", b"42"))
        settle()
    raw.store(b"another", b"in RAM")
    test_display()
    test_fields()
    checks.done()


main()
