"""What the Python client programs share: checks that are printed as tests/clients/run.py reads them."""

import os
import sys
import time

HOST = os.environ.get("CLIENTS_HOST", "")
PORT = int(os.environ.get("CLIENTS_PORT", "0"))
SOCKET = os.environ.get("CLIENTS_SOCKET", "")  # empty: TCP
PROTOCOL = os.environ.get("CLIENTS_PROTOCOL", "text")  # text or binary
USER = os.environ.get("CLIENTS_USER", "")  # empty: no authentication
PASSWORD = os.environ.get("CLIENTS_PASSWORD", "")


def _say(line):
    print(line.encode("ascii", "backslashreplace").decode(), flush=True)


def _short(value):
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:160]}... ({len(text)} characters)"


def check(name, got, want):
    """One check: the value that came must be the one that was wanted."""
    if got == want and type(got) is type(want):
        _say(f"ok {name}")
    else:
        _say(f"not ok {name}: {_short(got)} instead of {_short(want)}")


def check_that(name, holds, detail=""):
    """One check of something that is not a comparison."""
    _say(f"ok {name}" if holds else f"not ok {name}: {_short(detail)}")


def check_raises(name, exceptions, function, *arguments):
    """One check: the call has to fail, in one of these ways."""
    try:
        result = function(*arguments)
    except exceptions:
        _say(f"ok {name}")
    else:
        _say(f"not ok {name}: {_short(result)} instead of an exception")


def skip(name, why):
    """Something that this client cannot be asked for."""
    _say(f"skip {name}: {why}")


def settle():
    """Everything stored so far lies in the tier under test when this returns."""
    _say("settle")
    if sys.stdin.readline() != "settled\n":
        sys.exit("the runner did not settle the items")


# Long enough to settle in on a busy machine; servers count whole seconds.
SHORT_TTL_S = 3


def wait_for_expiry():
    """Waits until SHORT_TTL_S, set before, is over."""
    time.sleep(SHORT_TTL_S + 1.2)


def done():
    """The last line: without it the program is judged to have died on the way."""
    _say("done")


def incompressible(size):
    """Bytes that no compression shrinks, always the same."""
    words, word = bytearray(), 88172645463325252
    while len(words) < size:
        word ^= (word << 13) & 0xFFFFFFFFFFFFFFFF
        word ^= word >> 7
        word ^= (word << 17) & 0xFFFFFFFFFFFFFFFF
        words += word.to_bytes(8, "little")
    return bytes(words[:size])
