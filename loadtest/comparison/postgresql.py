"""PostgreSQL from Debian's packages: a cluster of its own, on a socket of its own.

Each run copies every file into a temporary table and inserts from there with ON CONFLICT DO NOTHING, one
connection and one transaction for each file, all at once. The temporary tables are not logged: what is
written twice is written to the log once.
"""

import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile
import time

from children import Failed
from columns import KEY, definitions

SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    # What anybody would set for loads of millions of rows: no checkpoint that the size of the log asks for.
    "max_wal_size": "16GB",
    "checkpoint_timeout": "30min",
    "shared_buffers": "1GB",
    "temp_buffers": "64MB",
    "listen_addresses": "",
    "jit": "off",
}


class Missing(Exception):
    """There is no PostgreSQL, and what to do about it."""


def find(children, unpacked):
    """The folder with initdb and postgres: installed, or unpacked from Debian's packages into `unpacked`."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=version_of)
    found += sorted(unpacked.glob("usr/lib/postgresql/*/bin"), key=version_of)
    found = [folder for folder in found if (folder / "initdb").is_file() and (folder / "psql").is_file()]
    if found:
        return found[-1]
    if not shutil.which("apt-get"):
        raise Missing("install PostgreSQL 13 or later so that /usr/lib/postgresql/*/bin holds initdb, "
                      "postgres and psql")
    try:
        return unpack(children, unpacked)
    except Failed as failed:
        raise Missing(f"install it: apt-get install postgresql ({str(failed).splitlines()[-1]})") from failed


def version_of(folder):
    name = folder.parent.name
    return int(name) if name.isdigit() else 0


def unpack(children, unpacked):
    """Debian's packages, without installing them: nothing but this comparison sees them."""
    depends = children.run(["apt-cache", "depends", "postgresql", "postgresql-client"])
    packages = {line.split()[-1] for line in depends.splitlines() if "Depends: postgresql-" in line}
    packages = sorted(name for name in packages if name.rsplit("-", 1)[-1].isdigit())
    if not packages:
        raise Failed("apt-get knows no package postgresql: apt-get update may help")
    unpacked.mkdir(parents=True, exist_ok=True)
    children.run(["apt-get", "download", *packages, "libpq5"], cwd=unpacked)
    for package in unpacked.glob("*.deb"):
        children.run(["dpkg-deb", "-x", package, unpacked])
        package.unlink()
    found = sorted(unpacked.glob("usr/lib/postgresql/*/bin"), key=version_of)
    if not found:
        raise Failed("the packages hold no usr/lib/postgresql/*/bin")
    return found[-1]


def unprivileged():
    """PostgreSQL does not run as root: options to start a process as somebody who owns nothing else."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


class Cluster:
    """A running cluster; `with` ends it."""

    def __init__(self, children, binaries, folder):
        self._children, self._binaries = children, binaries
        self._data = folder / "postgresql"
        self._as = unprivileged()
        # The path of a socket is 107 characters at most.
        self._socket = pathlib.Path(tempfile.mkdtemp(prefix="waag-pg-"))
        self._server = None
        self._environment = {**os.environ, "PGHOST": str(self._socket), "PGUSER": "waag",
                             "PGDATABASE": "postgres", "LC_ALL": "C"}
        if not str(binaries).startswith("/usr/"):
            # .../usr/lib/postgresql/15/bin: unpacked libraries are beside it.
            libraries = binaries.parents[2].glob("*-linux-gnu")
            self._environment["LD_LIBRARY_PATH"] = ":".join(str(path) for path in libraries)

    def __enter__(self):
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self):
        self._data.mkdir()
        if self._as:
            for folder in (self._data, self._socket):
                os.chown(folder, self._as["user"], self._as["group"])
        self._children.run(
            [self._binaries / "initdb", "-D", self._data, "-U", "waag", "--auth=trust", "--no-locale",
             "--encoding=UTF8"],
            env=self._environment, cwd="/", **self._as,
        )
        settings = [f"--{name}={value}" for name, value in SETTINGS.items()]
        self._log = open(self._socket / "log", "w+")
        self._server = self._children.start(
            [self._binaries / "postgres", "-D", self._data, "-k", self._socket, *settings],
            env=self._environment, cwd="/", stdout=self._log, stderr=subprocess.STDOUT, **self._as,
        )
        for _ in range(300):
            if self._server.poll() is not None:
                break
            if subprocess.run([self._binaries / "pg_isready", "-q"], env=self._environment).returncode == 0:
                return
            time.sleep(0.1)
        self._log.seek(0)
        raise Failed(f"PostgreSQL does not start:\n{self._log.read()[-2000:]}")

    def __exit__(self, *_):
        if self._server:
            # A fast shutdown, which SIGTERM would not be.
            self._children.stop(self._server, signal.SIGINT)
        shutil.rmtree(self._socket, ignore_errors=True)
        shutil.rmtree(self._data, ignore_errors=True)

    def _psql(self, *queries):
        queries = [part for query in queries for part in ("-c", query)]
        return [self._binaries / "psql", "-qAtX", "-v", "ON_ERROR_STOP=1", *queries]

    def version(self):
        return self._ask("SHOW server_version").split()[0]

    def _ask(self, *queries):
        return self._children.run(self._psql(*queries), env=self._environment).strip()

    def load(self, columns, files):
        """One run: seconds from the first row read until the last is durable, and rows in the table."""
        self._ask(
            "DROP TABLE IF EXISTS declarations",
            f"CREATE TABLE declarations ({definitions(columns, 'text', 'bigint')}, "
            f"PRIMARY KEY ({', '.join(KEY)}))",
            "CHECKPOINT",
        )
        start = time.perf_counter()
        loading = [
            self._children.start(
                self._psql(
                    "BEGIN",
                    "CREATE TEMPORARY TABLE staging (LIKE declarations)",
                    f"\\copy staging FROM '{file}' WITH (FORMAT csv, HEADER, NULL '\\N')",
                    "INSERT INTO declarations SELECT * FROM staging ON CONFLICT DO NOTHING",
                    "COMMIT",
                ),
                env=self._environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            )
            for file in files
        ]
        logs = [child.communicate()[1] for child in loading]
        seconds = time.perf_counter() - start
        for child, log in zip(loading, logs):
            if self._children.stop(child) != 0:
                raise Failed(f"PostgreSQL did not load the rows:\n{log[:2000]}")
        return seconds, int(self._ask("SELECT count(*) FROM declarations"))
