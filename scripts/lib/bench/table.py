"""What one run of scripts/bench found: medians over rounds, ratios against memcached, a table, JSON and plots."""

import json
import pathlib
import shutil
import statistics
import subprocess

# Shown for each row: name, unit, how to print it.
COLUMNS = [("cpu_us", "CPU us/op", "{:.3f}"), ("rate", "op/s", "{:,.0f}"), ("hit_pct", "hit %", "{:.2f}"),
           ("p50_us", "p50 us", "{:.0f}"), ("p99_us", "p99 us", "{:.0f}"), ("server_busy", "busy", "{:.2f}"),
           ("rss_mb", "RSS MB", "{:.0f}"), ("written_mb", "written MB", "{:.0f}"), ("disk_mb", "disk MB", "{:.0f}")]
MEGA = 1 << 20


def summarise(server, runs):
    """Medians of what a server did in all rounds of one row."""
    median = {name: statistics.median(run[name] for run in runs)
              for name in ("cpu_us", "rate", "hit_rate", "p50_us", "p99_us", "p999_us", "longest_us", "server_busy",
                           "client_us", "written_bytes")}
    asked = sum(run["hits"] + run["misses"] for run in runs)
    if asked:
        median["hit_pct"] = 100 * sum(run["hits"] for run in runs) / asked
    median["rss_mb"] = server.rss_bytes() / MEGA
    median["peak_rss_mb"] = server.peak_rss_bytes() / MEGA
    median["written_mb"] = median["written_bytes"] / MEGA
    median["disk_mb"] = server.disk_bytes() / MEGA
    median["rounds"] = len(runs)
    return median


class Table:
    def __init__(self, folder, judged=True):
        self.judged = judged  # else bars are left out: amounts and times were too small for them
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.rows = []   # {"row", "title", "servers": {name: figures}}
        self.facts = []  # {"what", "value", "unit", "bar", "reached"}

    def add(self, row, title, servers, bar=None):
        """bar: the ratio of CPU per operation against memcached that is to be reached."""
        bar = bar if self.judged else None
        entry = {"row": row, "title": title, "servers": servers, "bar": bar}
        self.rows.append(entry)
        print(f"\n{row}: {title}")
        against = servers.get("memcached", {}).get("cpu_us")
        for name, figures in servers.items():
            cells = [f"{label} {form.format(figures[key])}" for key, label, form in COLUMNS if key in figures]
            ratio = ""
            if against and name != "memcached" and "cpu_us" in figures:
                figures["cpu_ratio"] = figures["cpu_us"] / against
                figures["rate_ratio"] = figures["rate"] / servers["memcached"]["rate"]
                ratio = f"  = {figures['cpu_ratio']:.2f}x CPU, {figures['rate_ratio']:.2f}x rate"
                if name == "terraced" and bar is not None:
                    ratio += f"  (bar {bar:.2f}x: {'reached' if figures['cpu_ratio'] <= bar else 'MISSED'})"
            print(f"  {name:<10} " + ", ".join(cells) + ratio, flush=True)

    def fact(self, what, value, unit="", bar=None, at_least=False):
        bar = bar if self.judged else None
        reached = None if bar is None else (value >= bar if at_least else value <= bar)
        self.facts.append({"what": what, "value": value, "unit": unit, "bar": bar, "reached": reached})
        text = "" if bar is None else \
            f"  (bar {bar:,.2f} or {'more' if at_least else 'less'}: {'reached' if reached else 'MISSED'})"
        print(f"  {what:<64} {value:>16,.3f} {unit}{text}", flush=True)

    def missed(self):
        rows = [row for row in self.rows if row["bar"] and row["servers"]["terraced"].get("cpu_ratio", 0) > row["bar"]]
        return len(rows) + sum(1 for fact in self.facts if fact["reached"] is False)

    def save(self, machine):
        (self.folder / "bench.json").write_text(
            json.dumps({"machine": machine, "rows": self.rows, "facts": self.facts}, indent=1) + "\n")
        for entry in self.rows:
            self._plot_row(entry)

    def _plot_row(self, entry):
        names = [name for name in entry["servers"] if "cpu_us" in entry["servers"][name]]
        if not names:
            return
        data = "".join(f'"{name}" {entry["servers"][name]["cpu_us"]}\n' for name in names)
        title = entry["title"].replace('"', "")
        self.plot(entry["row"], f"""
set title "{title}"
set ylabel "us of CPU per operation"
set yrange [0:*]
set style fill solid 0.6
set boxwidth 0.6
unset key
plot $data using 0:2:xtic(1) with boxes
""", data)

    def plot(self, name, commands, data):
        """An SVG of that name by gnuplot; left out with a word where gnuplot is missing."""
        if shutil.which("gnuplot") is None:
            print("bench: no plots: gnuplot is not installed (scripts/bootstrap --test)")
            return
        script = f'set terminal svg size 800,480\nset output "{self.folder / name}.svg"\n$data << EOD\n{data}EOD\n'
        done = subprocess.run(["gnuplot"], input=script + commands, text=True, capture_output=True, timeout=60)
        if done.returncode != 0:
            raise SystemExit(f"bench: gnuplot could not draw {name}: {done.stderr.strip()}")
