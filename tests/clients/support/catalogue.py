"""The clients that tests/clients/run.py knows: what each speaks, and how its program is built and started."""

import dataclasses
import os
import pathlib
import shutil
import subprocess

FOLDER = pathlib.Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"  # Debian's: its packages are not seen by any other
SPYMEMCACHED = "/usr/share/java/spymemcached.jar"
GO_PATH = "/usr/share/gocode"
BUILD_TIMEOUT_S = 300


@dataclasses.dataclass(frozen=True)
class Client:
    """A row of the catalogue. `build` makes what `command` starts; it gets the folder for what it makes."""
    name: str
    protocols: tuple  # text, binary, sasl (binary, logged in), text-unix, binary-unix
    command: callable  # folder of what was built -> words
    needs: tuple = ()  # programs that have to be there
    files: tuple = ()  # files that have to be there
    build: callable = None
    in_ci: bool = False
    is_optional: bool = False  # not all of it is Debian's: where something is missing, the client is skipped


class NotHere(Exception):
    """What the client needs is not on this machine; says what."""


def _run(words, directory, **environment):
    done = subprocess.run(words, cwd=directory, env=dict(os.environ, **environment), stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode != 0:
        last = done.stdout.decode(errors="replace").strip().splitlines()[-8:]
        raise RuntimeError(f"{' '.join(words)} ended with {done.returncode}: {' | '.join(last)}")


def _build_go(directory):
    _run(["go", "build", "-o", str(directory / "client"), str(FOLDER / "gomemcache" / "client.go")], directory,
         GO111MODULE="off", GOPATH=GO_PATH, GOCACHE=str(directory / "cache"), GOFLAGS="", CGO_ENABLED="0")


def _build_java(directory):
    _run(["javac", "-Xlint:-options", "-cp", SPYMEMCACHED, "-d", str(directory),
          str(FOLDER / "spymemcached" / "SpyClient.java")], directory)


def _build_node(directory):
    """The pinned packages, from the registry once: npm keeps them in the folder."""
    lock = FOLDER / "node" / "package-lock.json"
    installed = directory / "package-lock.json"
    if (directory / "node_modules").is_dir() and installed.is_file() and installed.read_bytes() == lock.read_bytes():
        return
    shutil.copy(FOLDER / "node" / "package.json", directory)
    shutil.copy(lock, installed)
    try:
        _run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"], directory)
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        installed.unlink()
        raise NotHere(f"npm could not install the packages: {error}") from error


def _python(name):
    return lambda _: [PYTHON, str(FOLDER / name / "client.py")]


def _node(name):
    return lambda directory: ["node", str(FOLDER / "node" / f"{name}.js"), str(directory / "node_modules")]


CLIENTS = (
    Client("pymemcache", ("text", "text-unix"), _python("pymemcache_client"), in_ci=True,
           files=("/usr/lib/python3/dist-packages/pymemcache",)),
    Client("pylibmc", ("text", "binary", "sasl", "text-unix", "binary-unix"), _python("pylibmc_client"), in_ci=True,
           files=("/usr/lib/python3/dist-packages/pylibmc", "/usr/sbin/saslpasswd2")),
    Client("libmemcached", ("text", "binary", "sasl", "text-unix"), _python("libmemcached_tools"), in_ci=True,
           needs=("memccapable", "memccat", "memcslap"), files=("/usr/sbin/saslpasswd2",)),
    Client("python-memcache", ("text", "text-unix"), _python("python_memcache"),
           files=("/usr/lib/python3/dist-packages/memcache.py",)),
    Client("php-memcached", ("text", "binary", "sasl", "text-unix", "binary-unix"),
           lambda _: ["php", str(FOLDER / "php" / "client.php")], needs=("php",)),
    Client("dalli", ("binary", "sasl", "binary-unix"), lambda _: ["/usr/bin/ruby", str(FOLDER / "dalli" / "client.rb")],
           files=("/usr/bin/ruby", "/usr/share/doc/ruby-dalli")),
    Client("memcached-fast", ("text", "text-unix"), lambda _: ["/usr/bin/perl", str(FOLDER / "perl" / "client.pl")],
           files=("/usr/share/doc/libcache-memcached-fast-perl",)),
    Client("gomemcache", ("text", "text-unix"), lambda directory: [str(directory / "client")], needs=("go",),
           files=(f"{GO_PATH}/src/github.com/bradfitz/gomemcache",), build=_build_go),
    Client("spymemcached", ("text", "binary", "sasl"),
           lambda directory: ["java", "-Xshare:auto", "-XX:TieredStopAtLevel=1", "-cp", f"{SPYMEMCACHED}:{directory}",
                              "SpyClient"], needs=("java", "javac"), files=(SPYMEMCACHED,), build=_build_java),
    Client("memjs", ("binary", "sasl"), _node("memjs"), needs=("node", "npm"), build=_build_node,
           is_optional=True),
    Client("npm-memcached", ("text",), _node("memcached"), needs=("node", "npm"), build=_build_node,
           is_optional=True),
    Client("memcached-tool", ("text", "text-unix"), _python("memcached_tool"),
           files=("/usr/share/memcached/scripts/memcached-tool",)),
    Client("exporter", ("text",), _python("exporter")),
)


def command_of(client, work_dir):
    """The words that start the client's program; raises NotHere, or RuntimeError where it cannot be built."""
    missing = [name for name in client.needs if shutil.which(name) is None]
    missing += [name for name in client.files if not pathlib.Path(name).exists()]
    if missing:
        advice = "" if client.is_optional else ": scripts/bootstrap --clients installs it"
        raise NotHere(f"{', '.join(missing)} is not on this machine{advice}")
    directory = work_dir / (client.build.__name__.removeprefix("_build_") if client.build else client.name)
    if client.build is not None:
        directory.mkdir(parents=True, exist_ok=True)
        client.build(directory)
    return client.command(directory)
