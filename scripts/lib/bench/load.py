"""Runs the load generator against a server and says what it cost the server."""

import json
import os
import subprocess

from bench.servers import LOAD_CPU

LOAD_SECONDS_MAX = 1800


class Loader:
    def __init__(self, build_dir):
        self.program = os.path.join(build_dir, "tests", "bench_load")

    def run(self, server, shape):
        """shape: names and values as bench_load takes them. The result has rates, CPU per operation and latencies."""
        words = [f"{name}={value}" for name, value in {**shape, "port": server.port}.items()]
        pin = (lambda: os.sched_setaffinity(0, {LOAD_CPU})) if os.cpu_count() > 1 else None
        cpu, written = server.cpu_seconds(), server.written_bytes()
        done = subprocess.run([self.program, *words], preexec_fn=pin, capture_output=True, text=True,
                              timeout=LOAD_SECONDS_MAX)
        if done.returncode != 0:
            raise SystemExit(f"bench: {server.name}: {' '.join(words)}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        cpu = server.cpu_seconds() - cpu
        operations = max(result["operations"], 1)
        result["rate"] = operations / result["seconds"]
        result["hit_rate"] = result["hits"] / result["seconds"]
        result["cpu_us"] = cpu * 1e6 / operations
        result["server_busy"] = cpu / result["seconds"]
        result["client_us"] = result["client_cpu_s"] * 1e6 / operations
        result["written_bytes"] = server.written_bytes() - written
        if result["wrong"] and server.kind != "limit":
            raise SystemExit(f"bench: {server.name} answered {result['wrong']} values of other keys")
        return result

    def fill(self, server, keys, value_bytes, **more):
        return self.run(server, {"work": "fill", "keys": keys, "value_bytes": value_bytes, "connections": 8,
                                 "batch": 32, **more})
