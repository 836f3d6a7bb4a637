"""pymemcache: its plain, pooled, hashed and retrying clients, serialised types, unicode keys, noreply."""

import zlib

from pymemcache import exceptions
from pymemcache.client.base import Client, PooledClient
from pymemcache.client.hash import HashClient
from pymemcache.client.retrying import RetryingClient
from pymemcache.serde import PickleSerde

from support import checks
from support.checks import check, check_raises, check_that, settle

ADDRESS = checks.SOCKET or (checks.HOST, checks.PORT)
ALL_BYTES = bytes(range(256))
LARGE = checks.incompressible(900_000)


class CompressingSerde:
    """Pickle below zlib, marked by a client flag of its own."""

    FLAG = 1 << 20
    inner = PickleSerde()

    def serialize(self, key, value):
        data, flags = self.inner.serialize(key, value)
        data = data.encode() if isinstance(data, str) else data
        return (zlib.compress(data), flags | self.FLAG) if len(data) > 400 else (data, flags)

    def deserialize(self, key, value, flags):
        if flags & self.FLAG:
            value, flags = zlib.decompress(value), flags & ~self.FLAG
        return self.inner.deserialize(key, value, flags)


def new_client(**options):
    return Client(ADDRESS, default_noreply=False, timeout=10, connect_timeout=10, **options)


def test_values(client):
    stored = {"text": b"value", "empty": b"", "bytes": ALL_BYTES, "line ends".replace(" ", "-"): b"a\r\nEND\r\n",
              "k" * 250: b"longest key", "large": LARGE}
    for key, value in stored.items():
        check(f"set {key[:10]}", client.set(key, value), True)
    settle()
    for key, value in stored.items():
        check(f"get {key[:10]}", client.get(key), value)
    settle()
    for key, value in stored.items():
        check(f"get {key[:10]} once more", client.get(key), value)
    check("get of a missing key", client.get("missing", "default"), "default")
    check_raises("a key of 251 bytes is refused", exceptions.MemcacheIllegalInputError, client.get, "k" * 251)


def test_multi(client):
    many = {f"many-{number}": f"value {number}".encode() for number in range(200)}
    check("set_many", client.set_many(many), [])
    settle()
    check("get_many", client.get_many([*many, "many-missing"]), many)
    settle()
    found = client.gets_many(list(many)[:50])
    check("gets_many values", {key: value for key, (value, _) in found.items()}, dict(list(many.items())[:50]))
    check_that("gets_many uniques differ", len({unique for _, unique in found.values()}) == 50, found)
    settle()
    check("delete_many", client.delete_many(list(many)[:100]), True)
    check("get_many after delete_many", client.get_many(list(many)), dict(list(many.items())[100:]))


def test_stores(client):
    client.set("there", b"old")
    settle()
    check("add of what is there", client.add("there", b"new"), False)
    check("add of what is missing", client.add("added", b"new"), True)
    check("replace of what is missing", client.replace("absent", b"new"), False)
    check("replace of what is there", client.replace("there", b"middle"), True)
    settle()
    check("append", client.append("there", b">"), True)
    settle()
    check("prepend", client.prepend("there", b"<"), True)
    check("append to a missing key", client.append("absent", b"x"), False)
    check("prepend to a missing key", client.prepend("absent", b"x"), False)
    settle()
    check("get what was put together", client.get("there"), b"<middle>")


def test_cas(client):
    client.set("cas", b"one")
    settle()
    value, unique = client.gets("cas")
    check("gets", value, b"one")
    settle()
    check("cas with the unique", client.cas("cas", b"two", unique), True)
    settle()
    check("cas with an old unique", client.cas("cas", b"three", unique), False)
    check("cas of a missing key", client.cas("absent", b"x", unique), None)
    check("get after cas", client.get("cas"), b"two")
    check("gets of a missing key", client.gets("absent"), (None, None))


def test_counters(client):
    client.set("count", b"10")
    settle()
    check("incr", client.incr("count", 5), 15)
    settle()
    check("decr", client.decr("count", 7), 8)
    settle()
    check("decr stops at zero", client.decr("count", 100), 0)
    check("incr of a missing key", client.incr("absent", 1), None)
    check("decr of a missing key", client.decr("absent", 1), None)
    client.set("count", str(2**64 - 1).encode())
    settle()
    check("incr wraps at 2^64", client.incr("count", 2), 1)
    client.set("words", b"no number")
    settle()
    check_raises("incr of no number", exceptions.MemcacheClientError, client.incr, "words", 1)
    check("the connection goes on", client.get("words"), b"no number")


def test_types():
    values = {"str": "gr\u00fc\u00dfe \u4e16\u754c", "int": 42, "float": 2.5, "none": None, "true": True,
              "list": [1, "two", {"three": 4}], "tuple": (1, 2), "set": {1, 2, 3}, "huge": 10**40,
              "long": "compress me " * 50_000}
    for name, serde in (("pickle", PickleSerde()), ("compressed pickle", CompressingSerde())):
        client = new_client(serde=serde, key_prefix=name.split()[0].encode() + b":")
        for key, value in values.items():
            client.set(key, value)
        settle()
        for key, value in values.items():
            check(f"{name}: {key}", client.get(key), value)
        check(f"{name}: all at once", client.get_many(list(values)), values)
        client.close()


def test_unicode_keys():
    client = new_client(allow_unicode_keys=True, encoding="utf-8")
    key = "schl\u00fcssel-\u4e16\u754c"
    check("set with a unicode key", client.set(key, b"unicode"), True)
    settle()
    check("get with a unicode key", client.get(key), b"unicode")
    check("get_many with a unicode key", client.get_many([key]), {key: b"unicode"})
    check("delete with a unicode key", client.delete(key), True)
    client.close()


def test_delete_and_noreply(client):
    client.set("gone", b"x")
    settle()
    check("delete", client.delete("gone"), True)
    check("delete once more", client.delete("gone"), False)
    check("get of what was deleted", client.get("gone"), None)
    client.set("quiet", b"1", noreply=True)
    settle()
    client.append("quiet", b"2", noreply=True)
    client.incr("quiet", 3, noreply=True)
    settle()
    check("after set, append and incr without replies", client.get("quiet"), b"15")
    client.delete("quiet", noreply=True)
    check("after delete without reply", client.get("quiet"), None)


def test_too_large(client):
    client.set("limit", b"before")
    settle()
    check_raises("a value over 1 MB is refused", exceptions.MemcacheServerError, client.set, "limit",
                 b"x" * (1024 * 1024 + 1))
    check("the old value is gone with it", client.get("limit"), None)
    check("the connection goes on", client.set("limit", b"after"), True)


def test_expiry(client):
    for key in ("short", "touched", "long"):
        client.set(key, b"x", expire=checks.SHORT_TTL_S if key != "long" else 100)
    settle()
    check("touch", client.touch("touched", 100), True)
    check("touch of a missing key", client.touch("absent", 1), False)
    checks.wait_for_expiry()
    check("expired", client.get("short"), None)
    check("touched in time", client.get("touched"), b"x")
    check("not yet expired", client.get("long"), b"x")
    client.set("never", b"x", expire=-1)
    check("a negative exptime", client.get("never"), None)


def test_other_clients():
    for name, client in (("pooled", PooledClient(ADDRESS, max_pool_size=3, default_noreply=False)),
                         ("hashed", HashClient([ADDRESS], default_noreply=False)),
                         ("retrying", RetryingClient(new_client(), attempts=2))):
        check(f"{name}: set", client.set(f"by-{name}", b"value"), True)
        settle()
        check(f"{name}: get", client.get(f"by-{name}"), b"value")
        check(f"{name}: get_many", client.get_many([f"by-{name}", "missing"]), {f"by-{name}": b"value"})
        client.close()


def test_memory_limit(client):
    try:
        got = client.cache_memlimit(64)
    except exceptions.MemcacheError as error:
        got = error
    check("cache_memlimit", got, True)


def test_server(client):
    check_that("version", client.version().count(b".") >= 2, client.version())
    stats = client.stats()
    check_that("stats", isinstance(stats[b"curr_items"], int) and stats[b"get_hits"] > 0, stats)
    check_that("stats settings", client.stats("settings")[b"item_size_max"] in (1048576, b"1048576"), "item_size_max")
    client.set("flushed", b"x")
    settle()
    check("flush_all", client.flush_all(), True)
    check("set right after it", client.set("fresh", b"y"), True)
    check("get of what was flushed", client.get("flushed"), None)
    check("get of what came after", client.get("fresh"), b"y")
    client.quit()


def main():
    client = new_client()
    for test in (test_values, test_multi, test_stores, test_cas, test_counters, test_delete_and_noreply,
                 test_too_large, test_expiry):
        test(client)
    test_types()
    test_unicode_keys()
    test_other_clients()
    test_server(new_client())
    test_memory_limit(new_client())
    checks.done()


main()
