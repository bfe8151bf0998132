"""How hosts are reached, and what a person reads when they are not."""

import json
import os
import re
import subprocess
import time

import pytest

from lab import fakes, spec
from lab.engine import EngineEvents
from lab.fleet import NAME, deploy, endpoint, identity, serves
from lab.hosts import PASSWORD
from lab.hostile_ssh import FLOODS, HostileSshd
from lab.proc import always, patience, run, wait_for


def drop(daemon, host, servers, top=None, **settings):
    """One balancer whose `ssh` map is the host's with these settings; None takes one away."""
    instance = spec.instance(host)
    instance["host"]["ssh"] = spec.ssh(host, **settings)
    daemon.drop("prod", spec.document([instance], servers, **(top or {})))


# What must work.

WAYS_IN = {
    "key file": lambda host: {"key": "ed25519"},
    "ecdsa key": lambda host: {"key": "ecdsa"},
    "key text": lambda host: {"key": None, "privateKey": host.keys["ed25519"].read_text()},
    "password": lambda host: {"key": None, "password": PASSWORD},
    "password file": lambda host: {"key": None, "passwordFile": str(password_file(host))},
    "wrong key, then password": lambda host: {"key": "stranger", "password": PASSWORD},
    "not root": lambda host: {"user": "deploy"},
    "ipv6": lambda host: {"address": f"fd77::{host.number}"},
    "pinned key": lambda host: {"hostKey": host.sshd.public_key()},
    "pinned fingerprint": lambda host: {"hostKey": host.sshd.fingerprint()},
    "no checking": lambda host: {"hostKeyChecking": "off"},
    "jump": lambda host: {"jump": {"address": "10.77.0.12", "user": "root", "privateKeyFile": str(host.keys["ed25519"])}},
}


def password_file(host):
    path = host.directory / "password"
    path.write_text(PASSWORD + "\n")
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("way", WAYS_IN)
def test_way_in(make_daemon, hosts, servers, tmp_path, way):
    host = hosts[0]
    env = {}
    if way == "ecdsa key":
        # libssh2 1.10 itself loses a number each time it reads such a key: 56 bytes.
        (tmp_path / "known-leaks").write_text("leak:libcrypto.so\n")
        env["LSAN_OPTIONS"] = f"suppressions={tmp_path}/known-leaks:print_suppressions=0"
    daemon = make_daemon(env=env).start()
    drop(daemon, host, servers, **WAYS_IN[way](host))
    daemon.wait_converged(1)
    serves(endpoint(host))
    assert hosts[1].sshd.connections() == (1 if way == "jump" else 0)


def test_agent(make_daemon, hosts, servers, tmp_path):
    agent = tmp_path / "agent.sock"
    process = subprocess.Popen(["ssh-agent", "-D", "-a", agent], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for("the agent", agent.exists, 5)
        run("ssh-add", hosts[0].keys["ed25519"], env={**os.environ, "SSH_AUTH_SOCK": str(agent)})
        daemon = make_daemon(env={"SSH_AUTH_SOCK": agent}).start()
        drop(daemon, hosts[0], servers, key=None)
        daemon.wait_converged(1)
    finally:
        process.terminate()
        process.wait()


def test_another_port(daemon, hosts, servers):
    hosts[0].add_sshd(2222)
    drop(daemon, hosts[0], servers, port=2222)
    found = daemon.wait_converged(1)
    assert found[0]["host"] == f"ssh://root@{hosts[0].address}:2222"


def test_common_settings_are_merged_under_each_host(daemon, hosts, servers):
    common = spec.ssh(hosts[0])
    del common["address"]
    instances = [{"host": {"ssh": {"address": h.address}}, "bindAddress": h.address} for h in hosts]
    daemon.drop("prod", spec.document(instances, servers, ssh=common))
    daemon.wait_converged(3)


def test_name_is_looked_up(make_daemon, hosts, servers):
    with fakes.FakeDns({"node1.lab.test": hosts[0].address}):
        with open("/etc/resolv.conf", "w") as out:  # the lab's own /etc
            out.write("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
        daemon = make_daemon().start()
        drop(daemon, hosts[0], servers, address="node1.lab.test")
        daemon.wait_converged(1)


# What a person reads. Each message tells its cause from all others.


def test_name_not_found(make_daemon, hosts, servers):
    with fakes.FakeDns({}):
        with open("/etc/resolv.conf", "w") as out:
            out.write("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
        daemon = make_daemon().start()
        drop(daemon, hosts[0], servers, address="nowhere.lab.test")
        message = daemon.wait_error("nowhere.lab.test", "(?i)not (found|known)|no such (host|name)|does not exist")
        assert "nowhere.lab.test" in message


def test_name_server_is_silent(make_daemon, hosts, servers):
    """A look-up that hangs holds up nobody else."""
    with fakes.FakeDns({"silent.lab.test": None}):
        with open("/etc/resolv.conf", "w") as out:
            out.write("nameserver 127.0.0.1\noptions timeout:1 attempts:2\n")
        daemon = make_daemon().start()
        slow = spec.instance(hosts[0])
        slow["host"]["ssh"]["address"] = "silent.lab.test"
        daemon.drop("prod", spec.document([slow, spec.instance(hosts[1])], servers))
        daemon.wait("the other host", lambda: (daemon.instance(hosts[1].address) or {}).get("converged"), patience(5))
        daemon.wait_error("silent.lab.test", "(?i)timed out|no answer|not found|resolv")


def test_refused(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, port=1)
    assert "1" in daemon.wait_error(hosts[0].address, "(?i)refused")
    daemon.wait_phase(hosts[0].address, "unreachable")


def test_timed_out(daemon, hosts, servers):
    hosts[0].link("down")
    drop(daemon, hosts[0], servers, connectionTimeout="1s")
    daemon.wait_error(hosts[0].address, "(?i)timed out|no route")
    daemon.wait_phase(hosts[0].address, "unreachable")


def test_host_key_changed(daemon, hosts, servers):
    host = hosts[0]
    sshd = host.add_sshd(2223)
    drop(daemon, host, servers, port=2223)
    daemon.wait_converged(1)
    old = sshd.fingerprint()
    sshd.stop(sessions=True)
    sshd.key.unlink()
    changed = host.add_sshd(2223)
    wait_for("the old session to be lost", lambda: not daemon.instances()[0]["converged"], patience(25))
    message = daemon.wait_error(host.address, "(?i)host key.*changed|changed.*host key")
    assert old in message and changed.fingerprint() in message, "both fingerprints"
    assert host.engine.status(NAME) == "running"
    # A person looks, and says that it is right.
    drop(daemon, host, servers, port=2223, hostKey=changed.fingerprint())
    daemon.wait_converged(1, timeout=patience(20))


def test_unknown_host_key_when_strict(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, hostKeyChecking="strict")
    message = daemon.wait_error(hosts[0].address, "(?i)host key")
    assert hosts[0].sshd.fingerprint() in message, "what a person has to compare"
    assert hosts[0].engine.names() == []


def test_pinned_key_is_another(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, hostKey=hosts[1].sshd.fingerprint())
    message = daemon.wait_error(hosts[0].address, "(?i)host key")
    assert hosts[0].sshd.fingerprint() in message and hosts[1].sshd.fingerprint() in message


def test_learned_keys_survive_and_may_be_hashed(daemon, hosts, servers):
    drop(daemon, hosts[0], servers)
    daemon.wait_converged(1)
    daemon.stop()
    blob = hosts[0].sshd.public_key().split()[1]
    known = [p for p in daemon.state_dir.iterdir() if p.is_file() and blob.encode() in p.read_bytes()]
    known = [p for p in known if not p.name.endswith((".db", "-wal"))]
    assert len(known) == 1, f"one file of known keys in {list(daemon.state_dir.iterdir())}"
    assert known[0].stat().st_mode & 0o77 == 0
    run("ssh-keygen", "-q", "-H", "-f", known[0])
    assert hosts[0].address not in known[0].read_text()
    daemon.start()
    drop(daemon, hosts[0], servers, hostKeyChecking="strict")
    daemon.wait_converged(1)


def test_authentication_refused(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, key="stranger", password="wrong")
    message = daemon.wait_error(hosts[0].address, "(?i)authentication")
    assert "publickey" in message and "password" in message, "the methods that were tried"
    assert "wrong" not in message


def test_rsa_key(daemon, hosts, servers):
    """Works, or says what does."""
    drop(daemon, hosts[0], servers, key="rsa")

    def verdict():
        found = daemon.instance(hosts[0].address)
        return found and (found["converged"] or (found["lastError"] or {}).get("message"))

    found = daemon.wait("a verdict on RSA", verdict)
    if found is not True:
        assert re.search("RSA", found) and re.search("Ed25519", found, re.I)


KEY_FILES = {
    "missing": (lambda path: None, "(?i)no such file"),
    "garbage": (lambda path: path.write_text("not a key\n"), "(?i)key"),
    "empty": (lambda path: path.write_text(""), "(?i)key|empty"),
    "a directory": (lambda path: path.mkdir(), "(?i)directory|key"),
}


@pytest.mark.parametrize("kind", KEY_FILES)
def test_key_file_is_no_good(daemon, hosts, servers, tmp_path, kind):
    make, pattern = KEY_FILES[kind]
    path = tmp_path / "id_broken"
    make(path)
    drop(daemon, hosts[0], servers, key=None, privateKeyFile=str(path))
    assert str(path) in daemon.wait_error(hosts[0].address, pattern)


def test_key_with_a_passphrase(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, key="encrypted")
    daemon.wait_error(hosts[0].address, "(?i)passphrase|encrypted|key")


def test_key_is_read_anew(daemon, hosts, servers, tmp_path):
    """A rotated key file is picked up without an edit of the spec."""
    path = tmp_path / "id"
    path.write_bytes(hosts[0].keys["stranger"].read_bytes())
    drop(daemon, hosts[0], servers, key=None, privateKeyFile=str(path))
    daemon.wait_error(hosts[0].address, "(?i)authentication")
    path.write_bytes(hosts[0].keys["ed25519"].read_bytes())
    daemon.wait_converged(1, timeout=patience(40))


def test_forwarding_refused(daemon, hosts, servers):
    hosts[0].add_sshd(2224, "AllowStreamLocalForwarding no")
    drop(daemon, hosts[0], servers, port=2224)
    daemon.wait_error(hosts[0].address, "AllowStreamLocalForwarding")


def test_engine_socket_missing(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, top={"runtime": {"docker": {"host": "unix:///run/nothing.sock"}}})
    message = daemon.wait_error(hosts[0].address, "(?i)no such|not there|missing")
    assert "/run/nothing.sock" in message


def test_engine_socket_not_for_this_user(daemon, hosts, servers):
    drop(daemon, hosts[0], servers, user="nobodys-friend")
    message = daemon.wait_error(hosts[0].address, "(?i)permission|denied")
    assert "docker.sock" in message


@pytest.mark.parametrize("which", ["missing", "denied", "nobody listens"])
def test_local_engine_cannot_be_reached(make_daemon, local, servers, tmp_path, which):
    path = "/run/no-engine.sock" if which == "missing" else str(local.directory / "deaf.sock")
    prefix = ()
    if which == "nobody listens":
        fakes.fake_engine(path, fakes.hang).close()
    if which == "denied":
        path = "/run/docker.sock"
        prefix = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
    home = tmp_path / "home"
    home.mkdir()
    daemon = make_daemon(name="home/apilbd", prefix=prefix)
    run("chmod", "-R", "a+rwX", home)
    run("chmod", "a+x", tmp_path, tmp_path.parent)
    daemon.start()
    daemon.drop("local", spec.document([spec.direct()], servers, runtime={"docker": {"host": f"unix://{path}"}}))
    pattern = {"missing": "no such file", "denied": "permission denied", "nobody listens": "refused|nobody"}[which]
    assert path in daemon.wait_error("local-lb", f"(?i){pattern}")
    os.path.exists(path) and which == "nobody listens" and os.unlink(path)


# Lost and found again.


@pytest.mark.parametrize("when", ["opening", "idle"])
def test_a_host_that_floods_says_so(daemon, hosts, servers, when):
    sshd = HostileSshd(hosts[0].keys["ed25519"], when, FLOODS["answer to no request"])
    lb = spec.instance(hosts[0])
    lb["host"]["ssh"].update(address="127.0.0.1", port=sshd.port)
    daemon.drop("prod", spec.document([lb], servers))
    said = daemon.wait_error("prod/", "floods the connection")
    assert f"see what answers at 127.0.0.1 port {sshd.port}" in said
    assert daemon.instances()[0]["phase"] == "unreachable"
    sshd.close()


def test_lost_session_comes_back_by_itself(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    before = [identity(host) for host in hosts]
    with EngineEvents(hosts[0].engine) as events:
        hosts[0].sshd.drop_sessions()
        wait_for("a new session", lambda: hosts[0].sshd.connections() == 2, patience(10))
        daemon.wait_converged(3)
        assert events.mutating() == []
    assert [identity(host) for host in hosts] == before


def test_dead_peer_is_noticed_within_15_s(make_daemon, hosts, servers):
    """No packet comes, none is refused: a cable that is cut. Nothing is due for an hour."""
    daemon = make_daemon(resync="1h").start()
    with fakes.Relay((hosts[0].address, 22)) as relay:
        drop(daemon, hosts[0], servers, address="127.0.0.1", port=relay.port)
        daemon.wait_converged(1)
        time.sleep(1)
        relay.stall()
        began = time.monotonic()
        daemon.wait("it to be noticed", lambda: not daemon.instances()[0]["converged"], patience(17))
        assert time.monotonic() - began < patience(17)
        relay.stalled.clear()
        daemon.wait_converged(1, timeout=patience(60))


def test_one_connection_for_everything_on_a_host(daemon, hosts, servers):
    host = hosts[0]
    instances = [
        spec.instance(host, name=f"lb{n}", bindAddress=f"{host.address}:{7000 + n}", hostConfigPath=f"/etc/lb{n}/x.cfg")
        for n in range(4)
    ]
    daemon.drop("prod", spec.document(instances, servers))
    daemon.wait_converged(4)
    time.sleep(4.5)
    assert host.sshd.connections() == 1


def test_slow_line(daemon, hosts, servers):
    """150 ms there and 150 ms back: all still works, and other hosts are as fast as ever."""
    with fakes.Relay((hosts[0].address, 22), delay=0.15) as relay:
        slow = spec.instance(hosts[0])
        slow["host"]["ssh"].update(address="127.0.0.1", port=relay.port)
        daemon.drop("prod", spec.document([slow, spec.instance(hosts[1])], servers))
        daemon.wait("the fast one", lambda: any(i["converged"] for i in daemon.instances()), patience(5))
        daemon.wait_converged(2, timeout=patience(60))


def test_retries_show_while_they_happen(daemon, hosts, servers):
    hosts[0].link("down")
    drop(daemon, hosts[0], servers, connectionTimeout="500ms", retryTimeout="30s")
    daemon.wait("the first attempt to show", lambda: hosts[0].address in json.dumps(daemon.events()))
    assert daemon.instances()[0]["phase"] == "reconciling", "not given up yet"

    def attempts():
        found = re.search(r"attempt (\d+) failed: .*timed out", daemon.instances()[0]["progress"] or "")
        return found and int(found.group(1))

    first = daemon.wait("the attempts to show", attempts)
    daemon.wait("more of them", lambda: attempts() > first)
    assert re.search(r"attempt \d+", daemon.ctl("status").stdout)
    always("the daemon answers meanwhile", daemon.answers, 1)
