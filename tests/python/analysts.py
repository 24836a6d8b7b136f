"""Runs every example of docs/analysts.md as it stands there, and holds those which the server has
figures for to its summaries.

analysts.py EXPORT SUMMARIES: EXPORT is a whole export, a folder called export; SUMMARIES as for archive.py.
"""

import os
import pathlib
import re
import sys

from archive import served

PAGE = pathlib.Path(__file__).parents[2] / "docs" / "analysts.md"


def examples():
    """Heading and code of each."""
    found = re.findall(r"^## (\d+)\. .*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    return {int(number): code for number, code in found}


def rows(result):
    """Of DuckDB or Polars, as dictionaries."""
    if hasattr(result, "to_dicts"):
        return result.to_dicts()
    return [dict(zip(result.columns, row)) for row in result.fetchall()]


def indicator(summary, name):
    for one in summary.get("indicators", []):
        if one["name"] == name:
            return one
    return None


def same(found, told, names):
    """The row of an example, and the server's indicator, `names` of numerator, denominator and value."""
    numerator, denominator, value = names
    assert found[numerator] == int(told.get("numerator", 0)), (found, told)
    assert found[denominator] == int(told["denominator"]), (found, told)
    assert abs(found[value] - told.get("value", 0.0)) < 1e-12, (found, told)


def rejection_rates(results, summaries):
    for row in results:
        told = indicator(summaries[row["declarant"]], "rejection_rate")
        same(row, told, ["rejected_lines", "judged_lines", "rejection_rate"])
        for bound in ["lower", "upper"]:
            assert abs(row[bound] - told.get(bound, 0.0)) < 1e-9, (row, told)
    assert len(results) == len(summaries)


def bunching(results, summaries):
    for row in results:
        told = indicator(summaries[row["declarant"]], "threshold_bunching")
        same(row, told, ["four_times_below_150", "before", "bunching"])
    known = [one for one in summaries.values() if indicator(one, "threshold_bunching")]
    assert len(results) == len(known)


def reasons(results, summaries):
    found = {(row["declarant"], row["reason"]): (row["declarations"], row["findings"]) for row in results}
    for declarant, summary in summaries.items():
        for reason in summary.get("reasons", []):
            told = int(reason.get("declarations", 0)), int(reason.get("findings", 0))
            assert found.pop((declarant, reason["reason"])) == told, (declarant, reason)
    assert not found, found


HELD = {1: rejection_rates, 2: bunching, 3: reasons}


def main(export, summaries):
    export = pathlib.Path(export).resolve()
    summaries = served(pathlib.Path(summaries).resolve() / "declarant.jsonl")
    assert export.name == "export", export
    os.chdir(export.parent)
    codes = examples()
    assert sorted(codes) == list(range(1, len(codes) + 1)) and len(codes) >= 9, sorted(codes)
    for number, code in codes.items():
        names = {}
        exec(compile(code, f"docs/analysts.md, example {number}", "exec"), names)
        results = rows(names["result"])
        if number in HELD:
            HELD[number](results, summaries)
        elif number != 6:
            # A generated day has no transport document twice, but lines of all else.
            assert results, number
    print(f"{len(codes)} examples of docs/analysts.md run, {len(HELD)} of them equal to the summaries")


if __name__ == "__main__":
    main(*sys.argv[1:])
