"""What of two sendings is held against each other."""

import itertools
import re

# With the replays on the way these change, or name how many records there are.
OF_REPLAYS = ("replayed", "watermark")
RATES_OF_REPLAYS = ("replay_rate", "conflict_rate")
MRN = re.compile(rb',"mrn":"[0-9A-Z]{18}"')


def but_for_replays(summary):
    """A summary as protobuf JSON without what sending again may change: of the rate of conflicts that is how
    many declarations were received; how many conflicted stays."""
    kept = {name: value for name, value in summary.items() if name not in OF_REPLAYS}
    kept["indicators"] = [one for one in summary.get("indicators", []) if one["name"] not in RATES_OF_REPLAYS]
    return kept


def first_difference(one, other, but_for_mrns=False):
    """The first line in which two files differ, in words; none where they do not. `but_for_mrns` compares all
    but the values of MRNs: that there is one counts."""
    with open(one, "rb") as left, open(other, "rb") as right:
        for number, (a, b) in enumerate(itertools.zip_longest(left, right), 1):
            if a == b:
                continue
            if a is None or b is None:
                return f"{'the second' if a is None else 'the first'} file has more than {number - 1} lines"
            if but_for_mrns:
                a, b = (MRN.sub(b',"mrn":""', line) for line in (a, b))
            if a != b:
                return f"line {number}: {shown(a)} and {shown(b)}"
    return None


def shown(line):
    return line.decode(errors="replace").strip()[:200]
