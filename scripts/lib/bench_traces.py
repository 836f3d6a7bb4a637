#!/usr/bin/env python3
"""Replays traces against terraced under several settings, and against memcached with extstore of the same sizes.

  bench_traces.py [--build-dir DIR] [--conf FILE]... [--trace FILE]... [--short] [--json FILE]

For each trace a table: hit ratio by tier, bytes written to flash and CPU time an operation. A trace is a parameter
file (tests/bench/trace_config.h; without any, all of tests/bench/traces) or a text (tests/bench/trace_text.h). Each
server runs alone, with one worker, on processor 0 and an empty flash tier in a temporary folder; the replay is on
processor 1. Hit ratios and bytes hardly depend on what else the machine does, times do. --short replays a tenth of
each trace, to see that everything works.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
TRACES = ROOT / "tests" / "bench" / "traces"

SERVER_CPU, REPLAY_CPU = 0, 1
START_S = 60  # until a server answers
SHORT_OPERATIONS = 10  # --short divides by it
TEXT_RAM_MB, TEXT_FLASH_MB = 64, 1024  # of a text, which has no parameters

# What lets extstore keep up best; with its own defaults it loses what it is too slow to write.
EXTSTORE_TUNING = "ext_max_sleep=1000,slab_automove=2,slab_automove_freeratio=0.1"


@dataclasses.dataclass(frozen=True)
class Setting:
    """One way to start a server; {folder}, {shared}, {flash_mb} and {page_mb} are filled in."""

    name: str
    options: str = ""
    is_memcached: bool = False


def terraced(options):
    tiers = "flash_path={folder}/flash,flash_size={flash_mb}m,flash_index_dir={shared}"
    return Setting(options or "default", f"{tiers},{options}".rstrip(","))


def extstore(item_bytes):
    options = f"ext_page_size={{page_mb}},ext_item_size={item_bytes},{EXTSTORE_TUNING}," \
              "ext_path={folder}/ext:{flash_mb}m"
    return Setting(f"memcached, ext_item_size={item_bytes}", options, True)


SETTINGS = (
    terraced(""),
    terraced("promote_hits=0"),
    terraced("promote_hits=1"),
    terraced("promote_hits=2"),
    terraced("second_chance_pct=0"),
    terraced("second_chance_pct=10"),
    terraced("second_chance_pct=25"),
    terraced("second_chance_pct=50"),
    terraced("second_chance_pct=100"),
    terraced("no_flash_admit_unread"),
    terraced("flash_item_min=128"),
    extstore(64),
    extstore(512),
)


@dataclasses.dataclass(frozen=True)
class Trace:
    """A trace, and the sizes of the tiers that it is replayed against."""

    name: str
    arguments: tuple  # of bench_trace
    ram_mb: int
    flash_mb: int


def parameters_of(conf):
    """name -> value of a parameter file; bench_trace checks them."""
    lines = (line.split("#")[0].strip() for line in conf.read_text(encoding="utf-8").splitlines())
    pairs = (line.split("=", 1) for line in lines if "=" in line)
    return {name.strip(): value.strip() for name, value in pairs}


def trace_of_conf(conf, options):
    parameters = parameters_of(conf)
    arguments = ["--conf", str(conf)]
    if options.short:
        for name in ("operations", "warmup"):
            arguments += [f"--{name}", str(int(parameters.get(name, 0)) // SHORT_OPERATIONS)]
    ram_mb = options.ram_mb or int(parameters.get("ram_mb", TEXT_RAM_MB))
    flash_mb = options.flash_mb or int(parameters.get("flash_mb", TEXT_FLASH_MB))
    return Trace(conf.stem, tuple(arguments), ram_mb, flash_mb)


def trace_of_text(text, options):
    warmup = options.warmup // SHORT_OPERATIONS if options.short else options.warmup
    arguments = ("--trace", str(text), "--warmup", str(warmup))
    return Trace(text.stem, arguments, options.ram_mb or TEXT_RAM_MB, options.flash_mb or TEXT_FLASH_MB)


def traces_of(options):
    confs = options.conf or ([] if options.trace else sorted(TRACES.glob("*.conf")))
    return [trace_of_conf(conf, options) for conf in confs] + [trace_of_text(text, options) for text in options.trace]


def settings_of(options):
    """Those that --only names, or all; and those that --also adds."""
    unknown = set(options.only) - {setting.name for setting in SETTINGS}
    if unknown:
        sys.exit(f"bench_traces: no setting {', '.join(sorted(unknown))}; there are: "
                 + "; ".join(setting.name for setting in SETTINGS))
    defaults = ("promote_hits=2", "second_chance_pct=25")  # written out only where --only asks for them
    chosen = [setting for setting in SETTINGS
              if setting.name in options.only or not options.only and setting.name not in defaults]
    return chosen + [terraced(more) for more in options.also]


def server_command(setting, trace, folder, shared, options):
    # extstore drops a page at a time, so there should be many; a page is a multiple of its write buffer's 4 MB.
    page_mb = max(4, min(64, trace.flash_mb // 64 * 4))
    values = setting.options.format(folder=folder, shared=shared, flash_mb=trace.flash_mb, page_mb=page_mb)
    binary = options.memcached if setting.is_memcached else str(options.build_dir / "terraced")
    command = [binary, "-l", "127.0.0.1", "-p", "-1", "-m", str(trace.ram_mb), "-t", "1", "-o", values]
    return command + (["-u", "root"] if os.geteuid() == 0 else [])


def port_from(path):
    """The port that a server wrote once it listened, or None."""
    with contextlib.suppress(FileNotFoundError):
        text = path.read_text(encoding="utf-8")
        if text.startswith("TCP INET: ") and text.endswith("\n"):
            return int(text.split()[2])
    return None


def pinned_to(cpu):
    """Runs in the child; a machine with a single processor has nothing to pin to."""
    if (os.cpu_count() or 1) > max(SERVER_CPU, REPLAY_CPU):
        os.sched_setaffinity(0, {cpu})


@contextlib.contextmanager
def running_server(setting, trace, options):
    """Yields (pid, port) of a server with an empty flash tier; it is killed and its folder removed at the end."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="terraced-traces-"))
    shared = pathlib.Path(tempfile.mkdtemp(prefix="terraced-traces-", dir="/dev/shm"))
    log = folder / "log"
    try:
        with log.open("wb") as output:
            server = subprocess.Popen(server_command(setting, trace, folder, shared, options), stdin=subprocess.DEVNULL,
                                      stdout=output, stderr=output, preexec_fn=lambda: pinned_to(SERVER_CPU),
                                      env={**os.environ, "MEMCACHED_PORT_FILENAME": str(folder / "port")})
        try:
            end = time.monotonic() + START_S
            while (port := port_from(folder / "port")) is None:
                if server.poll() is not None or time.monotonic() > end:
                    sys.exit(f"bench_traces: {setting.name} does not start: {log.read_text(errors='replace')}")
                time.sleep(0.01)
            yield server.pid, port
        finally:
            server.kill()
            server.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(shared, ignore_errors=True)


def replay(setting, trace, options):
    """What bench_trace says of one replay, as a dictionary."""
    with running_server(setting, trace, options) as (pid, port):
        command = [str(options.build_dir / "tests" / "bench_trace"), *trace.arguments, "--port", str(port),
                   "--pid", str(pid)]
        if options.rate:
            command += ["--rate", str(options.rate)]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=options.timeout, preexec_fn=lambda: pinned_to(REPLAY_CPU))
    if done.returncode != 0:
        sys.exit(f"bench_traces: {trace.name}, {setting.name}: {done.stderr.strip()}")
    return json.loads(done.stdout)


COLUMNS = (  # title, width, text of a result
    ("hits %", 7, lambda result: f"{100 * result['hit_ratio']:.2f}"),
    ("RAM %", 7, lambda result: f"{100 * result['hit_ratio_ram']:.2f}"),
    ("flash %", 8, lambda result: f"{100 * result['hit_ratio_flash']:.2f}"),
    ("written B/op", 13, lambda result: f"{result['flash_bytes_per_operation']:.1f}"),
    ("CPU us/op", 10, lambda result: f"{result['cpu_us_per_operation']:.2f}"),
    ("op/s", 8, lambda result: f"{result['operations_per_second']:.0f}"),
    ("refused", 8, lambda result: str(result["refused"])),
    ("errors", 7, lambda result: str(result["errors"])),
)
NAME_WIDTH = 40


def print_head(trace):
    print(f"\n{trace.name}: -m {trace.ram_mb}, flash {trace.flash_mb} MB")
    print(f"{'':{NAME_WIDTH}}" + "".join(f"{title:>{width}}" for title, width, _ in COLUMNS), flush=True)


def print_row(name, result):
    print(f"{name:{NAME_WIDTH}}" + "".join(f"{text(result):>{width}}" for _, width, text in COLUMNS), flush=True)


def parsed_options():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build-dir", type=pathlib.Path, default=ROOT / "build", help="default: build")
    parser.add_argument("--conf", type=pathlib.Path, action="append", default=[], help="parameters of a trace")
    parser.add_argument("--trace", type=pathlib.Path, action="append", default=[], help="a trace as text")
    parser.add_argument("--warmup", type=int, default=0, help="operations of a text that are not counted")
    parser.add_argument("--ram-mb", type=int, help="instead of the trace's own size")
    parser.add_argument("--flash-mb", type=int, help="instead of the trace's own size")
    parser.add_argument("--only", action="append", default=[], metavar="SETTING", help="a row of the table")
    parser.add_argument("--also", action="append", default=[], metavar="OPTIONS", help="a row more: -o of terraced")
    parser.add_argument("--rate", type=int, help="operations a second at most")
    parser.add_argument("--memcached", default="/usr/bin/memcached", help="the server to compare with")
    parser.add_argument("--timeout", type=int, default=900, metavar="SECONDS", help="of one replay")
    parser.add_argument("--short", action="store_true", help="a tenth of each trace")
    parser.add_argument("--json", type=pathlib.Path, help="file for every number of every replay")
    return parser.parse_args()


def main():
    options = parsed_options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the server is killed too
    settings = settings_of(options)
    results = []
    for trace in traces_of(options):
        print_head(trace)
        for setting in settings:
            result = replay(setting, trace, options)
            print_row(setting.name, result)
            results.append({"trace": trace.name, "ram_mb": trace.ram_mb, "flash_mb": trace.flash_mb,
                            "setting": setting.name, "memcached": setting.is_memcached, **result})
            if options.json:
                options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
