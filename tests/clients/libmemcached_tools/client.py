"""libmemcached's command line tools: memccapable's own checks of each protocol, and every tool on real items."""

import pathlib
import re
import subprocess
import tempfile

from support import checks
from support.checks import check, check_that, settle

IS_BINARY = checks.PROTOCOL == "binary"
TOOL_TIMEOUT_S = 60
ADDRESS = checks.SOCKET or f"{checks.HOST}:{checks.PORT}"
COMMON = [f"--servers={ADDRESS}"] + (["--binary"] if IS_BINARY else [])
if checks.USER:
    COMMON += [f"--username={checks.USER}", f"--password={checks.PASSWORD}"]


def run(tool, *arguments):
    """The tool's (exit status, output)."""
    done = subprocess.run([tool, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=TOOL_TIMEOUT_S, check=False)
    return done.returncode, done.stdout


def check_tool(name, want_status, want_output, tool, *arguments):
    status, output = run(tool, *COMMON, *arguments)
    check(name, (status, output if want_output is not None else None), (want_status, want_output))


def test_capable():
    """memccapable knows each command of a protocol and says of each `[pass]` or `[FAIL]`."""
    if checks.SOCKET or checks.USER:
        checks.skip("memccapable", "it knows neither unix sockets nor SASL")
        return
    status, output = run("memccapable", "-h", checks.HOST, "-p", str(checks.PORT), "-b" if IS_BINARY else "-a")
    lines = output.decode(errors="replace").splitlines()
    for line in lines:
        found = re.match(r"(binary|ascii) (.*?)\s*\[(pass|FAIL)\]$", line.strip())
        if found:
            check_that(f"memccapable: {found[1]} {found[2]}", found[3] == "pass", line)
    check("memccapable passes", (status, lines[-1:]), (0, ["All tests passed"]))


def test_files(folder):
    contents = {"small": b"a small file\n", "empty": b"", "bytes": bytes(range(256)) * 16,
                "large": checks.incompressible(900_000)}
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    check_tool("memccp", 0, b"", "memccp", *(str(folder / name) for name in contents))
    settle()
    for name, content in contents.items():
        check_tool(f"memccat {name}", 0, None, "memccat", f"--file={folder / 'out'}", name)
        check_that(f"memccat {name} gives back the file", (folder / "out").read_bytes().startswith(content), name)
    check_tool("memcexist", 0, None, "memcexist", *contents)
    settle()
    check_tool("memctouch", 0, None, "memctouch", "--expire=100", "small", "bytes")
    settle()
    check_tool("memccp --add of what is there", 1, None, "memccp", "--add", str(folder / "small"))
    check_tool("memccp --replace of what is there", 0, None, "memccp", "--replace", str(folder / "small"))
    settle()
    check_tool("memcrm", 0, None, "memcrm", "small", "bytes")
    check_that("memcexist of what was removed", run("memcexist", *COMMON, "small")[0] != 0, "small")
    check_that("memccat of what was removed", run("memccat", *COMMON, "small")[0] != 0, "small")
    check_that("memctouch of what was removed", run("memctouch", *COMMON, "--expire=100", "small")[0] != 0, "small")
    check_tool("memccp with flags and an exptime", 0, None, "memccp", "--flags=7", f"--expire={checks.SHORT_TTL_S}",
               str(folder / "bytes"))
    settle()
    status, output = run("memccat", *COMMON, "--flags", "bytes")
    check_that("memccat --flags", status == 0 and output.startswith(b"7\n"), output[:20])
    checks.wait_for_expiry()
    check_that("memccat of what has expired", run("memccat", *COMMON, "bytes")[0] != 0, "bytes")


def test_server():
    if not IS_BINARY:
        check_tool("memcping", 0, None, "memcping")
    status, output = run("memcstat", *COMMON)
    check_that("memcstat", status == 0 and re.search(rb"\scurr_items: [1-9]", output), output[:200])
    status, output = run("memcstat", *COMMON, "--server-version")
    check_that("memcstat --server-version", status == 0 and re.search(rb"\d+\.\d+\.\d+", output), output)
    check_tool("memcstat --analyze", 0, None, "memcstat", "--analyze")
    if IS_BINARY:
        checks.skip("memcdump", "it dumps by text commands only")
    else:
        status, output = run("memcdump", *COMMON)
        # A dump shows some of what lies in RAM: neither all of it nor what lies on flash.
        check_that("memcdump", status == 0 and set(output.split()) <= {b"large", b"empty"}, (status, output))
    check_tool("memcflush", 0, None, "memcflush")
    check_that("memcexist after memcflush", run("memcexist", *COMMON, "large")[0] != 0, "large")


def test_load():
    for name, arguments in (("set", ["--test=set", "--execute-number=1000", "--concurrency=2"]),
                            ("get", ["--test=get", "--execute-number=500", "--initial-load=500"]),
                            ("mget", ["--test=mget", "--execute-number=20", "--initial-load=500"])):
        check_tool(f"memcslap {name}", 0, None, "memcslap", *arguments)
    if checks.SOCKET or checks.USER:
        checks.skip("memcaslap", "it knows neither unix sockets nor SASL")
        return
    status, output = run("memcaslap", f"--servers={ADDRESS}", "--threads=1", "--concurrency=8", "--execute_number=4000",
                         "--verify=1.0", "--division=10", *(["--binary"] if IS_BINARY else []))
    misses = re.search(rb"get_misses: (\d+)", output)
    unlike = re.search(rb"verify_failed: (\d+)", output)
    check("memcaslap ends well", status, 0)
    check("memcaslap misses nothing", misses and int(misses[1]), 0)
    check("memcaslap finds every value right", unlike and int(unlike[1]), 0)


def main():
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        test_files(folder)
        test_server()
        test_load()
    test_capable()
    checks.done()


main()
