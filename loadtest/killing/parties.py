"""The two that are killed: a server that comes back on the same port, and a client that goes on."""

import json
import re
import signal
import subprocess
import time

from children import Failed

CLOCK = "2026-11-05T08:00"
# Every start believes the same time, however long the sending takes.
SETTINGS = "clock_behind_s_max = 86400\n"
# Past this, what is waited for will not come.
HANGS_AFTER_S = 600
# Accepted all; some were not. Generated files have some that are not.
DONE = (0, 3)


class Server:
    """A `waag serve` in a data folder of its own; `with` ends it and removes the folder."""

    def __init__(self, children, program, folder):
        self._children, self._program, self._folder = children, program, folder
        self._address = "127.0.0.1:0"

    def __enter__(self):
        self._folder.mkdir()
        (self._folder / "settings.toml").write_text(SETTINGS)
        self.start()
        return self

    def __exit__(self, *_):
        self._children.stop(self._running)
        subprocess.run(["rm", "-rf", self._folder], check=True)

    @property
    def url(self):
        return f"http://{self._address}"

    def start(self):
        """Starts it, where it was if it ran before, and waits until it listens and has recovered."""
        path = self._folder / "waag.log"
        with open(path, "w") as log:
            self._running = self._children.start(
                [self._program, "serve", "--data-dir", self._folder / "data", "--listen", self._address,
                 "--clock", CLOCK, "--config", self._folder / "settings.toml"], stderr=log)
        until = time.monotonic() + HANGS_AFTER_S
        while time.monotonic() < until and self._running.poll() is None:
            found = re.search(r"listening address=(\S+)", re.sub(r"\x1b\[[0-9;]*m", "", path.read_text()))
            if found:
                self._address = found[1]
                return
            time.sleep(0.02)
        raise Failed(f"the server does not start:\n{path.read_text()[-2000:]}")

    def kill(self):
        """As `kill -9` does."""
        self._children.stop(self._running, signal.SIGKILL)


class Sending:
    """A `waag send`, which may be killed and started again."""

    def __init__(self, children, program, file, verdicts, url):
        self._children = children
        self.verdicts = verdicts
        self._log_path = verdicts.with_suffix(".log")
        # Small batches: many of them are under way wherever a kill comes.
        self._command = [program, "send", file, "--to", url, "--verdicts", verdicts, "--batch", 200, "--json"]

    def start(self):
        with open(self._log_path, "w") as log:
            self._running = self._children.start(self._command, stdout=subprocess.PIPE, stderr=log, text=True)

    def wait_for(self, size):
        """Waits until so many bytes of verdicts are there; it must not be done by then."""
        until = time.monotonic() + HANGS_AFTER_S
        while not self.verdicts.exists() or self.verdicts.stat().st_size < size:
            self._must_run()
            if time.monotonic() > until:
                raise Failed(f"no {size} bytes of verdicts come")
            time.sleep(0.002)
        self._must_run()

    def _must_run(self):
        if self._running.poll() is not None:
            raise Failed("the sending ended before it could be killed: more --lines or fewer --kills make it long "
                         f"enough\n{self._log_path.read_text()[-2000:]}")

    def kill(self):
        """As `kill -9` does."""
        self._children.stop(self._running, signal.SIGKILL)

    def end(self):
        """Waits for its end; its report."""
        out, _ = self._running.communicate()
        self._children.stop(self._running)
        if self._running.returncode not in DONE:
            raise Failed(f"waag send ended with {self._running.returncode}:\n{self._log_path.read_text()[-2000:]}")
        return json.loads(out)

    def remove(self):
        """Removes what it wrote."""
        for path in (self.verdicts, self._log_path, self.verdicts.with_name(f"{self.verdicts.name}.progress")):
            path.unlink(missing_ok=True)
