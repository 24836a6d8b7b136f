"""Records what the sections of the page show, by the commands: python record.py WAAG GRPC before|after

Profiles and plans are recorded before their first day; agreements and what controls found after some days. What is to be
found is lodged before them, too.
"""

import json
import subprocess
import sys
import tempfile

WAAG, GRPC, WHEN = sys.argv[1:]


def waag(*args):
    done = subprocess.run([WAAG, *args, "--from", GRPC], check=True, stdout=subprocess.PIPE, text=True)
    return done.stdout


def profile(name, purpose, owner, *more):
    waag("profile", "record", "--name", name, "--purpose", purpose, "--owner", owner, *more)


def plan(terms):
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(terms, file)
        file.flush()
        waag("sample", "record", "--terms", file.name)


def agreement(actor, indicator, target, baseline, *more):
    waag("agreement", "record", "--actor", actor, "--indicator", indicator, "--target", target, "--baseline", baseline,
         "--baseline-days", "2026-10-01..2026-10-31", "--start", "2026-11-01", "--deadline", "2026-11-20", "--every", "2",
         "--window", "2", "--n-min", "20", *more)


def item(one):
    return ["--declarant", one["declarant"], "--lrn", one["lrn"], "--item", str(one["goodsItem"])]


def planted():
    """Three consignments, each of them split in two under one transport document."""
    made = subprocess.run([WAAG, "generate", "--lines", "40", "--invalid", "0", "--replays", "0", "--conflicts", "0"],
                          check=True, stdout=subprocess.PIPE, text=True).stdout
    batches = [batch for batch in map(json.loads, made.splitlines()) if len(batch["declarations"][0]["goodsItems"]) == 1]
    for n, batch in enumerate(batches[:3]):
        of = batch["declarations"][0]
        of["goodsItems"][0]["intrinsicValue"] = {"currency": "EUR", "hundredths": "9000"}
        batch.update(batchId=f"planted-{n}", declarant="NL810000003", declarations=[{**of, "lrn": f"HALF-{n}-{half}"} for half in (1, 2)])
    return batches[:3]


def before():
    with tempfile.TemporaryDirectory() as folder:
        file = f"{folder}/planted.jsonl"
        with open(file, "w") as out:
            out.writelines(json.dumps(batch) + "\n" for batch in planted())
        subprocess.run([WAAG, "send", file, "--to", GRPC], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    dear = ("Dear parcels", "Values close to the threshold, to see who declares them", "Team e-commerce")
    profile(*dear, "--start", "2026-11-02", "--value", "120..")
    profile(*dear, "--id", "P1", "--replaces", "1", "--start", "2026-11-04", "--value", "130..150", "--exporter", "CN")
    profile("Chargers", "Product safety of chargers, cables and power banks", "Team product safety",
            "--start", "2026-11-02", "--hs", "85", "--description", r"\bpower ?banks?\b", "--description", "charger|cable")
    profile("Toys", "Recorded by mistake", "Team product safety", "--hs", "95")
    waag("profile", "withdraw", "P3", "--replaces", "1", "--reason", "there is one already")
    week = {"firstDay": "2026-11-02", "lastDay": "2026-11-05", "owner": "Team e-commerce"}
    plan({"name": "First week", "purpose": "how much of what is declared is wrong", **week, "fixed": {"size": 60, "strata": [
        {"name": "dear", "conditions": {"itemValueEurCents": {"min": "10000"}}, "expectedErrorsPerMillion": 80000},
        {"name": "textiles", "conditions": {"hsPrefixes": ["61", "62", "63"]}, "expectedErrorsPerMillion": 30000}]}})
    plan({"name": "Undervaluation", "purpose": "by how much all goods are undervalued", **week, "lastDay": "2026-11-30",
          "expectedValue": {"intervalEurCents": "1500000", "perKg": [
              {"eurCents": "2000"}, {"hsPrefix": "85", "eurCents": "9000"}, {"hsPrefix": "61", "eurCents": "3500"}]}})


def after():
    summaries = [json.loads(line) for line in waag("summary", "--json").splitlines()]
    summaries = [one for told in summaries for one in told.get("summaries", [told])]
    sealed = str(max(int(one["watermark"]) for one in summaries))
    most = sorted(summaries, key=lambda one: -int(one.get("acceptedLines", 0)))
    first, second = [one["actor"]["id"] for one in most[:2]]
    agreement(first, "rejection_rate", "1%", "30/1000")
    agreement(first, "rejection_rate", "2%", "30/1000", "--id", "A1", "--replaces", "1",
              "--note", "The platform corrects its HS codes before it lodges; agreed at the meeting of October.")
    agreement(first, "replay_rate", "0.5%", "10/1000")
    agreement(second, "vague_description_rate", "5%", "300/1000")
    agreement(second, "gift_rate", "1%", "50/1000")
    waag("agreement", "withdraw", "A4", "--replaces", "1", "--reason", "merged with A3")
    chosen = {}
    for plan, of in (("S1", 20), ("S2", 10)):
        chosen[plan] = json.loads(waag("sample", "selected", plan, "--json", "--at-least-watermark", sealed))["selected"]
        for n, one in enumerate(chosen[plan][:of]):
            wrong = n % 7 == 4
            worth = int(one.get("declaredEurCents", 0)) * (2 if wrong else 1) / 100
            more = ["--error", "--corrected", "12.50", "--note", "Invoice shows another price"] if wrong else []
            waag("sample", "outcome", plan, *item(one), "--true-value", f"{worth:.2f}", *more)
    # What the first plan did not select is targeted there.
    targeted = [one for one in map(item, chosen["S2"]) if one not in map(item, chosen["S1"])]
    for one in targeted[:4]:
        waag("sample", "outcome", "S1", *one, "--error", "--corrected", "7.25")


{"before": before, "after": after}[WHEN]()
