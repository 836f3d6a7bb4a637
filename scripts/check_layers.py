#!/usr/bin/env python3
"""Checks what the tree may include and how long its files may be.

  scripts/check_layers.py              check the tree; one line a finding, exit 1 if there are any
  scripts/check_layers.py --self-test  show that every rule finds what it is for

The rules, each with its reason, are the tables below. Functions' lengths are clang-tidy's.
"""

import argparse
import pathlib
import re
import sys
import tempfile

# A folder, and what files under it may include of the tree. Longest prefix first: storage/ram before storage.
# Includes go downwards only, and the two tiers do not know each other.
MAY_INCLUDE = (
    ("storage/base", ("storage/base",)),
    ("storage/ram", ("storage/ram", "storage/base")),
    ("storage/flash", ("storage/flash", "storage/base")),
    ("tiering", ("tiering", "storage")),
    ("src", ("src", "tiering", "storage")),
    ("tests", ("tests", "src", "tiering", "storage")),
)

# A foreign header, where it may be included, and why nowhere else.
CONFINED = (
    (re.compile(r"rocksdb/"), re.compile(r"storage/flash/[^/]+\.cc$"),
     "RocksDB is known to storage/flash/*.cc only"),
    (re.compile(r"lz4"), re.compile(r"storage/flash/[^/]+\.cc$"),
     "values are compressed in storage/flash/*.cc only"),
    (re.compile(r"sasl/"), re.compile(r"src/auth/[^/]+\.cc$"),
     "Cyrus SASL is known to src/auth/*.cc only"),
    (re.compile(r"(sys/socket|sys/un|sys/epoll|netdb|netinet/.*|arpa/inet)\.h$"), re.compile(r"(src|tests)/"),
     "sockets exist in src/ (and tests/) only"),
    (re.compile(r"(event2/|event\.h$)"), re.compile(r"(src|tests)/"),
     "event loops exist in src/ (and tests/) only"),
    (re.compile(r"(gtest|gmock)/"), re.compile(r"tests/"),
     "the test framework stays in tests/"),
)

FILE_LINES_MAX = 600
HEADER_LINES_MAX = 250

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')


def layer_of(path):
    """The row of MAY_INCLUDE that a file belongs to, or None."""
    for folder, allowed in MAY_INCLUDE:
        if path.startswith(folder + "/"):
            return folder, allowed
    return None


def check_include(path, target, is_quoted, root):
    """Findings of one include line, as texts."""
    if is_quoted:
        if ".." in target.split("/") or not (root / target).is_file():
            yield f'"{target}" is not a file of the tree: includes are written from its root'
            return
        layer, allowed = layer_of(path)
        if not any(target.startswith(folder + "/") for folder in allowed):
            yield f'"{target}" is above or beside {layer}, which may include {", ".join(allowed)}'
        return
    if (root / target).is_file() and layer_of(target):
        yield f"<{target}> is ours and is included with quotes"
    for header, where, reason in CONFINED:
        if header.match(target) and not where.match(path):
            yield f"<{target}>: {reason}"


def check_file(path, root):
    """Yields (line number, text) for each finding in one file."""
    text = (root / path).read_text(encoding="utf-8", errors="replace")
    lines = text.splitlines()
    if layer_of(path) is None:
        yield 1, "lies in no layer: see MAY_INCLUDE in scripts/check_layers.py"
        return
    is_header = path.endswith(".h")
    if is_header and "#pragma once" not in lines:
        yield 1, "has no #pragma once"
    limit = HEADER_LINES_MAX if is_header else FILE_LINES_MAX
    if len(lines) > limit:
        yield limit + 1, f"has {len(lines)} lines, {limit} are the limit: split it"
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if match:
            for finding in check_include(path, match.group(2), match.group(1) == '"', root):
                yield number, finding


def check_tree(root):
    """Every finding in the tree, as lines ready to print."""
    findings = []
    for top in ("src", "tiering", "storage", "tests"):
        for file in sorted((root / top).rglob("*")):
            if file.suffix in (".h", ".cc") and file.is_file():
                path = file.relative_to(root).as_posix()
                findings += [f"{path}:{number}: {text}" for number, text in check_file(path, root)]
    return findings


# Small trees for the self test: what the file holds, and a part of the finding it must cause (None: no finding).
SAMPLES = (
    ("src/a.cc", '#include "tiering/b.h"\n#include <event2/event.h>\n#include <sys/socket.h>\n', None),
    ("tiering/a.cc", '#include "tiering/b.h"\n#include "storage/base/c.h"\n#include "storage/ram/d.h"\n', None),
    ("storage/flash/a.cc", "#include <rocksdb/db.h>\n#include <lz4.h>\n", None),
    ("tests/tiering/a_test.cc", '#include <gtest/gtest.h>\n#include "tiering/b.h"\n', None),
    ("storage/base/a.cc", '// #include "src/e.h"\n', None),
    ("tiering/a.cc", '#include "src/e.h"\n', "above or beside tiering"),
    ("storage/base/a.cc", '#include "storage/ram/d.h"\n', "above or beside storage/base"),
    ("storage/ram/a.cc", '#include "storage/flash/f.h"\n', "above or beside storage/ram"),
    ("storage/flash/a.cc", '#include "storage/ram/d.h"\n', "above or beside storage/flash"),
    ("storage/ram/a.cc", '#include "tiering/b.h"\n', "above or beside storage/ram"),
    ("src/a.cc", '#  include "tests/g.h"\n', "above or beside src"),
    ("tiering/a.cc", '#include "b.h"\n', "written from its root"),
    ("tiering/a.cc", '#include "../tiering/b.h"\n', "written from its root"),
    ("tiering/a.cc", "#include <tiering/b.h>\n", "included with quotes"),
    ("tiering/a.cc", "#include <rocksdb/db.h>\n", "RocksDB is known"),
    ("storage/flash/a.h", "#pragma once\n#include <rocksdb/db.h>\n", "RocksDB is known"),
    ("src/a.cc", "#include <lz4.h>\n", "values are compressed"),
    ("tiering/a.cc", "#include <sys/socket.h>\n", "sockets exist"),
    ("storage/base/a.cc", "#include <netinet/tcp.h>\n", "sockets exist"),
    ("tiering/a.cc", "#include <event2/event.h>\n", "event loops exist"),
    ("src/a.cc", "#include <gtest/gtest.h>\n", "the test framework"),
    ("src/a.h", "int a();\n", "no #pragma once"),
    ("src/a.h", "#pragma once\n" + "\n" * HEADER_LINES_MAX, "lines, 250 are the limit"),
    ("src/a.h", "#pragma once\n" + "\n" * (HEADER_LINES_MAX - 1), None),
    ("src/a.cc", "\n" * (FILE_LINES_MAX + 1), "lines, 600 are the limit"),
    ("src/a.cc", "\n" * FILE_LINES_MAX, None),
    ("storage/a.cc", "", "lies in no layer"),
)
HEADERS_OF_SAMPLES = ("src/e.h", "tiering/b.h", "storage/base/c.h", "storage/ram/d.h", "storage/flash/f.h", "tests/g.h")


def self_test():
    """Runs every sample; returns how many went wrong."""
    failures = 0
    for path, content, expected in SAMPLES:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for header in HEADERS_OF_SAMPLES:
                (root / header).parent.mkdir(parents=True, exist_ok=True)
                (root / header).write_text("#pragma once\n", encoding="utf-8")
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(content, encoding="utf-8")
            found = check_tree(root)
        as_expected = not found if expected is None else len(found) == 1 and expected in found[0]
        if not as_expected:
            failures += 1
            print(f"self-test: {path} with {content[:60]!r}: expected {expected!r}, found {found}")
    print(f"self-test: {len(SAMPLES) - failures} of {len(SAMPLES)} samples as expected")
    return failures


def main():
    parser = argparse.ArgumentParser(description="Checks includes and file lengths.")
    parser.add_argument("--self-test", action="store_true", help="show that every rule finds what it is for")
    arguments = parser.parse_args()
    if arguments.self_test:
        return 1 if self_test() else 0
    findings = check_tree(pathlib.Path(__file__).resolve().parent.parent)
    print("\n".join(findings) if findings else "check_layers: nothing found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
