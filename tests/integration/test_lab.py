"""The lab itself: a test that fails because of the lab must be known as such."""

import socket

import pytest

from lab import fakes
from lab.engine import EngineEvents
from lab.hosts import PASSWORD
from lab.load import LoadGenerator, ask
from lab.proc import run, wait_for

CONFIG = """
defaults
    mode tcp
    timeout connect 2s
    timeout client 1h
    timeout server 1h
listen api
    bind {bind}
    option httpchk GET /readyz
    default-server check check-ssl verify none inter 300ms
{servers}
"""


def balancer(host, bind, apis, image="haproxy:2.6-lab"):
    """A balancer made by hand, the way apilbd is to make it."""
    lines = "\n".join(f"    server {api.name} {api.endpoint}" for api in apis)
    host.run("mkdir", "-p", "/etc/haproxy")
    host.sh(f"cat >/etc/haproxy/haproxy.cfg <<'EOF'\n{CONFIG.format(bind=bind, servers=lines)}\nEOF")
    host.engine.create(
        "lb",
        image,
        Cmd=["haproxy", "-W", "-db", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
        User="65534",
        HostConfig={"NetworkMode": "host", "Binds": ["/etc/haproxy:/usr/local/etc/haproxy:ro"]},
    )
    host.engine.act("lb", "start")


def test_hosts_are_separate_machines(hosts):
    for host in hosts:
        host.write("/etc/mark", host.name)
    assert [host.read("/etc/mark") for host in hosts] == [host.name for host in hosts]
    hosts[0].engine.create("only-here", "haproxy:2.6-lab")
    assert [host.engine.names() for host in hosts] == [["only-here"], [], []]


def test_sshd_lets_in_key_and_password_and_forwards_to_the_engine(hosts, tmp_path):
    host = hosts[0]
    out = run("ssh", "-i", host.keys["ed25519"], "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
              f"deploy@{host.address}", "curl -s --unix-socket /run/docker.sock http://engine/_ping")  # fmt: skip
    assert out == "OK"
    assert host.sshd.connections() >= 1
    assert PASSWORD  # root's, proven by test_transport


def test_balancer_serves_on_all_hosts(hosts, local, apis):
    for host in hosts:
        balancer(host, f"{host.address}:6443", apis)
    balancer(local, "127.0.0.1:7443", apis, "haproxy:3.0-lab")
    endpoints = [f"{host.address}:6443" for host in hosts] + ["127.0.0.1:7443"]
    for endpoint in endpoints:
        wait_for(f"{endpoint} to serve", lambda e=endpoint: ask(e), 5)
    with LoadGenerator(endpoints, rate=20) as load:
        wait_for("all API servers to be used", lambda: len(load.answers) == 3 and load.total > 50, 5)
    load.assert_unharmed()


def test_load_generator_sees_a_failure(hosts, apis):
    host = hosts[0]
    balancer(host, f"{host.address}:6443", apis)
    endpoint = f"{host.address}:6443"
    wait_for("serving", lambda: ask(endpoint), 5)
    with LoadGenerator([endpoint], rate=20, timeout=1) as load:
        wait_for("some requests", lambda: load.total > 5, 5)
        host.engine.remove("lb")
        for kind in (":6443", ":6443 (long)"):
            wait_for(f"failures of {kind}", lambda k=kind: [f for f in load.failures if f[1].endswith(k)], 5)


def test_failing_api_server_is_left_out(hosts, apis):
    host = hosts[0]
    balancer(host, f"{host.address}:6443", apis)
    endpoint = f"{host.address}:6443"
    apis[0].fail()
    wait_for("the others to answer alone", lambda: {ask(endpoint) for _ in range(6)} == {"api2", "api3"}, 8)


def test_events_tell_changes_from_looks(hosts):
    engine = hosts[0].engine
    with EngineEvents(engine) as events:
        engine.inspect("nothing")
        engine.containers()
        events.clear()
        assert events.mutating() == []
        engine.create("some", "haproxy:2.6-lab")
        wait_for("the event", lambda: events.mutating() == [("container", "create", "some")], 3)


def reachable(host):
    try:
        socket.create_connection((host.address, 22), timeout=0.5).close()
        return True
    except OSError:
        return False


def test_cable_can_be_pulled(hosts):
    host = hosts[0]
    assert reachable(host)
    host.link("down")
    assert not reachable(host)
    host.link("up")
    wait_for("the host", lambda: reachable(host), 5)


def test_relay_stops_at_a_byte(hosts):
    with fakes.Relay((hosts[0].address, 22), after=4) as relay:
        with socket.create_connection(("127.0.0.1", relay.port)) as connection:
            connection.settimeout(1)
            assert connection.recv(100) == b"SSH-"
            with pytest.raises(TimeoutError):
                connection.recv(100)


def ask_dns(name):
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(2)
        client.sendto(b"\x12\x34\1\0\0\1\0\0\0\0\0\0" + question, ("127.0.0.1", 53))
        return client.recv(512)


def test_name_server_answers():
    with fakes.FakeDns({"h1.lab": "10.77.0.11", "silent.lab": None}):
        assert ask_dns("h1.lab").endswith(socket.inet_aton("10.77.0.11"))
        assert ask_dns("nowhere.lab")[3] & 15 == 3
        with pytest.raises(TimeoutError):
            ask_dns("silent.lab")
