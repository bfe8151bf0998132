"""Health checks and HAProxy's tuning, as the spec says them, on real hosts."""

import shutil

import pytest
from lab import spec
from lab.certificates import Authority
from lab.fleet import CONFIG, NAME, backends, deploy, endpoint, identity, serves, stats
from lab.hosts import BRIDGE
from lab.load import ApiServer, LoadGenerator
from lab.proc import LAB, patience, wait_for

BESIDE = f"/var/lib/apilb/{NAME}"


@pytest.fixture(scope="module")
def authorities():
    return [Authority(LAB / "authorities", name) for name in ("good", "other")]


@pytest.fixture(scope="module")
def two_cas(lab, authorities):
    """An API server with a certificate of each CA, and a third of the first one, made out to somebody else."""
    good, other = authorities
    certificates = [good.issue("api-good"), other.issue("api-other"), good.issue("api-stranger", "somebody-else")]
    directory = LAB / "authorities"
    made = [ApiServer(f"ca{n}", BRIDGE, 6460 + n, c, directory) for n, c in enumerate(certificates)]
    for server in made:
        server.wait()
    yield [server.endpoint for server in made]
    for server in made:
        server.stop()


@pytest.fixture
def ca_file(tmp_path, authorities):
    path = tmp_path / "ca.crt"
    shutil.copy(authorities[0].file, path)
    return path


def states(daemon, part=""):
    return [server["state"] for server in daemon.instance(part)["servers"]]


def wait_states(daemon, *wanted, part=""):
    daemon.wait(f"servers {wanted}", lambda: states(daemon, part) == list(wanted), patience(20))


def beside(host):
    """The CAs beside the stats socket."""
    return {name for name in host.run("ls", BESIDE).split() if name.startswith("ca-")}


def events(daemon, *types):
    return [event["type"] for event in daemon.events() if event["type"] in types]


def test_servers_of_another_ca_are_not_used(daemon, hosts, two_cas, ca_file):
    host = hosts[0]
    deploy(daemon, [host], two_cas, healthCheck={"caFile": str(ca_file), "interval": "300ms"})
    wait_states(daemon, "up", "down", "down")
    instance = daemon.instance("")
    assert instance["verifiesServers"] is True
    assert [s.get("check") for s in instance["servers"]][1:] == ["L6RSP", "L6RSP"]
    assert "certificate" in instance["servers"][1]["why"]
    assert backends(endpoint(host)) == {"ca0"}
    # Without a CA all three will do.
    deploy(daemon, [host], two_cas, healthCheck={"interval": "300ms"})
    wait_states(daemon, "up", "up", "up")
    assert daemon.instance("")["verifiesServers"] is False and "insecure" not in daemon.instance("")
    deploy(daemon, [host], two_cas, healthCheck={"insecure": True, "interval": "300ms"})
    daemon.wait("status to say that it is meant", lambda: daemon.instance("").get("insecure") is True)
    assert daemon.instance("")["verifiesServers"] is False
    # The name that is expected can be another one.
    deploy(daemon, [host], two_cas, healthCheck={"caFile": str(ca_file), "interval": "300ms", "serverName": "somebody-else"})
    wait_states(daemon, "down", "down", "up")


def test_a_rotated_ca_file_is_a_reload(daemon, hosts, two_cas, ca_file, authorities):
    host = hosts[0]
    deploy(daemon, [host], two_cas[:2], healthCheck={"caFile": str(ca_file), "interval": "300ms"})
    wait_states(daemon, "up", "down")
    before, files = identity(host), beside(host)
    assert len(files) == 1
    # As a CA is rotated: first both, then the new one alone.
    both = authorities[0].file.read_text() + authorities[1].file.read_text()
    with LoadGenerator([endpoint(host)], rate=20) as load:
        spec.write(ca_file, both)
        wait_states(daemon, "up", "up")
        spec.write(ca_file, authorities[1].file.read_text())
        wait_states(daemon, "down", "up")
    load.assert_unharmed()
    assert identity(host) == before, "no container was restarted"
    assert len(events(daemon, "reload")) == 2
    assert len(beside(host)) == 3, "what a former version needs stays"

    # A file that is no CA changes nothing, and is told; also over a restart of the daemon.
    config = host.read(CONFIG)
    for bad, words in ("nonsense", "no certificate"), (None, "No such file"):
        spec.write(ca_file, bad) if bad else ca_file.unlink()
        (error,) = daemon.wait_invalid("prod")
        daemon.wait("the reason", lambda: any(words in e["message"] for e in daemon.spec("prod")["errors"]))
        assert error["path"] == "healthCheck.caFile" and error["line"] > 0
        host.engine.remove(NAME)
        wait_for("repair", lambda: host.engine.status(NAME) == "running", patience(20))
        daemon.restart()
    wait_states(daemon, "down", "up")
    assert host.read(CONFIG) == config and daemon.instance("")["phase"] == "converged"
    spec.write(ca_file, both)
    daemon.wait("validity", lambda: daemon.spec("prod")["valid"], patience(10))
    wait_states(daemon, "up", "up")


def test_a_lost_ca_file_is_repaired(daemon, hosts, two_cas, ca_file):
    host = hosts[0]
    deploy(daemon, [host], two_cas[:1], healthCheck={"caFile": str(ca_file), "interval": "300ms"})
    wait_states(daemon, "up")
    before, (name,) = identity(host), beside(host)
    path, text = f"{BESIDE}/{name}", ca_file.read_text()
    for damage in f"rm {path}", f"echo > {path}", f"chmod 600 {path}":
        host.sh(damage)
        daemon.wait("repair", lambda: host.exists(path) and host.read(path) == text
                    and "644" in host.run("stat", "-c", "%a", path), patience(15))  # fmt: skip
    daemon.wait("three repairs to be told", lambda: len(events(daemon, "write-config")) == 4)
    assert identity(host) == before and not events(daemon, "reload"), "HAProxy needs it when it starts next"
    # It does: a container that is made anew finds it.
    host.sh(f"rm {path}")
    host.engine.remove(NAME)
    wait_for("it to be back", lambda: host.engine.status(NAME) == "running" and host.exists(path), patience(20))
    serves(endpoint(host))


def test_a_first_balancer_gets_its_ca(daemon, hosts, two_cas, authorities):
    """The text in the spec, on hosts that have never had a balancer, whose first check needs the file; and an own file."""
    text = authorities[0].file.read_text()
    content = spec.document([spec.instance(hosts[0]), spec.instance(hosts[1], hostConfigPath="/etc/lb.cfg")], two_cas[:2],
                            healthCheck={"ca": text, "interval": "300ms"})  # fmt: skip
    daemon.drop("prod", content)
    daemon.wait_converged(2)
    for host in hosts[:2]:
        wait_states(daemon, "up", "down", part=host.address)
        assert host.run("stat", "-c", "%u %a", f"{BESIDE}/{beside(host).pop()}").split() == ["0", "644"]
        assert host.run("stat", "-c", "%u %a", BESIDE).split() == ["65534", "700"]


def test_servers_that_another_ca_signed_do_not_replace_those_that_are_up(daemon, hosts, two_cas, ca_file):
    """The rehearsal of a new list of servers verifies as the balancer would."""
    host = hosts[0]
    deploy(daemon, [host], two_cas[:1], healthCheck={"caFile": str(ca_file), "interval": "300ms"})
    wait_states(daemon, "up")
    daemon.drop("prod", spec.document([spec.instance(host)], two_cas[1:2],
                                      healthCheck={"caFile": str(ca_file), "interval": "300ms"}))  # fmt: skip
    daemon.wait_error(host.address, "none of the 1 wanted servers up.*L6RSP", patience(20))
    assert backends(endpoint(host)) == {"ca0"}


def test_own_lines_that_haproxy_refuses_change_nothing(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers, extraConfig={"backend": "stick-table type ip size 1k"})
    assert "stick-table" in host.read(CONFIG)
    before, config = identity(host), host.read(CONFIG)
    daemon.drop("prod", spec.document([spec.instance(host)], servers, extraConfig={"frontend": "no-such-keyword 1"}))
    said = daemon.wait_error(host.address, "refuses the config", patience(20))
    assert "no-such-keyword" in str(said), "HAProxy's own words"
    assert identity(host) == before and host.read(CONFIG) == config
    serves(endpoint(host))


def test_what_is_said_is_what_runs(daemon, hosts, servers, apis):
    host = hosts[0]
    deploy(daemon, [host], servers, maxConnections=123, balance="first", healthCheck={"interval": "200ms", "fall": 1})
    assert "Maxconn: 123\n" in stats(host, "show info")
    assert backends(endpoint(host)) == {"api1"}
    apis[0].fail()
    wait_for("the first to be out", lambda: backends(endpoint(host)) == {"api2"}, patience(10))


def test_checks_become_rarer_as_the_fleet_grows(daemon, hosts, servers):
    """The interval counts the balancers of all specs that share a server, reachable or not."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    assert " inter 1s fastinter 50ms " in host.read(CONFIG)
    before = identity(host)
    others = [{"host": {"ssh": {"address": BRIDGE, "port": 1 + n, "password": "x"}}, "bindAddress": "127.0.0.1"} for n in range(50)]
    daemon.drop("others", spec.document(others[:49], servers[:1]))
    daemon.wait("the others", lambda: len(daemon.instances()) == 50)
    daemon.ctl("reconcile", "prod", "--wait")
    assert " inter 1s " in host.read(CONFIG), "50 are few enough"
    daemon.drop("others", spec.document(others, servers[:1]))
    wait_for("the next step", lambda: " inter 2s fastinter 50ms " in host.read(CONFIG), patience(15))
    daemon.wait("a reload", lambda: events(daemon, "reload") == ["reload"], patience(15))
    # What a spec says counts, and a fleet that shrinks goes back.
    deploy(daemon, [host], servers, healthCheck={"interval": "700ms"})
    wait_for("its own", lambda: " inter 700ms fastinter 50ms " in host.read(CONFIG), patience(15))
    deploy(daemon, [host], servers)
    wait_for("the step", lambda: " inter 2s " in host.read(CONFIG), patience(15))
    daemon.remove("others")
    wait_for("the step before", lambda: " inter 1s " in host.read(CONFIG), patience(15))
    assert identity(host) == before
