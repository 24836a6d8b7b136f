"""One declarant floods, another keeps its rate: what the second notices of it."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "comparison")]

from children import Children, Failed  # noqa: E402
from waag import Serving  # noqa: E402

# Both are well formed, and lodge nothing but this.
FLOODS, KEEPS_TO_IT = "NL990000001", "NL990000002"
LINES_A_BATCH = 2_000
ON = "2026-11-05"
# So long before the other one begins the flood does, and so long after it ends.
LEAD_S = 2


def arguments():
    parser = argparse.ArgumentParser(
        prog="loadtest/flood",
        description="Two declarants on one server: one lodges at a steady rate, alone and then while the "
        "other, held to a limit, sends many times what that allows and heeds no refusal.",
    )
    parser.add_argument("--seconds", type=int, default=60, help="of each phase (60)")
    parser.add_argument("--runs", type=int, default=3, help="of both phases, in turn (3)")
    parser.add_argument("--rate", type=int, default=50_000,
                        help="lines a second of the one who keeps to it (50000)")
    parser.add_argument("--limit", type=int, default=10,
                        help="batches a second that the other may lodge (10), of a thousand declarations")
    parser.add_argument("--times", type=int, default=10, help="of its limit that it sends (10)")
    parser.add_argument("--core", type=int, default=0, help="the one that the flood is made on (0)")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    return parser.parse_args()


class Load:
    """Runs of waag-load against one server."""

    def __init__(self, children, program, url, args):
        self._children, self._args = children, args
        self._command = [program, "run", "--to", url, "--on", ON, "--json", "-"]

    def keep_rate(self):
        """The report of the one who keeps to its rate."""
        args = self._args
        report = self._children.run_json(
            [*self._command, "--declarant", KEEPS_TO_IT, "--rate", args.rate, "--seconds", args.seconds])
        return checked(report)

    def flood(self):
        """Starts the flood, on one core, for longer than the other one takes."""
        args = self._args
        rate = args.times * args.limit * LINES_A_BATCH
        return self._children.start(
            ["taskset", "-c", args.core, *self._command, "--declarant", FLOODS, "--drop-refused",
             "--replays", 0, "--conflicts", 0, "--rate", rate, "--seconds", args.seconds + 2 * LEAD_S],
            stdout=subprocess.PIPE, text=True)


def checked(report):
    if report["mismatches"] or report["summary_mismatches"]:
        raise Failed(f"some answers were not as they must be: {report['examples']}")
    return report


def measure(load):
    alone = load.keep_rate()
    flooding = load.flood()
    time.sleep(LEAD_S)
    beside = load.keep_rate()
    out, _ = flooding.communicate()
    if flooding.returncode != 0:
        raise Failed(f"the flood ended with {flooding.returncode}: {out[-2000:]}")
    flooded = checked(json.loads(out))
    one = {
        "p50_ms_alone": alone["latency"]["p50_ms"], "p50_ms_beside": beside["latency"]["p50_ms"],
        "p99_ms_alone": alone["latency"]["p99_ms"], "p99_ms_beside": beside["latency"]["p99_ms"],
        "lines_per_second_alone": round(alone["lines_per_second"]),
        "lines_per_second_beside": round(beside["lines_per_second"]),
        "refused_of_it": alone["refusals"] + beside["refusals"],
        "flood_batches_per_second_sent":
            round((flooded["batches"] + flooded["refusals"]) / flooded["seconds"], 1),
        "flood_batches_per_second_taken": round(flooded["batches"] / flooded["seconds"], 1),
    }
    one["p99_ratio"] = round(one["p99_ms_beside"] / one["p99_ms_alone"], 2)
    return one


def show(one):
    print(f"alone  p50 {one['p50_ms_alone']:.2f} ms, p99 {one['p99_ms_alone']:.2f} ms, "
          f"{one['lines_per_second_alone']:,} lines/s")
    print(f"beside p50 {one['p50_ms_beside']:.2f} ms, p99 {one['p99_ms_beside']:.2f} ms, "
          f"{one['lines_per_second_beside']:,} lines/s; of the flood "
          f"{one['flood_batches_per_second_sent']} batches/s came, "
          f"{one['flood_batches_per_second_taken']} were taken; p99 {one['p99_ratio']} times that alone",
          flush=True)


def main():
    args = arguments()
    binaries = pathlib.Path(os.environ.get("WAAG_BINARIES", "target/release"))
    found = []
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        folder = pathlib.Path(folder)
        settings = folder / "settings.toml"
        settings.write_text(f'[[limit]]\ndeclarant = "{FLOODS}"\nbatches_per_s = {args.limit}\n')
        with Serving(children, binaries / "waag", folder, ON, settings) as server:
            load = Load(children, binaries / "waag-load", server.url, args)
            for _ in range(args.runs):
                found.append(measure(load))
                if not args.json:
                    show(found[-1])
    ratios = sorted(one["p99_ratio"] for one in found)
    median = ratios[len(ratios) // 2]
    if args.json:
        print(json.dumps({"runs": found, "p99_ratio_median": median}))
    else:
        print(f"p99 of the one who keeps to its rate: {median} times that alone, median of {len(ratios)}")


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        sys.exit(f"loadtest/flood: {failed}")
