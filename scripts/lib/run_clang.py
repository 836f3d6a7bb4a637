#!/usr/bin/env python3
"""Runs clang over the tree's files, as many at a time as asked for, and prints what it has to say.

  run_clang.py syntax  --build-dir DIR --jobs N [FILE...]   the front end with -Wthread-safety, nothing is generated
  run_clang.py tidy    --build-dir DIR --jobs N [FILE...]   clang-tidy with the tree's .clang-tidy
  run_clang.py headers --build-dir DIR --jobs N [FILE...]   each header as a file of its own

DIR is a build folder configured for clang++: its compile_commands.json names files and flags. Without FILE,
every file is checked. Exit 1 if any file fails.
"""

import argparse
import concurrent.futures
import json
import pathlib
import shlex
import subprocess
import sys

LAYERS = ("src", "tiering", "storage", "tests")


def load_database(build_dir, root):
    """Path from the root -> (folder, arguments) of the first command that compiles it."""
    commands = {}
    for entry in json.loads((build_dir / "compile_commands.json").read_text(encoding="utf-8")):
        folder = pathlib.Path(entry["directory"])
        file = (folder / entry["file"]).resolve()
        if file.is_relative_to(root):
            commands.setdefault(file.relative_to(root).as_posix(), (folder, shlex.split(entry["command"])))
    return commands


def without_output(arguments):
    """The command up to its outputs: no -o FILE, no -c, and no launcher before the compiler."""
    while arguments and pathlib.Path(arguments[0]).name == "ccache":
        arguments = arguments[1:]
    kept, skip = [], False
    for argument in arguments:
        if not skip and argument not in ("-o", "-c"):
            kept.append(argument)
        skip = not skip and argument == "-o"
    return kept


def jobs_for(mode, build_dir, root, files):
    """(name, folder, command) for each file to be checked."""
    database = load_database(build_dir, root)
    if mode == "headers":
        # A header's flags are those of any source: the tree has one set for all.
        folder, arguments = next(iter(database.values()))
        flags = without_output(arguments)[:-1]
        wanted = files or [
            file.relative_to(root).as_posix() for top in LAYERS for file in sorted((root / top).rglob("*.h"))
        ]
        for name in wanted:
            # Included into nothing: as the main file it would be told of constants that it does not use.
            yield name, folder, [*flags, "-fsyntax-only", "-include", str(root / name), "-x", "c++", "/dev/null"]
        return
    for name in files or sorted(database):
        if name not in database:
            print(f"{name}: no target compiles it")
            continue
        folder, arguments = database[name]
        if mode == "syntax":
            yield name, folder, [*without_output(arguments), "-fsyntax-only"]
        else:
            yield name, root, ["clang-tidy", "--quiet", f"-p={build_dir}", str(root / name)]


def run_one(job):
    name, folder, command = job
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return name, done.returncode, done.stdout


def main():
    parser = argparse.ArgumentParser(description="Runs clang over the tree's files.")
    parser.add_argument("mode", choices=("syntax", "tidy", "headers"))
    parser.add_argument("--build-dir", type=pathlib.Path, required=True)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("files", nargs="*")
    arguments = parser.parse_intermixed_args()
    root = pathlib.Path(__file__).resolve().parent.parent.parent

    jobs = list(jobs_for(arguments.mode, arguments.build_dir.resolve(), root, arguments.files))
    failed = []
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(arguments.jobs, 1)) as pool:
        for name, status, output in pool.map(run_one, jobs):
            if status != 0:
                failed.append(name)
                print(f"--- {name}\n{output.rstrip()}", flush=True)
    print(f"{arguments.mode}: {len(jobs) - len(failed)} of {len(jobs)} files are clean")
    return 1 if failed or not jobs else 0


if __name__ == "__main__":
    sys.exit(main())
