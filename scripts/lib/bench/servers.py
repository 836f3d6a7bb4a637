"""Servers that are measured against each other: started on loopback, pinned to one core, asked and ended by pid."""

import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CPU = 0
LOAD_CPU = 1
START_SECONDS = 60
STOP_SECONDS = 120
TICKS = os.sysconf("SC_CLK_TCK")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class MemoryGroup:
    """A memory cgroup (version 1 or 2) in which everything is charged, the page cache too."""

    def __init__(self, limit_bytes):
        self.path = None
        root, limit_file = self._root()
        path = root / f"terraced-bench-{os.getpid()}-{free_port()}"
        path.mkdir()
        self.path = path
        (path / limit_file).write_text(str(limit_bytes))
        swap = path / ("memory.memsw.limit_in_bytes" if limit_file.endswith("bytes") else "memory.swap.max")
        if swap.exists():
            swap.write_text(str(limit_bytes) if limit_file.endswith("bytes") else "0")
        self.version = 1 if limit_file.endswith("bytes") else 2

    @staticmethod
    def _root():
        """Our own group below a hierarchy that has the memory controller."""
        for line in pathlib.Path("/proc/self/cgroup").read_text().splitlines():
            _, controllers, name = line.split(":", 2)
            if controllers == "memory":
                return pathlib.Path("/sys/fs/cgroup/memory" + name), "memory.limit_in_bytes"
            top = pathlib.Path("/sys/fs/cgroup")
            if controllers == "" and "memory" in (top / "cgroup.controllers").read_text().split() \
                    if (top / "cgroup.controllers").exists() else False:
                control = top / "cgroup.subtree_control"
                if "memory" not in control.read_text().split():
                    control.write_text("+memory")
                return top, "memory.max"
        raise OSError("no hierarchy with the memory controller")

    @staticmethod
    def available():
        try:
            MemoryGroup(1 << 30).remove()
            return True
        except OSError:
            return False

    def add(self, pid):
        (self.path / "cgroup.procs").write_text(str(pid))

    def peak_bytes(self):
        name = "memory.max_usage_in_bytes" if self.version == 1 else "memory.peak"
        try:
            return int((self.path / name).read_text())
        except OSError:
            return 0

    def remove(self):
        for _ in range(50):
            try:
                self.path.rmdir()
                return
            except OSError:
                time.sleep(0.1)


class Server:
    """One running server. kind: 'terraced', 'memcached' or 'limit'."""

    def __init__(self, name, kind, binary, arguments, group=None, cpus=None):
        self.name = name
        self.kind = kind
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="terraced-bench-"))
        # Where terraced keeps its flash index by default, but gone with the server, which is killed at the end.
        self.shared = pathlib.Path(tempfile.mkdtemp(prefix="terraced-bench-", dir="/dev/shm"))
        self.port = free_port()
        self.group = group
        self.cpus = cpus or {SERVER_CPU}
        self.binary = str(binary)
        self.arguments = [a.replace("@shm", str(self.shared)).replace("@", str(self.directory)) for a in arguments]
        self.process = None
        self.start()

    def command(self):
        if self.kind == "limit":
            return [self.binary, str(self.port), *self.arguments]
        common = ["-p", str(self.port), "-l", "127.0.0.1", "-t", "1", "-U", "0", "-c", "16000"]
        if os.geteuid() == 0:
            common += ["-u", "root"]
        return [self.binary, *common, *self.arguments]

    def start(self):
        def prepare():
            os.sched_setaffinity(0, self.cpus)
            limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
            if self.group is not None:
                self.group.add(os.getpid())

        self.log = open(self.directory / "log", "ab")
        self.process = subprocess.Popen(self.command(), preexec_fn=prepare, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log)
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                if self.process.poll() is not None or time.monotonic() > deadline:
                    said = (self.directory / "log").read_text(errors="replace")
                    raise SystemExit(f"bench: {self.name} did not start: {' '.join(self.command())}\n{said}")
                time.sleep(0.01)

    def stop(self, with_signal=signal.SIGTERM):
        if self.process.poll() is None:
            self.process.send_signal(with_signal)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()

    def close(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.rmtree(self.shared, ignore_errors=True)
        if self.group is not None:
            self.group.remove()

    def ask(self, request, end=b"END\r\n"):
        with socket.create_connection(("127.0.0.1", self.port), timeout=300) as connection:
            connection.sendall(request.encode() + b"\r\n")
            reply = b""
            while not reply.endswith(end):
                part = connection.recv(1 << 20)
                if not part:
                    break
                reply += part
        return reply.decode()

    def stats(self, group=""):
        found = {}
        for line in self.ask(f"stats {group}".strip()).splitlines():
            words = line.split(" ", 2)
            if words[0] == "STAT":
                found[words[1]] = words[2]
        return found

    quiet_s = 1.0  # so long a server must have been at rest

    def settle(self, limit_s=120):
        """Waits until what the server does by itself (demotion, growth, slab moves) is over."""
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline:
            before = self.cpu_seconds()
            time.sleep(self.quiet_s)
            if self.cpu_seconds() - before < 0.03 * self.quiet_s:
                return

    def warm_page_cache(self):
        """Reads what lies on disk once, so that a run finds it in the page cache."""
        for folder, _, files in os.walk(self.directory):
            for name in files:
                try:
                    with open(os.path.join(folder, name), "rb", buffering=0) as file:
                        while file.read(1 << 20):
                            pass
                except OSError:
                    pass  # dropped meanwhile

    def cpu_seconds(self):
        fields = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def _status_kb(self, field):
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
        return 0

    def rss_bytes(self):
        return self._status_kb("VmRSS")

    def peak_rss_bytes(self):
        return self._status_kb("VmHWM")

    def written_bytes(self):
        for line in pathlib.Path(f"/proc/{self.process.pid}/io").read_text().splitlines():
            if line.startswith("write_bytes:"):
                return int(line.split()[1])
        return 0

    def disk_bytes(self):
        total = 0
        for folder, _, files in os.walk(self.directory):
            for name in files:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_blocks * 512
                except OSError:
                    pass  # dropped meanwhile
        return total
