"""Reads an archive with DuckDB and holds it against the summaries of the same data folder.

archive.py ARCHIVE SUMMARIES: ARCHIVE is an export (a folder called export), or the archive of a running
server that has sealed all that the summaries have. SUMMARIES is what `waag summary --json` printed for each role, in
declarant.jsonl, representative.jsonl and ioss-holder.jsonl. Every figure must be equal: counts by
outcome, lines, value, mass and duty to the unit, how often each reason was found, and the values in
steps of EUR 5.
"""

import json
import os
import pathlib
import re
import sys

import duckdb

ROLES = {
    "declarant": "declarant",
    "representative": "representative",
    "ioss-holder": "ioss_number",
}
# Whose id is malformed has no summary, though the archive keeps what was declared.
WELL_FORMED = {
    "declarant": "true",
    "representative": "regexp_full_match(actor, '[A-Z]{2}[A-Z0-9-]{1,15}')",
    "ioss-holder": "regexp_full_match(actor, 'IM[0-9]{10}')",
}
FIGURES = [
    "accepted",
    "rejected",
    "conflicts",
    "replayed",
    "acceptedLines",
    "intrinsicValueEurCents",
    "dutyEurCents",
    "grossMassMg",
]


def served(path):
    """Figures by actor, as the server told them."""
    summaries = [json.loads(line) for line in path.read_text().splitlines()]
    return {summary["actor"]["id"]: summary for summary in summaries}


def figures(archive, actor, well_formed):
    """The same figures by actor, from the archive alone."""
    rows = archive.execute(
        f"""
        WITH mass AS (SELECT ordinal, sum(gross_mass_mg) AS mg FROM goods_items GROUP BY ordinal),
        lodged AS (
            SELECT {actor} AS actor, outcome, goods_items, intrinsic_value_eur_cents AS cents,
                   duty_eur_cents AS duty, coalesce(mg, 0) AS mg
            FROM declarations LEFT JOIN mass USING (ordinal)
            UNION ALL
            SELECT {actor}, 'REPLAYED', 0, 0, 0, 0 FROM replays
        )
        SELECT actor,
               count(*) FILTER (outcome = 'ACCEPTED'),
               count(*) FILTER (outcome = 'REJECTED'),
               count(*) FILTER (outcome = 'CONFLICT'),
               count(*) FILTER (outcome = 'REPLAYED'),
               coalesce(sum(goods_items) FILTER (outcome = 'ACCEPTED'), 0),
               coalesce(sum(cents) FILTER (outcome = 'ACCEPTED'), 0),
               coalesce(sum(duty) FILTER (outcome = 'ACCEPTED'), 0),
               coalesce(sum(mg) FILTER (outcome = 'ACCEPTED'), 0)
        FROM lodged WHERE actor IS NOT NULL AND {well_formed} GROUP BY actor
        """
    ).fetchall()
    return {row[0]: dict(zip(FIGURES, map(int, row[1:]))) for row in rows}


def reasons(archive, actor):
    """By actor and reason: declarations in which it was found, and findings."""
    rows = archive.execute(
        f"""
        SELECT {actor}, reason, count(DISTINCT ordinal), count(*)
        FROM findings JOIN declarations USING (ordinal)
        WHERE {actor} IS NOT NULL GROUP BY ALL
        """
    ).fetchall()
    return {(actor, reason): (declarations, found) for actor, reason, declarations, found in rows}


def histograms(archive, actor):
    """By actor: accepted declarations by value, (0, 5], (5, 10] ... (145, 150] and above."""
    rows = archive.execute(
        f"""
        SELECT {actor}, least((greatest(intrinsic_value_eur_cents, 1) - 1) // 500, 30), count(*)
        FROM declarations WHERE outcome = 'ACCEPTED' AND {actor} IS NOT NULL GROUP BY ALL
        """
    ).fetchall()
    return {(actor, int(bucket)): count for actor, bucket, count in rows}


def run_readme(export):
    """Runs the example of README.md as it stands there; it reads a folder called export."""
    readme = pathlib.Path(__file__).parents[2] / "README.md"
    examples = re.findall(r"```python\n(.*?)```", readme.read_text(), re.DOTALL)
    (example,) = [example for example in examples if "duckdb" in example]
    assert export.name == "export", export
    os.chdir(export.parent)
    exec(example, {})


def main(export, summaries):
    export, summaries = pathlib.Path(export), pathlib.Path(summaries)
    archive = duckdb.connect()
    for table in ["batches", "declarations", "goods_items", "findings", "replays"]:
        archive.execute(
            f"CREATE VIEW {table} AS SELECT * FROM read_parquet('{export}/{table}/*/*.parquet', "
            "hive_partitioning = true)"
        )
    compared = 0
    for role, actor in ROLES.items():
        theirs = served(summaries / f"{role}.jsonl")
        ours = figures(archive, actor, WELL_FORMED[role])
        assert ours.keys() == theirs.keys(), (role, ours.keys() ^ theirs.keys())
        found, buckets = reasons(archive, actor), histograms(archive, actor)
        for id, summary in theirs.items():
            told = {name: int(summary.get(name, 0)) for name in FIGURES}
            assert ours[id] == told, (id, ours[id], told)
            for reason in summary.get("reasons", []):
                told = int(reason.get("declarations", 0)), int(reason.get("findings", 0))
                assert found.pop((id, reason["reason"])) == told, (id, reason)
            for bucket, count in enumerate(summary.get("valueHistogram", [])):
                assert buckets.pop((id, bucket), 0) == int(count), (id, bucket, count)
            compared += 1
        rest = {actor for actor, _ in found.keys() | buckets.keys()} & theirs.keys()
        assert not rest, (role, rest)

    # What else must hold of an export: each declaration of each batch is there once, and the
    # partitions are the days of arrival.
    lodged, told, days = archive.execute(
        """
        SELECT (SELECT sum(declarations) FROM batches),
               (SELECT count(*) FROM declarations) + (SELECT count(*) FROM replays),
               (SELECT count(DISTINCT day) FROM batches)
        """
    ).fetchone()
    assert lodged == told, (lodged, told)
    stray = archive.execute(
        "SELECT count(*) FROM declarations WHERE strftime(timezone('Europe/Amsterdam', judged_at), "
        "'%Y-%m-%d') <> day::VARCHAR"
    ).fetchone()
    assert stray == (0,), stray
    names = {column[0] for column in archive.execute("DESCRIBE declarations").fetchall()}
    assert "importer_person" in names and "importer_name" not in names, names
    lines, sellers = archive.execute(
        """
        SELECT (SELECT count(*) FROM goods_items),
               (SELECT count(*) FROM declarations JOIN goods_items i USING (ordinal)
                WHERE list_contains(i.additional_procedures, 'C08') AND exporter_name IS NOT NULL)
        """
    ).fetchone()
    assert sellers == 0, "the sender of a gift is named"
    if export.name == "export":
        run_readme(export)
    print(
        f"{export.name}: {told} declarations, {lines} lines and {days} days read with DuckDB "
        f"{duckdb.__version__}; {compared} summaries equal"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
