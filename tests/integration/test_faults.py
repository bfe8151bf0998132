"""Whatever fails in the middle, nothing is left that is neither the former nor the new: engine requests, and disks.

A fault is one engine request of `apilbd --once` that fails: its connection is
cut before the engine has it, in the middle of what it carries, or after the engine
has done it, or it is answered with HTTP 500. After each, what served before serves, and a run without faults
brings everything to where it would have been.

There are hundreds of faults, so a run takes every APILB_EVERY-th of them, other
ones each day; APILB_EVERY=1 takes all.
"""

import contextlib
import http.client
import os
import shutil
import time
from concurrent.futures import ThreadPoolExecutor

from lab import spec
from lab.engine import UnixConnection
from lab.fakes import fake_engine, json_reply
from lab.fleet import serves
from lab.proc import patience
from test_crash import BYSTANDER, NAME, NEW, OLD, Change, Place

EVERY = int(os.environ.get("APILB_EVERY", "20"))
DAY = int(time.time() // 86400)
FAULTS = ("cut before", "cut within", "cut after", "answer 500")


class FaultyEngine:
    """Between the daemon and an engine: request number `at` fails."""

    def __init__(self, path, engine):
        self.engine = engine
        self.fault = None
        self.arm(0, None)
        self.server = fake_engine(path, self.serve)

    def arm(self, at, fault):
        self.at, self.fault, self.requests, self.hit = at, fault, 0, None

    def serve(self, connection):
        stream = connection.makefile("rb")
        while line := stream.readline():
            headers = http.client.parse_headers(stream)
            body = stream.read(int(headers.get("Content-Length") or 0))
            method, path, _ = line.decode().split()
            self.requests += 1
            fault = self.fault if self.requests == self.at else None
            if fault == "cut within" and not body:
                fault = None
            if fault:
                self.hit = f"{method} {path}"
            if fault == "cut within":
                self.forward_part(method, path, body, headers)
                return
            if fault == "cut before":
                return
            if fault == "answer 500":
                connection.sendall(json_reply(b"500 Internal Server Error", b'{"message":"the moon is in the wrong phase"}'))
                continue
            reply = self.forward(method, path, body, headers)
            if fault == "cut after":
                return
            connection.sendall(reply)

    def forward_part(self, method, path, body, headers):
        engine = UnixConnection(self.engine.socket, timeout=patience(60))
        with contextlib.closing(engine):
            engine.putrequest(method, path)
            engine.putheader("Content-Type", headers["Content-Type"])
            engine.putheader("Content-Length", len(body))
            engine.endheaders(body[: len(body) // 4])

    def forward(self, method, path, body, headers):
        engine = UnixConnection(self.engine.socket, timeout=patience(60))
        with contextlib.closing(engine):
            kept = {"Content-Type": headers["Content-Type"]} if "Content-Type" in headers else {}
            engine.request(method, path, body or None, kept)
            reply = engine.getresponse()
            data = reply.read()
        head = f"HTTP/1.1 {reply.status} {reply.reason}\r\n"
        for name, value in reply.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                head += f"{name}: {value}\r\n"
        if method != "HEAD" and reply.status not in (204, 304):
            head += f"Content-Length: {len(data)}\r\n"
        return head.encode() + b"\r\n" + data


class FaultyPlace(Place):
    def __init__(self, host, servers, directory):
        super().__init__(host, servers, directory)
        socket_path = directory / f"{host.name}.sock"
        self.faulty = FaultyEngine(socket_path, host.engine)
        self.runtime = {"docker": {"host": f"unix://{socket_path}"}}

    def want(self, *names, image=OLD, servers=None):
        instances = [
            spec.direct(
                name,
                image=image if name == NAME else OLD,
                servers=(servers or self.servers) if name == NAME else self.servers,
                runtime=self.runtime,
                bindAddress=self.where(name),
            )
            for name in (NAME, BYSTANDER)
            if name in names
        ]
        self.daemon.drop("local", spec.document(instances, self.servers))

    def where(self, name):
        return f"{self.host.address}:{7443 if name == NAME else 7444}"


class FaultSweep:
    """Changes that lead from one to the next and round again; each request of each fails in turn."""

    def __init__(self, place, *changes):
        self.place, self.changes = place, changes
        self.failures, self.tries = [], 0

    def begin(self):
        place = self.place
        place.faulty.arm(0, None)
        place.host.engine.clear()
        shutil.rmtree(place.daemon.state_dir, ignore_errors=True)
        for change in (self.changes[-1], *self.changes):
            place.want(*change.names, **change.wanted)
            if place.daemon.state_dir.exists():
                place.forget_checks()
            place.faulty.arm(0, None)
            place.run(expect=0)
            change.requests = place.faulty.requests
            place.names_when_left()
            change.seen = place.seen()
        self.bystander = place.identity(BYSTANDER)
        self.served = NAME in self.changes[-1].names

    def attempt(self, change, at, fault):
        place = self.place
        served = self.served and NAME in change.names
        place.forget_checks()
        place.want(*change.names, **change.wanted)
        place.faulty.arm(at, fault)
        place.run()
        said, hit = place.said, place.faulty.hit
        place.faulty.arm(0, None)
        self.tries += hit is not None
        what = f"{hit}\n{said}"
        for name in (NAME, BYSTANDER) if served else (BYSTANDER,):
            try:
                serves(place.where(name))
            except AssertionError:
                raise AssertionError(f"{name} does not serve any more: {what}") from None
        for name in change.names:
            path = place.root / f"etc/haproxy-{name}/haproxy.cfg"
            whole = {each.seen[name]["config"] for each in self.changes if name in each.seen}
            assert not path.exists() or path.read_text() in whole, f"half a config: {what}"
        code = place.run()
        assert code == 0, f"then exit {code}: {what}\n{place.said}"
        names = place.names_when_left()
        assert names == change.seen["names"], f"containers: {names}: {what}\n{place.said}"
        assert place.seen() == change.seen, f"not as wanted: {what}\n{place.said}"
        assert place.identity(BYSTANDER) == self.bystander, f"the bystander was touched: {what}"
        self.served = NAME in change.names

    def run(self):
        self.begin()
        most = max(change.requests for change in self.changes)
        picked = [(at, fault) for at in range(1, most + 1) for fault in FAULTS]
        for at, fault in picked[DAY % EVERY :: EVERY]:
            for change in self.changes:
                try:
                    self.attempt(change, at, fault)
                except AssertionError as error:
                    self.failures.append(f"{change.title}, {fault} request {at}: {error}")
                    self.begin()


def test_any_request_may_fail(hosts, servers, tmp_path, capsys):
    places = [FaultyPlace(host, servers, tmp_path) for host in hosts]
    both = (NAME, BYSTANDER)
    sweeps = [
        FaultSweep(places[0], Change("create", *both), Change("removal", BYSTANDER)),
        FaultSweep(places[1], Change("edit", *both, servers=servers[:1]), Change("undo", *both, servers=servers[1:])),
        FaultSweep(places[2], Change("upgrade", *both, image=NEW), Change("downgrade", *both)),
    ]
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(FaultSweep.run, sweeps))
    finally:
        for place in places:
            place.faulty.server.close()
    failures = [failure for sweep in sweeps for failure in sweep.failures]
    tries = [sweep.tries for sweep in sweeps]
    with capsys.disabled():
        print(f"\nfaults: {sum(tries)} ({tries}), {len(failures)} not got over")
    assert all(tries), "nothing failed: is the proxy in the way?"
    assert not failures, "\n\n".join(failures)


def test_full_disk(daemon, hosts, servers):
    """No half config is ever what a restart finds, and what was tried in vain is tried again."""
    host, fresh = hosts[:2]
    for each in (host, fresh):
        each.sh("mkdir /opt/lb; mount -t tmpfs -o size=16k lab /opt/lb")
    try:
        fresh.sh("head -c 16384 /dev/zero >/opt/lb/fill")
        content = spec.document(
            [spec.instance(each, hostConfigPath="/opt/lb/haproxy.cfg") for each in (host, fresh)], servers
        )
        daemon.drop("prod", content)
        # One that is new: no half of it.
        message = daemon.wait_error(fresh.address, "no space left")
        assert "/config" in message or "haproxy.cfg" in message
        assert fresh.engine.names() == [] and not fresh.exists("/opt/lb/haproxy.cfg")
        assert daemon.instance(fresh.address)["config"]["sha256"] is None
        fresh.sh("rm /opt/lb/fill")
        daemon.wait_converged(2, timeout=patience(40))

        # One that serves: the former, whole, also after a crash.
        former = host.read("/opt/lb/haproxy.cfg")
        host.sh("head -c 16384 /dev/zero >/opt/lb/fill || :")
        content["apiLoadBalancers"] = content["apiLoadBalancers"][:1]
        content["servers"] = servers[:2]
        daemon.drop("prod", content)
        daemon.wait_error(host.address, "no space left")
        assert host.read("/opt/lb/haproxy.cfg") == former
        serves(f"{host.address}:6443")
        host.run("kill", "-KILL", str(host.engine.inspect("api-loadbalancer-haproxy")["State"]["Pid"]))
        serves(f"{host.address}:6443", patience(10))
        found = daemon.instance(host.address)
        assert found["phase"] == "failed" and not found["converged"]
        host.sh("rm /opt/lb/fill")
        daemon.wait_converged(1, timeout=patience(40))
        assert servers[2] not in host.read("/opt/lb/haproxy.cfg")
    finally:
        for each in (host, fresh):
            each.engine.clear()
            each.sh("umount -l /opt/lb")
