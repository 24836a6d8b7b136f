"""Waag and the sinks, all through `waag-load`."""

import json
import pathlib
import re
import subprocess
import time

from children import Failed

MIB = 1 << 20


class Waag:
    """The two programs, and what all runs have in common."""

    def __init__(self, children, binaries, folder, seed, on):
        self._children = children
        self._waag, self._load = binaries / "waag", binaries / "waag-load"
        self._folder = folder
        # Of every run the same, so that what is sent is too.
        self._same = ["--seed", seed, "--on", on]
        self._on = on

    def rows(self, lines, files, out):
        """Writes what is sent for the databases; what there is in the files."""
        return self._children.run_json(
            [self._load, "rows", "--lines", lines, "--files", files, "--out", out, *self._same]
        )

    def burst(self, sink=None, settings=None, **limits):
        """As fast as it goes for so many `lines` or `seconds`; the report."""
        target = ["--sink", sink] if sink else self._own(settings)
        limits = [part for name, value in limits.items() for part in (f"--{name}", value)]
        return self._run(*limits, *target)

    def at_rate(self, rate, seconds, settings):
        """Batches that are due at fixed moments; the report."""
        return self._run("--rate", rate, "--seconds", seconds, *self._own(settings))

    def long_run(self, lines, settings):
        """A long run with replays and conflicts from the whole history; the report."""
        return self._children.run_json(
            [self._load, "longrun", "--json", "--lines", lines, "--settle", 0, "--sample", 4,
             *self._same, *self._own(settings)]
        )

    def reads(self, seconds):
        """The most random reads of 4 KiB that the disk gives, a second."""
        measured = [
            self._children.run_json(
                [self._load, "reads", "--dir", self._folder, "--seconds", seconds, "--threads", threads]
            )["reads_per_second"]
            for threads in (8, 32)
        ]
        return max(measured)

    def serve(self, settings):
        """A server to which several runs are sent."""
        return Serving(self._children, self._waag, self._folder, self._on, self._settings(settings))

    def at(self, url, *options):
        """A run against a server that was started with `serve`; the report."""
        return self._run("--to", url, *options)

    def _run(self, *options):
        report = self._children.run_json([self._load, "run", "--json", "-", *self._same, *options])
        if report["mismatches"] or report["summary_mismatches"]:
            raise Failed(f"some answers were not as they must be: {report['examples']}")
        return report

    def _own(self, settings):
        """A server that waag-load starts itself, in a folder that it removes."""
        return ["--config", self._settings(settings)] if settings else []

    def _settings(self, settings):
        path = self._folder / "settings.toml"
        path.write_text("".join(f"{key} = {json.dumps(value)}\n" for key, value in settings.items()))
        return path


class Serving:
    """A `waag serve` in a data folder of its own; `with` ends it and removes the folder."""

    def __init__(self, children, program, folder, on, settings):
        self._children, self._data = children, folder / "waag"
        self._log_path = folder / "waag.log"
        self._command = [program, "serve", "--data-dir", self._data, "--listen", "127.0.0.1:0",
                         "--clock", f"{on}T08:00", "--config", settings]

    def __enter__(self):
        with open(self._log_path, "w") as log:
            self._server = self._children.start(self._command, stderr=log)
        for _ in range(600):
            found = re.search(r"listening address=(\S+)", re.sub(r"\x1b\[[0-9;]*m", "", self._log()))
            if found:
                self.url = f"http://{found[1]}"
                return self
            if self._server.poll() is not None:
                break
            time.sleep(0.05)
        raise Failed(f"the server does not start:\n{self._log()[-2000:]}")

    def __exit__(self, *_):
        self._children.stop(self._server)
        subprocess.run(["rm", "-rf", self._data], check=True)

    def _log(self):
        return self._log_path.read_text()

    def wait_until_sealed(self, watermark, seconds):
        """Waits until the archive holds all up to that record, and so the runs do."""
        last = 0
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            # A set is named after its first and its last record.
            sets = sorted(pathlib.Path(self._data, "archive", "sets").glob("*.set"))
            last = int(sets[-1].stem.rsplit("-", 1)[-1]) if sets else 0
            if last >= watermark:
                return
            time.sleep(0.2)
        raise Failed(f"record {watermark} was not sealed within {seconds} s, but {last} was")


def sustained(report):
    """What a long run came to once a quarter of its lines were in: lines a second, and by how many bytes
    the journal grew meanwhile, which is what sealing fell behind by."""
    total = report["lines"]
    samples = report["samples"]
    start = next((sample for sample in samples if sample["lines"] >= total / 4), samples[0])
    end = samples[-1]
    seconds = end["at_s"] - start["at_s"]
    lines = end["lines"] - start["lines"]
    grown = end["disk_bytes"].get("journal", 0) - start["disk_bytes"].get("journal", 0)
    return {
        "lines": total,
        "seconds": round(report["seconds"], 2),
        "lines_per_second": round(lines / seconds) if seconds > 0 else report["lines_per_second"],
        "measured_over_s": round(seconds, 2),
        "journal_mib_at_start": start["disk_bytes"].get("journal", 0) // MIB,
        "journal_mib_at_end": end["disk_bytes"].get("journal", 0) // MIB,
        # Of what was lodged meanwhile; with nothing to spare a tenth would be noise of whole segments.
        "journal_growth_share": round(grown / (lines * report["settings"]["bytes_per_line"]), 3)
        if lines else 0.0,
        "batches_told_to_come_back": report["refusals"],
        "resident_mib_max": report["resident_bytes_max"] // MIB,
    }
