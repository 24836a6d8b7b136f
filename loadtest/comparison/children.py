"""Processes that are started here, and end here: each by its own id, whatever happens in between."""

import json
import os
import signal
import subprocess
import sys


class Failed(Exception):
    """Why the comparison cannot go on, in words for whoever started it."""


class Children:
    """Processes that do not outlive the `with` block in which they were started."""

    def __init__(self):
        self._running = []

    def __enter__(self):
        # A `kill` runs the `finally` blocks too.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        return self

    def __exit__(self, *_):
        for child in reversed(self._running):
            self.stop(child)

    def start(self, command, **options):
        """Starts a process in a group of its own: what it has started itself ends with it."""
        child = subprocess.Popen([str(part) for part in command], start_new_session=True,
                                 stdin=options.pop("stdin", subprocess.DEVNULL), **options)
        self._running.append(child)
        return child

    def stop(self, child, with_signal=signal.SIGTERM):
        """Ends it, if it has not ended, and waits; how it ended."""
        if child.poll() is None:
            try:
                os.killpg(child.pid, with_signal)
            except ProcessLookupError:
                pass
            try:
                child.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
        if child in self._running:
            self._running.remove(child)
        return child.returncode

    def run(self, command, **options):
        """Runs a process to its end; what it wrote to standard output. Fails where it fails."""
        child = self.start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        out, log = child.communicate()
        self._running.remove(child)
        if child.returncode != 0:
            told = "\n".join((log + out).strip().splitlines()[-15:])
            # Arguments that hold settings and queries would bury what went wrong.
            name = " ".join(str(part) for part in command[:2])
            raise Failed(f"{name} ended with {child.returncode}:\n{told[:3000]}")
        return out

    def run_json(self, command, **options):
        """The same, where one JSON object is written."""
        return json.loads(self.run(command, **options))
