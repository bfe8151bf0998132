"""A crash at any point is harmless: the daemon is killed at every one of them, and started again.

A point is where the world outside of the daemon may have changed: what it
sends to the engine, and each commit of its store (crash_points.c counts them,
and kills at the chosen one, before it and after it). One try is one point:
`apilbd --once` is killed there, another one runs to its end, and all must be
as if nothing had happened. A sweep ends with the first run that survives
because it has no more points.

All of them take minutes. APILB_CRASH_POINTS=EVERY:FIRST tries every EVERYth
point from FIRST on; without it, all are tried.
"""

import itertools
import os
import shutil
import sqlite3
from concurrent.futures import ThreadPoolExecutor

from lab import spec
from lab.daemon import BUILD, Daemon, finish
from lab.hosts import LocalHost
from lab.proc import patience, wait_for
from lab.witness import Witness

SHIM = BUILD / "tests/crash_points.so"
EVERY, FIRST = (int(number) for number in os.environ.get("APILB_CRASH_POINTS", "1:1").split(":"))
OLD, NEW = "haproxy:2.6-lab", "haproxy:3.0-lab"
# One that is changed, and one that must not notice.
NAME, BYSTANDER = "lb", "bystander"


class Place(Witness):
    """One engine with a daemon that runs beside it, and what is to be true there."""

    def __init__(self, host, servers, directory):
        super().__init__(host)
        self.servers = servers
        self.within = [] if isinstance(host, LocalHost) else host.within
        self.daemon = Daemon(directory / host.name)

    def want(self, *names, image=OLD, servers=None):
        instances = [
            spec.direct(
                name,
                port,
                image=image if name == NAME else OLD,
                servers=(servers or self.servers) if name == NAME else self.servers,
            )
            for name, port in ((NAME, 7443), (BYSTANDER, 7444))
            if name in names
        ]
        self.daemon.drop("local", spec.document(instances, self.servers))

    def run(self, crash_at=None, expect=None):
        """`apilbd --once` on that host. Returns its exit code, or -9 if it was killed."""
        shim = ["env", f"LD_PRELOAD={SHIM}", f"APILB_CRASH_AT={crash_at}"] if crash_at else []
        done = finish(self.daemon.argv("--once"), prefix=[*self.within, *shim], expect=expect, timeout=patience(60))
        self.said = done.stderr
        return done.returncode

    def names_when_left(self):
        """The names of all containers, once those that were succeeded have left with their last connections."""

        def left():
            names = self.host.engine.names()
            if not any("-apilb-old-" in name for name in names):
                return names
            self.run(expect=0)
            return None

        return wait_for("the former container to leave", left, patience(10))

    def recorded(self):
        with sqlite3.connect(self.daemon.state_dir / "apilbd.db") as store:
            return sorted(row[0] for row in store.execute("SELECT name FROM instance"))

    def forget_checks(self):
        """Which configs HAProxy has accepted: so that each run that writes one has it checked."""
        with sqlite3.connect(self.daemon.state_dir / "apilbd.db") as store:
            store.execute("UPDATE instance SET accepted = NULL")

    def seen(self):
        return {"recorded": self.recorded(), **super().seen()}


class Change:
    """One kind of change, and what must be true after it."""

    def __init__(self, title, *names, **wanted):
        self.title = title
        self.names = names
        self.wanted = wanted
        self.tries = 0


class Sweep:
    """Changes that lead from one to the next and round again, so that every run is one that can be killed.

    For each point in turn all steps are made, each killed at that point, before or after it.
    """

    def __init__(self, place, *steps):
        self.place = place
        self.steps = steps
        self.changes = [change for change, _ in steps]
        self.failures = []

    def begin(self):
        """Anew, with what must be true after each change when nobody kills the daemon."""
        place = self.place
        place.host.engine.clear()
        shutil.rmtree(place.daemon.state_dir, ignore_errors=True)
        for change in (self.changes[-1], *self.changes):
            place.want(*change.names, **change.wanted)
            place.run(expect=0)
            place.names_when_left()
            change.seen = place.seen()
        self.bystander = place.identity(BYSTANDER)

    def attempt(self, change, at):
        """Returns whether there was such a point."""
        place = self.place
        place.forget_checks()
        place.want(*change.names, **change.wanted)
        code = place.run(at)
        said = place.said
        killed = code == -9
        if killed:
            change.tries += 1
            code = place.run()
            said += f"(killed)\n{place.said}"
        assert code == 0, f"exit {code}\n{said}"
        names = place.names_when_left()
        assert names == change.seen["names"], f"containers: {names}\n{said}"
        assert place.seen() == change.seen, f"not as wanted\n{said}"
        assert place.identity(BYSTANDER) == self.bystander, f"the bystander was touched\n{said}"
        return killed

    def run(self):
        self.begin()
        left = set(self.steps)
        for point in itertools.count(FIRST, EVERY):
            if not left:
                break
            for step in self.steps:
                change, moment = step
                try:
                    if not self.attempt(change, f"{point}:{moment}" if step in left else None):
                        left.discard(step)
                except AssertionError as error:
                    self.failures.append(f"{change.title}, killed {moment} point {point}: {error}")
                    self.begin()


def sweeps(places, servers):
    """Side by side, each on an engine of its own."""
    create = Change("create", NAME, BYSTANDER)
    removal = Change("removal", BYSTANDER)
    # With servers that are all others the new ones are tried out first.
    edit = Change("change", NAME, BYSTANDER, servers=servers[:1])
    undo = Change("change", NAME, BYSTANDER, servers=servers[1:])
    upgrade = Change("handover", NAME, BYSTANDER, image=NEW)
    downgrade = Change("handover", NAME, BYSTANDER)
    return [
        Sweep(places[0], (create, "before"), (removal, "before")),
        Sweep(places[1], (create, "after"), (removal, "after")),
        Sweep(places[2], (edit, "before"), (undo, "after")),
        Sweep(places[3], (upgrade, "before"), (downgrade, "after")),
    ]


def test_killed_at_every_point(lab, hosts, servers, tmp_path, capsys):
    made = sweeps([Place(host, servers, tmp_path) for host in (*hosts, lab.local)], servers)
    with ThreadPoolExecutor() as pool:
        list(pool.map(Sweep.run, made))
    tries = {}
    for sweep in made:
        for change in sweep.changes:
            assert change.tries > 10 // EVERY, f"{change.title}: {change.tries} points? Is {SHIM} in force?"
            tries[change.title] = tries.get(change.title, 0) + change.tries
    failures = [failure for sweep in made for failure in sweep.failures]
    with capsys.disabled():
        counts = ", ".join(f"{title} {n}" for title, n in tries.items())
        print(f"\ncrash points: {counts}: {'all converged' if not failures else f'{len(failures)} did not converge'}")
    assert not failures, "\n\n".join(failures)
