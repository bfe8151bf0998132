"""API servers by name: whatever DNS says, later says, or does not say, what could be reached goes on being reached."""

import time

import pytest

from lab.fleet import NAME, backends, deploy, endpoint, serves, stats
from lab.hosts import BRIDGE
from lab.load import LoadGenerator
from lab.names import NameServer
from lab.proc import patience, run, wait_for
from test_change import change, events
from test_guard import without_lua

SILENT = "10.77.0.253"
NOBODY = "10.77.0.199"  # no such host
HOLD_S = 30  # how long HAProxy keeps an address when it is not told otherwise


@pytest.fixture(scope="module")
def address(lab):
    """A second one of the lab's own."""
    run("ip", "addr", "add", f"{SILENT}/24", "dev", "lab")
    yield SILENT
    run("ip", "addr", "del", f"{SILENT}/24", "dev", "lab")


@pytest.fixture
def dns(lab):
    server = NameServer(BRIDGE)
    yield server
    server.close()


@pytest.fixture
def resolving(hosts):
    """Gives a host other files to resolve names with, for the test."""
    kept = {}

    def give(host, resolv=f"nameserver {BRIDGE}\n", names=()):
        for path, text in (("/etc/resolv.conf", resolv), ("/etc/hosts", "127.0.0.1 localhost\n" + "".join(names))):
            kept.setdefault((host, path), host.read(path))
            host.write(path, text)

    yield give
    for (host, path), text in kept.items():
        host.write(path, text)


def by_host(daemon, host):
    return daemon.instance(host.address)


def states(daemon, host):
    return [s["state"] for s in by_host(daemon, host)["servers"]]


def addresses(host):
    """Server -> address, of those that have one from DNS and are checked."""
    rows = [line.split() for line in stats(host, "show servers state kube-apiserver").splitlines()[2:] if line]
    return {row[3]: row[4] for row in rows if row[4] != "-" and not row[3].split("-", 1)[-1].startswith(("untested", "known"))}


def all_up(daemon, host):
    daemon.wait(f"all of {host.name} to be up", lambda: set(states(daemon, host)) == {"up"}, patience(20))


def test_what_dns_says(daemon, hosts, apis, dns, resolving):
    known, moving = hosts[:2]
    # Names that only /etc/hosts has, with all ways of DNS to say nothing of use; and one that has to be completed.
    useless = {"cp1": "nx", "cp2": "silent", "cp3": "servfail", "cp4": "refused", "cp5": [], "cp6": "nx"}
    dns.says.update(useless)
    dns.says["cp6.lab.test"] = [BRIDGE]
    resolving(known, f"search lab.test\nnameserver {BRIDGE}\n", [f"{BRIDGE} cp1 cp2 cp3 cp4 cp5\n"])
    deploy(daemon, [known], [f"{name}:{6441 + n % 3}" for n, name in enumerate(useless)], "known")
    all_up(daemon, known)
    began = time.monotonic()

    # One that nobody knows yet.
    resolving(moving)
    deploy(daemon, [moving], ["api.test:6441"], "moving")
    found = daemon.wait("no traffic", lambda: by_host(daemon, moving)["traffic"] == "none" and by_host(daemon, moving))
    assert found["servers"][0]["why"] == "its name cannot be resolved"
    # It comes to be known: by an address that does not answer, one that does, and one of another family.
    dns.says["api.test"] = [NOBODY, BRIDGE, "fd77::99"]
    all_up(daemon, moving)
    assert set(addresses(moving).values()) == {NOBODY, BRIDGE}
    assert backends(endpoint(moving)) == {"api1"}
    # When no check passes traffic goes on.
    apis[0].fail()
    daemon.wait("untested traffic", lambda: by_host(daemon, moving)["traffic"] == "untested", patience(20))
    assert serves(endpoint(moving)) == "api1"
    apis[0].fail(False)
    all_up(daemon, moving)
    # It moves; and then DNS forgets it.
    dns.says["api.test"] = [SILENT]
    daemon.wait("it to move", lambda: SILENT in addresses(moving).values(), patience(20))
    dns.says["api.test"] = "nx"

    def asked_long_after():
        return all(dns.last(name) - began > HOLD_S + 6 for name in [*useless, "api.test"])

    daemon.wait("DNS to be asked for long", asked_long_after, patience(60))
    for host in known, moving:
        daemon.reconcile()
        assert set(states(daemon, host)) == {"up"} and by_host(daemon, host)["traffic"] == "checked"
    assert backends(endpoint(known)) == {"api1", "api2", "api3"}

    # What the container knows of /etc/hosts is as it was at its start.
    pid = known.engine.inspect(NAME)["State"]["Pid"]
    known.write("/etc/hosts", "127.0.0.1 localhost\n192.0.2.1 cp1\n")
    assert "192.0.2.1" not in known.read(f"/proc/{pid}/root/etc/hosts")


@pytest.mark.usefixtures("address")
def test_a_slow_start_and_one_without_dns(daemon, hosts, apis, dns, resolving):
    """A dead first name server makes HAProxy's start slow, and DNS that knows nothing at that moment takes nothing away."""
    host = hosts[0]
    dead = NameServer(SILENT)
    dead.default = "silent"
    try:
        dns.default = [BRIDGE]
        resolving(host, f"nameserver {SILENT}\nnameserver {BRIDGE}\n")
        deploy(daemon, [host], ["a.test:6441", "b.test:6442"])
        assert dead.asked, "it was the first to be asked"
        change(daemon, [host], ["a.test:6441", "b.test:6442"], timeouts={"client": "2m"})
        assert events(daemon, "reload")
        all_up(daemon, host)

        dns.default = dead.default = "nx"
        change(daemon, [host], ["a.test:6441", "b.test:6442"], timeouts={"client": "3m"})
        assert len(events(daemon, "reload")) == 2
        all_up(daemon, host)
        change(daemon, [host], ["a.test:6441", "b.test:6442"], image="haproxy:3.0-lab")
        all_up(daemon, host)
        host.engine.call("POST", f"/containers/{NAME}/restart", t=1)
        serves(endpoint(host), patience(15))
        assert backends(endpoint(host)) == {"api1", "api2"}
    finally:
        dead.close()
    assert all(api.process.running() for api in apis)


# What is an answer, and of no use: nobody's address, HAProxy's own host, a reserved one, the other family.
LIES = [["fd77::99"], ["0.0.0.0"], ["::"], ["127.0.0.1"], ["240.0.0.1"], [NOBODY], ["224.0.0.1", NOBODY, "fd77::99"]]


def reload(host):
    host.sh(f"kill -USR2 {host.engine.inspect(NAME)['State']['Pid']}")


def test_a_reload_while_dns_lies(daemon, hosts, apis, dns, resolving):
    """libc takes whatever it is told; until that has passed a check, the address that has is used."""
    names = ["a.test:6441", "b.test:6442"]
    dns.default = [BRIDGE]
    images = {hosts[0]: "haproxy:2.6-lab", hosts[1]: "haproxy:3.0-lab"}
    for host, image in images.items():
        resolving(host)
        deploy(daemon, [host], names, f"on-{host.name}", image=image)
    for host in images:
        all_up(daemon, host)
        # So that what is known has been written down.
        wait_for("the file", lambda host=host: "-known" in host.sh(f"cat /var/lib/apilb/{NAME}/addresses || true"), patience(10))
    # As it runs, too: libc has it from /etc/hosts, DNS moves it at once.
    moved = hosts[2]
    resolving(moved, names=[f"{BRIDGE} c.test\n"])
    dns.says["c.test"] = [NOBODY]
    deploy(daemon, [moved], ["c.test:6443"], "moved")
    wait_for("it to be moved", lambda: set(addresses(moved).values()) == {NOBODY}, patience(10))
    all_up(daemon, moved)
    with LoadGenerator([endpoint(host) for host in hosts], rate=20) as load:
        for lie in LIES:
            dns.default = lie
            for host in images:
                reload(host)
            for host in images:
                wait_for(
                    f"{host.name} to believe {lie}",
                    lambda host=host, lie=lie: {addresses(host).get(name) for name in names} <= set(lie),
                    patience(15),
                )
            made = load.total
            wait_for("connections meanwhile", lambda made=made: load.total > made + 60 or load.failures, patience(10))
            assert not load.failures, f"{lie}: {load.failures[:5]}"
        dns.default = [BRIDGE]
        for host in images:
            reload(host)
        for host in images:
            wait_for("it to follow again", lambda host=host: set(addresses(host).values()) == {BRIDGE}, patience(10))
    load.assert_unharmed(at_least=200)
    for host in images:
        all_up(daemon, host)
        assert backends(endpoint(host)) == {"api1", "api2"}
    assert backends(endpoint(moved)) == {"api3"} and states(daemon, moved) == ["up"]
    # What was written down is a cache: HAProxy starts without it where it cannot be read.
    for host in images:
        host.sh(f"cd /var/lib/apilb/{NAME} && rm addresses && mkdir addresses")
        host.engine.act(NAME, "restart", t=1)
    for host in images:
        wait_for("it to be back", lambda host=host: backends(endpoint(host)) == {"api1", "api2"}, patience(15))


def test_without_lua_a_start_without_dns_is_one_without_names(daemon, hosts, apis, dns, resolving):
    """Nobody has kept the addresses; status says beforehand that it is so."""
    host = hosts[0]
    dns.default = [BRIDGE]
    resolving(host)
    content = ["a.test:6441", f"{BRIDGE}:6442"]
    deploy(daemon, [host], content)
    change(daemon, [host], content, image=without_lua(host))
    all_up(daemon, host)
    assert "one that only DNS knows is lost at a start while DNS is down" in daemon.ctl("status").text
    dns.default = "nx"
    # As it runs it keeps them.
    daemon.reconcile()
    assert states(daemon, host) == ["up", "up"]
    host.engine.act(NAME, "restart", t=1)
    daemon.wait("the name to be lost", lambda: states(daemon, host) == ["down", "up"], patience(20))
    assert by_host(daemon, host)["servers"][0]["why"] == "its name cannot be resolved"
    assert backends(endpoint(host)) == {"api2"}
    dns.default = [BRIDGE]
    all_up(daemon, host)
