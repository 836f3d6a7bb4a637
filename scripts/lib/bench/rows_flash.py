"""The rows of the flash tier, against memcached with extstore."""

import collections
import signal
import statistics
import threading
import time

from bench.servers import MemoryGroup
from bench.table import MEGA

# With its defaults extstore keeps a third of 20,000 sets a second; these make it keep up best.
EXTSTORE_TUNING = "ext_max_sleep=1000,slab_automove=2,slab_automove_freeratio=0.1,ext_item_size=64"
PACES = (180e3, 150e3, 120e3, 90e3, 70e3, 50e3, 40e3, 30e3, 20e3, 10e3)
KEPT_PCT = 90
GROUP_BYTES = 1 << 30
GROUP_BYTES_MIN = 1 << 28  # of a short run: the servers themselves must fit


def flash_arguments(kind, memory, size, more=""):
    if kind == "terraced":
        return ["-m", str(memory), "-o", f"flash_path=@/flash,flash_size={size},flash_index_dir=@shm{more}"]
    return ["-m", str(memory), "-o", f"ext_path=@/extstore:{size.upper()},{EXTSTORE_TUNING}"]


def flash_items(bench):
    """2,000,000 small items in 64 MB of RAM and 4 GB of flash."""
    count = bench.scaled(2_000_000)
    print(f"\nflash_items: {count:,} items of 100 bytes in -m 64 and 4 GB of flash")
    with bench.contenders(lambda kind: flash_arguments(kind, 64, "4g")) as servers:
        for server in servers:
            bench.loader.fill(server, count, 100)
            server.settle()
            result = bench.loader.run(server, {"work": "get", "connections": 8, "batch": 32, "keys": count,
                                               "value_bytes": 100, "seconds": bench.seconds})
            kept = 100 * sweep(bench, server, count, 100) / count
            bar = 99.95 if server.name == "terraced" else None
            bench.table.fact(f"{server.name}: retrievable", kept, "%", bar, at_least=True)
            bench.table.fact(f"{server.name}: peak RSS (VmHWM)", server.peak_rss_bytes() / MEGA, "MB",
                             128 if server.name == "terraced" else None)
            bench.table.fact(f"{server.name}: CPU per random GET", result["cpu_us"], "us")
            if server.name == "terraced":
                wait_for_verified_removals(server)
                stats = server.stats()
                missing = count - round(kept * count / 100)
                explained = int(stats["flash_index_collisions"]) + int(stats["evictions"])
                bench.table.fact("terraced: missing", missing, "items")
                bench.table.fact("terraced: collisions + evictions less missing", abs(explained - missing), "items", 0)


def wait_for_verified_removals(server, seconds=60):
    deadline = time.monotonic() + seconds
    while int(server.stats()["flash_removals_unverified"]) > 0 and time.monotonic() < deadline:
        time.sleep(0.2)


def sweep(bench, server, count, value_bytes, first_key=0):
    """Asks for every key once, in order; how many were there."""
    result = bench.loader.run(server, {"work": "sweep", "connections": 4, "batch": 1, "keys_per_get": 100,
                                       "keys": count, "first_key": first_key, "value_bytes": value_bytes})
    return result["hits"]


def flash_reads(bench):
    """Values on flash, the page cache warm."""
    for value_bytes, keys, size in ((100, 4_000_000, "4g"), (1_000, 1_000_000, "4g"), (8_000, 150_000, "4g")):
        keys = bench.scaled(keys)
        with bench.contenders(lambda kind: flash_arguments(kind, 512 if kind != "terraced" else 64, size)) as servers:
            bench.fill(servers, keys, value_bytes, rate=bench.fill_rate * min(1, 1_000 / value_bytes))
            for server in servers:
                server.warm_page_cache()
            for choice in ("uniform", "zipf"):
                bench.compare(f"flash_get_{value_bytes}_{choice}",
                              f"GET from flash, {keys:,} x {value_bytes:,} bytes, {choice}, page cache warm", servers,
                              {"work": "get", "connections": 8, "batch": 16, "choice": choice, "keys": keys,
                               "value_bytes": value_bytes})


def flash_group(bench):
    """Everything, the page cache too, in a memory cgroup of 1 GB."""
    if not MemoryGroup.available():
        print("\nflash_group: left out, this user may not make memory cgroups here")
        return
    keys = bench.scaled(4_000_000)
    limit = max(bench.scaled(GROUP_BYTES), GROUP_BYTES_MIN)
    with bench.contenders(lambda kind: flash_arguments(kind, 512 if kind != "terraced" else 64, "8g"),
                          group_bytes=limit) as servers:
        bench.fill(servers, keys, 1_000, rate=bench.fill_rate)
        for choice in ("uniform", "zipf"):
            bench.compare(f"group_get_1000_{choice}",
                          f"GET, {keys:,} x 1,000 bytes, {choice}, all in a cgroup of 1 GB", servers,
                          {"work": "get", "connections": 8, "batch": 16, "choice": choice, "keys": keys,
                           "value_bytes": 1_000}, bar=1.0)
        for server in servers:
            bench.table.fact(f"{server.name}: retrievable of {keys:,}", 100 * sweep(bench, server, keys, 1_000) / keys,
                             "%")
    keys = bench.scaled(20_000_000)
    with bench.contenders(lambda kind: flash_arguments(kind, 64, "8g"), group_bytes=limit,
                          only=("terraced",)) as servers:
        bench.fill(servers, keys, 100)
        for choice in ("uniform", "zipf"):
            bench.compare(f"group_get_100_{choice}",
                          f"GET, {keys:,} x 100 bytes, {choice}, all in a cgroup of 1 GB", servers,
                          {"work": "get", "connections": 8, "batch": 16, "choice": choice, "keys": keys,
                           "value_bytes": 100})
        kept = 100 * sweep(bench, servers[0], keys, 100) / keys
        bench.table.fact(f"terraced: retrievable of {keys:,}", kept, "%", 95, at_least=True)


def demotion(bench):
    """Sets that push older items to flash all the time. extstore takes sets faster than it writes them and drops the
    difference: what counts is the fastest pace at which it still keeps nine tenths."""
    count = bench.scaled(2_000_000)
    shape = {"value_bytes": 1_000, "compressible": 1}

    def once(kind, name, pace):
        with bench.contenders(lambda k: flash_arguments(k, 64 if k == "terraced" else 512, "8g"),
                              only=(name,)) as servers:
            result = bench.loader.fill(servers[0], count, rate=pace, **shape)
            servers[0].settle()
            stats = servers[0].stats()
            result["kept_pct"] = 100 * sweep(bench, servers[0], count, 1_000) / count
            result["stats"] = stats
            result["disk_written"] = servers[0].written_bytes()
            return result

    print(f"\ndemotion: {count:,} sets of 1,000 bytes, half compressible, nearly all of them to flash")
    for pace in PACES if bench.rounds > 1 else PACES[-1:]:
        theirs = once("memcached", "memcached", pace)
        bench.table.fact(f"memcached at {pace:,.0f} sets/s keeps", theirs["kept_pct"], "%")
        if theirs["kept_pct"] >= KEPT_PCT:
            break
    ours = once("terraced", "terraced", 0)
    bench.table.fact("memcached: sets/s", theirs["rate"], "/s")
    bench.table.fact("memcached: CPU per set", theirs["cpu_us"], "us")
    bench.table.fact("terraced: sets/s", ours["rate"], "/s")
    bench.table.fact("terraced: CPU per set", ours["cpu_us"], "us")
    bench.table.fact("terraced / memcached, CPU per set", ours["cpu_us"] / theirs["cpu_us"], "x", 1.0)
    bench.table.fact("terraced: kept", ours["kept_pct"], "%")
    demoted = max(1, int(ours["stats"]["flash_demoted_bytes"]))
    bench.table.fact("terraced: bytes written per byte demoted", int(ours["stats"]["flash_bytes_written"]) / demoted,
                     "x", 0.6)


def interference(bench):
    """RAM hits while sets demote 50 MB/s: latency from when a request was meant to be sent."""
    hot = bench.scaled(20_000)
    with bench.contenders(lambda kind: flash_arguments(kind, 256, "8g"), only=("terraced",)) as servers:
        server = servers[0]
        bench.loader.fill(server, hot, 100)
        saturated = bench.loader.run(server, {"work": "get", "connections": 50, "batch": 1, "keys": hot,
                                              "value_bytes": 100, "seconds": bench.seconds})
        shape = {"work": "open", "connections": 50, "keys": hot, "value_bytes": 100, "rate": 0.3 * saturated["rate"],
                 "seconds": bench.long_seconds / bench.rounds}

        def with_sets(number, **more):  # of keys that no other run has stored
            return {**shape, "set_mb_s": 50, "set_value_bytes": 1_000,
                    "set_first_key": 1_000_000_000 + number * 100_000_000, **more}

        print(f"\ninterference: open loop at {shape['rate']:,.0f} gets/s (30 % of saturated) of {hot:,} items in RAM")
        # Before RAM is full nothing is demoted; the system clears memory for the daemon instead.
        fills = bench.loader.run(server, with_sets(0, seconds=bench.scaled(5)))
        bench.table.fact("first, while sets of 50 MB/s fill RAM: p99", fills["p99_us"], "us")
        before = server.stats()
        idle, busy = [], []
        for number in range(1, bench.rounds + 1):
            server.settle()
            idle.append(bench.loader.run(server, shape))
            busy.append(bench.loader.run(server, with_sets(number)))
        for name, runs in (("idle", idle), ("sets of 50 MB/s", busy)):
            for quantile in ("p50_us", "p99_us", "p999_us"):
                each = [run[quantile] for run in runs]
                print(f"  {name}: {quantile[:-3]} of each round: {' '.join(f'{us:,.0f}' for us in each)} us")
                bench.table.fact(f"{name}: {quantile[:-3]}, median", statistics.median(each), "us")
            bench.table.fact(f"{name}: longest", max(run["longest_us"] for run in runs), "us")
        ratios = [one["p99_us"] / other["p99_us"] for one, other in zip(busy, idle)]
        print(f"  p99 with demotion / idle of each round: {' '.join(f'{ratio:.2f}' for ratio in ratios)}")
        bench.table.fact("p99 with demotion / idle, median", statistics.median(ratios), "x", 1.5)
        after = server.stats()
        demoted, evicted, waits, moments = (
            int(after[name]) - int(before[name])
            for name in ("flash_demoted_bytes", "evictions", "flash_room_waits", "flash_demotion_waits"))
        bench.table.fact("demoted meanwhile", demoted / 1e6 / bench.long_seconds, "MB/s")
        bench.table.fact("evicted meanwhile", evicted)
        bench.table.fact("sets that waited for room, in all busy rounds", waits)
        bench.table.fact("times that such a set asked again, a millisecond apart", moments / max(1, waits))
        bench.table.plot("interference", """
set title "RAM hits: idle, and while sets demote 50 MB/s"
set logscale xy
set xlabel "us from the intended send time"
set ylabel "gets"
plot $data index 0 using 1:2 with steps title "idle", $data index 1 using 1:2 with steps title "with sets"
""", "".join(histogram_of(runs) for runs in (idle, busy)))


def histogram_of(runs):
    """The runs' counts by latency, summed, as a block of gnuplot data."""
    counts = collections.Counter()
    for run in runs:
        counts.update(dict(run["histogram_us"]))
    return "".join(f"{end} {count}\n" for end, count in sorted(counts.items())) + "\n\n"


def restart(bench):
    """Stops of both kinds and starts with the data set in place, with item memory of its own and in a file (-e)."""
    count = bench.scaled(10_000_000)
    for memory_file in ([], ["-e", "@shm/memory"]):
        with bench.contenders(lambda kind: flash_arguments(kind, 256, "8g") + memory_file,
                              only=("terraced",)) as servers:
            bench.loader.fill(servers[0], count, 100)
            print(f"\nrestart: {count:,} items of 100 bytes, -m 256{' -e on tmpfs' if memory_file else ''}")
            for kind in (signal.SIGTERM, signal.SIGKILL):
                servers[0].settle()
                stop_and_start(bench, servers[0], count, kind)
                first_seconds(bench, servers[0], count)


def stop_and_start(bench, server, count, kind=signal.SIGTERM):
    """How long until a server answers again with `count` items of 100 bytes."""
    name = "SIGKILL" if kind == signal.SIGKILL else "clean stop"
    stats = server.stats()
    items = int(stats["curr_items"])
    begun = time.monotonic()
    server.stop(kind)
    bench.table.fact(name, time.monotonic() - begun, "s")
    begun = time.monotonic()
    server.start()
    bench.table.fact(f"{name}: start until the first answer", time.monotonic() - begun, "s")
    done = bench.loader.run(server, {"work": "get", "connections": 1, "batch": 1, "operations": 1_000, "keys": count,
                                     "value_bytes": 100})
    bench.table.fact(f"{name}: start until 1,000 random keys were answered", time.monotonic() - begun, "s", 1.0)
    bench.table.fact(f"{name}: of them found", done["hits"])
    bench.table.fact(f"{name}: items after it, of those before", 100 * int(server.stats()["curr_items"]) / items, "%")


def first_seconds(bench, server, count):
    """What clients see right after a start, at a rate that leaves the server room."""
    shape = {"work": "open", "connections": 8, "keys": count, "value_bytes": 100, "rate": 10_000,
             "seconds": bench.scaled(10)}
    first = bench.loader.run(server, shape)
    stats = server.stats()
    later = bench.loader.run(server, shape)
    bench.table.fact("p99 of 10,000 gets/s in the first 10 s", first["p99_us"], "us")
    bench.table.fact("p99 of the same ten seconds later", later["p99_us"], "us")
    bench.table.fact("keys of the hot list that were looked at by then, of all",
                     100 * int(stats["flash_hot_list_seen"]) / max(1, int(stats["flash_hot_list_keys"])), "%")


class RamPerFlashItem(threading.Thread):
    """Asks a server ten times a second how much RAM flash costs, for growth comes and goes; keeps the worst per item
    from 100,000 items on."""

    EVERY_S = 0.1
    ITEMS_MIN = 100_000

    def __init__(self, server):
        super().__init__(daemon=True)
        self.server = server
        self.worst = 0.0
        self.error = None
        self.ended = threading.Event()

    def look(self):
        stats = self.server.stats()
        if int(stats["flash_items"]) >= self.ITEMS_MIN:
            self.worst = max(self.worst, int(stats["flash_ram_bytes"]) / int(stats["flash_items"]))

    def run(self):
        try:
            while not self.ended.wait(self.EVERY_S):
                self.look()
        except (OSError, KeyError, ValueError) as error:
            self.error = error

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()
        if self.error is not None:
            raise self.error
        self.look()


def scale(bench):
    """From 10^5 to 10^8 items of 100 bytes: what a request costs, and the worst of RAM per item on the way."""
    last = bench.scaled(bench.scale_items)
    print(f"\nscale: up to {last:,} items of 100 bytes, -m 256")
    lines, at, worst = "", 0, 0.0
    with bench.contenders(lambda kind: flash_arguments(kind, 256, "16g"), only=("terraced",)) as servers:
        server = servers[0]
        mark = 100_000 if last > 100_000 else last // 10
        while at < last:
            goal = min(last, max(at + 50_000, int(at * 1.1)), mark if at < mark else last)
            with RamPerFlashItem(server) as ram:
                set_cost = bench.loader.fill(server, goal - at, 100, first_key=at)
            worst = max(worst, ram.worst)
            at = goal
            if at >= mark:
                lines += scale_mark(bench, server, at, set_cost)
                mark *= 10
        bench.table.fact("RAM per flash item, worst on the way (index, growth, RocksDB)", worst, "bytes", 8)
        bench.table.fact("peak RSS (VmHWM)", server.peak_rss_bytes() / MEGA, "MB", 1_536)
        kept = bench.loader.run(server, {"work": "get", "connections": 8, "batch": 16, "keys": last,
                                         "value_bytes": 100, "seconds": bench.seconds})
        bench.table.fact("random keys found at the end", 100 * kept["hits"] / max(1, kept["operations"]), "%")
        stop_and_start(bench, server, last)
    bench.table.plot("scale", """
set title "What a request costs as the tier grows"
set logscale x
set xlabel "items of 100 bytes"
set ylabel "us of CPU"
set yrange [0:*]
plot $data using 1:2 with linespoints title "GET from flash", \\
     $data using 1:3 with linespoints title "SET that demotes", \\
     $data using 1:4 with linespoints title "GET that misses"
""", lines)


def scale_mark(bench, server, at, set_cost):
    server.settle()
    stats = server.stats()
    server.warm_page_cache()
    shape = {"work": "get", "connections": 8, "batch": 16, "value_bytes": 100, "seconds": bench.seconds}
    hit = bench.loader.run(server, {**shape, "keys": at})
    miss = bench.loader.run(server, {**shape, "keys": at, "first_key": 10 ** 12})
    print(f"  {at:>12,} items: GET {hit['cpu_us']:.2f} us ({100 * hit['hits'] / hit['operations']:.2f} % hits), "
          f"miss {miss['cpu_us']:.2f} us, SET {set_cost['cpu_us']:.2f} us, RSS {server.rss_bytes() / MEGA:.0f} MB, "
          f"flash RAM {int(stats['flash_ram_bytes']) / MEGA:.1f} MB for {int(stats['flash_items']):,} items there, "
          f"disk {server.disk_bytes() / MEGA:,.0f} MB", flush=True)
    return f"{at} {hit['cpu_us']} {set_cost['cpu_us']} {miss['cpu_us']}\n"
