"""pylibmc, which is libmemcached: text, binary and SASL, pickles, compression, behaviours, a pool."""

import pylibmc

from support import checks
from support.checks import check, check_raises, check_that, settle

IS_BINARY = checks.PROTOCOL == "binary"
ADDRESS = checks.SOCKET or f"{checks.HOST}:{checks.PORT}"
LARGE = checks.incompressible(900_000)


def new_client(password=checks.PASSWORD, **behaviors):
    login = {"username": checks.USER, "password": password} if checks.USER else {}
    return pylibmc.Client([ADDRESS], binary=IS_BINARY, behaviors={"receive_timeout": 10_000_000, **behaviors}, **login)


def stored_or_not(store, *arguments):
    """Not stored is False in the text protocol and one of some exceptions in the binary one."""
    try:
        return store(*arguments)
    except (pylibmc.NotFound, pylibmc.DataExists):
        return False


def test_values(client):
    stored = {"bytes": bytes(range(256)), "str": "gr\u00fc\u00dfe \u4e16\u754c", "empty": b"", "int": 42, "minus": -7,
              "huge": 10**40, "true": True, "float": 2.5, "list": [1, "two", {"three": 4}], "tuple": (1, None),
              "k" * 250: "longest key", "large": LARGE, "line-ends": b"a\r\nEND\r\n"}
    for key, value in stored.items():
        check(f"set {key[:10]}", client.set(key, value), True)
    settle()
    stored["true"] = 1  # as pylibmc gives it back
    for key, value in stored.items():
        check(f"get {key[:10]}", client.get(key), value)
    settle()
    check("get_multi of all", client.get_multi(list(stored)), stored)
    check("get of a missing key", client.get("missing"), None)
    check("get of a missing key with a default", client.get("missing", 5), 5)


def test_compression(client):
    text = "compress me " * 50_000
    check("set compressed", client.set("compressed", text, min_compress_len=1000), True)
    check("set compressed, over 1 MB before", client.set("packed", text * 4, min_compress_len=1000), True)
    settle()
    check("get compressed", client.get("compressed"), text)
    check("get compressed, over 1 MB before", client.get("packed"), text * 4)


def test_multi(client):
    many = {f"many-{number}": f"value {number}" for number in range(200)}
    check("set_multi", client.set_multi(many), [])
    settle()
    check("get_multi", client.get_multi([*many, "many-missing"]), many)
    settle()
    check("get_multi with a prefix", client.get_multi(["1", "2"], key_prefix="many-"),
          {"1": "value 1", "2": "value 2"})
    check("delete_multi", client.delete_multi(list(many)[:100]), True)
    check("get_multi after delete_multi", client.get_multi(list(many)), dict(list(many.items())[100:]))
    check("add_multi of what is there", client.add_multi({"many-150": "new"}), ["many-150"])


def test_stores(client):
    client.set("there", "old")
    settle()
    check("add of what is there", stored_or_not(client.add, "there", "new"), False)
    check("add of what is missing", client.add("added", "new"), True)
    check("replace of what is missing", stored_or_not(client.replace, "absent", "new"), False)
    check("replace of what is there", client.replace("there", "middle"), True)
    settle()
    check("append", client.append("there", ">"), True)
    settle()
    check("prepend", client.prepend("there", "<"), True)
    check("append to a missing key", stored_or_not(client.append, "absent", "x"), False)
    settle()
    check("get what was put together", client.get("there"), "<middle>")
    settle()
    check("delete", client.delete("there"), True)
    check("delete once more", client.delete("there"), False)
    check("get of what was deleted", client.get("there"), None)


def test_cas():
    client = new_client(cas=True)
    client.set("cas", "one")
    settle()
    value, unique = client.gets("cas")
    check("gets", value, "one")
    settle()
    check("cas with the unique", client.cas("cas", "two", unique), True)
    settle()
    check("cas with an old unique", stored_or_not(client.cas, "cas", "three", unique), False)
    check_raises("cas of a missing key", pylibmc.NotFound, client.cas, "absent", "x", unique)
    check("get after cas", client.get("cas"), "two")
    check("gets of a missing key", client.gets("absent"), (None, None))


def test_counters(client):
    client.set("count", 10)
    settle()
    check("incr", client.incr("count", 5), 15)
    settle()
    check("decr", client.decr("count", 7), 8)
    settle()
    check("decr stops at zero", client.decr("count", 100), 0)
    check_raises("incr of a missing key", pylibmc.NotFound, client.incr, "absent")
    client.set_multi({"one": 1, "two": 2})
    settle()
    client.incr_multi(["one", "two"], delta=10)
    settle()
    check("incr_multi", client.get_multi(["one", "two"]), {"one": 11, "two": 12})
    client.set("words", "no number")
    settle()
    check_raises("incr of no number", pylibmc.Error, client.incr, "words")
    check("the connection goes on", client.get("words"), "no number")


def test_expiry(client):
    for key in ("short", "touched", "long"):
        client.set(key, key, time=checks.SHORT_TTL_S if key != "long" else 100)
    settle()
    check("touch", client.touch("touched", 100), True)
    check("touch of a missing key", client.touch("absent", 100), False)
    checks.wait_for_expiry()
    check("expired", client.get("short"), None)
    check("touched in time", client.get("touched"), "touched")
    check("not yet expired", client.get("long"), "long")


def test_behaviors():
    for name, behaviors in (("tcp_nodelay", {"tcp_nodelay": True}), ("no_block", {"no_block": True}),
                            ("ketama", {"ketama": True}), ("noreply", {"_noreply": True})):
        client = new_client(**behaviors)
        client.set(f"by-{name}", name)
        check(f"{name}: get what was set before", client.get(f"by-{name}"), name)
        settle()
        check(f"{name}: get", client.get(f"by-{name}"), name)
        client.disconnect_all()


def test_pool(client):
    pool = pylibmc.ClientPool(client, 4)
    for number in range(8):
        with pool.reserve() as reserved:
            reserved.set(f"pool-{number}", number)
    settle()
    with pool.reserve() as first, pool.reserve() as second:
        check("pool: get", [first.get("pool-1"), second.get("pool-7")], [1, 7])


def test_login():
    if not checks.USER:
        return
    check_raises("a wrong password is refused", pylibmc.Error, new_client(password="wrong").set, "k", "v")
    stranger = pylibmc.Client([ADDRESS], binary=True)
    check_raises("a stranger is refused", pylibmc.Error, stranger.set, "k", "v")
    check("who is logged in goes on", new_client().set("k", "v"), True)


def test_server(client):
    (_, stats), = client.get_stats()
    stats = {key.decode() if isinstance(key, bytes) else key: value for key, value in stats.items()}
    check_that("stats", int(stats["curr_items"]) > 0 and int(stats["get_hits"]) > 0, stats)
    check_that("version", stats["version"].decode().count(".") >= 2, stats["version"])
    client.set("flushed", "x")
    settle()
    check("flush_all", client.flush_all(), True)
    check("set right after it", client.set("fresh", "y"), True)
    check("get of what was flushed", client.get("flushed"), None)
    check("get of what came after", client.get("fresh"), "y")
    check_raises("a value over 1 MB is refused", pylibmc.Error, client.set, "limit", b"x" * (1024 * 1024 + 1))
    check("set after that", client.set("limit", "after"), True)
    check("get after that", client.get("limit"), "after")


def main():
    client = new_client()
    for test in (test_values, test_compression, test_multi, test_stores, test_counters, test_expiry, test_pool):
        test(client)
    test_cas()
    test_behaviors()
    test_login()
    test_server(client)
    checks.done()


main()
