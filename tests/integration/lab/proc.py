"""Processes, waiting, and the one knob for slow builds."""

import os
import signal
import subprocess
import time
from pathlib import Path

LAB = Path(os.environ.get("LAB", "/nonexistent"))
CGROUP = os.environ.get("LAB_CGROUP", "/apilb-lab")
# Sanitizers and valgrind cost time: how many times more than a plain build may it take?
SLOWNESS = float(os.environ.get("APILB_SLOWNESS", "1"))


def patience(seconds):
    """A limit for something that is not itself the promise under test."""
    return seconds * SLOWNESS


def wait_for(what, condition, timeout=10, interval=0.05):
    """Returns the first true value of condition(); fails with the last one seen."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:.1f} s for {what}; last seen: {value!r}")
        time.sleep(interval)


def always(what, condition, duration, interval=0.1):
    """The opposite of wait_for: it must hold the whole time."""
    deadline = time.monotonic() + duration
    while time.monotonic() < deadline:
        assert condition(), f"no longer so: {what}"
        time.sleep(interval)


def run(*argv, **kwargs):
    """A command that must succeed; its output is in the error when it does not."""
    if "input" not in kwargs:
        kwargs["stdin"] = subprocess.DEVNULL
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, **kwargs)
    assert done.returncode == 0, f"{' '.join(map(str, argv))}: exit {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


class Process:
    """A child with its output in a file. Ended by its own id, never by name."""

    def __init__(self, name, argv, log, **kwargs):
        self.name = name
        self.log_path = Path(log)
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log_path, "ab") as out:
            self.child = subprocess.Popen(
                [str(a) for a in argv],
                stdin=subprocess.DEVNULL,
                stdout=kwargs.pop("stdout", out),
                stderr=kwargs.pop("stderr", out),
                **kwargs,
            )

    @property
    def pid(self):
        return self.child.pid

    def log(self):
        return self.log_path.read_text(errors="replace")

    def running(self):
        return self.child.poll() is None

    def check(self):
        assert self.running(), f"{self.name} ended with {self.child.returncode}:\n{self.log()[-4000:]}"

    def wait_for(self, what, condition, timeout=10):
        def checked():
            self.check()
            return condition()

        return wait_for(f"{self.name}: {what}", checked, timeout)

    def stop(self, sig=signal.SIGTERM, timeout=10):
        """Returns the exit code; kills what does not listen."""
        if self.running():
            self.child.send_signal(sig)
            try:
                self.child.wait(timeout)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        return self.child.returncode
