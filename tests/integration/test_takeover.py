"""What flexkube made becomes ours without a gap, and what we made can be handed on."""

import json
import re
import time

import pytest

from lab import spec
from lab.engine import EngineEvents
from lab.flexkube import Balancer, ssh
from lab.fleet import CONFIG, NAME, deploy, endpoint, identity, replaced, serves
from lab.load import LoadGenerator
from lab.proc import always, patience, wait_for

OWNER = "io.apilb.owner"


def made_by_flexkube(host, servers, **more):
    made = Balancer(host, f"{host.address}:6443", servers, **more)
    serves(endpoint(host))
    return made


def document(host, servers, state, **more):
    return spec.document([spec.instance(host, **more)], servers, state=state)


def assert_ours(host, name=NAME):
    container = host.engine.inspect(name)
    assert container and container["Config"]["Labels"].get(OWNER) == "apilb", host.engine.names()
    assert container["State"]["Status"] == "running"
    return container["Id"]


def wait_alone(host, *names):
    """Nothing else is left on the host in the end."""
    wait_for("the former to leave", lambda: host.engine.names() == sorted(names or [NAME]), patience(20))


def test_flexkubes_balancer_is_adopted_under_traffic(daemon, hosts, servers):
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    content = document(host, servers, {"0": old.state(ssh(host))})
    with LoadGenerator([endpoint(host)], rate=100, long_lived=10) as load:
        wait_for("some load", lambda: load.total > 100, patience(10))
        daemon.drop("prod", content)
        daemon.wait_converged(1, "prod")
        # The long connections stay where they are, on the old one, which takes no new ones.
        always("the old one drains", lambda: host.engine.status(old.id) == "running", 3)
        assert_ours(host)
        assert host.engine.inspect(old.id)["Name"].startswith(f"/{NAME}-apilb-old-")
    load.assert_unharmed(at_least=300)
    print(f"taken over: {load.total} requests and 10 long connections, {len(load.failures)} failures")
    wait_alone(host)
    assert old.gone()
    assert "Written by apilbd" in host.read(CONFIG)
    assert any("handed over" in e["message"] for e in daemon.events())


def test_state_that_stays_in_the_spec_does_nothing_more(daemon, hosts, servers):
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    content = document(host, servers, {"0": old.state(ssh(host))})
    daemon.drop("prod", content)
    daemon.wait_converged(1, "prod")
    wait_alone(host)
    before = identity(host)
    told = len(daemon.events())
    with EngineEvents(host.engine) as events:
        daemon.reconcile()
        time.sleep(5)  # two resyncs
        daemon.restart()
        daemon.wait_converged(1, "prod")
        time.sleep(3)
        assert events.mutating() == []
    # Nor does taking it out.
    daemon.drop("prod", {k: v for k, v in content.items() if k != "state"})
    time.sleep(3)
    assert daemon.wait_converged(1, "prod")
    assert identity(host) == before
    assert [e["type"] for e in daemon.events()[told:] if e["type"] in ("drift", "removed", "create")] == []


def test_state_that_leaves_the_spec_too_early_leaves_nothing_behind(daemon, hosts, servers):
    """The former one still has connections, and no label of ours."""
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    content = document(host, servers, {"0": old.state(ssh(host))})
    with LoadGenerator([endpoint(host)], rate=10, long_lived=2) as load:
        wait_for("some load", lambda: load.total > 10, patience(10))
        daemon.drop("prod", content)
        daemon.wait_converged(1, "prod")
        del content["state"]
        daemon.drop("prod", content)
        always("it drains on", lambda: host.engine.status(old.id) == "running", 5)
    load.assert_unharmed()
    wait_alone(host)


def test_state_of_a_container_that_is_gone(daemon, hosts, servers):
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    host.engine.remove(old.id)
    daemon.drop("prod", document(host, servers, {"0": old.state(ssh(host))}))
    daemon.wait_converged(1, "prod")
    assert host.engine.names() == [NAME]
    assert_ours(host)


def test_stopped_container_is_adopted(daemon, hosts, servers):
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    host.engine.act(old.id, "stop", t=0)
    daemon.drop("prod", document(host, servers, {"0": old.state(ssh(host))}))
    daemon.wait_converged(1, "prod")
    assert host.engine.names() == [NAME]
    assert_ours(host)


def test_name_that_changes_with_the_takeover(daemon, hosts, servers):
    """The key says whose it is, as with flexkube; and short IDs are IDs."""
    host = hosts[0]
    old = made_by_flexkube(host, servers, name="lb-of-old")
    entry = old.state(ssh(host))
    entry["container"]["status"]["id"] = old.id[:12]
    with LoadGenerator([endpoint(host)], rate=50, long_lived=2) as load:
        wait_for("some load", lambda: load.total > 20, patience(10))
        daemon.drop("prod", document(host, servers, {"0": entry}))
        daemon.wait_converged(1, "prod")
        wait_for("some more", lambda: load.total > 200, patience(10))
        assert_ours(host)
    load.assert_unharmed()
    wait_alone(host)


def test_host_that_is_called_otherwise_than_in_the_state(daemon, hosts, servers):
    """The same machine by another of its addresses: nothing is removed under the feet of its clients."""
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    instance = spec.instance(host)
    instance["host"]["ssh"]["address"] = f"fd77::{host.number}"
    content = spec.document([instance], servers, state={"0": old.state(ssh(host))})
    with LoadGenerator([endpoint(host)], rate=50, long_lived=2) as load:
        wait_for("some load", lambda: load.total > 20, patience(10))
        daemon.drop("prod", content)
        daemon.wait("the takeover", lambda: (daemon.instance("fd77") or {}).get("converged"), patience(15))
        always("the old one drains", lambda: host.engine.status(old.id) == "running", 3)
    load.assert_unharmed()
    wait_alone(host)
    daemon.wait_converged(1, "prod", timeout=patience(40))


def test_balancer_that_moved_leaves_its_old_host_last(daemon, hosts, servers):
    """flexkube removes it there first. Here it goes when the new one serves."""
    old = made_by_flexkube(hosts[0], servers)
    content = document(hosts[1], servers, {"0": old.state(ssh(hosts[0]))})
    content["apiLoadBalancers"][0]["image"] = "busybox:lab-none"
    daemon.drop("prod", content)
    daemon.wait_error(hosts[1].address, "busybox")
    always("the old one serves", lambda: serves(endpoint(hosts[0])), 4)
    del content["apiLoadBalancers"][0]["image"]
    daemon.drop("prod", content)
    wait_for("the old one to go", old.gone, patience(40))
    daemon.wait_converged(1, "prod")
    serves(endpoint(hosts[1]))


def test_what_the_state_names_and_the_list_does_not_is_removed(daemon, hosts, servers):
    """As flexkube does; and only that very container."""
    kept, left = hosts[:2]
    first, second = made_by_flexkube(kept, servers), made_by_flexkube(left, servers)
    bystander = left.engine.create("bystander", "haproxy:2.6-lab")
    state = {"0": first.state(ssh(kept)), "1": second.state(ssh(left))}
    content = document(kept, servers, state)
    daemon.drop("prod", content)
    daemon.wait_converged(1, "prod")
    wait_for("removal", second.gone, patience(20))
    assert left.engine.names() == ["bystander"] and left.engine.inspect(bystander)
    assert left.exists(CONFIG), "files stay"
    assert [e["type"] for e in daemon.events() if left.address in e["message"] + (e.get("instance") or "")]
    # The name is free now; whoever takes it has nothing to do with the state.
    foreign = left.engine.create(NAME, "haproxy:2.6-lab")
    content["servers"] = servers[:2]
    daemon.drop("prod", content)
    daemon.wait_converged(1, "prod")
    time.sleep(3)
    assert left.engine.inspect(foreign)


def test_empty_list_removes_what_the_state_names(daemon, hosts, servers):
    old = made_by_flexkube(hosts[0], servers)
    daemon.drop("prod", spec.document([], servers, state={"0": old.state(ssh(hosts[0]))}))
    wait_for("removal", old.gone, patience(20))
    daemon.wait_empty()


def test_state_names_a_host_that_cannot_be_reached(daemon, hosts, servers):
    """It does not hold up the others, and is done when it is back."""
    here, away = hosts[:2]
    first, second = made_by_flexkube(here, servers), made_by_flexkube(away, servers)
    away.link("down")
    state = {"0": first.state(ssh(here)), "1": second.state(ssh(away))}
    daemon.drop("prod", document(here, servers, state))
    daemon.wait("the first", lambda: (daemon.instance(here.address) or {}).get("converged"), patience(20))
    assert_ours(here)
    found = daemon.wait(
        "the second to be known", lambda: (daemon.instance(away.address) or {}).get("lastError"), patience(20)
    )
    assert found["kind"] == "unreachable"
    assert daemon.instance(away.address)["phase"] == "removing"
    daemon.restart()
    daemon.wait("it is known still", lambda: daemon.instance(away.address), patience(10))
    away.link("up")
    wait_for("removal", second.gone, patience(60))
    daemon.wait_converged(1, "prod")


def test_unreachable_host_is_taken_over_when_it_is_back(daemon, hosts, servers):
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    host.link("down")
    daemon.drop("prod", document(host, servers, {"0": old.state(ssh(host))}))
    daemon.wait_phase(host.address, "unreachable", patience(20))
    host.link("up")
    daemon.wait_converged(1, "prod", timeout=patience(60))
    assert_ours(host)
    wait_alone(host)


def test_every_field_of_flexkubes_state_is_read(daemon, hosts, servers):
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    entry = old.state(
        ssh(host),
        args=["haproxy", "-f", "/x"],
        entrypoint=["/x"],
        ports=[{"ip": "127.0.0.1", "port": 6443, "protocol": "tcp"}],
        mounts=[{"source": CONFIG, "target": "/x", "propagation": "rprivate"}],
        privileged=False,
        pidMode="host",
        ipcMode="host",
        group="65534",
        env={"A": "b"},
    )
    gone = old.state(ssh(host))
    gone["container"]["status"] = {"status": "gone"}
    daemon.drop("prod", document(host, servers, {"0": entry, "1": gone}))
    daemon.wait_converged(1, "prod")
    wait_for("adoption", lambda: replaced(host, old.id), patience(10))
    wait_alone(host)


def test_our_own_state_as_a_spec_s_state(make_daemon, hosts, servers):
    """Another daemon, with another owner, takes over from ours."""
    host = hosts[0]
    ours = make_daemon().start()
    content = deploy(ours, [host], servers)
    exported = ours.ctl("state", "export", "prod").stdout
    ours.stop()
    other = make_daemon("--owner=other").start()
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items()) + exported
    with LoadGenerator([endpoint(host)], rate=50, long_lived=2) as load:
        wait_for("some load", lambda: load.total > 20, patience(10))
        other.drop("prod", text)
        other.wait_converged(1, "prod")
        wait_for("some more", lambda: load.total > 200, patience(10))
    load.assert_unharmed()
    assert host.engine.inspect(NAME)["Config"]["Labels"][OWNER] == "other"
    wait_alone(host)


def test_conflict_says_what_to_write(daemon, hosts, servers):
    """And what it says is what works."""
    host = hosts[0]
    old = made_by_flexkube(host, servers)
    content = spec.document([spec.instance(host)], servers)
    daemon.drop("prod", content)
    message = daemon.wait_phase(host.address, "conflict")["lastError"]["message"]
    assert host.engine.status(old.id) == "running"
    line = re.search(r'"0": \{.*\}', message).group()
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items())
    with LoadGenerator([endpoint(host)], rate=50, long_lived=0) as load:
        wait_for("some load", lambda: load.total > 20, patience(10))
        daemon.drop("prod", f"{text}state:\n  {line}\n")
        daemon.wait_converged(1, "prod")
        wait_for("some more", lambda: load.total > 200, patience(10))
    load.assert_unharmed()
    assert_ours(host)
    wait_alone(host)


def test_conflict_with_another_daemon_gives_no_such_advice(make_daemon, hosts, servers):
    host = hosts[0]
    other = make_daemon("--owner=other").start()
    deploy(other, [host], servers)
    daemon = make_daemon().start()
    daemon.drop("prod", spec.document([spec.instance(host)], servers))
    message = daemon.wait_phase(host.address, "conflict")["lastError"]["message"]
    assert f"{OWNER}=other" in message and '"0": {' not in message
