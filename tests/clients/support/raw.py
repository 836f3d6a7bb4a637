"""A bare text connection, for programs whose client only looks and has to find something."""

import socket

from support import checks


class Raw:
    """One connection to the server under test."""

    def __init__(self):
        if checks.SOCKET:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self._socket.settimeout(10)
            self._socket.connect(checks.SOCKET)
        else:
            self._socket = socket.create_connection((checks.HOST, checks.PORT), timeout=10)
        self._lines = self._socket.makefile("rb")

    def ask(self, request):
        """Sends one line and returns the line of its reply."""
        self._socket.sendall(request + b"\r\n")
        return self._lines.readline().removesuffix(b"\r\n")

    def store(self, key, value, flags=0, exptime=0):
        """Whether the value was stored."""
        head = b"set %s %d %d %d\r\n" % (key, flags, exptime, len(value))
        return self.ask(head + value) == b"STORED"

    def get(self, key):
        """The value, or None."""
        head = self.ask(b"get " + key).split()
        if head[0] == b"END":
            return None
        value = self._lines.read(int(head[3]) + 2)[:-2]
        self._lines.readline()
        return value

    def stats(self, group=""):
        """What `stats` or one of its groups answers, name to value; anything but STAT lines is an error."""
        self._socket.sendall(f"stats {group}".rstrip().encode() + b"\r\n")
        found = {}
        while (line := self._lines.readline().decode().rstrip("\r\n")) != "END":
            word, name, value = line.split(" ", 2)
            if word != "STAT":
                raise ValueError(f"stats {group}: {line}")
            found[name] = value
        return found
