#!/usr/bin/env python3
"""Writes etc/terraced.conf and the OPTIONS section of man/terraced.1 from the daemon's options table.

usage: gen_docs.py [--check] [DAEMON]    (DAEMON: build/terraced)

With --check nothing is written; the exit code is 1 where a file differs from the table.
"""

import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
CONFIG = ROOT / "etc" / "terraced.conf"
MANUAL = ROOT / "man" / "terraced.1"
BEGIN = '.\\" --- options: written by scripts/gen_docs.py ---\n'
END = '.\\" --- end of options ---\n'


def printed(daemon: str, option: str) -> str:
    return subprocess.run([daemon, option], check=True, capture_output=True, text=True).stdout


def with_options(manual: str, section: str) -> str:
    """The manual with its generated part replaced; the markers belong to the section."""
    if manual.count(BEGIN) != 1 or manual.count(END) != 1:
        sys.exit(f"gen_docs.py: {MANUAL} lacks the lines between which the options stand")
    before, rest = manual.split(BEGIN)
    return before + section + rest.split(END)[1]


def main() -> int:
    arguments = sys.argv[1:]
    check = "--check" in arguments
    names = [argument for argument in arguments if argument != "--check"]
    if len(names) > 1 or any(name.startswith("-") for name in names):
        sys.exit(__doc__)
    daemon = names[0] if names else str(ROOT / "build" / "terraced")
    wanted = {
        CONFIG: printed(daemon, "--print-config"),
        MANUAL: with_options(MANUAL.read_text(), printed(daemon, "--print-manual")),
    }
    differing = [path for path, text in wanted.items()
                 if not path.exists() or path.read_text() != text]
    for path in differing:
        if check:
            print(f"{path} differs from the options table: run scripts/gen_docs.py")
        else:
            path.write_text(wanted[path])
            print(f"wrote {path}")
    return 1 if check and differing else 0


if __name__ == "__main__":
    sys.exit(main())
