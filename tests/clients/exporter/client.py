"""What a Prometheus exporter asks, as it asks it: `stats`, its slabs, items and settings on one connection.

The names are those that the public memcached_exporter of the Prometheus project turns into metrics. It passes over
what is not there, so that a graph is empty and nobody knows why: here every one has to be there and to be a number.
"""

import re

from support import checks
from support.checks import check, check_that, settle
from support.raw import Raw

OPERATIONS = ("get", "delete", "incr", "decr", "cas", "touch")
STATS = [f"{operation}_{end}" for operation in OPERATIONS for end in ("hits", "misses")] + """
    uptime time cas_badval cmd_flush cmd_set bytes limit_maxbytes curr_items total_items bytes_read bytes_written
    curr_connections total_connections rejected_connections conn_yields listen_disabled_num evictions reclaimed
    store_too_large store_no_memory lru_crawler_starts direct_reclaims crawler_items_checked crawler_reclaimed
    moves_to_cold moves_to_warm moves_within_lru accepting_conns""".split()
TIMES = ("rusage_user", "rusage_system")
EXTSTORE = [f"extstore_{name}" for name in """
    compact_lost compact_rescues compact_skipped page_allocs page_evictions page_reclaims pages_free pages_used
    objects_evicted objects_read objects_written objects_used bytes_evicted bytes_written bytes_read bytes_used
    bytes_fragmented limit_maxbytes io_queue""".split()]
ITEMS = """number age hits_to_hot hits_to_warm hits_to_cold hits_to_temp crawler_reclaimed evicted evicted_nonzero
    evicted_time evicted_unfetched expired_unfetched outofmemory reclaimed tailrepairs mem_requested moves_to_cold
    moves_to_warm moves_within_lru number_hot number_warm number_cold age_hot age_warm""".split()
SLABS = [f"{operation}_hits" for operation in OPERATIONS] + """cas_badval cmd_set chunk_size chunks_per_page total_pages
    total_chunks used_chunks free_chunks free_chunks_end""".split()
SETTINGS = """maxconns lru_crawler_sleep lru_crawler_tocrawl hot_lru_pct warm_lru_pct hot_max_factor
    warm_max_factor""".split()
SWITCHES = ("lru_crawler", "lru_maintainer_thread")


def is_number(text):
    return re.fullmatch(r"-?\d+(\.\d+)?", text) is not None


def check_numbers(group, found, names):
    for name in names:
        check_that(f"{group}: {name}", name in found and is_number(found[name]), found.get(name, "is not there"))


def by_class(found, pattern):
    """class -> {name: value}."""
    classes = {}
    for name, value in found.items():
        match = re.fullmatch(pattern, name)
        if match:
            classes.setdefault(int(match[1]), {})[match[2]] = value
    return classes


def make_traffic(raw):
    """A little of everything, so that the counters can be looked at."""
    for number in range(10):
        raw.store(b"key-%d" % number, b"value")
    settle()
    for number in range(6):
        raw.get(b"key-%d" % number)
    raw.get(b"missing")
    raw.ask(b"touch key-1 100")
    raw.ask(b"incr missing 1")
    raw.ask(b"delete key-2")
    raw.store(b"counter", b"1")
    raw.ask(b"incr counter 1")
    raw.ask(b"decr counter 1")
    raw.ask(b"cas missing 0 0 1 7\r\nx")


def test_stats(raw):
    found = raw.stats()
    check_that("stats: version", re.match(r"\d+\.\d+\.\d+", found.get("version", "")), found.get("version"))
    check_numbers("stats", found, STATS)
    for name in TIMES:
        check_that(f"stats: {name} is seconds and microseconds", re.fullmatch(r"\d+\.\d{6}", found.get(name, "")),
                   found.get(name))
    want = {"get_hits": "6", "get_misses": "1", "touch_hits": "1", "incr_misses": "1", "incr_hits": "1",
            "decr_hits": "1", "delete_hits": "1", "cas_misses": "1", "cmd_set": "12", "curr_items": "10"}
    check("stats: what was done is counted", {name: found.get(name) for name in want}, want)
    # As in the exporter: one of them says that all are there.
    if "extstore_limit_maxbytes" in found:
        check_numbers("stats", found, EXTSTORE)
        check_that("stats: what was written to flash is counted", int(found["extstore_objects_written"]) >= 10,
                   found["extstore_objects_written"])


def main():
    raw = Raw()
    make_traffic(raw)
    test_stats(raw)
    slabs = raw.stats("slabs")
    check_numbers("stats slabs", slabs, ("active_slabs", "total_malloced"))
    classes = by_class(slabs, r"(\d+):(\w+)")
    check_that("stats slabs: there are classes", classes, slabs)
    check_numbers("stats slabs", classes.get(min(classes, default=0), {}), SLABS)
    items = by_class(raw.stats("items"), r"items:(\d+):(\w+)")
    check_that("stats items: there are classes", items, items)
    check_numbers("stats items", items.get(min(items, default=0), {}), ITEMS)
    settings = raw.stats("settings")
    check_numbers("stats settings", settings, SETTINGS)
    for name in SWITCHES:
        check_that(f"stats settings: {name}", settings.get(name) in ("yes", "no"), settings.get(name))
    checks.done()


main()
