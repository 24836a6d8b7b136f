#!/usr/bin/env python3
"""Reads what loadtest/ghz/run has collected: ghz's report, the data that was sent, and the server's
summaries before and after. Needs nothing but Python 3.

    report.py batches DATA                       how many batches DATA holds
    report.py actors SUMMARIES                   requests of GetActorSummary, one for each declarant
    report.py call CALL GHZ DATA BEFORE AFTER    one line of JSON
    report.py all [--json] LINES                 those lines, for people or as one object
"""

import json
import sys

OUTCOMES = ("accepted", "rejected", "replayed", "conflicts")

LIMITS = (
    "ghz encodes each batch anew and decodes each answer into dynamic messages, on the processors that "
    "it shares with the server: what it reaches is mostly its own limit. `waag-load` sends bytes.",
    "A file is sent as it is. Once all of it was sent, each batch is a replay, and what is measured is "
    "the replay path: with --duration, or with more than one stream.",
    "A stream counts as one call, however many batches go through it: its latency is that of the whole "
    "stream, and calls a second say nothing.",
    "Its loop is closed: a call begins when another ends, so a server that stalls is asked less, and the "
    "stall counts as one slow call (coordinated omission). For latency use `waag-load run --rate`.",
    "An OK call may hold rejections, a stream refusals: ghz looks at neither. The counters show them.",
)


def varint(data, at):
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7


def fields(data, at, end):
    """Number, start and end of each length-delimited field; the others are stepped over."""
    while at < end:
        key, at = varint(data, at)
        if key & 7 == 0:
            _, at = varint(data, at)
        elif key & 7 == 2:
            length, at = varint(data, at)
            yield key >> 3, at, at + length
            at += length
        else:
            raise ValueError(f"a field of wire type {key & 7}, which no batch has")


def sizes(path):
    """Batches, declarations and goods items of a file of length-delimited batches."""
    with open(path, "rb") as file:
        data = memoryview(file.read())
    at = batches = declarations = lines = 0
    while at < len(data):
        length, at = varint(data, at)
        batches += 1
        for number, start, end in fields(data, at, at + length):
            if number == 5:
                declarations += 1
                lines += sum(1 for number, _, _ in fields(data, start, end) if number == 2)
        at += length
    return batches, declarations, lines


def json_lines(path):
    with open(path) as file:
        return [json.loads(line) for line in file]


def counted(path):
    """Declarations by outcome, and accepted lines, over all declarants."""
    names = {**{name: name for name in OUTCOMES}, "accepted_lines": "acceptedLines"}
    sums = dict.fromkeys(names, 0)
    for summary in json_lines(path):
        for name, field in names.items():
            sums[name] += int(summary.get(field, 0))
    return sums


def call(name, ghz, data, before, after):
    with open(ghz) as file:
        ghz = json.load(file)
    before, after = counted(before), counted(after)
    grown = {key: after[key] - before[key] for key in after}
    batches, declarations, lines = sizes(data)
    seconds = ghz["total"] / 1e9
    answered = sum(grown[outcome] for outcome in OUTCOMES)
    latencies = {f"p{entry['percentage']}_ms": entry["latency"] / 1e6
                 for entry in ghz.get("latencyDistribution") or []}
    return {
        "call": name,
        "ghz": {
            "calls": ghz["count"],
            "seconds": seconds,
            "calls_per_second": ghz["rps"],
            "statuses": ghz.get("statusCodeDistribution") or {},
            "errors": ghz.get("errorDistribution") or {},
            "connections": ghz["options"].get("connections", 1),
            "concurrency": ghz["options"].get("concurrency", 1),
            **latencies,
        },
        "data": {"batches": batches, "declarations": declarations, "lines": lines},
        "server": {
            **grown,
            "declarations": answered,
            "declarations_per_second": round(answered / seconds),
            # Lines of what is not accepted are in no summary; the data has the same mean throughout.
            "lines_per_second": round(answered / seconds * lines / declarations),
            "replayed_share": grown["replayed"] / answered if answered else 0.0,
        },
    }


def tell(report):
    ghz, server = report["ghz"], report["server"]
    print(f"{report['call']}: {ghz['calls']:,} calls in {ghz['seconds']:.2f} s over {ghz['connections']} "
          f"connections, {ghz['concurrency']} at once; {ghz['calls_per_second']:,.0f} a second")
    latencies = [f"{name[:-3]} {ghz[name]:.2f}" for name in ("p50_ms", "p90_ms", "p99_ms") if name in ghz]
    if latencies:
        print(f"  a call took, ms: {', '.join(latencies)}")
    print(f"  statuses: {', '.join(f'{code} {count:,}' for code, count in ghz['statuses'].items())}")
    for error, count in ghz["errors"].items():
        print(f"  {count:,} times: {error}")
    if not server["declarations"]:
        return
    data = report["data"]
    print(f"  the data: {data['batches']:,} batches, on average of {data['declarations'] / data['batches']:.0f} "
          f"declarations with {data['lines'] / data['declarations']:.1f} lines")
    counts = ", ".join(f"{server[outcome]:,} {outcome}" for outcome in OUTCOMES)
    print(f"  the server counted {server['declarations']:,} declarations: {counts}")
    print(f"  that is {server['declarations_per_second']:,} declarations and about "
          f"{server['lines_per_second']:,} lines a second")
    if server["replayed"]:
        print(f"  {server['replayed_share']:.1%} of them were replays: that part measures the replay path")
    else:
        print("  none was a replay: all of it is the path of new declarations")


def all_calls(is_json, path):
    reports = json_lines(path)
    if is_json:
        print(json.dumps({"calls": reports, "limits": LIMITS}))
    else:
        for report in reports:
            tell(report)
        print("What these figures are not:")
        for limit in LIMITS:
            print(f"- {limit}")
    failed = sum(count for report in reports for code, count in report["ghz"]["statuses"].items()
                 if code != "OK")
    return 1 if failed else 0


def main(arguments):
    match arguments:
        case ["batches", data]:
            print(sizes(data)[0])
        case ["actors", path]:
            ids = [summary["actor"]["id"] for summary in json_lines(path)]
            requests = [{"actor": {"role": "ACTOR_ROLE_DECLARANT", "id": actor}} for actor in ids]
            print(json.dumps(requests))
        case ["call", name, ghz, data, before, after]:
            print(json.dumps(call(name, ghz, data, before, after)))
        case ["all", "--json", path]:
            return all_calls(True, path)
        case ["all", path]:
            return all_calls(False, path)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
