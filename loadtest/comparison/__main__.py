"""`loadtest/compare`: the same lines through Waag, what the wire allows, and four databases.

Systems take turns, so that what disturbs the machine for a while disturbs all of them. Each has a folder
of its own that is removed after each run, and what it has written is synced before the next begins.
"""

import argparse
import datetime
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import machine
import postgresql
import results
import waag
from children import Children, Failed

GIB = 1 << 30
HERE = pathlib.Path(__file__).resolve().parent
EMBEDDED = {"sqlite": "sqlite3", "clickhouse": "chdb", "duckdb": "duckdb"}
SECTIONS = ("burst", "timed", "sustained", "latency", "replays")
# Declarations have two lines on average, and a table of the index with 3 GiB of memory holds a million of
# them: so many lines surely stay in it.
HOT_LINES_MAX = 1_600_000
# Sealed in seconds, and many times what a batch of replays reads.
SEALED_LINES_MAX = 4_000_000
# In a run of fewer lines than this everything is shorter, and its figures mean little.
QUICK_BELOW = 1_000_000
# Bytes of a line in the journal, generously.
JOURNAL_BYTES_PER_LINE = 250


def count(text):
    value = int(text.replace("_", ""))
    if value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def names(allowed):
    def parse(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in allowed:
                raise argparse.ArgumentTypeError(f"{name!r} is none of {', '.join(allowed)}")
        return chosen
    return parse


def arguments():
    parser = argparse.ArgumentParser(
        prog="loadtest/compare",
        description="The same lines, in the same run, one after another, through a sink that only reads "
        "(in place; with prost), Waag, PostgreSQL, SQLite, ClickHouse and DuckDB. Writes RESULTS.md. Ends with "
        "an error where a system has not exactly one row for each key, or Waag answers otherwise than it must.",
        epilog=f"With less than {QUICK_BELOW:,} lines everything is shorter, the page goes to target/compare, "
        "and the figures show only that it works.",
    )
    add = parser.add_argument
    add("--lines", type=count, default=5_000_000, metavar="N", help="lines of the burst (5_000_000)")
    add("--runs", type=count, default=5, metavar="N", help="runs of each system, of which the median counts (5)")
    add("--seconds", type=int, metavar="S",
        help="length of the burst by time, of Waag and the sinks (30; quick: 3)")
    add("--sustained-lines", type=count, metavar="N", help="lines of the sustained run (8 times --lines)")
    add("--latency-seconds", type=count, metavar="S", help="length of the run at half rate (20; quick: 3)")
    add("--only", type=names(results.NAMES), default=list(results.NAMES), metavar="SYSTEM,...",
        help=f"systems: {', '.join(results.NAMES)}")
    add("--sections", type=names(SECTIONS), default=list(SECTIONS), metavar="SECTION,...",
        help=f"what is measured: {', '.join(SECTIONS)}")
    add("--dir", type=pathlib.Path, metavar="DIR",
        help="a folder on the disk to be measured; data goes into a new one in it, which is removed (the "
        "temporary folder)")
    add("--results", type=pathlib.Path, metavar="FILE", help="the page to write (loadtest/RESULTS.md)")
    add("--seed", type=count, default=1, metavar="N", help="other declarations (1)")
    add("--on", default="2026-11-05", metavar="DAY", help="the day on whose law they are in good order")
    add("--json", action="store_true", help="print everything as one JSON object, instead of the page")
    chosen = parser.parse_args()
    chosen.is_quick = chosen.lines < QUICK_BELOW
    if chosen.seconds is None:
        chosen.seconds = 3 if chosen.is_quick else 30
    chosen.latency_seconds = chosen.latency_seconds or (3 if chosen.is_quick else 20)
    chosen.sustained_lines = chosen.sustained_lines or 8 * chosen.lines
    if chosen.results is None:
        folder = pathlib.Path("target/compare") if chosen.is_quick else pathlib.Path("loadtest")
        chosen.results = folder / "RESULTS.md"
    return chosen


def say(text):
    print(text, file=sys.stderr, flush=True)


class Comparison:
    def __init__(self, options, children, folder):
        self.options, self.children, self.folder = options, children, folder
        binaries = pathlib.Path(os.environ["WAAG_BINARIES"]).resolve()
        self.waag = waag.Waag(children, binaries, folder, options.seed, options.on)
        free = shutil.disk_usage(folder).free
        # A burst is what is taken before anything must be sealed.
        gib = max(4, min(24, free // GIB // 2))
        self.burst_settings = {"unsealed_bytes_max": f"{gib}GiB"}
        self.postgresql = None

    def prepare(self):
        say(f"writing {self.options.lines:,} lines as rows")
        # Two files, so that PostgreSQL has work for two connections.
        self.data = self.waag.rows(self.options.lines, 2, self.folder)
        self.columns, self.files = self.data.pop("columns"), self.data.pop("files")
        self.systems = {name: self.found(name) for name in results.NAMES if name in self.options.only}

    def found(self, name):
        """Nothing measured yet; why it cannot be, where that is so."""
        if name in EMBEDDED and not importlib.util.find_spec(EMBEDDED[name]):
            return {"not_run": f"pip could not install {EMBEDDED[name]}"}
        if name == "postgresql":
            try:
                unpacked = pathlib.Path("target/compare/postgresql").resolve()
                self.postgresql = postgresql.find(self.children, unpacked)
            except postgresql.Missing as missing:
                return {"not_run": str(missing)}
        return {"rates": []}

    def each_run(self, systems, measure):
        for run in range(self.options.runs):
            for name, system in systems.items():
                if "rates" not in system:
                    say(f"{name}: not run: {system['not_run']}")
                    continue
                os.sync()
                rate = measure(name, system)
                system["rates"].append(rate)
                say(f"run {run + 1}, {name}: {rate:,} lines/s")
        results.add_ratios(systems)

    def burst(self, name, system):
        """One run of so many lines; lines a second."""
        if name in ("in-place", "prost"):
            report = self.waag.burst(sink=name, lines=self.options.lines)
            self.same(name, "declarations", report["declarations"], self.data["declarations"])
        elif name == "waag":
            report = self.waag.burst(settings=self.burst_settings, lines=self.options.lines)
            self.same(name, "new declarations", report["accepted"] + report["rejected"], self.data["distinct"])
        else:
            seconds, rows, system["version"] = self.load(name)
            self.same(name, "rows", rows, self.data["distinct"])
            return round(self.data["lines"] / seconds)
        self.same(name, "lines", report["lines"], self.data["lines"])
        return report["lines_per_second"]

    def same(self, name, what, found, wanted):
        if found != wanted:
            raise Failed(f"{name} has {found:,} {what}, but there are {wanted:,}")

    def load(self, name):
        if name == "postgresql":
            with postgresql.Cluster(self.children, self.postgresql, self.folder) as cluster:
                return *cluster.load(self.columns, self.files), cluster.version()
        folder = self.folder / name
        folder.mkdir()
        try:
            loaded = self.children.run_json(
                [sys.executable, HERE / "embedded.py", name, folder, ",".join(self.columns), *self.files]
            )
        finally:
            shutil.rmtree(folder)
        return loaded["seconds"], loaded["rows"], loaded["version"]

    def timed(self, name, _):
        """One run of so many seconds; lines a second."""
        if name == "waag":
            return self.waag.burst(settings=self.burst_settings, seconds=self.options.seconds)["lines_per_second"]
        return self.waag.burst(sink=name, seconds=self.options.seconds)["lines_per_second"]

    def sustained(self):
        say(f"sustained: {self.options.sustained_lines:,} lines")
        os.sync()
        # What may wait is reached in the first quarter, where the run is long enough; what is smaller is
        # sealed in smaller pieces.
        quarter = self.options.sustained_lines * JOURNAL_BYTES_PER_LINE // 4
        mib = 2_048 if quarter > 2 * GIB else 640
        settings = {"unsealed_bytes_max": f"{mib}MiB", "segment_bytes": f"{mib // 8}MiB", "seal_interval_s": 30}
        found = waag.sustained(self.waag.long_run(self.options.sustained_lines, settings))
        # A tenth is what whole segments come and go by.
        kept_up = found["journal_growth_share"] <= 0.1 and found["lines_per_second"] > 0
        return {**found, "unsealed_mib_max": mib, "kept_up": kept_up}

    def latency(self, highest):
        rate = highest // 2
        say(f"latency at {rate:,} lines/s")
        os.sync()
        report = self.waag.at_rate(rate, self.options.latency_seconds, self.burst_settings)
        return {"rate": rate, "reached": report["lines_per_second"], "seconds": self.options.latency_seconds,
                **report["latency"]}

    def replays(self, new_rate, reads):
        hot_lines = min(self.options.lines, HOT_LINES_MAX)
        say(f"replays: {hot_lines:,} lines from the hot part")
        hot = self.again(hot_lines, self.burst_settings, self.options.runs)
        sealed_lines = min(self.options.lines, SEALED_LINES_MAX)
        say(f"replays: {sealed_lines:,} lines from sealed data")
        runs = min(self.options.runs, 3)
        sealed = self.again(sealed_lines, {"seal_interval_s": 1}, runs, is_sealed=True)
        rate = results.median([report["lines_per_second"] for report in hot])
        declarations = results.median([report["declarations_per_second"] for report in sealed])
        return {
            "hot_lines": hot_lines,
            "hot_runs": len(hot),
            "hot_lines_per_second": rate,
            "hot_of_new": results.ratio(rate, new_rate),
            "sealed_lines": sealed_lines,
            "sealed_runs": len(sealed),
            "sealed_lines_per_second": results.median([report["lines_per_second"] for report in sealed]),
            "sealed_declarations_per_second": declarations,
            "sealed_of_reads": results.ratio(declarations, reads),
        }

    def again(self, lines, settings, runs, is_sealed=False):
        """Lodges the lines, waits until they are sealed if they are to be, and sends them again."""
        with self.waag.serve(settings) as server:
            first = self.waag.at(server.url, "--lines", lines)
            if is_sealed:
                server.wait_until_sealed(first["watermark"], 900)
            reports = []
            for _ in range(runs):
                os.sync()
                report = self.waag.at(server.url, "--lines", lines, "--again")
                self.same("waag", "replays", report["replayed"], first["declarations"])
                reports.append(report)
            return reports

    def all(self):
        options, result = self.options, {}
        sections = options.sections
        result["load_before"] = machine.load()
        # Whoever else wants a processor takes it from client and server.
        result["is_disturbed"] = result["load_before"] > 0.5
        self.prepare()
        if "burst" in sections:
            self.each_run(self.systems, self.burst)
        else:
            results.add_ratios(self.systems)
        result["burst"] = self.systems
        timed = {name: {"rates": []} for name in self.systems if name in ("in-place", "prost", "waag")}
        if "timed" in sections and options.seconds > 0 and timed:
            self.each_run(timed, self.timed)
            database = self.systems.get("postgresql", {}).get("lines_per_second")
            for system in timed.values():
                system["of_postgresql"] = results.ratio(system["lines_per_second"], database)
            result["timed_burst"] = timed
        if "waag" in self.systems:
            self.waag_alone(result, sections)
        return result

    def waag_alone(self, result, sections):
        burst = self.systems["waag"]["lines_per_second"]
        timed = result.get("timed_burst", {}).get("waag", {}).get("lines_per_second")
        if "sustained" in sections:
            result["sustained"] = self.sustained()
        highest = max(rate or 0 for rate in (burst, timed))
        if "latency" in sections and highest:
            result["latency"] = self.latency(highest)
        if "replays" in sections:
            reads = self.waag.reads(1 if self.options.is_quick else 3)
            result["random_reads_per_second"] = reads
            result["replays"] = self.replays(burst, reads)


def commit():
    """The commit, and whether the files differ from it."""
    try:
        told = subprocess.run(["git", "describe", "--always", "--dirty", "--exclude=*"], capture_output=True,
                              text=True, check=True)
        return told.stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def main():
    options = arguments()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="waag-compare-", dir=options.dir)).resolve()
    # PostgreSQL does not run as root and has to get there.
    folder.chmod(0o755)
    # Where waag-load's own servers keep their data, and databases what does not fit their memory.
    os.environ["TMPDIR"] = str(folder)
    about = machine.describe(folder)
    if about["file_system"] in ("tmpfs", "ramfs"):
        say("the data goes into memory, where nothing is durable: give a folder on a disk with --dir")
    try:
        with Children() as children:
            comparison = Comparison(options, children, folder)
            result = comparison.all()
            result["data"] = comparison.data
    except Failed as failed:
        say(f"loadtest/compare: {failed}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result.update(
        date=datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d"),
        commit=commit(),
        command=f"--lines {options.lines} --runs {options.runs} --seconds {options.seconds}",
        machine=about,
        settings={"runs": options.runs, "seconds": options.seconds, "seed": options.seed, "on": options.on},
    )
    result["goals"] = results.goals(result)
    options.results.parent.mkdir(parents=True, exist_ok=True)
    page = results.markdown(result)
    options.results.write_text(page)
    print(json.dumps(result) if options.json else page)
    say(f"written to {options.results}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
