#!/usr/bin/python3
"""tests/clients/run.py: real client libraries against terraced, in RAM and on flash, and against memcached.

  run.py --daemon build/terraced                  every client
  run.py --daemon build/terraced --ci             the three that scripts/test runs
  run.py --daemon build/terraced --only dalli     some of them
  run.py --list                                   what there is

A client program gets a server in CLIENTS_* variables and talks to this runner by lines on standard output:
`ok NAME`, `not ok NAME: WHY`, `skip NAME: WHY`, `done` as the last one, and `settle`, which it waits for: in the
flash tier everything that was stored is demoted then. What memcached fails is a wrong check. Exit 1 if any failed.
"""

import argparse
import concurrent.futures
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import xml.etree.ElementTree

sys.dont_write_bytecode = True
from support import catalogue  # noqa: E402
from support.servers import PASSWORD, USER, Server, StartFailed  # noqa: E402

PROGRAM_TIMEOUT_S = 180
# A flash tier that never answers would pass every check: a program has to have read from it.
FLASH_HITS_MIN = 5


@dataclasses.dataclass
class Row:
    """One line of the matrix: what ran where, and what came of it."""
    client: catalogue.Client
    protocol: str
    server: str  # terraced or memcached
    tier: str  # ram or flash
    checks: list = dataclasses.field(default_factory=list)  # (outcome, name, detail)
    elapsed_s: float = 0.0

    def add(self, outcome, name, detail=""):
        self.checks.append((outcome, name, detail))

    def count(self, outcome):
        return sum(1 for check in self.checks if check[0] == outcome)

    def name(self):
        return f"{self.client.name} {self.protocol} {self.server} {self.tier}"


def rows_of(clients):
    """Every row: terraced in both tiers, the reference in its only one."""
    for client in clients:
        for protocol in client.protocols:
            yield Row(client, protocol, "memcached", "ram")
            yield Row(client, protocol, "terraced", "ram")
            # `debug demote` is a text command, which a server that asks for SASL does not have.
            if protocol != "sasl":
                yield Row(client, protocol, "terraced", "flash")


def environment_of(row, server):
    environment = dict(os.environ, CLIENTS_PROTOCOL="binary" if row.protocol.startswith(("binary", "sasl")) else "text",
                       CLIENTS_HOST=server.host, CLIENTS_PORT=str(server.port),
                       CLIENTS_SOCKET=server.socket_path or "", CLIENTS_USER="", CLIENTS_PASSWORD="",
                       PYTHONDONTWRITEBYTECODE="1", PYTHONPATH=str(pathlib.Path(__file__).resolve().parent))
    if row.protocol == "sasl":
        environment.update(CLIENTS_USER=USER, CLIENTS_PASSWORD=PASSWORD)
    return environment


def end_group(process):
    """Ends the program that this runner started, with what it started itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def converse(row, server, process):
    """Reads the program's lines and settles its items; returns (whether it said done, how often it settled)."""
    is_done, settles = False, 0
    for line in process.stdout:
        word, _, rest = line.rstrip("\n").partition(" ")
        if word == "ok":
            row.add("passed", rest)
        elif line.startswith("not ok "):
            name, _, detail = line[len("not ok "):].rstrip("\n").partition(": ")
            row.add("failed", name, detail)
        elif word == "skip":
            name, _, detail = rest.partition(": ")
            row.add("skipped", name, detail)
        elif word == "settle":
            if server.with_flash:
                server.demote_all()
            settles += 1
            process.stdin.write("settled\n")
            process.stdin.flush()
        elif word == "done":
            is_done = True
        else:
            row.add("failed", "output of the program", f"not a line of the runner: {line.rstrip()}")
    return is_done, settles


def run_program(row, server, command):
    """One run of a client program."""
    with tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True,
                                   encoding="utf-8", errors="replace", env=environment_of(row, server),
                                   start_new_session=True)
        alarm = threading.Timer(PROGRAM_TIMEOUT_S, end_group, (process,))
        alarm.start()
        try:
            is_done, settles = converse(row, server, process)
            status = process.wait()
        finally:
            alarm.cancel()
            end_group(process)
            process.stdin.close()
            process.stdout.close()
        stderr.seek(0)
        complaints = stderr.read().decode(errors="replace").strip().splitlines()
    if not is_done or status != 0:
        row.add("failed", "the program runs to its end", f"status {status}: " + " | ".join(complaints[-6:]))
    if server.with_flash:
        hits, wanted = server.stat("get_hits_flash"), max(FLASH_HITS_MIN, settles)
        row.add("passed" if hits >= wanted else "failed", "gets were answered from flash",
                f"{hits} of at least {wanted}")


def run_row(row, binaries, commands):
    """Starts the row's server, runs the client against it, and keeps what came of it in the row."""
    begun = time.monotonic()
    command = commands[row.client.name]
    if isinstance(command, Exception):
        is_excused = row.client.is_optional and isinstance(command, catalogue.NotHere)
        row.add("skipped" if is_excused else "failed", "the client is here", str(command))
        return row
    try:
        server = Server(binaries[row.server], is_reference=row.server == "memcached", with_flash=row.tier == "flash",
                        by_unix=row.protocol.endswith("unix"), with_sasl=row.protocol == "sasl")
    except (StartFailed, OSError, subprocess.SubprocessError) as error:
        row.add("failed", "the server starts", str(error))
        return row
    try:
        run_program(row, server, command)
    except (OSError, RuntimeError) as error:
        row.add("failed", "the runner's own connection", f"{error}; {server.log()}")
    complaint = server.stop()
    if complaint:
        row.add("failed", "the server stops", complaint)
    row.elapsed_s = time.monotonic() - begun
    return row


def print_matrix(rows):
    header = ("client", "protocol", "server", "tier", "passed", "failed", "skipped", "s")
    layout = "{:<18} {:<11} {:<9} {:<5} {:>6} {:>6} {:>7} {:>6}"
    print("\n" + layout.format(*header))
    for row in rows:
        print(layout.format(row.client.name, row.protocol, row.server, row.tier, row.count("passed"),
                            row.count("failed"), row.count("skipped"), f"{row.elapsed_s:.1f}"))
    for outcome, title in (("skipped", "skipped"), ("failed", "FAILED")):
        for row in rows:
            for found, name, detail in row.checks:
                if found == outcome:
                    print(f"{title}: {row.name()}: {name}: {detail}")


def write_report(path, rows):
    """JUnit, of the form that scripts/lib/test_reports.py counts: one case a check."""
    suite = xml.etree.ElementTree.Element("testsuite", name="clients")
    status = {"passed": "run", "failed": "fail", "skipped": "skipped"}
    for row in rows:
        for outcome, name, detail in row.checks:
            case = xml.etree.ElementTree.SubElement(suite, "testcase", name=f"{row.name()}: {name}",
                                                    status=status[outcome], time=f"{row.elapsed_s:.1f}")
            xml.etree.ElementTree.SubElement(case, "system-out").text = detail
    xml.etree.ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def parse_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--daemon", type=pathlib.Path, help="terraced")
    parser.add_argument("--reference", type=pathlib.Path, default=pathlib.Path("/usr/bin/memcached"))
    parser.add_argument("--work-dir", type=pathlib.Path, help="where programs are compiled; default: beside the daemon")
    parser.add_argument("--ci", action="store_true", help="only the clients that scripts/test runs")
    parser.add_argument("--only", action="append", help="a client, or client:protocol; may be repeated")
    parser.add_argument("--server", choices=("terraced", "memcached"), help="only this one")
    parser.add_argument("--jobs", type=int, default=3, help="rows at a time; each is mostly waiting")
    parser.add_argument("--junit", type=pathlib.Path, help="write a report there")
    parser.add_argument("--list", action="store_true", help="print the clients and stop")
    arguments = parser.parse_args()
    if not arguments.list and arguments.daemon is None and arguments.server != "memcached":
        parser.error("--daemon says which terraced to test")
    return arguments


def chosen_rows(arguments):
    clients = [client for client in catalogue.CLIENTS if client.in_ci or not arguments.ci]
    rows = [row for row in rows_of(clients) if arguments.server in (None, row.server)]
    if arguments.only:
        wanted = set(arguments.only)
        rows = [row for row in rows if {row.client.name, f"{row.client.name}:{row.protocol}"} & wanted]
        if not rows:
            sys.exit(f"run.py: no such client: {' '.join(arguments.only)}; --list shows them")
    return rows


def prepare(clients, work_dir):
    """What each client's program is started with, or the exception that says why it cannot be."""
    commands = {}
    for client in clients:
        try:
            commands[client.name] = catalogue.command_of(client, work_dir)
        except (catalogue.NotHere, RuntimeError, OSError, subprocess.TimeoutExpired) as error:
            commands[client.name] = error
    return commands


def main():
    arguments = parse_arguments()
    rows = chosen_rows(arguments)
    if arguments.list:
        for client in catalogue.CLIENTS:
            print(f"{client.name:<18} {', '.join(client.protocols):<42} {'scripts/test' if client.in_ci else ''}")
        return 0
    daemon = arguments.daemon.resolve() if arguments.daemon else None
    work_dir = arguments.work_dir or (daemon.parent if daemon else pathlib.Path(tempfile.gettempdir())) / "clients"
    commands = prepare({row.client.name: row.client for row in rows}.values(), work_dir)
    binaries = {"terraced": daemon, "memcached": arguments.reference}
    with concurrent.futures.ThreadPoolExecutor(max(1, arguments.jobs)) as pool:
        for row in pool.map(lambda row: run_row(row, binaries, commands), rows):
            print(f"{row.name()}: {row.count('passed')} passed, {row.count('failed')} failed", flush=True)
    print_matrix(rows)
    if arguments.junit:
        write_report(arguments.junit, rows)
    totals = {outcome: sum(row.count(outcome) for row in rows) for outcome in ("passed", "failed", "skipped")}
    print(f"\nclients: {totals['passed']} passed, {totals['failed']} failed, {totals['skipped']} skipped", flush=True)
    return 1 if totals["failed"] or not totals["passed"] else 0


if __name__ == "__main__":
    sys.exit(main())
