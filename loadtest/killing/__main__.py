"""A file sent with `waag send` while server and client are killed in turn: the verdicts and the summaries must
be those of a sending that nothing disturbed."""

import argparse
import json
import os
import pathlib
import signal
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "comparison")]

from children import Children, Failed  # noqa: E402
from comparing import but_for_replays, first_difference  # noqa: E402
from parties import Sending, Server  # noqa: E402

FORMATS = {"csv": "csv", "jsonl": "json", "parquet": "parquet"}
ROLES = ("declarant", "representative", "ioss-holder")


def arguments():
    parser = argparse.ArgumentParser(
        prog="loadtest/kills",
        description="Sends a generated file with `waag send`, once undisturbed, and once in each format while "
        "server and client are killed (SIGKILL) in turn. Each killed sending must end with the verdicts and the "
        "summaries of the undisturbed one (but for MRNs, which hang on the keys of the data folder, and for "
        "what counts replays), and its server must then give the very same bytes to the file in every format. "
        "Each sending has a server of its own, on a free port, with its data in the temporary folder.",
    )
    parser.add_argument("--lines", type=int, default=1_000_000, help="goods items (1000000)")
    parser.add_argument("--kills", type=int, default=10, help="on the way of each sending (10)")
    parser.add_argument("--format", action="append", choices=FORMATS,
                        help="of the file that is sent; may be given again (all three)")
    parser.add_argument("--seed", type=int, default=1, help="of what is generated (1)")
    parser.add_argument("--json", action="store_true", help="one object on standard output")
    args = parser.parse_args()
    if args.lines < 1 or args.kills < 0:
        parser.error("--lines must be 1 at least, and --kills 0")
    return args


class Trial:
    """The files, and what the sending that nothing disturbed came to."""

    def __init__(self, children, program, folder, args):
        self._children, self._program, self._folder = children, program, folder
        self._kills = args.kills
        self.files = {}
        for format in args.format or list(FORMATS):
            self.files[format] = folder / f"items.{format}"
            children.run([program, "generate", "--lines", args.lines, "--seed", args.seed, "--replays", 0.02,
                          "--conflicts", 0.01, "--invalid", 0.04, "--format", FORMATS[format],
                          "--out", self.files[format]])

    def undisturbed(self):
        """Sends the first of the files."""
        format, file = next(iter(self.files.items()))
        with Server(self._children, self._program, self._folder / "undisturbed") as server:
            started = time.monotonic()
            sending = self._sending(file, "undisturbed", server)
            sending.start()
            self.report = sending.end()
            self.verdicts = sending.verdicts
            self.summaries, replayed = self._summaries(server)
            return {"format": format, "seconds": round(time.monotonic() - started, 2),
                    "declarations": self.report["all"]["declarations"],
                    "replayed": replayed, "verdict_bytes": self.verdicts.stat().st_size}

    def killed(self, format):
        """Sends a file, killing server and client in turn; what was the same."""
        with Server(self._children, self._program, self._folder / f"killed-{format}") as server:
            started = time.monotonic()
            sending = self._sending(self.files[format], f"killed-{format}", server)
            sending.start()
            for number in range(self._kills):
                # Evenly over the file: MRNs are all of one length, so it ends as long as the undisturbed one.
                sending.wait_for((number + 1) * self.verdicts.stat().st_size // (self._kills + 1))
                if number % 2 == 0:
                    server.kill()
                    server.start()
                else:
                    sending.kill()
                    sending.start()
            report = sending.end()
            seconds = round(time.monotonic() - started, 2)
            summaries, replayed = self._summaries(server)
            found = {
                "format": format, "kills": self._kills, "seconds": seconds, "replayed": replayed,
                "verdicts": first_difference(self.verdicts, sending.verdicts, but_for_mrns=True),
                "counts": None if report["all"] == self.report["all"] else "other counts by outcome and reason",
                "summaries": self._other_summaries(summaries),
            }
            # Not only as if: the server gives these very answers, MRNs included, to whoever asks again.
            for again, file in self.files.items():
                repeated = self._sending(file, f"killed-{format}-again", server)
                repeated.start()
                repeated.end()
                found[f"again_{again}"] = first_difference(sending.verdicts, repeated.verdicts)
                repeated.remove()
            sending.remove()
        return found

    def _sending(self, file, name, server):
        verdicts = self._folder / f"{name}{file.suffix}.verdicts.jsonl"
        return Sending(self._children, self._program, file, verdicts, server.url)

    def _summaries(self, server):
        """Of all actors in all roles, once they contain all that the journal does; and how many replays there were."""
        status = self._children.run_json([self._program, "operate", "status", "--from", server.url, "--json"])
        found, replayed = {}, 0
        for role in ROLES:
            text = self._children.run([self._program, "summary", "--from", server.url, "--role", role, "--json",
                                       "--at-least-watermark", status["watermark"]])
            for line in text.splitlines():
                summary = json.loads(line)
                found[role, summary["actor"]["id"]] = but_for_replays(summary)
                # Each declaration has one declarant.
                replayed += int(summary.get("replayed", 0)) if role == "declarant" else 0
        return found, replayed

    def _other_summaries(self, found):
        if found.keys() != self.summaries.keys():
            return f"other actors: {sorted(found.keys() ^ self.summaries.keys())[:3]}"
        other = sorted(who for who, summary in found.items() if summary != self.summaries[who])
        return f"of {len(found)} actors {len(other)} are other, as {other[0]}" if other else None


def failures(found):
    """What was not the same; each in words."""
    compared = {name: told for name, told in found.items()
                if name in ("verdicts", "counts", "summaries") or name.startswith("again_")}
    return [f"{found['format']}, {name}: {told}" for name, told in compared.items() if told]


def show(found):
    told = "; ".join(failures(found)) or "the same verdicts and summaries"
    print(f"{found['format']}: {found['kills']} kills, {found['seconds']} s, {found['replayed']:,} replays: {told}",
          flush=True)


def main():
    args = arguments()
    program = pathlib.Path(os.environ.get("WAAG_BINARIES", "target/release")).resolve() / "waag"
    with tempfile.TemporaryDirectory() as folder, Children() as children:
        trial = Trial(children, program, pathlib.Path(folder), args)
        undisturbed = trial.undisturbed()
        if not args.json:
            print(f"undisturbed ({undisturbed['format']}): {undisturbed['declarations']:,} declarations, "
                  f"{undisturbed['seconds']} s, {undisturbed['replayed']:,} replays, "
                  f"{undisturbed['verdict_bytes']:,} bytes of verdicts", flush=True)
        runs = []
        for format in trial.files:
            runs.append(trial.killed(format))
            if not args.json:
                show(runs[-1])
        actors = len(trial.summaries)
    wrong = [told for found in runs for told in failures(found)]
    if args.json:
        print(json.dumps({"lines": args.lines, "actors": actors, "undisturbed": undisturbed, "killed": runs,
                          "is_same": not wrong}))
    if wrong:
        raise Failed("; ".join(wrong))


if __name__ == "__main__":
    # A stop by the terminal runs the `finally` blocks too.
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    try:
        main()
    except Failed as failed:
        sys.exit(f"loadtest/kills: {failed}")
