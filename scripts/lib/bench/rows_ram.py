"""The rows of the RAM path: everything is in RAM, one worker on one core, the load on the other."""

from bench.table import MEGA, summarise

KEYS = 1_000_000
BATCHED_GET = {"work": "get", "connections": 8, "batch": 32}
BATCHED_SET = {"work": "set", "connections": 8, "batch": 32}
# The bar of `ram_items`: what Debian's memcached keeps is measured in the same run.
ITEMS_RATIO = 1.15


def ram(bench):
    """The four rows with bars, and what differs from them in one thing each."""
    keys = bench.scaled(KEYS)
    shapes = [
        ("get_1x50", "GET, 50 connections, one at a time", {"work": "get", "connections": 50, "batch": 1}, 0.85),
        ("get_32x8", "GET, 8 connections, 32 in a batch", BATCHED_GET, 0.35),
        ("multiget_100x4", "multi-get of 100 keys, 4 connections (an operation is a key)",
         {"work": "get", "connections": 4, "batch": 1, "keys_per_get": 100}, 0.5),
        ("set_32x8", "SET, 8 connections, 32 in a batch", BATCHED_SET, 0.35),
        ("set_1x50", "SET, 50 connections, one at a time", {"work": "set", "connections": 50, "batch": 1}, None),
        ("mix_32x8", "90 % GET, 10 % SET, 8 connections, 32 in a batch",
         {"work": "mix", "connections": 8, "batch": 32}, None),
        ("zipf_32x8", "GET, Zipf 0.99, 8 connections, 32 in a batch", {**BATCHED_GET, "choice": "zipf"}, None),
        ("scan_32x8", "GET, Zipf 0.99 and each tenth batch a scan", {**BATCHED_GET, "choice": "scan"}, None),
    ]
    with bench.contenders(["-m", "1024"], limit_value=100) as servers:
        bench.fill(servers, keys, 100)
        for name, title, shape, bar in shapes:
            bench.compare(name, title, servers, {**shape, "keys": keys, "value_bytes": 100}, bar)


def sizes(bench):
    """Larger values."""
    for value_bytes, keys in ((1_000, 400_000), (8_000, 50_000)):
        keys = bench.scaled(keys)
        with bench.contenders(["-m", "2048"], limit_value=value_bytes) as servers:
            bench.fill(servers, keys, value_bytes)
            for kind, shape in (("get", BATCHED_GET), ("set", BATCHED_SET)):
                bench.compare(f"{kind}_32x8_{value_bytes}", f"{kind.upper()} of {value_bytes:,} bytes, 32 in a batch",
                              servers, {**shape, "keys": keys, "value_bytes": value_bytes})


def keys(bench):
    """From an index that fits the processor's cache to one that does not."""
    for count in (100_000, 1_000_000, 10_000_000):
        count = bench.scaled(count)
        with bench.contenders(["-m", "4096"]) as servers:
            bench.fill(servers, count, 100)
            bench.compare(f"get_32x8_{count}", f"GET among {count:,} keys, 32 in a batch", servers,
                          {**BATCHED_GET, "keys": count, "value_bytes": 100})


def ram_items(bench):
    """How many small items 64 MB hold."""
    asked = bench.scaled(1_000_000)
    with bench.contenders(["-m", "64"]) as servers:
        bench.fill(servers, asked, 100)
        held = {server.name: int(server.stats()["curr_items"]) for server in servers}
        print("\nram_items: items (29-byte key, 100-byte value) in -m 64")
        for server in servers:
            bench.table.fact(f"{server.name}: items", held[server.name])
            bench.table.fact(f"{server.name}: RSS per item", server.rss_bytes() / held[server.name], "bytes")
        bench.table.fact("terraced / memcached", held["terraced"] / held["memcached"], "x", ITEMS_RATIO, at_least=True)


def connections(bench):
    """Idle connections cost memory, not time; a second worker."""
    count = bench.scaled(KEYS)
    with bench.contenders(["-m", "1024"]) as servers:
        bench.fill(servers, count, 100)
        for idle in (0, bench.scaled(10_000)):
            shape = {"work": "get", "connections": 200, "batch": 1, "idle_connections": idle,
                     "keys": count, "value_bytes": 100}
            before = {server.name: server.rss_bytes() for server in servers}
            bench.compare(f"get_1x200_idle{idle}", f"GET, 200 connections busy, {idle:,} idle", servers, shape)
            for server in servers:
                bench.table.fact(f"{server.name}: RSS grown meanwhile",
                                 (server.rss_bytes() - before[server.name]) / MEGA, "MB")


def workers(bench):
    """-t 2 on both cores, the load beside them: what matters is CPU per operation, not the rate."""
    count = bench.scaled(KEYS)
    for threads in ("1", "2"):
        with bench.contenders(["-m", "1024", "-t", threads], cpus={0, 1}) as servers:
            bench.fill(servers, count, 100)
            bench.compare(f"get_32x8_t{threads}", f"GET, 32 in a batch, -t {threads}, both cores shared with the load",
                          servers, {**BATCHED_GET, "keys": count, "value_bytes": 100})


def run_rounds(bench, servers, shape):
    """Every server in turn, several rounds, each with other keys."""
    runs = {server.name: [] for server in servers}
    for number in range(bench.rounds):
        for server in servers:
            runs[server.name].append(bench.loader.run(server, {**shape, "seed": number + 1}))
    return {server.name: summarise(server, runs[server.name]) for server in servers}
