"""python-memcache: pickled types, compression, multi-gets with prefixes, its cached CAS uniques, statistics."""

import memcache

from support import checks
from support.checks import check, check_that, settle

ADDRESS = f"unix:{checks.SOCKET}" if checks.SOCKET else f"inet:{checks.HOST}:{checks.PORT}"
LARGE = checks.incompressible(900_000)


def new_client(**options):
    return memcache.Client([ADDRESS], socket_timeout=10, **options)


def test_values(client):
    stored = {"str": "gr\u00fc\u00dfe \u4e16\u754c", "bytes": bytes(range(256)), "empty": "", "int": 42, "true": True,
              "float": 2.5, "list": [1, "two", {"three": 4}], "none": None, "k" * 250: "longest key", "large": LARGE}
    for key, value in stored.items():
        check_that(f"set {key[:10]}", client.set(key, value))
    settle()
    for key, value in stored.items():
        check(f"get {key[:10]}", client.get(key), value)
    settle()
    check("get_multi of all", client.get_multi(list(stored)), stored)
    check("get of a missing key", client.get("missing"), None)


def test_compression(client):
    text = "compress me " * 50_000
    check_that("set compressed", client.set("compressed", text, min_compress_len=1000))
    check_that("set compressed, over 1 MB before", client.set("packed", text * 4, min_compress_len=1000))
    settle()
    check("get compressed", client.get("compressed"), text)
    check("get compressed, over 1 MB before", client.get("packed"), text * 4)
    check_that("a value over 1 MB is not stored", not client.set("limit", "x" * (1024 * 1024 + 1)))


def test_multi(client):
    many = {f"many-{number}": f"value {number}" for number in range(200)}
    check("set_multi", client.set_multi(many), [])
    settle()
    check("get_multi", client.get_multi([*many, "many-missing"]), many)
    settle()
    check("get_multi with a prefix", client.get_multi(["1", 2], key_prefix="many-"), {"1": "value 1", 2: "value 2"})
    check("delete_multi", client.delete_multi(list(many)[:100]), 1)
    check("get_multi after delete_multi", client.get_multi(list(many)), dict(list(many.items())[100:]))


def test_stores(client):
    client.set("there", "old")
    settle()
    check_that("add of what is there", not client.add("there", "new"))
    check_that("add of what is missing", client.add("added", "new"))
    check_that("replace of what is missing", not client.replace("absent", "new"))
    check_that("replace of what is there", client.replace("there", "middle"))
    settle()
    check_that("append", client.append("there", ">"))
    settle()
    check_that("prepend", client.prepend("there", "<"))
    check_that("append to a missing key", not client.append("absent", "x"))
    settle()
    check("get what was put together", client.get("there"), "<middle>")
    settle()
    check("delete", client.delete("there"), 1)
    check("get of what was deleted", client.get("there"), None)
    client.set("quiet", "x", noreply=True)
    settle()
    check("after set without reply", client.get("quiet"), "x")


def test_cas():
    client, other = new_client(cache_cas=True), new_client()
    client.set("cas", "one")
    settle()
    check("gets", client.gets("cas"), "one")
    settle()
    check_that("cas", client.cas("cas", "two"))
    client.gets("cas")
    other.set("cas", "meanwhile")
    settle()
    check_that("cas after somebody else's set", not client.cas("cas", "three"))
    check("get after cas", client.get("cas"), "meanwhile")


def test_counters(client):
    client.set("count", 10)
    settle()
    check("incr", client.incr("count", 5), 15)
    settle()
    check("decr", client.decr("count", 7), 8)
    settle()
    check("decr stops at zero", client.decr("count", 100), 0)
    check("incr of a missing key", client.incr("absent"), None)


def test_expiry(client):
    for key in ("short", "touched", "long"):
        client.set(key, key, time=checks.SHORT_TTL_S if key != "long" else 100)
    settle()
    check("touch", client.touch("touched", 100), 1)
    checks.wait_for_expiry()
    check("expired", client.get("short"), None)
    check("touched in time", client.get("touched"), "touched")
    check("not yet expired", client.get("long"), "long")


def test_server(client):
    (_, stats), = client.get_stats()
    check_that("stats", int(stats["curr_items"]) > 0 and int(stats["get_hits"]) > 0, stats)
    (_, items), = client.get_stats("items")
    check_that("stats items", all(name.startswith("items:") for name in items), items)
    (_, slabs), = client.get_stats("slabs")
    check_that("stats slabs", int(slabs["active_slabs"]) > 0 and int(slabs["1:chunk_size"]) > 0, slabs)
    client.set("flushed", "x")
    settle()
    client.flush_all()
    check_that("set right after flush_all", client.set("fresh", "y"))
    check("get of what was flushed", client.get("flushed"), None)
    check("get of what came after", client.get("fresh"), "y")


def main():
    client = new_client(server_max_value_length=64 * 1024 * 1024)
    for test in (test_values, test_compression, test_multi, test_stores, test_counters, test_expiry):
        test(client)
    test_cas()
    test_server(client)
    checks.done()


main()
