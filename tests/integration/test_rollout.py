"""A change goes over the hosts one after the other, and stops when it does harm; repairs never wait."""

import json
import sqlite3
import time
from types import SimpleNamespace

import pytest

from lab import spec
from lab.fleet import CONFIG, NAME, deploy, deploy_local, endpoint, identity, serves
from lab.flexkube import Balancer, ssh
from lab.hosts import Sshd
from lab.load import LoadGenerator
from lab.proc import patience, wait_for

QUICK = {"canary": 1, "parallel": 1, "settle": "1s"}
NOBODY = ["10.77.0.254:1"]


def edit(daemon, hosts, servers, rollout=QUICK, instances=None, **more):
    """Another version, known to the daemon when this returns."""
    instances = instances or [spec.instance(host) for host in hosts]
    daemon.drop("prod", spec.document(instances, servers, rollout=rollout, **more))
    daemon.reconcile()


def rollout(daemon):
    return daemon.spec("prod")["rollout"]


def types(daemon):
    return [e["type"] for e in daemon.events() if e["spec"] == "prod" and e["instance"] is None]


def lists(host, server):
    return server in host.read(CONFIG)


def wait_rollout(daemon, phase, timeout=None):
    def reached():
        found = rollout(daemon)
        return (found is None) if phase is None else (found and found["phase"] == phase and found)

    return daemon.wait(f"the rollout to be {phase}", reached, timeout or patience(30))


def wait_held(daemon, count):
    def held():
        return len([i for i in daemon.instances() if i["phase"] == "pending" and "its turn" in i["progress"]]) == count

    daemon.wait(f"{count} held", held, patience(15))


def wait_turns(daemon, hosts, server):
    """Which host had the server in its config first, and how many at that time: host by host."""
    seen = []
    deadline = time.monotonic() + patience(40)
    while len(seen) < len(hosts) and time.monotonic() < deadline:
        for host in hosts:
            if host not in seen and lists(host, server):
                seen.append(host)
        time.sleep(0.05)
    return seen


def test_the_canary_comes_first_and_the_others_one_after_the_other(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2])
    before = [identity(host) for host in hosts]
    with LoadGenerator([endpoint(host) for host in hosts], rate=10) as load:
        edit(daemon, hosts, servers, {"canary": 1, "parallel": 1, "settle": "2s"})
        wait_for("the canary", lambda: lists(hosts[0], servers[2]), patience(10))
        begin = time.monotonic()
        status = rollout(daemon)
        assert (status["phase"], status["total"], status["done"]) == ("rolling", 3, 0)
        wait_held(daemon, 2)
        table = daemon.ctl("status")
        assert "ROLLOUT of prod: 0 of 3 hosts are done" in table.stderr
        assert "waits for its turn: 0 of 3 hosts are done" in table.stdout
        assert not lists(hosts[1], servers[2]) and not lists(hosts[2], servers[2])
        metrics = daemon.metrics()
        assert metrics['apilb_rollout_hosts{spec="prod",state="all"}'] == 3
        assert metrics['apilb_rollout_stopped{spec="prod",phase="rolling"}'] == 0
        turns = wait_turns(daemon, hosts, servers[2])
        assert turns == hosts
        assert time.monotonic() - begin >= 3.9, "each has settled before the next"
        daemon.wait_converged(3)
        wait_rollout(daemon, None)
    load.assert_unharmed()
    assert types(daemon)[-2:] == ["rollout-started", "rollout-done"]
    assert [identity(host) for host in hosts] == before


def test_several_at_a_time_or_all_at_once(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2])
    edit(daemon, hosts, servers, {"canary": 0, "parallel": "100%", "settle": "0s"})
    daemon.wait_converged(3)
    assert all(lists(host, servers[2]) for host in hosts)
    edit(daemon, hosts, servers[:1], {"canary": 1, "parallel": "60%", "settle": "1s"})
    daemon.wait("two at a time", lambda: (rollout(daemon) or {}).get("changing") == 2, patience(20))
    daemon.ctl("status", "--wait=60s", "prod")
    assert not any(lists(host, servers[1]) for host in hosts)


def test_a_change_that_haproxy_refuses_stops_at_the_canary(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    before = [host.read(CONFIG) for host in hosts]
    edit(daemon, hosts, NOBODY)
    status = wait_rollout(daemon, "halted")
    assert hosts[0].address in status["why"] and "none of the 1 wanted servers up" in status["why"]
    assert (status["done"], status["failed"], status["total"]) == (0, 1, 3)
    for host in hosts[1:]:
        assert daemon.instance(host.address)["phase"] == "paused"
    assert daemon.instance(hosts[0].address)["phase"] in ("failed", "reconciling")
    assert [host.read(CONFIG) for host in hosts] == before
    for host in hosts:
        serves(endpoint(host))
    assert types(daemon)[-1] == "rollout-halted"
    waited = daemon.ctl("status", "--wait=60s", "prod", expect=1, timeout=patience(10))
    assert "ROLLOUT HALTED: prod, 0 of 3 hosts are done" in waited.stderr and "apilbctl resume prod" in waited.stderr
    daemon.ctl("reconcile", "--wait=60s", "prod", expect=1)
    # A new edit starts over, and mends it.
    edit(daemon, hosts, servers[:2])
    daemon.ctl("status", "--wait=60s", "prod")
    assert not any(lists(host, servers[2]) for host in hosts)


def test_a_balancer_that_loses_its_servers_while_it_settles_stops_it(daemon, hosts, servers, apis):
    deploy(daemon, hosts, servers)
    edit(daemon, hosts, servers[:1], {"canary": 1, "parallel": 1, "settle": "8s"})
    daemon.wait("the canary", lambda: rollout(daemon)["changing"] == 1, patience(10))
    daemon.wait_phase(hosts[0].address, "converged")
    apis[0].fail()
    status = wait_rollout(daemon, "halted")
    assert "sees none of its 1 API servers up; before, it saw some" in status["why"]
    assert lists(hosts[1], servers[1]) and lists(hosts[2], servers[1])
    apis[0].fail(False)
    # It is well again, and settles; but nobody has said that it may go on.
    daemon.wait("it is done", lambda: rollout(daemon)["done"] == 1, patience(30))
    assert rollout(daemon)["phase"] == "halted"
    assert lists(hosts[1], servers[1])
    daemon.ctl("resume", "prod")
    daemon.ctl("status", "--wait=90s", "prod", timeout=patience(100))
    assert not any(lists(host, servers[1]) for host in hosts)
    assert types(daemon)[-2:] == ["resumed", "rollout-done"]


def test_resume_goes_on_past_what_has_failed(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    hosts[0].engine.remove(NAME)
    wait_for("repair", lambda: hosts[0].engine.status(NAME) == "running", patience(15))
    daemon.wait_converged(3)
    instances = [spec.instance(host) for host in hosts]
    instances[0]["image"] = "haproxy:nowhere"
    edit(daemon, hosts, servers[:2], instances=instances)
    wait_rollout(daemon, "halted")
    daemon.ctl("resume", "prod")
    wait_for("the others", lambda: not lists(hosts[2], servers[2]) and not lists(hosts[1], servers[2]), patience(30))
    assert daemon.instance(hosts[0].address)["phase"] != "converged"
    daemon.wait("the count", lambda: rollout(daemon)["done"] == 2, patience(20))
    assert rollout(daemon)["failed"] == 1
    serves(endpoint(hosts[0]))


def test_revert_brings_back_what_was_changed(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    before = [host.read(CONFIG) for host in hosts]
    instances = [spec.instance(host) for host in hosts]
    instances[1]["servers"] = NOBODY
    settings = {"canary": 1, "parallel": 1, "settle": "1s", "onFailure": "revert"}
    edit(daemon, hosts, servers[:2], settings, instances=instances)
    wait_for("the canary", lambda: not lists(hosts[0], servers[2]), patience(10))
    status = wait_rollout(daemon, "reverted")
    assert hosts[1].address in status["why"]
    wait_for("it is back", lambda: [host.read(CONFIG) for host in hosts] == before, patience(20))
    daemon.wait("all are held", lambda: all(i["phase"] == "paused" for i in daemon.instances()), patience(20))
    daemon.restart()
    daemon.wait("as before", lambda: all(i["phase"] == "paused" for i in daemon.instances()), patience(20))
    assert [host.read(CONFIG) for host in hosts] == before
    assert rollout(daemon)["phase"] == "reverted"
    # Resumed it starts over, and fails again.
    daemon.ctl("resume", "prod")
    wait_for("the canary again", lambda: not lists(hosts[0], servers[2]), patience(10))
    wait_rollout(daemon, "reverted")
    # What all have is nothing to roll out.
    edit(daemon, hosts, servers, settings)
    daemon.ctl("status", "--wait=60s", "prod")
    assert [host.read(CONFIG) for host in hosts] == before


def test_pause_holds_changes_and_no_repairs(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2])
    assert daemon.request("POST", "/v1/resume?spec=prod")[0] == 409
    assert daemon.request("POST", "/v1/pause")[0] == 400
    assert daemon.request("POST", "/v1/pause?spec=nobody")[0] == 404
    daemon.ctl("pause", "prod")
    daemon.ctl("pause", "prod")
    assert "PAUSED: changes of prod are held" in daemon.ctl("status").stderr
    daemon.ctl("status", "--wait=5s", "prod")  # nothing is held
    edit(daemon, hosts[:2], servers, {"canary": 0, "parallel": "100%", "settle": "0s"})
    daemon.wait("all are held", lambda: [i["phase"] for i in daemon.instances()] == ["paused"] * 3, patience(15))
    waited = daemon.ctl("status", "--wait=60s", "prod", expect=1, timeout=patience(10))
    assert "apilbctl resume prod" in waited.stderr
    # What has gone is made as it was: of the version in force.
    for host in hosts:
        host.engine.remove(NAME)
    for host in hosts:
        serves(endpoint(host), timeout=15)
        assert not lists(host, servers[2])
    # A plan shows what will be done, and that it is not done now.
    plan = json.loads(daemon.ctl("-o", "json", "plan", "prod", expect=1).stdout)
    (one,) = [i for i in plan["instances"] if hosts[0].address in i["id"]]
    assert "changes are paused" in one["held"]
    assert servers[2] in one["configDiff"] and one["actions"]
    assert "held: changes are paused" in daemon.ctl("plan", "prod", expect=1).stdout
    # It outlives the daemon, and what was removed meanwhile is removed only afterwards.
    daemon.crash()
    hosts[0].engine.remove(NAME)
    daemon.start()
    serves(endpoint(hosts[0]), timeout=15)
    daemon.wait("all are held", lambda: [i["phase"] for i in daemon.instances()] == ["paused"] * 3, patience(15))
    assert not any(lists(host, servers[2]) for host in hosts)
    assert hosts[2].engine.status(NAME) == "running"
    daemon.ctl("resume", "prod")
    daemon.wait_converged(2)
    assert lists(hosts[0], servers[2]) and lists(hosts[1], servers[2])
    assert hosts[2].engine.names() == []


def test_pause_holds_what_is_added_and_what_the_state_gives_up(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    old = Balancer(hosts[2], endpoint(hosts[2]), servers)
    serves(endpoint(hosts[2]))
    daemon.ctl("pause", "prod")
    edit(daemon, hosts[:2], servers, state={"0": old.state(ssh(hosts[2]))})
    daemon.wait("it is held", lambda: (found := daemon.instance(hosts[1].address)) and found["phase"] == "paused")
    daemon.restart()
    daemon.wait("it is held", lambda: (found := daemon.instance(hosts[1].address)) and found["phase"] == "paused")
    daemon.wait("a look", lambda: daemon.instance(hosts[0].address)["observedAt"], patience(10))
    plan = json.loads(daemon.ctl("-o", "json", "plan", "prod", expect=1).stdout)
    (new,) = [i for i in plan["instances"] if hosts[1].address in i["id"]]
    assert new["held"] and [action["action"] for action in new["actions"]][-1] == "await"
    assert hosts[1].engine.names() == []
    assert not old.gone()
    serves(endpoint(hosts[2]))
    daemon.ctl("resume", "prod")
    wait_for("the state's container to go", old.gone, patience(20))
    daemon.ctl("status", "--wait=60s", "prod")
    serves(endpoint(hosts[1]))


def test_a_crash_in_the_middle_forgets_nothing(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2])
    edit(daemon, hosts, servers, {"canary": 1, "parallel": 1, "settle": "3s"})
    wait_for("the canary", lambda: lists(hosts[0], servers[2]), patience(10))
    daemon.crash()
    hosts[1].engine.remove(NAME)
    hosts[2].write(CONFIG, "garbage\n")
    daemon.start()
    serves(endpoint(hosts[1]), timeout=10)
    wait_for("repair", lambda: "garbage" not in hosts[2].read(CONFIG), patience(10))
    assert not lists(hosts[1], servers[2]) and not lists(hosts[2], servers[2])
    assert wait_turns(daemon, hosts, servers[2]) == hosts
    daemon.ctl("status", "--wait=60s", "prod")
    assert [t for t in types(daemon) if t.startswith("rollout")] == ["rollout-started", "rollout-done"]


def test_a_halt_outlives_the_daemon(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    edit(daemon, hosts, NOBODY)
    why = wait_rollout(daemon, "halted")["why"]
    daemon.crash()
    daemon.start()
    for host in hosts[1:]:
        daemon.wait_phase(host.address, "paused")
    assert rollout(daemon)["why"] == why and rollout(daemon)["phase"] == "halted"
    edit(daemon, hosts, servers)  # back to where it was
    daemon.ctl("status", "--wait=60s", "prod")
    assert types(daemon)[-1] == "rollout-done"


def test_a_host_that_cannot_be_reached_is_left_out_and_done_later(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2])
    hosts[0].link("down")
    daemon.wait_phase(hosts[0].address, "unreachable", patience(30))
    edit(daemon, hosts, servers)
    wait_for("the others", lambda: lists(hosts[1], servers[2]) and lists(hosts[2], servers[2]), patience(30))
    daemon.wait("the count", lambda: rollout(daemon)["done"] == 2, patience(20))
    status = rollout(daemon)
    assert (status["phase"], status["unreachable"], status["failed"]) == ("rolling", 1, 0)
    assert status["why"] == "2 of 3 hosts are done, 1 cannot be reached"
    hosts[0].link("up")
    daemon.ctl("status", "--wait=90s", "prod", timeout=patience(100))
    assert lists(hosts[0], servers[2])
    assert types(daemon)[-1] == "rollout-done"


def test_a_host_that_was_never_reached_has_nothing_to_roll_out(daemon, hosts, servers):
    hosts[0].link("down")
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers, rollout=QUICK))
    daemon.wait_phase(hosts[0].address, "unreachable", patience(30))
    edit(daemon, hosts, servers[:2])
    daemon.wait("the rollout", lambda: rollout(daemon) and rollout(daemon)["total"] == 2, patience(10))
    wait_rollout(daemon, None)
    hosts[0].link("up")
    daemon.wait_converged(3)
    assert not any(lists(host, servers[2]) for host in hosts)


def test_what_is_new_does_not_wait(daemon, hosts, servers):
    deploy(daemon, hosts[:2], servers)
    edit(daemon, hosts, servers[:2], {"canary": 1, "parallel": 1, "settle": "20s"})
    wait_for("the new one", lambda: hosts[2].engine.status(NAME) == "running", patience(15))
    assert rollout(daemon)["total"] == 2
    assert lists(hosts[1], servers[2])


def test_all_that_a_spec_has_on_a_host_changes_together(daemon, local, servers):
    deploy_local(daemon, servers, name="prod", count=3)
    content = [spec.direct(f"lb{n}", 7443 + n) for n in range(3)]
    edit(daemon, [], servers[:2], instances=content)
    assert rollout(daemon)["total"] == 1
    daemon.wait_converged(3)
    wait_rollout(daemon, None)
    # One that did not change has no part in it: that it fails is its own affair.
    content[0]["bindAddress"] = ["192.0.2.77:7443"]
    edit(daemon, [], servers[:2], instances=content)
    wait_rollout(daemon, "halted")
    content[1]["servers"] = servers
    edit(daemon, [], servers[:2], instances=content)
    daemon.wait("the edit", lambda: types(daemon).count("rollout-started") == 3, patience(10))


def test_what_is_new_waits_for_the_place_that_another_gives_up(daemon, hosts, servers):
    deploy(daemon, hosts[:2], servers)
    second = {"name": "second", "hostConfigPath": "/etc/second/haproxy.cfg"}
    moved = [spec.instance(host, bindAddress=f"{host.address}:6444") for host in hosts[:2]]
    new = [spec.instance(host, **second) for host in hosts[:2]]
    edit(daemon, hosts, servers, {"canary": 1, "parallel": 1, "settle": "3s"}, instances=moved + new)
    wait_for("the canary", lambda: hosts[0].engine.status("second") == "running", patience(15))
    assert hosts[1].engine.names() == [NAME]
    assert "second" in [i["name"] for i in daemon.instances() if i["phase"] == "pending"]
    daemon.ctl("status", "--wait=60s", "prod")
    for host in hosts[:2]:
        assert sorted(host.engine.names()) == [NAME, "second"]
        serves(endpoint(host))
        serves(f"{host.address}:6444")


def test_a_new_edit_starts_over(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    edit(daemon, hosts, servers[:2], {"canary": 1, "parallel": 1, "settle": "20s"})
    wait_for("the canary", lambda: not lists(hosts[0], servers[2]), patience(10))
    edit(daemon, hosts, servers[:1], {"canary": 1, "parallel": 1, "settle": "1s"})
    assert wait_for("the canary again", lambda: not lists(hosts[0], servers[1]), patience(10))
    assert lists(hosts[1], servers[2])
    daemon.ctl("status", "--wait=60s", "prod")
    assert not any(lists(host, servers[1]) for host in hosts)
    assert types(daemon).count("rollout-started") == 2


@pytest.mark.parametrize("stored", [None, "{", '{"id": "x", "servers": 5}'])
def test_what_no_store_knows_is_asked_of_the_host(daemon, hosts, servers, stored):
    """An older apilbd did not write down what is in force; or it is damaged."""
    deploy(daemon, hosts, servers)
    before = [identity(host) for host in hosts]
    daemon.stop()
    with sqlite3.connect(daemon.state_dir / "apilbd.db") as store:
        store.execute("UPDATE instance SET in_force = ?", (stored,))
    store.close()
    content = [spec.instance(host) for host in hosts]
    daemon.drop("prod", spec.document(content, servers[:2], rollout={**QUICK, "settle": "60s"}))
    daemon.start()
    wait_for("the first", lambda: any(not lists(host, servers[2]) for host in hosts), patience(10))
    wait_held(daemon, 2)
    assert len([host for host in hosts if lists(host, servers[2])]) == 2
    assert rollout(daemon)["total"] == 3
    assert [identity(host) for host in hosts] == before
    told = [e["message"] for e in daemon.events() if e["type"] == "store"]
    assert len(told) == (3 if stored else 0) and all("cannot be read" in text for text in told)


def test_once_waits_for_its_end(make_daemon, hosts, servers):
    daemon = make_daemon()
    content = [spec.instance(host) for host in hosts]
    daemon.drop("prod", spec.document(content, servers))
    daemon.once()
    daemon.drop("prod", spec.document(content, servers[:2], rollout=QUICK))
    daemon.once(timeout=patience(40))
    assert not any(lists(host, servers[2]) for host in hosts)
    daemon.drop("prod", spec.document(content, NOBODY, rollout=QUICK))
    said = daemon.once(expect=1, timeout=patience(40))
    assert "the rollout was halted" in said.stderr
    assert all(lists(host, servers[0]) for host in hosts)


@pytest.fixture
def twelve(lab, local):
    """Twelve SSH hosts: loopback addresses of one sshd, with one engine. Yields the instances of a spec."""
    keys = lab.hosts[0].keys
    local.sh("mkdir -p /run/sshd")
    sshd = Sshd(SimpleNamespace(name="local", directory=local.directory, keys=keys, within=[]))
    yield [
        {
            "name": f"lb{n}",
            "host": {"ssh": {"address": f"127.0.1.{n}", "privateKeyFile": str(keys["ed25519"])}},
            "bindAddress": f"127.0.0.1:{7000 + n}",
            "hostConfigPath": f"/etc/haproxy-{n}/haproxy.cfg",
        }
        for n in range(1, 13)
    ]
    sshd.stop(sessions=True)


def test_the_window_slides_over_many_hosts(daemon, twelve, local, servers):
    daemon.drop("prod", spec.document(twelve, servers[:2]))
    daemon.wait_converged(12, timeout=patience(60))
    daemon.drop("prod", spec.document(twelve, servers, rollout={"canary": 2, "parallel": "25%", "settle": "2s"}))
    daemon.reconcile()

    def changed():
        return [n for n in range(1, 13) if servers[2] in local.read(f"/etc/haproxy-{n}/haproxy.cfg")]

    counts, order = [], []
    while (status := rollout(daemon)) is not None:
        done = changed()
        order += [n for n in done if n not in order]
        # What is looked at later may have gone on, not back.
        counts.append((status["done"], status["changing"], len(done)))
        time.sleep(0.1)
    daemon.wait_converged(12)
    assert max(changing for _, changing, _ in counts) == 3, counts
    assert all(changing <= 2 for done, changing, _ in counts if done < 2), counts
    assert sorted(order[:2]) == [1, 2]
    assert sorted(order) == list(range(1, 13))
    assert any(0 < n < 12 for _, _, n in counts)
