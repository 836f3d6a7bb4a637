"""scripts/bench: the table of what the daemon must reach, side by side with memcached in one run."""

import argparse
import contextlib
import os
import pathlib
import platform
import signal
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from bench import rows_flash, rows_ram  # noqa: E402
from bench.load import Loader  # noqa: E402
from bench.servers import MemoryGroup, Server  # noqa: E402
from bench.table import Table  # noqa: E402

GROUPS = {
    "ram": rows_ram.ram, "sizes": rows_ram.sizes, "keys": rows_ram.keys, "ram_items": rows_ram.ram_items,
    "connections": rows_ram.connections, "workers": rows_ram.workers,
    "flash_items": rows_flash.flash_items, "flash_reads": rows_flash.flash_reads,
    "flash_group": rows_flash.flash_group, "demotion": rows_flash.demotion,
    "interference": rows_flash.interference, "restart": rows_flash.restart, "scale": rows_flash.scale,
}
SHORT_DIVISOR = 50  # of all amounts in a short run


class Bench:
    def __init__(self, options):
        self.options = options
        self.loader = Loader(options.build_dir)
        self.table = Table(options.out, judged=not options.short)
        Server.quiet_s = 0.2 if options.short else 1.0
        self.rounds = 1 if options.short else options.rounds
        self.seconds = 0.3 if options.short else options.seconds
        self.long_seconds = 1 if options.short else options.long_seconds
        self.scale_items = options.scale_items
        self.fill_rate = 0 if options.short else 40_000  # in a cgroup: as fast as extstore can write
        self.build = pathlib.Path(options.build_dir)

    def scaled(self, amount):
        return max(1, amount // SHORT_DIVISOR) if self.options.short else amount

    @contextlib.contextmanager
    def contenders(self, arguments, limit_value=None, group_bytes=None, only=None, cpus=None):
        """Every server of the comparison, started alike. `arguments`: of all, or by kind."""
        servers = []
        of = arguments if callable(arguments) else lambda kind: arguments
        specs = [("terraced", "terraced", self.build / "terraced"), ("memcached", "memcached", self.options.memcached)]
        for path in self.options.peer:
            kind = "terraced" if "terraced" in os.path.basename(path) else "memcached"
            specs.append((f"peer:{os.path.basename(path)}", kind, path))
        if limit_value is not None:
            specs.append(("limit", "limit", self.build / "tests" / "bench_limit"))
        try:
            for name, kind, binary in specs:
                if only is not None and name not in only:
                    continue
                group = MemoryGroup(group_bytes) if group_bytes else None
                words = [str(limit_value)] if kind == "limit" else of(kind)
                servers.append(Server(name, kind, binary, words, group, cpus))
            yield servers
        finally:
            for server in servers:
                server.close()

    def fill(self, servers, keys, value_bytes, **more):
        for server in servers:
            if server.kind == "limit":
                continue
            self.loader.fill(server, keys, value_bytes, **more)
            server.settle()

    def compare(self, row, title, servers, shape, bar=None):
        figures = rows_ram.run_rounds(self, servers, {"seconds": self.seconds, **shape})
        self.table.add(row, title, figures, bar)


def machine():
    model = ""
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return {"cpu": model, "cores": os.cpu_count(), "kernel": platform.release()}


def main():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="group", help="of rows, by default all: " + " ".join(GROUPS))
    parser.add_argument("--short", action="store_true", help="small amounts, one round: whether it works, not how fast")
    parser.add_argument("--rounds", type=int, default=5, help="of every row (%(default)s)")
    parser.add_argument("--seconds", type=float, default=2, help="of each round (%(default)s)")
    parser.add_argument("--long-seconds", type=float, default=60, help="of all rounds of pauses (%(default)s)")
    parser.add_argument("--scale-items", type=int, default=100_000_000, help="where `scale` ends (%(default)s)")
    parser.add_argument("--peer", action="append", default=[], metavar="PATH", help="another server to compare with")
    parser.add_argument("--memcached", default="/usr/bin/memcached", help="the reference (%(default)s)")
    parser.add_argument("--build-dir", default="build", help=argparse.SUPPRESS)
    parser.add_argument("--out", default="build/bench", help="folder for JSON and plots (%(default)s)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that the servers are ended too
    for group in options.groups:
        if group not in GROUPS:
            parser.error(f"unknown group '{group}'; known are {' '.join(GROUPS)}")
    bench = Bench(options)
    print(f"{machine()}")
    for group in options.groups or GROUPS:
        GROUPS[group](bench)
    bench.table.save(machine())
    verdict = f"{bench.table.missed()} bars missed" if bench.table.judged else "a short run, which says nothing of speed"
    print(f"\n{options.out}: bench.json and a plot of each row; {verdict}")


if __name__ == "__main__":
    main()
