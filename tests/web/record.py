"""Records what the sections of the page show, by the commands: python record.py WAAG GRPC before|after

Profiles are recorded before their first day; agreements after some days.
"""

import json
import subprocess
import sys

WAAG, GRPC, WHEN = sys.argv[1:]


def waag(*args):
    done = subprocess.run([WAAG, *args, "--from", GRPC], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def profile(name, purpose, owner, *more):
    waag("profile", "record", "--name", name, "--purpose", purpose, "--owner", owner, *more)


def agreement(actor, indicator, target, baseline, *more):
    waag("agreement", "record", "--actor", actor, "--indicator", indicator, "--target", target, "--baseline", baseline,
         "--baseline-days", "2026-10-01..2026-10-31", "--start", "2026-11-01", "--deadline", "2026-11-20", "--every", "2",
         "--window", "2", "--n-min", "20", *more)


def before():
    dear = ("Dear parcels", "Values close to the threshold, to see who declares them", "Team e-commerce")
    profile(*dear, "--start", "2026-11-02", "--value", "120..")
    profile(*dear, "--id", "P1", "--replaces", "1", "--start", "2026-11-04", "--value", "130..150", "--exporter", "CN")
    profile("Chargers", "Product safety of chargers, cables and power banks", "Team product safety",
            "--start", "2026-11-02", "--hs", "85", "--description", r"\bpower ?banks?\b", "--description", "charger|cable")
    profile("Toys", "Recorded by mistake", "Team product safety", "--hs", "95")
    waag("profile", "withdraw", "P3", "--replaces", "1", "--reason", "there is one already")


def after():
    summaries = [json.loads(line) for line in waag("summary", "--json").splitlines()]
    summaries = [one for told in summaries for one in told.get("summaries", [told])]
    most = sorted(summaries, key=lambda one: -int(one.get("acceptedLines", 0)))
    first, second = [one["actor"]["id"] for one in most[:2]]
    agreement(first, "rejection_rate", "1%", "30/1000")
    agreement(first, "rejection_rate", "2%", "30/1000", "--id", "A1", "--replaces", "1",
              "--note", "The platform corrects its HS codes before it lodges; agreed at the meeting of October.")
    agreement(first, "replay_rate", "0.5%", "10/1000")
    agreement(second, "vague_description_rate", "5%", "300/1000")
    agreement(second, "gift_rate", "1%", "50/1000")
    waag("agreement", "withdraw", "A4", "--replaces", "1", "--reason", "merged with A3")

{"before": before, "after": after}[WHEN]()
