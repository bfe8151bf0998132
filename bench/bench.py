#!/usr/bin/python3
"""How long apilbd takes, and how much of the machine: `make bench`.

20 SSH hosts: 20 loopback addresses, 127.0.1.1 and up, on one sshd, with one
real engine behind them all. So names, ports and paths differ per instance, and
one engine does the work of 20: the first deployment is slower here than on 20
machines.

    bench.py [--runs N] [--hosts N]

Measured, per run of `apilbd --once`: wall time, the daemon's own CPU (from
wait4), connections as sshd counts them. Then the resident memory of a daemon
that is idle with 20 hosts. It measures and prints; it is not a test.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/integration"))

# pylint: disable=wrong-import-position
from lab import spec  # noqa: E402
from lab.daemon import Daemon, environment  # noqa: E402
from lab.hosts import LocalHost, Sshd, make_keys  # noqa: E402
from lab.proc import LAB  # noqa: E402

# What the issue asks of this class of machine; None: no bound.
BOUNDS = {"converged, wall s": 1.0, "converged, cpu s": 0.15, "first deployment, wall s": 4.0, "idle, memory MiB": 16.0}


class Loopback:
    """This side of the lab, seen through SSH."""

    def __init__(self):
        self.name = "loopback"
        self.within = []
        self.keys = make_keys(LAB / "keys")
        self.local = LocalHost()
        self.directory = self.local.directory
        self.directory.mkdir(parents=True, exist_ok=True)
        self.engine = self.local.engine
        Path("/run/sshd").mkdir(exist_ok=True)
        self.sshd = Sshd(self)
        self.local.ready()


def document(loopback, count):
    instances = []
    for n in range(1, count + 1):
        settings = {
            "address": f"127.0.1.{n}",
            "privateKeyFile": str(loopback.keys["ed25519"]),
            "hostKeyChecking": "off",
        }
        instances.append(
            {
                "name": f"lb{n}",
                "host": {"ssh": settings},
                "bindAddress": f"127.0.0.1:{7000 + n}",
                "hostConfigPath": f"/etc/haproxy-{n}/haproxy.cfg",
            }
        )
    return spec.document(instances, ["127.0.0.1:6441", "127.0.0.1:6442", "127.0.0.1:6443"])


def once(daemon):
    """One `apilbd --once`: (wall seconds, CPU seconds of that process alone)."""
    log = open(daemon.directory / "once.log", "wb")
    began = time.monotonic()
    child = subprocess.Popen(
        [str(a) for a in daemon.argv("--once")], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment()
    )
    _, status, usage = os.wait4(child.pid, 0)
    took = time.monotonic() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        sys.exit(f"apilbd --once: exit {child.returncode}\n{(daemon.directory / 'once.log').read_text()[-4000:]}")
    return took, usage.ru_utime + usage.ru_stime


def resident_mib(pid):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise LookupError("no VmRSS")


def measure(runs, count):
    loopback = Loopback()
    daemon = Daemon(LAB / "bench", resync="1s")
    daemon.settings["log-level"] = "warning"
    content = document(loopback, count)
    daemon.drop("bench", content)
    table = {}

    def note(what, value):
        table.setdefault(what, []).append(value)

    for _ in range(runs):
        loopback.engine.clear()
        shutil.rmtree(daemon.state_dir, ignore_errors=True)
        seen = loopback.sshd.connections()
        wall, cpu = once(daemon)
        note("first deployment, wall s", wall)
        note("first deployment, cpu s", cpu)
        note("first deployment, connections", loopback.sshd.connections() - seen)
    if len(loopback.engine.containers(everything=False)) != count:
        sys.exit(f"not {count} containers: {loopback.engine.names()}")
    for _ in range(runs):
        seen = loopback.sshd.connections()
        wall, cpu = once(daemon)
        note("converged, wall s", wall)
        note("converged, cpu s", cpu)
        note("converged, connections", loopback.sshd.connections() - seen)
    for _ in range(runs):
        daemon.start()
        daemon.wait_converged(count, timeout=30)
        time.sleep(10 if runs >= 5 else 2)  # ten resyncs
        note("idle, memory MiB", resident_mib(daemon.process.pid))
        daemon.stop()
    return table


def show(table, runs, count):
    print(f"\napilb: {count} SSH hosts on one engine, {runs} runs, {os.cpu_count()} CPUs, {os.uname().release}\n")
    print(f"{'':34}{'min':>9}{'median':>9}{'max':>9}{'wanted':>9}")
    for what, values in table.items():
        bound = BOUNDS.get(what)
        cells = "".join(f"{v:9.3g}" for v in (min(values), statistics.median(values), max(values)))
        print(f"{what:34}{cells}{'< ' + format(bound, 'g') if bound else '':>9}")


def main():
    parser = argparse.ArgumentParser(description="Measures apilbd against 20 SSH hosts.")
    parser.add_argument("--runs", type=int, default=5, help="how often each thing is measured (5)")
    parser.add_argument("--hosts", type=int, default=20, help="how many hosts (20)")
    parser.add_argument("--json", action="store_true", help="every value, for other programs")
    options = parser.parse_args()
    if not os.environ.get("LAB"):
        sys.exit("run it by `make bench`: it needs the lab around it")
    table = measure(options.runs, options.hosts)
    if options.json:
        print(json.dumps(table))
    else:
        show(table, options.runs, options.hosts)


if __name__ == "__main__":
    main()
