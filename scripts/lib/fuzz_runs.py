#!/usr/bin/env python3
"""Runs the fuzz targets of a build, so many at a time, and says what came of it. scripts/fuzz is the door.

  fuzz_runs.py --build-dir DIR [--seconds N] [--jobs N] [--target NAME]... [--keep]

Exit 1 if a target found something, 2 if it could not be run.
"""

import argparse
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
KEPT = ROOT / "tests" / "fuzz" / "corpus"

INPUT_BYTES_MAX = 4096  # what is large is made from a small input, see tests/fuzz/fuzz_input.h
INPUT_SECONDS_MAX = 20
RSS_MB_MAX = 2048
SECONDS_LEAST = 2
# In the kept corpus: an input that showed a fault once. Others may come to reach as much, these stay.
NAMED = "found-*"
# What libFuzzer calls the file of an input that it stops at.
FINDINGS = ("crash-*", "timeout-*", "oom-*", "leak-*")
# Addresses as far apart as some kernels lay them are more than the sanitizers of clang 14 know.
SETARCH = ["setarch", "--addr-no-randomize"]

STATUS = re.compile(r"cov: (\d+) ft: (\d+) corp: (\d+)/(\S+)")
EDGES = re.compile(r"Loaded \d+ modules\s+\((\d+) inline 8-bit counters\)")
EXECUTED = re.compile(r"stat::number_of_executed_units:\s*(\d+)")
EXECUTED_SO_FAR = re.compile(r"^#(\d+)\t", re.MULTILINE)
RATE = re.compile(r"stat::average_exec_per_sec:\s*(\d+)")
REASON = re.compile(r"check failed|ERROR|runtime error")


class Target:
    """One program of libFuzzer's, and where its inputs are."""

    def __init__(self, program, build_dir):
        self.program = program
        self.name = program.name.removesuffix("_fuzz")
        self.kept = KEPT / self.name
        self.found = build_dir / "corpus" / self.name
        self.crashes = build_dir / "crashes" / self.name
        self.log = build_dir / "logs" / f"{self.name}.log"
        self.dictionary = build_dir / "dictionaries" / f"{self.name}.dict"
        for folder in (self.found, self.crashes, self.log.parent):
            folder.mkdir(parents=True, exist_ok=True)

    def command(self, prefix):
        """The program with what holds for every use of it."""
        return [*prefix, str(self.program), f"-timeout={INPUT_SECONDS_MAX}", f"-rss_limit_mb={RSS_MB_MAX}"]

    def findings(self):
        return {file for pattern in FINDINGS for file in self.crashes.glob(pattern)}


class Outcome:
    """What one run came to."""

    def __init__(self, target, text, new_findings, status):
        self.target, self.findings, self.status = target, sorted(new_findings), status
        self.executed = last_number(EXECUTED, text) or last_number(EXECUTED_SO_FAR, text)
        self.rate = last_number(RATE, text)
        self.edges = last_number(EDGES, text)
        reached = STATUS.findall(text)
        self.coverage, _, self.inputs, self.input_bytes = reached[-1] if reached else (0, 0, 0, "0b")


def last_number(pattern, text):
    numbers = pattern.findall(text)
    return int(numbers[-1]) if numbers else 0


def launcher():
    """Words that a target is started through."""
    works = shutil.which(SETARCH[0]) and subprocess.run([*SETARCH, "true"], capture_output=True, check=False)
    return SETARCH if works and works.returncode == 0 else []


def explain(target, prefix, finding):
    """Runs the input alone; what is said about it goes beside it. The line that says most."""
    done = subprocess.run([*target.command(prefix), str(finding)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", check=False)
    finding.with_suffix(".txt").write_text(done.stdout, encoding="utf-8")
    if done.returncode == 0:
        return "does not happen when the input is run alone"
    return next((line.strip() for line in done.stdout.splitlines() if REASON.search(line)), "stops without a word")


def run_target(target, prefix, seconds):
    before = target.findings()
    command = [*target.command(prefix), f"-max_total_time={seconds}", f"-max_len={INPUT_BYTES_MAX}",
               "-print_final_stats=1", f"-artifact_prefix={target.crashes}/",
               # The daemon's own log lines; explain() shows them for what was found.
               "-close_fd_mask=3"]
    if target.dictionary.is_file():
        command.append(f"-dict={target.dictionary}")
    command.append(str(target.found))
    if target.kept.is_dir():
        command.append(str(target.kept))
    with target.log.open("wb") as log:
        status = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                                check=False).returncode
    text = target.log.read_text(encoding="utf-8", errors="replace")
    return Outcome(target, text, target.findings() - before, status)


def keep(target, prefix):
    """The kept corpus becomes the smallest inputs that reach what it and the found one reach."""
    target.kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        merged = pathlib.Path(folder)
        # Without counters: which lines an input reaches, not how often.
        command = [*target.command(prefix), "-set_cover_merge=1", "-use_counters=0", "-close_fd_mask=3", str(merged),
                   str(target.kept), str(target.found)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", check=False)
        inputs = sorted(merged.iterdir())
        if done.returncode != 0 or not inputs:
            sys.exit(f"fuzz: {target.name}: the corpora could not be merged\n{done.stdout[-2000:]}")
        named = set(target.kept.glob(NAMED))
        for file in set(target.kept.iterdir()) - named:
            file.unlink()
        for file in inputs:
            shutil.copyfile(file, target.kept / file.name)
        size = sum(file.stat().st_size for file in inputs)
        print(f"{target.name}: {len(inputs)} inputs of {size} bytes are kept, and {len(named)} that found something")


def print_table(outcomes):
    print(f"\n{'target':<18}{'executions':>12}{'exec/s':>9}{'edges reached':>17}{'inputs':>8}{'crashes':>9}")
    for outcome in outcomes:
        reached = f"{outcome.coverage} of {outcome.edges}"
        print(f"{outcome.target.name:<18}{outcome.executed:>12}{outcome.rate:>9}{reached:>17}{outcome.inputs:>8}"
              f"{len(outcome.findings):>9}")


def print_findings(outcomes, prefix):
    for outcome in outcomes:
        for finding in outcome.findings:
            print(f"\n{outcome.target.name}: {explain(outcome.target, prefix, finding)}\n  input: {finding}\n"
                  f"  again: {outcome.target.program} {finding}")
        if outcome.status != 0 and not outcome.findings:
            print(f"\n{outcome.target.name}: ended with status {outcome.status}, see {outcome.target.log}")


def close(outcomes):
    """The closing line and the exit status."""
    executed = sum(outcome.executed for outcome in outcomes)
    crashes = sum(len(outcome.findings) for outcome in outcomes)
    broken = sum(1 for outcome in outcomes if outcome.status != 0 and not outcome.findings)
    print(f"\nfuzz: {len(outcomes)} targets, {executed} executions, {crashes} crashes"
          + (f", {broken} could not be run to their end" if broken else ""))
    if crashes:
        return 1
    return 2 if broken else 0


def targets_of(arguments):
    programs = sorted((arguments.build_dir / "targets").glob("*_fuzz"))
    targets = [Target(program, arguments.build_dir) for program in programs]
    known = [target.name for target in targets]
    for name in arguments.target:
        if name not in known:
            sys.exit(f"fuzz: there is no target '{name}'; there are {', '.join(known)}")
    return [target for target in targets if not arguments.target or target.name in arguments.target]


def main():
    parser = argparse.ArgumentParser(description="Runs the fuzz targets of a build.")
    parser.add_argument("--build-dir", type=pathlib.Path, required=True)
    parser.add_argument("--seconds", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--target", action="append", default=[])
    parser.add_argument("--keep", action="store_true")
    arguments = parser.parse_args()
    targets, prefix = targets_of(arguments), launcher()
    jobs = max(1, min(arguments.jobs, len(targets)))

    # Equal shares; the last ones to start are not those that get nothing.
    share = max(SECONDS_LEAST, arguments.seconds * jobs // len(targets))
    print(f"fuzz: {len(targets)} targets, {share} s each, {jobs} at a time", flush=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=jobs) as pool:
        outcomes = list(pool.map(lambda target: run_target(target, prefix, share), targets))
    print_table(outcomes)
    print_findings(outcomes, prefix)
    if arguments.keep:
        print()
        for target in targets:
            keep(target, prefix)
    return close(outcomes)


if __name__ == "__main__":
    sys.exit(main())
