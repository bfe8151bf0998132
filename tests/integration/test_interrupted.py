"""An action that fails in the middle is ended, or put back, by the same run or the next: on real engines, sshds and HAProxies.

Between the daemon and the engine of each host stands one that lets a request fail: each request of each kind of run, in each
of the ways that requests fail (lab/fakes.py, FailingEngine). All the while the balancer that served serves, who says that it has
converged is right, and in the end all is as if nothing had happened.

check_run does the same in memory, with more ways (a silence until the time is up, say) and worlds, in seconds. All of it takes
minutes here: APILB_FAULT_POINTS=EVERY:FIRST tries every EVERYth of the pairs of request and way from FIRST on; without it, all
are tried.
"""

import itertools
import os
import shutil
from concurrent.futures import ThreadPoolExecutor

from lab import spec
from lab.daemon import Daemon
from lab.fakes import FailingEngine
from lab.images import NEW, OLD
from lab.load import LoadGenerator
from lab.proc import patience, wait_for
from lab.witness import Witness

EVERY, FIRST = (int(number) for number in os.environ.get("APILB_FAULT_POINTS", "1:1").split(":"))
NAME, NEW_NAME = "lb", "lc"
# Of somebody else, on the same engine.
BYSTANDER = "bystander"
SOCKET = "run/failing.sock"


class Change:
    """A kind of run: what is wanted after it; without a name, nothing."""

    def __init__(self, title, name=None, serves=True, **wanted):
        self.title = title
        self.names = [name] if name else []
        self.wanted = wanted
        self.serves = serves  # before, and so all the time
        self.tries = 0


class Place(Witness):
    """A host, its daemon, and what stands between them; changes that lead from one to the next and round again."""

    def __init__(self, host, servers, directory, *changes):
        super().__init__(host)
        self.servers = servers
        self.changes = changes
        self.directory = directory / host.name
        self.daemon = None
        self.told = 0
        self.failures = []
        path = self.root / SOCKET
        path.unlink(missing_ok=True)
        self.engine = FailingEngine(path, host.engine.socket, host.sshd.drop_sessions)

    def want(self, change):
        if not change.names:
            self.daemon.remove("prod")
            return
        (name,) = change.names
        balancer = spec.instance(
            self.host, name=name, hostConfigPath=f"/etc/haproxy-{name}/haproxy.cfg", **change.wanted
        )
        runtime = {"docker": {"host": f"unix:///{SOCKET}"}}
        self.daemon.drop("prod", spec.document([balancer], self.servers, image=OLD, runtime=runtime))

    def settled(self, change):
        """Whether all is as wanted and at rest. Whoever says so has to be right."""
        found = self.daemon.instances()
        converged = [i for i in found if i["converged"]]
        self.told += any(i["lastError"] for i in found)
        for each in converged:
            if change.seen and each["name"] in change.names:
                container = self.host.engine.inspect(each["name"])
                assert container and container["Id"] == each["container"]["id"], f"not what is there: {each}"
                assert self.balancers(change) == change.seen, f"not as it says: {each}"
        if len(converged) < len(found) or sorted(i["name"] for i in found) != change.names:
            if self.engine.failed and not any(i["phase"] == "reconciling" for i in found):
                self.daemon.reconcile()  # not left to the time between two tries
            return False
        names = [name for name in self.host.engine.names() if name != BYSTANDER]
        left = [name for name in names if "-apilb-old-" not in name]
        assert left == change.names, f"left over: {names}"
        return names == left

    def balancers(self, change):
        return {name: self.balancer(name) for name in change.names}

    def make_true(self, change):
        self.want(change)
        try:
            wait_for(f"{change.title} to be true", lambda: self.settled(change), patience(30), interval=0.2)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.host.engine.names()}\n{self.daemon.instances()}\n{self.daemon.log()[-3000:]}") from None

    def begin(self):
        """Anew, with what is to be there after each change when nothing fails."""
        self.close()
        self.engine.fail(0)
        self.host.engine.clear()
        shutil.rmtree(self.directory, ignore_errors=True)
        self.daemon = Daemon(self.directory, resync="600s").start()
        self.host.engine.create(BYSTANDER, OLD, Entrypoint=["busybox", "sleep", "1d"], HostConfig={"NetworkMode": "host"})
        self.host.engine.act(BYSTANDER, "start")
        for change in (*self.changes, *self.changes):
            change.seen = None
            self.make_true(change)
            change.seen = self.balancers(change)
        self.bystander = self.identity(BYSTANDER)

    def attempt(self, change, nth, way):
        """Returns whether there was such a request."""
        endpoints = [f"{self.host.address}:6443"] * change.serves
        self.engine.fail(nth, way)
        with LoadGenerator(endpoints, rate=10, long_lived=0) as load:
            self.make_true(change)
            failed = self.engine.failed
            self.engine.fail(0)
            if endpoints:
                wait_for("some load", lambda: load.total > 2, patience(10))
        load.assert_unharmed(at_least=2 * len(endpoints))
        assert self.balancers(change) == change.seen
        self.daemon.ctl("plan", expect=0)  # there is no more to do
        assert self.identity(BYSTANDER) == self.bystander, "the bystander was touched"
        change.tries += failed
        return failed

    def sweep(self):
        self.begin()
        left = set(self.changes)
        pairs = ((nth, way) for nth in itertools.count(1) for way in FailingEngine.WAYS)
        for nth, way in itertools.islice(pairs, FIRST - 1, None, EVERY):
            if not left:
                break
            for change in self.changes:
                try:
                    # What is through is made true all the same: it leads to the next one.
                    if not self.attempt(change, nth if change in left else 0, way):
                        left.discard(change)
                except AssertionError as error:
                    self.failures.append(f"{change.title}, request {nth}, {way}: {error}")
                    self.begin()
                    break  # the first change comes next

    def close(self):
        daemon, self.daemon = self.daemon, None
        if daemon:
            daemon.stop()


def test_any_request_may_fail(hosts, servers, tmp_path, capsys):
    # With servers that are all others the new ones are tried out first.
    places = [
        Place(hosts[0], servers, tmp_path, Change("create", NAME, serves=False), Change("new name", NEW_NAME),
              Change("removal", serves=False)),
        Place(hosts[1], servers, tmp_path, Change("reload", NAME, servers=servers[:1]),
              Change("reload", NAME, servers=servers[1:])),
        Place(hosts[2], servers, tmp_path, Change("handover", NAME, image=NEW), Change("handover", NAME)),
    ]  # fmt: skip
    try:
        with ThreadPoolExecutor() as pool:
            sweeps = [pool.submit(place.sweep) for place in places]
    finally:
        for place in places:
            place.close()
            place.engine.close()
    tries = {}
    for place in places:
        for change in place.changes:
            tries[change.title] = tries.get(change.title, 0) + change.tries
    failures = [failure for place in places for failure in place.failures]
    failures += [f"a sweep ended: {error!r}" for sweep in sweeps if (error := sweep.exception())]
    with capsys.disabled():
        counts = ", ".join(f"{title} {n}" for title, n in tries.items())
        print(f"\nrequests that failed: {counts}: {'all converged' if not failures else f'{len(failures)} did not converge'}")
    assert sum(tries.values()) > 600 // EVERY, tries
    assert any(place.told for place in places), "no failure was ever told"
    assert not failures, "\n\n".join(failures)
