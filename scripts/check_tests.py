#!/usr/bin/env python3
"""Checks that every test is built and that every source has a test.

  scripts/check_tests.py [--build-dir DIR]   default: build; its compile_commands.json names what is built
  scripts/check_tests.py --strict            what is only reported below is an error too (scripts/test asks so)

A tests/**/*_test.cc that no target compiles is an error, and so is a row of TESTED_ELSEWHERE that is not true, and a
test that tests/README.md names and that does not exist. A source of storage/, tiering/ or src/ without a test of its
name in the mirroring folder and without a row is reported.
"""

import argparse
import json
import pathlib
import re
import sys

DEFINED_TEST = re.compile(r"^(?:TYPED_)?TEST(?:_F|_P)?\((\w+),\s*(\w+)\)", re.MULTILINE)
NAMED_TEST = re.compile(r"`(\w+Test\.\w+)`")

# Sources whose test has another name: the test, and what it shows of them.
TESTED_ELSEWHERE = {
    "src/main.cc": ("tests/e2e/command_line_test.cc", "the start, its refusals and the stop of the real daemon"),
    "src/auth/authentication.cc": ("tests/e2e/login_test.cc", "-S and -Y, and that neither asks nothing"),
    "src/auth/sasl.cc": ("tests/e2e/login_test.cc", "every exchange beside memcached's"),
    "src/commands/admin.cc": ("tests/e2e/text_protocol_test.cc", "every reply beside memcached's"),
    "src/commands/arithmetic.cc": ("tests/e2e/text_protocol_test.cc", "every reply beside memcached's"),
    "src/commands/binary_table.cc": ("tests/src/binary_codec_test.cc", "every row decoded, at every split"),
    "src/commands/delete.cc": ("tests/e2e/text_protocol_test.cc", "every reply beside memcached's"),
    "src/commands/get.cc": ("tests/e2e/text_protocol_test.cc", "every reply beside memcached's"),
    "src/commands/login.cc": ("tests/e2e/login_test.cc", "every answer beside memcached's"),
    "src/commands/lru_commands.cc": ("tests/e2e/administration_test.cc", "every reply beside memcached's"),
    "src/commands/slabs_commands.cc": ("tests/e2e/administration_test.cc", "every reply beside memcached's"),
    "src/commands/store.cc": ("tests/e2e/text_protocol_test.cc", "every reply beside memcached's"),
    "src/commands/watch.cc": ("tests/src/connection_watch_test.cc", "classes, refusals, the connection afterwards"),
    "src/net/buffer_pool.cc": ("tests/src/reply_queue_test.cc", "blocks taken, kept and given back"),
    "src/net/event_base.cc": ("tests/src/worker_test.cc", "the loop of every worker"),
    "src/net/listener.cc": ("tests/src/server_test.cc", "accepting, -c and maxconns_fast over real sockets"),
    "src/net/port_holder.cc": ("tests/src/address_test.cc", "the holder that a taken port is refused with"),
    "src/net/peer_address.cc": ("tests/e2e/watch_test.cc", "conn_new and conn_close beside memcached's"),
    "src/net/tls_absent.cc": ("tests/fuzz/connection_fuzz.cc", "the daemon without OpenSSL, which fuzz targets are"),
    "src/net/tls_openssl.cc": ("tests/e2e/tls_test.cc", "handshakes, values, reloads with a client of OpenSSL"),
    "src/net/udp_port.cc": ("tests/e2e/udp_test.cc", "datagrams of every kind, beside memcached"),
    "src/protocol/text_reply.cc": ("tests/src/connection_test.cc", "its bytes, copied and pinned values"),
    "src/watch/watcher.cc": ("tests/src/watch_hub_test.cc", "its ring, lost lines and its end"),
    "tiering/tiers.cc": ("tests/tiering/collect_stats_test.cc", "the counters; every other test is wired by it"),
}


def compiled_files(build_dir):
    """The files that some target of the build compiles, absolute and resolved."""
    database = build_dir / "compile_commands.json"
    if not database.is_file():
        sys.exit(f"check_tests: {database} is missing: configure the build first (scripts/build)")
    commands = json.loads(database.read_text(encoding="utf-8"))
    return {(pathlib.Path(entry["directory"]) / entry["file"]).resolve() for entry in commands}


def unbuilt_tests(root, build_dir):
    """One line for each test file that no target compiles."""
    built = compiled_files(build_dir)
    for test in sorted((root / "tests").rglob("*_test.cc")):
        if test.resolve() not in built:
            yield f"{test.relative_to(root)}: no target builds it, see tests/CMakeLists.txt"


def has_own_test(root, source):
    """src/net/worker.cc is tested by worker_test.cc in tests/src/net or tests/src; so is a part, worker_timers.cc."""
    folders = (root / "tests" / source.parent, root / "tests" / source.parts[0])
    words = source.stem.split("_")
    names = ["_".join(words[:count]) + "_test.cc" for count in range(len(words), 0, -1)]
    return any((folder / name).is_file() for folder in folders for name in names)


def sources_of(root):
    """Every .cc of the three layers, from the root."""
    return {file.relative_to(root) for layer in ("storage", "tiering", "src") for file in (root / layer).rglob("*.cc")}


def untested_sources(root):
    """One line for each source that nothing tests by name and that no row explains."""
    for source in sorted(sources_of(root)):
        if not has_own_test(root, source) and source.as_posix() not in TESTED_ELSEWHERE:
            yield f"{source}: no {source.stem}_test.cc in tests/{source.parent}, and no row in TESTED_ELSEWHERE"


def untrue_rows(root):
    """One line for each row of TESTED_ELSEWHERE that is out of date."""
    sources = sources_of(root)
    for name, (test, _) in TESTED_ELSEWHERE.items():
        path = pathlib.PurePosixPath(name)
        if not (root / test).is_file():
            yield f"{path}: TESTED_ELSEWHERE says {test}, which does not exist"
        if path not in sources:
            yield f"{path}: is in TESTED_ELSEWHERE and does not exist"
        elif has_own_test(root, path):
            yield f"{path}: has its own test, its row in TESTED_ELSEWHERE is out of date"


def unknown_tests(root):
    """One line for each test that the README of the tests names and no file defines."""
    defined = {".".join(found) for file in (root / "tests").rglob("*_test.cc")
               for found in DEFINED_TEST.findall(file.read_text(encoding="utf-8"))}
    named = NAMED_TEST.findall((root / "tests" / "README.md").read_text(encoding="utf-8"))
    for name in sorted(set(named) - defined):
        yield f"tests/README.md: there is no test {name}"


def main():
    parser = argparse.ArgumentParser(description="Checks that tests are built and sources are tested.")
    parser.add_argument("--build-dir", type=pathlib.Path, help="default: build")
    parser.add_argument("--strict", action="store_true", help="a source without a test is an error")
    arguments = parser.parse_args()
    root = pathlib.Path(__file__).resolve().parent.parent

    errors = [*unbuilt_tests(root, arguments.build_dir or root / "build"), *untrue_rows(root),
              *unknown_tests(root)]
    reports = list(untested_sources(root))
    for line in errors + reports:
        print(line)
    print(f"check_tests: {len(errors)} errors, {len(reports)} sources without a test of their name")
    return 1 if errors or (arguments.strict and reports) else 0


if __name__ == "__main__":
    sys.exit(main())
