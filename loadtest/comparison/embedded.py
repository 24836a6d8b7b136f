"""Loads the rows into a database that runs within a process: one run, in this process, timed.

    python embedded.py sqlite|duckdb|clickhouse FOLDER COLUMNS FILE...

FOLDER is empty, COLUMNS are separated by commas. Prints one JSON object: seconds from the first row read
until the last is durable, rows with different keys, and the version.
"""

import csv
import json
import os
import sqlite3
import sys
import time

from columns import KEY, definitions

KEYS = ", ".join(KEY)
# Below any machine's memory and above what the index of some million keys takes.
SQLITE_CACHE_KIB = 256 << 10


def sqlite(folder, columns, files):
    connection = sqlite3.connect(os.path.join(folder, "rows.db"), isolation_level=None)
    run = connection.execute
    run("PRAGMA journal_mode = WAL")
    run("PRAGMA synchronous = FULL")
    run(f"PRAGMA cache_size = -{SQLITE_CACHE_KIB}")
    run(f"CREATE TABLE declarations ({definitions(columns, 'TEXT', 'INTEGER')}, PRIMARY KEY ({KEYS}))")
    places = ", ".join("?" * len(columns))
    insert = f"INSERT INTO declarations VALUES ({places}) ON CONFLICT DO NOTHING"
    start = time.perf_counter()
    for file in files:
        with open(file, newline="") as rows:
            reader = csv.reader(rows)
            next(reader)
            run("BEGIN")
            connection.executemany(insert, reader)
            run("COMMIT")
    seconds = time.perf_counter() - start
    count = run("SELECT count(*) FROM declarations").fetchone()[0]
    return seconds, count, sqlite3.sqlite_version


def duckdb(folder, columns, files):
    import duckdb

    connection = duckdb.connect(os.path.join(folder, "rows.duckdb"))
    connection.execute(
        f"CREATE TABLE declarations ({definitions(columns, 'VARCHAR', 'BIGINT')}, PRIMARY KEY ({KEYS}))"
    )
    # Given, and not guessed: what the header says is what there is.
    types = ", ".join(
        f"'{name}': '{kind}'" for name, kind, *_ in
        (column.split() for column in definitions(columns, "VARCHAR", "BIGINT").split(", "))
    )
    listed = ", ".join(f"'{file}'" for file in files)
    # What is empty is an empty text, and not absent.
    source = (
        f"read_csv([{listed}], header = true, columns = {{{types}}}, nullstr = '\\N', "
        "quote = '\"', escape = '\"')"
    )
    start = time.perf_counter()
    connection.execute(f"INSERT INTO declarations SELECT * FROM {source} ON CONFLICT DO NOTHING")
    seconds = time.perf_counter() - start
    count = connection.execute("SELECT count(*) FROM declarations").fetchone()[0]
    return seconds, count, duckdb.__version__


def clickhouse(folder, columns, files):
    from chdb import session

    types = definitions(columns, "String", "Int64").replace(" NOT NULL", "")
    clickhouse = session.Session(os.path.join(folder, "clickhouse"))
    clickhouse.query("CREATE DATABASE waag ENGINE = Atomic")
    # Without these two an insert is in the page cache when it is answered, and not on the disk.
    clickhouse.query(
        f"CREATE TABLE waag.declarations ({types}) ENGINE = ReplacingMergeTree ORDER BY ({KEYS}) "
        "SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
    )
    start = time.perf_counter()
    for file in files:
        clickhouse.query(
            f"INSERT INTO waag.declarations SELECT * FROM file('{file}', CSVWithNames, '{types}')"
        )
    seconds = time.perf_counter() - start
    # FINAL merges what has one key, as a later merge would.
    count = int(str(clickhouse.query("SELECT count() FROM waag.declarations FINAL", "CSV")).strip())
    version = str(clickhouse.query("SELECT version()", "CSV")).strip().strip('"')
    clickhouse.close()
    return seconds, count, version


def main():
    name, folder, columns, *files = sys.argv[1:]
    load = {"sqlite": sqlite, "duckdb": duckdb, "clickhouse": clickhouse}[name]
    seconds, count, version = load(folder, columns.split(","), files)
    print(json.dumps({"seconds": seconds, "rows": count, "version": version}))


if __name__ == "__main__":
    main()
