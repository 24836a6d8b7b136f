"""What was measured, held against the sink and PostgreSQL, and told."""

import statistics

# What an answer means in each system, and what becomes of a second row with the same key.
MEANING = {
    "in-place": ("nothing is kept", "none"),
    "prost": ("nothing is kept", "none"),
    "waag": ("synced before each batch of 1,000 is answered; judged by all rules",
             "by (declarant, LRN) and content; each declaration gets a verdict, a replay the first one"),
    "postgresql": ("synced at the commit of all rows of a connection; nothing judged",
                   "by (declarant, LRN); the first row stays, and nobody is told"),
    "sqlite": ("synced at the commit of all rows of a file; nothing judged",
               "by (declarant, LRN); the first row stays, and nobody is told"),
    "clickhouse": ("synced at the end of each insert of a file; nothing judged",
                   "at a later merge, or when it is read with FINAL; the last row stays"),
    "duckdb": ("synced at the commit of all rows; nothing judged",
               "by (declarant, LRN); one row stays, and nobody is told"),
}

NAMES = {
    "in-place": "gRPC sink, read in place",
    "prost": "gRPC sink, decoded with prost",
    "waag": "Waag",
    "postgresql": "PostgreSQL",
    "sqlite": "SQLite",
    "clickhouse": "ClickHouse (chdb)",
    "duckdb": "DuckDB",
}

FROM = {name: "gRPC over loopback" if name in ("in-place", "prost", "waag") else "CSV files"
        for name in NAMES}

# Of Waag, in one run: see what the project asks of itself in loadtest/README.md.
GOALS = (
    ("burst, of the in-place sink", 0.5),
    ("burst, times PostgreSQL", 8.0),
    ("sustained, of the in-place sink", 0.25),
    ("p50 at half of the highest rate, ms", 5.0),
    ("p99 at half of the highest rate, ms", 20.0),
    ("replays from the hot part, of new declarations", 1.0),
    ("replays from sealed data, declarations of random reads", 0.5),
)


def ratio(value, to):
    return round(value / to, 3) if value and to else None


def median(rates):
    return round(statistics.median(rates)) if rates else None


def add_ratios(systems):
    """To each system that ran its median, and what that is of the two it is held against."""
    for system in systems.values():
        system["lines_per_second"] = median(system.get("rates", []))
    against = {name: systems.get(name, {}).get("lines_per_second") for name in ("in-place", "postgresql")}
    for system in systems.values():
        own = system["lines_per_second"]
        system["of_in_place"] = ratio(own, against["in-place"])
        system["of_postgresql"] = ratio(own, against["postgresql"])


def goals(result):
    """What was found for each goal, as far as it was measured."""
    burst, timed = result["burst"], result.get("timed_burst") or {}
    waag, timed_waag = burst.get("waag", {}), timed.get("waag", {})
    sink = (timed.get("in-place") or burst.get("in-place") or {}).get("lines_per_second")
    sustained, latency = result.get("sustained") or {}, result.get("latency") or {}
    replays = result.get("replays") or {}
    # The burst by time, where there is one, for both: the shorter one by lines would flatter.
    found = (
        timed_waag.get("of_in_place") or waag.get("of_in_place"),
        timed_waag.get("of_postgresql") or waag.get("of_postgresql"),
        ratio(sustained.get("lines_per_second"), sink) if sustained.get("kept_up") else None,
        latency.get("p50_ms"),
        latency.get("p99_ms"),
        replays.get("hot_of_new"),
        replays.get("sealed_of_reads"),
    )
    return [
        {"what": what, "wanted": wanted, "found": value,
         "is_met": None if value is None else value <= wanted if what.endswith("ms") else value >= wanted}
        for (what, wanted), value in zip(GOALS, found)
    ]


def number(value):
    return f"{value:,}" if value is not None else "not run"


def share(value):
    return f"{value:.2f}" if value is not None else "–"


def burst_table(systems):
    yield "| System | from | lines/s | lowest to highest | of the in-place sink | of PostgreSQL |"
    yield "|---|---|---|---|---|---|"
    for name, system in systems.items():
        label = NAMES[name] + (f" {system['version']}" if system.get("version") else "")
        if system.get("not_run"):
            yield f"| {label} | {FROM[name]} | not run: {system['not_run']} | | | |"
            continue
        rates = system["rates"]
        yield (f"| {label} | {FROM[name]} | {number(system['lines_per_second'])} | "
               f"{min(rates):,} to {max(rates):,} | {share(system['of_in_place'])} | "
               f"{share(system['of_postgresql'])} |")


def meaning_table(systems):
    yield "| System | When it says yes | A second row under the same key |"
    yield "|---|---|---|"
    for name in systems:
        durable, once = MEANING[name]
        yield f"| {NAMES[name]} | {durable} | {once} |"


def markdown(result):
    """The page loadtest/RESULTS.md."""
    return "\n".join(page(result)) + "\n"


def page(result):
    machine, settings, data = result["machine"], result["settings"], result["data"]
    yield "# What `loadtest/compare` measured"
    yield ""
    yield (f"On {result['date']}, commit {result['commit']}, by `loadtest/compare {result['command']}`. Made by "
           "that script: do not edit. Absolute figures are this machine's; the ratios are what to look at.")
    yield ""
    if result["is_disturbed"]:
        yield ("**Other programs ran on this machine meanwhile** (load before the first run "
               f"{result['load_before']}): figures to try the script, and not to quote.")
        yield ""
    yield "| Machine | |"
    yield "|---|---|"
    yield f"| processor | {machine['processor']}, {machine['cores']} cores for client and server together |"
    yield f"| memory | {machine['memory_gib']} GiB |"
    yield f"| kernel | Linux {machine['kernel']} |"
    yield f"| disk | {machine['disk']}; {machine['file_system']} |"
    if result.get("random_reads_per_second"):
        yield f"| random reads of 4 KiB | {result['random_reads_per_second']:,} a second |"
    yield ""
    yield f"## Burst of {data['lines']:,} lines"
    yield ""
    yield (f"{data['declarations']:,} declarations, {data['distinct']:,} of them with different keys, in each system "
           f"the same; median of {settings['runs']}, all systems in turn. Each ended with exactly as many rows as "
           "there are keys, Waag with the right verdict on every declaration.")
    yield ""
    yield from burst_table(result["burst"])
    yield ""
    yield from meaning_table(result["burst"])
    yield ""
    if result.get("timed_burst"):
        yield f"## Burst of {settings['seconds']} s"
        yield ""
        yield "The same client, for so long; PostgreSQL as above."
        yield ""
        yield from burst_table(result["timed_burst"])
        yield ""
    yield from waag_alone(result)
    yield "## Held against what is asked"
    yield ""
    yield "| | wanted | found | met |"
    yield "|---|---|---|---|"
    for goal in result["goals"]:
        bound = "at most" if goal["what"].endswith("ms") else "at least"
        met = {None: "not measured", True: "yes", False: "no"}[goal["is_met"]]
        yield f"| {goal['what']} | {bound} {goal['wanted']} | {share(goal['found'])} | {met} |"


def waag_alone(result):
    sustained, latency, replays = (result.get(name) for name in ("sustained", "latency", "replays"))
    if not (sustained or latency or replays):
        return
    yield "## Waag alone"
    yield ""
    if sustained:
        kept_up = "" if sustained["kept_up"] else (
            " **Sealing did not keep up in a run as short as this: no sustained rate.**")
        yield (f"- **Sustained**: {sustained['lines_per_second']:,} lines/s in the last three quarters of "
               f"{sustained['lines']:,} lines, {sustained['measured_over_s']:.0f} s, with replays and conflicts from the "
               f"whole history. What was not sealed grew from {sustained['journal_mib_at_start']:,} to "
               f"{sustained['journal_mib_at_end']:,} MiB meanwhile; {sustained['unsealed_mib_max']:,} MiB may wait. "
               f"{sustained['batches_told_to_come_back']:,} batches were told to come back; memory at most "
               f"{sustained['resident_mib_max']:,} MiB.{kept_up}")
    if latency:
        yield (f"- **Latency** at half of its highest rate, {latency['rate']:,} lines/s wanted and "
               f"{latency['reached']:,} reached, batches of 1,000 declarations due at fixed moments: p50 "
               f"{latency['p50_ms']:.2f} ms, p90 {latency['p90_ms']:.2f}, p99 {latency['p99_ms']:.2f}, p99.9 "
               f"{latency['p99_9_ms']:.2f}, at most {latency['max_ms']:.2f}.")
    if replays:
        yield (f"- **All replays, from the hot part**: {replays['hot_lines_per_second']:,} lines/s "
               f"({replays['hot_lines']:,} lines sent again; median of {replays['hot_runs']}), "
               f"{share(replays['hot_of_new'])} of the burst of new ones.")
        yield (f"- **All replays, from sealed data**: {replays['sealed_lines_per_second']:,} lines/s or "
               f"{replays['sealed_declarations_per_second']:,} declarations/s ({replays['sealed_lines']:,} lines sent "
               f"again; median of {replays['sealed_runs']}), {share(replays['sealed_of_reads'])} declarations for "
               "each random read of 4 KiB that the disk gives.")
    yield ""
