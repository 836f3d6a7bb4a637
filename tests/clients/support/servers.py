"""The servers that client programs talk to: terraced, and memcached as the reference.

Each is started on a port of its own on loopback, or on a unix socket, in a scratch directory that goes with it.
"""

import os
import pathlib
import shutil
import socket
import subprocess
import tempfile
import time

USER = "clients"
PASSWORD = "open sesame"
START_PATIENCE_S = 30
STOP_PATIENCE_S = 30
SASL_CONFIGURATION = """mech_list: plain
pwcheck_method: auxprop
auxprop_plugin: sasldb
sasldb_path: {path}
"""


class StartFailed(Exception):
    """The server did not come up; says why."""


def make_sasl_directory(directory):
    """Fills the directory with a password database and the configuration that leads to it."""
    database = directory / "sasldb2"
    subprocess.run(["/usr/sbin/saslpasswd2", "-p", "-c", "-a", "memcached", "-f", str(database), USER],
                   input=PASSWORD.encode(), check=True, capture_output=True, timeout=30)
    (directory / "memcached.conf").write_text(SASL_CONFIGURATION.format(path=database), encoding="utf-8")


class Server:
    """One running server. `is_reference` is memcached; `with_flash` gives terraced a flash tier to demote to."""

    def __init__(self, binary, is_reference, with_flash=False, by_unix=False, with_sasl=False):
        # Below /tmp, not TMPDIR: the path of a unix socket has to fit into 107 bytes.
        self._scratch = pathlib.Path(tempfile.mkdtemp(prefix="terraced-clients-", dir="/tmp"))
        self.host, self.port = "127.0.0.1", 0
        self.socket_path = str(self._scratch / "socket") if by_unix else None
        self.with_flash = with_flash
        self._process = None
        try:
            self._start(self._command(binary, is_reference, with_sasl), with_sasl)
        except BaseException:
            self.stop()
            raise

    def _command(self, binary, is_reference, with_sasl):
        command = [str(binary), "-m", "64", "-t", "2"]
        if os.geteuid() == 0:
            command += ["-u", "root"]  # both refuse to run as root unless told so
        if self.socket_path:
            command += ["-s", self.socket_path]
        else:
            command += ["-l", self.host, "-p", "-1"]
        if with_sasl:
            make_sasl_directory(self._scratch)
            command += ["-S"]
        if not is_reference:
            command += ["-o", "test_commands"]
        if self.with_flash:
            flash = self._scratch / "flash"
            flash.mkdir()
            command += ["-o", f"flash_path={flash},flash_size=256m,flash_index_dir={self._scratch}"]
        return command

    def _start(self, command, with_sasl):
        port_file = self._scratch / "port"
        environment = dict(os.environ, MEMCACHED_PORT_FILENAME=str(port_file))
        if with_sasl:
            environment["SASL_CONF_PATH"] = str(self._scratch)
        with open(self._scratch / "stderr", "wb") as stderr:
            self._process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=stderr, stderr=stderr,
                                             env=environment)
        end = time.monotonic() + START_PATIENCE_S
        while not self._is_up(port_file):
            if self._process.poll() is not None:
                raise StartFailed(f"{' '.join(command)} ended with status {self._process.returncode}: {self.log()}")
            if time.monotonic() > end:
                raise StartFailed(f"{' '.join(command)} did not listen in {START_PATIENCE_S} s: {self.log()}")
            time.sleep(0.02)

    def _is_up(self, port_file):
        if self.socket_path is None:
            text = port_file.read_text(encoding="ascii") if port_file.exists() else ""
            if not text.endswith("\n"):
                return False
            self.port = next(int(line.split()[-1]) for line in text.splitlines() if line.startswith("TCP INET:"))
        try:
            self.connect().close()
        except OSError:
            return False
        return True

    def connect(self):
        """A raw connection."""
        if self.socket_path is None:
            return socket.create_connection((self.host, self.port), timeout=10)
        raw = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        raw.settimeout(10)
        raw.connect(self.socket_path)
        return raw

    def ask(self, request, ends):
        """Sends a text request and reads up to one of the given ends."""
        with self.connect() as raw:
            raw.sendall(request)
            reply = b""
            while not reply.endswith(ends):
                received = raw.recv(65536)
                if not received:
                    break
                reply += received
        return reply

    def demote_all(self):
        """Pushes every item to flash."""
        reply = self.ask(b"debug demote\r\n", (b"\r\n",))
        if reply != b"OK\r\n":
            raise RuntimeError(f"debug demote answered {reply!r}")

    def stat(self, name):
        """One number of `stats`."""
        reply = self.ask(b"stats\r\n", (b"END\r\n",)).decode()
        return next(int(line.split()[2]) for line in reply.splitlines() if line.split()[1:2] == [name])

    def log(self):
        """What the server wrote, on one line."""
        path = self._scratch / "stderr"
        return " | ".join(path.read_text(errors="replace").splitlines()[-5:]) if path.exists() else ""

    def stop(self):
        """Stops the server and removes what it had; returns a complaint, or None where it went well."""
        complaint = None
        if self._process is not None:
            self._process.terminate()
            try:
                status = self._process.wait(STOP_PATIENCE_S)
                # memcached dies of the signal where it runs an old way of ending; both are clean ends.
                if status not in (0, -15):
                    complaint = f"the server ended with status {status}: {self.log()}"
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                complaint = f"the server did not stop in {STOP_PATIENCE_S} s: {self.log()}"
        shutil.rmtree(self._scratch, ignore_errors=True)
        return complaint
