#!/usr/bin/python3
"""What a change costs the clients of a balancer: `make bench`.

One balancer on a host of the lab, deployed by a real apilbd through SSH, three
servers behind it. A load generator opens 1,000 new connections a second through
it and holds 200 long ones, each of which sends a line ten times a second. Under
that load:

  config change   the spec's servers are edited; apilbd reloads
  image change    the spec's image is edited, HAProxy 2.6 to 3.0 and back; apilbd hands over
  docker restart  what one does by hand, and a usual Ansible handler, so that HAProxy reads a changed config
  Ansible         community.docker.docker_container when image or settings have changed:
                  stop (the engine's 10 s), remove, create, start
  flexkube        when the image has changed: the same, with 30 s between stop signal and kill
                  (libflexkube, pkg/container/runtime/docker/docker.go, stopTimeout)

    change.py [--configs N] [--images N] [--others N] [--rate N] [--long N] [--json]

The last three use the same engine, image and config, and the engine's own API.
Their time is mostly that between the stop signal and the kill: long connections
do not end by themselves.
It measures and prints; it is not a test.
"""

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/integration"))

# pylint: disable=wrong-import-position
from lab import heavy  # noqa: E402
from lab.daemon import Daemon  # noqa: E402
from lab.fleet import NAME, endpoint  # noqa: E402
from lab.hosts import Lab  # noqa: E402
from lab.load import make_certificate  # noqa: E402
from lab.proc import LAB, wait_for  # noqa: E402


def by_restart(engine):
    engine.act(NAME, "restart")


def by_replacement(engine, stop_timeout_s):
    """Stop, remove, create, start: the same container once more."""
    old = engine.inspect(NAME)
    engine.act(NAME, "stop", t=stop_timeout_s)
    engine.remove(NAME)
    settings = {key: old["Config"][key] for key in ("Cmd", "User", "Labels", "Env")}
    host = {key: old["HostConfig"][key] for key in ("NetworkMode", "Binds", "Mounts", "RestartPolicy") if
            old["HostConfig"].get(key)}  # fmt: skip
    engine.create(NAME, old["Config"]["Image"], **settings, HostConfig=host)
    engine.act(NAME, "start")


class Bench:
    def __init__(self, options):
        self.options = options
        self.lab = Lab(count=1)
        self.host = self.lab.hosts[0]
        self.echo = heavy.Echo(make_certificate(LAB / "api"))
        heavy.Echo.prepare(self.host)
        self.daemon = Daemon(LAB / "bench")
        self.daemon.settings["log-level"] = "warning"
        self.changer = heavy.Changer(self.daemon, self.host)
        self.rows = []

    def measure(self, what, times, change):
        """A row: `times` changes under one load, with a second of quiet before and after."""
        wait_for("the load of before to be gone", self.changer.is_alone, 60)
        with heavy.Load(endpoint(self.host), self.options.rate, self.options.long) as load:
            time.sleep(1)
            began = time.monotonic()
            for _ in range(times):
                change()
            took = time.monotonic() - began
            time.sleep(1)
        row = {"what": what, "changes": times, "s": took, **load.report["new"], **load.losses()}
        self.rows.append(row)
        if not self.options.json:
            self.show(row)

    def run(self):
        options, engine = self.options, self.host.engine
        self.daemon.start()
        self.changer.deploy()
        if not options.json:
            self.head()
        self.measure("config change, apilbd", options.configs, self.changer.change_config)
        self.measure("image change, apilbd", options.images, self.changer.change_image)
        # From here on the others' turn: nobody is to repair what they do, nor to remove what is still leaving.
        wait_for("the former containers to have left", self.changer.is_alone, 60)
        self.daemon.stop()
        for what, change in (
            ("docker restart", lambda: by_restart(engine)),
            ("as Ansible does it", lambda: by_replacement(engine, 10)),
            ("as flexkube does it", lambda: by_replacement(engine, 30)),
        ):
            self.measure(what, options.others, lambda change=change: self.by_hand(change))
        if options.json:
            print(json.dumps(self.rows))

    def by_hand(self, change):
        change()
        wait_for("it to serve", lambda: heavy.echoes(endpoint(self.host)), 30)
        time.sleep(1)  # the long ones come back

    COLUMNS = ("changes", "s", "opened", "refused", "reset", "unanswered", "other", "long ones cut", "worst_ms")

    def head(self):
        print(f"\nUnder {self.options.rate} new connections/s and {self.options.long} long ones, {os.cpu_count()} CPUs\n")
        print(f"{'':24}" + "".join(f"{name:>14}" for name in ("changes", "seconds", "connections", *self.COLUMNS[3:])))

    def show(self, row):
        print(f"{row['what']:24}" + "".join(f"{round(row[name]):14}" for name in self.COLUMNS), flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measures what changes cost the clients of a balancer.")
    parser.add_argument("--configs", type=int, default=100, help="config changes by apilbd (100)")
    parser.add_argument("--images", type=int, default=50, help="image changes by apilbd (50)")
    parser.add_argument("--others", type=int, default=5, help="how often each of the other ways is taken (5)")
    parser.add_argument("--rate", type=int, default=1000, help="new connections a second (1000)")
    parser.add_argument("--long", type=int, default=200, help="long connections (200)")
    parser.add_argument("--json", action="store_true", help="every value, for other programs")
    options = parser.parse_args()
    if not os.environ.get("LAB"):
        sys.exit("run it by `make bench`: it needs the lab around it")
    Bench(options).run()


if __name__ == "__main__":
    main()
