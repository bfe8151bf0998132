"""The main job: a spec becomes balancers, changes reach them, and what drifts is repaired."""

import json
import time

import pytest

from lab import spec
from lab.engine import EngineEvents
from lab.fleet import CONFIG, NAME, backends, deploy, deploy_local, endpoint, identity, replaced, serves, stats
from lab.load import LoadGenerator, ask
from lab.proc import patience, run, wait_for


def test_three_hosts_converge_within_5_s(daemon, hosts, servers):
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers))
    found = daemon.wait_converged(3, "prod", timeout=patience(5))
    assert [i["phase"] for i in found] == ["converged"] * 3
    for host in hosts:
        assert host.engine.names() == [NAME]
        assert serves(endpoint(host)) in {"api1", "api2", "api3"}


def test_container_is_as_the_contract_says(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    container = host.engine.inspect(NAME)
    labels = container["Config"]["Labels"]
    assert labels["io.apilb.owner"] == "apilb"
    assert labels["io.apilb.spec"] == "prod"
    assert NAME in labels["io.apilb.instance"]
    assert len(labels["io.apilb.config-sha256"]) == 64
    assert len(labels["io.apilb.container-sha256"]) == 64
    assert container["Config"]["User"] == "65534"
    assert container["Config"]["Image"] == "haproxy:2.6-lab"
    assert container["HostConfig"]["NetworkMode"] == "host"
    assert container["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert host.engine.status(NAME) == "running"


def test_requests_go_to_all_api_servers(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    wait_for("all API servers", lambda: backends(endpoint(hosts[0])) >= {"api1", "api2", "api3"}, patience(10))


def test_api_server_that_is_not_ready_is_left_out(daemon, hosts, servers, apis):
    deploy(daemon, hosts[:1], servers)
    serves(endpoint(hosts[0]))
    apis[1].fail()
    wait_for("api2 to be left out", lambda: backends(endpoint(hosts[0])) == {"api1", "api3"}, 15)
    down = daemon.wait("status to know", lambda: [s for s in daemon.instances()[0]["servers"] if s["state"] == "down"])
    assert [s["address"] for s in down] == [servers[1]]
    assert "is stopping" in hosts[0].engine.logs(NAME), "the log tells the transition"
    apis[1].fail(False)
    daemon.wait("all up again", lambda: all(s["state"] == "up" for s in daemon.instances()[0]["servers"]), 15)


def test_stats_socket_tells_but_takes_no_orders(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    assert "Version: 2.6" in stats(hosts[0], "show info")
    rows = [line.split(",") for line in stats(hosts[0], "show stat").splitlines() if line and line[0] != "#"]
    backend, server = next(row[:2] for row in rows if row[1] not in ("FRONTEND", "BACKEND"))
    assert "Permission denied" in stats(hosts[0], f"disable server {backend}/{server}")


# Drift.


def recreate(host, change, name=NAME):
    """By hand, with our labels, but not quite as it was."""
    old = host.engine.inspect(name)
    config = {
        "Cmd": old["Config"]["Cmd"],
        "User": old["Config"]["User"],
        "Labels": old["Config"]["Labels"],
        "HostConfig": {k: old["HostConfig"][k] for k in ("NetworkMode", "Binds", "Mounts", "RestartPolicy") if
                       old["HostConfig"].get(k)},
    }  # fmt: skip
    config["HostConfig"].update(change.get("HostConfig", {}))
    image = change.get("Image", old["Config"]["Image"])
    config.update({key: value for key, value in change.items() if key not in ("Image", "HostConfig")})
    host.engine.remove(name)
    host.engine.create(name, image, **config)
    host.engine.act(name, "start")


def kill_process(host, which):
    """Master or worker, from the outside, with kill -9."""
    master = host.engine.inspect(NAME)["State"]["Pid"]
    workers = host.run("ps", "-o", "pid=", "--ppid", master).split()
    run("kill", "-KILL", master if which == "master" else workers[-1])


DRIFTS = {
    "removed": lambda h: h.engine.remove(NAME),
    "stopped": lambda h: h.engine.act(NAME, "stop", t=0),
    "paused": lambda h: h.engine.act(NAME, "pause"),
    "killed": lambda h: h.engine.act(NAME, "kill", signal="KILL"),
    "master killed": lambda h: kill_process(h, "master"),
    "worker killed": lambda h: kill_process(h, "worker"),
    "renamed": lambda h: h.engine.act(NAME, "rename", name="somebody-was-here"),
    "restart policy": lambda h: h.engine.update(NAME, RestartPolicy={"Name": "no"}),
    "memory limit": lambda h: h.engine.update(NAME, Memory=1 << 28, MemorySwap=1 << 29),
    "image": lambda h: recreate(h, {"Image": "haproxy:3.0-lab"}),
    "user": lambda h: recreate(h, {"User": "0"}),
    "privileged": lambda h: recreate(h, {"HostConfig": {"Privileged": True}}),
    "command": lambda h: recreate(h, {"Cmd": ["haproxy", "-W", "-db", "-q", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]}),
    "environment": lambda h: recreate(h, {"Env": ["LD_PRELOAD=/tmp/evil.so"]}),
    "config edited": lambda h: h.sh(f"echo '# by hand' >>{CONFIG}"),
    "config replaced": lambda h: h.sh(f"echo 'what is this' >{CONFIG}.new; mv {CONFIG}.new {CONFIG}"),
    "config emptied": lambda h: h.sh(f": >{CONFIG}"),
    "config deleted": lambda h: h.sh(f"rm {CONFIG}"),
    "config unreadable": lambda h: h.sh(f"chmod 0 {CONFIG}"),
    "config directory deleted": lambda h: h.sh("rm -r /etc/haproxy"),
    "stats directory deleted": lambda h: h.sh(f"rm -r /var/lib/apilb/{NAME}"),
    "stats directory closed": lambda h: h.sh(f"chmod 0 /var/lib/apilb/{NAME}; chown 0:0 /var/lib/apilb/{NAME}"),
}


def told(host):
    """Whether the stats socket answers with our description."""
    try:
        return "description: apilb " in stats(host, "show info")
    except AssertionError:
        return False


def wellness(host):
    """Everything that can be seen from outside and must be as it was after a repair."""
    container = host.engine.inspect(NAME)
    return {
        "names": host.engine.names(),
        "status": container and container["State"]["Status"],
        "image": container and container["Config"]["Image"],
        "user": container and container["Config"]["User"],
        "command": container and container["Config"]["Cmd"],
        # Each container has another token.
        "env": container and sorted(v for v in container["Config"]["Env"] if not v.startswith("APILB_TOKEN=")),
        "labels": container and container["Config"]["Labels"],
        "restart": container and container["HostConfig"]["RestartPolicy"]["Name"],
        "memory": container and container["HostConfig"]["Memory"],
        "privileged": container and container["HostConfig"]["Privileged"],
        "config": host.sh(f"cat {CONFIG} 2>/dev/null || echo none"),
        "config mode": host.sh(f"stat -c %A {CONFIG} 2>/dev/null || echo none"),
        "stats": host.sh(f"stat -c '%A %u' /var/lib/apilb/{NAME} 2>/dev/null || echo none"),
        "answers": container and container["State"]["Status"] == "running" and told(host),
        "serves": container and ask(endpoint(host), timeout=1) is not None,
    }


@pytest.mark.parametrize("drift", DRIFTS)
def test_drift_is_repaired(daemon, hosts, servers, drift):
    host, others = hosts[0], hosts[1:]
    deploy(daemon, hosts, servers)
    for each in hosts:
        serves(endpoint(each))
    before = wellness(host)
    untouched = [identity(other) for other in others]
    with LoadGenerator([endpoint(other) for other in others], rate=10) as load:
        DRIFTS[drift](host)
        began = time.monotonic()
        # resync 2 s, plus 2 s, plus what looking at it from here costs
        limit = 4.5
        if drift == "command":
            limit += 10  # what is no HAProxy does not know its graceful stop, and is killed after STOP_TIMEOUT_S
        wait_for(f"'{drift}' to be repaired", lambda: wellness(host) == before or None, patience(limit))
        took = time.monotonic() - began
        wait_for("some load", lambda: load.total > 10, 5)
    load.assert_unharmed()
    assert [identity(other) for other in others] == untouched
    daemon.wait_converged(len(hosts))
    assert took < patience(limit)
    # Repaired once, for good: no flapping afterwards.
    with EngineEvents(host.engine) as events:
        time.sleep(4.5)
        assert events.mutating() == []


def test_engine_restarted_and_all_is_well(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, hosts, servers)
    host.engine.stop()
    daemon.wait("the host's trouble to show", lambda: not daemon.instances()[0]["converged"], patience(15))
    assert ask(endpoint(hosts[1]))
    host.engine.start()
    daemon.wait_converged(3, timeout=patience(30))
    serves(endpoint(host))


def test_unreachable_host_holds_up_nobody(daemon, hosts, servers):
    hosts[0].link("down")
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers))
    daemon.wait("the two others", lambda: [i["converged"] for i in daemon.instances()] == [False, True, True],
                patience(10))  # fmt: skip
    daemon.wait_phase(hosts[0].address, "unreachable", patience(15))
    hosts[0].link("up")
    daemon.wait_converged(3, timeout=patience(40))


# Changes.


def test_config_change_reaches_the_running_haproxy(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    before = [identity(host) for host in hosts]
    for host in hosts:
        serves(endpoint(host))
    with LoadGenerator([endpoint(host) for host in hosts], rate=10) as load:
        wait_for("some load", lambda: load.total > 30, patience(10))
        daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers[:1]))
        for host in hosts:
            wait_for(f"{host.name} to use api1 only", lambda h=host: backends(endpoint(h)) == {"api1"}, patience(8))
    load.assert_unharmed()
    assert [identity(host) for host in hosts] == before, "a container was restarted or replaced"
    found = daemon.wait_converged(3)
    assert all([s["address"] for s in i["servers"]] == servers[:1] for i in found)


def test_config_in_a_directory_that_others_use_as_well(daemon, hosts, servers):
    host = hosts[0]
    instance = spec.instance(host, hostConfigPath="/opt/shared/x.cfg")
    host.sh("mkdir -p /opt/shared; echo mine >/opt/shared/other; chmod 750 /opt/shared/other")
    daemon.drop("prod", spec.document([instance], servers))
    daemon.wait_converged(1)
    serves(endpoint(host))
    daemon.drop("prod", spec.document([instance], servers[1:2]))
    wait_for("api2 only", lambda: backends(endpoint(host)) == {"api2"}, patience(10))
    assert host.sh("cat /opt/shared/other; stat -c %a /opt/shared/other") == "mine\n750\n"


def test_config_directly_in_etc(daemon, hosts, servers):
    host = hosts[0]
    instance = spec.instance(host, hostConfigPath="/etc/haproxy-apilb.cfg")
    daemon.drop("prod", spec.document([instance], servers))
    daemon.wait_converged(1)
    serves(endpoint(host))
    daemon.drop("prod", spec.document([instance], servers[2:]))
    wait_for("api3 only", lambda: backends(endpoint(host)) == {"api3"}, patience(10))
    daemon.wait_converged(1)
    former, _ = identity(host)
    host.sh("rm /etc/haproxy-apilb.cfg")  # an engine that looks at it makes a directory of it
    wait_for("a container that sees the new file", lambda: replaced(host, former), patience(10))
    assert "description" in host.read("/etc/haproxy-apilb.cfg")
    serves(endpoint(host))
    daemon.wait_converged(1)


def image_of(host):
    container = host.engine.inspect(NAME)
    return container and container["Config"]["Image"]


def test_image_upgrade_loses_no_request(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    for host in hosts:
        serves(endpoint(host))
    with LoadGenerator([endpoint(host) for host in hosts], rate=10, long_lived=0) as load:
        wait_for("some load", lambda: load.total > 30, patience(10))
        daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers, image="haproxy:3.0-lab"))
        for host in hosts:
            wait_for("the new image", lambda h=host: image_of(h) == "haproxy:3.0-lab", patience(15))
            wait_for("it to be alone", lambda h=host: h.engine.names() == [NAME], patience(15))
            assert "Version: 3.0" in stats(host, "show info")
    load.assert_unharmed()


def test_new_bind_address(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.drop("prod", spec.document([spec.instance(host, bindAddress=[f"{host.address}:7000", "[::]:7001"])], servers))
    serves(f"{host.address}:7000")
    serves(f"[fd77::{host.number}]:7001")
    wait_for("the old port to be closed", lambda: ask(endpoint(host), timeout=0.5) is None, patience(5))


@pytest.mark.parametrize("ports", [(6444, 6443), (6445, 6443)], ids=["swapped", "handed on"])
def test_balancers_that_take_ports_from_each_other(daemon, hosts, servers, ports):
    host = hosts[0]
    names = ("one", "two")

    def write(ports):
        balancers = [
            spec.instance(
                host, name=name, bindAddress=f"{host.address}:{port}", hostConfigPath=f"/etc/haproxy-{name}/haproxy.cfg"
            )
            for name, port in zip(names, ports, strict=True)
        ]
        daemon.drop("prod", spec.document(balancers, servers))

    write((6443, 6444))
    daemon.wait_converged(2)
    before = [identity(host, name) for name in names]
    kept = [f"{host.address}:{port}" for port in (6443, 6444) if port in ports]
    with LoadGenerator(kept, rate=20, long_lived=0) as load:
        wait_for("some load", lambda: load.total > 10, patience(10))
        write(ports)
        for name, (former, _) in zip(names, before, strict=True):
            wait_for(f"a successor of {name}", lambda n=name, f=former: replaced(host, f, n), patience(15))
        wait_for("both alone", lambda: host.engine.names() == list(names), patience(15))
    load.assert_unharmed()


def test_a_port_is_held_until_its_next_balancer_has_its_turn(daemon, hosts, servers):
    host = hosts[0]

    def write(one, two):
        for name, port in (("one", one), ("two", two)):
            balancer = spec.instance(
                host, name=name, bindAddress=f"{host.address}:{port}", hostConfigPath=f"/etc/haproxy-{name}/haproxy.cfg"
            )
            daemon.drop(name, spec.document([balancer], servers))

    write(6443, 6444)
    daemon.wait_converged(2)
    former, _ = identity(host, "one")
    daemon.ctl("pause", "two")
    with LoadGenerator([f"{host.address}:6443", f"{host.address}:6444"], rate=10, long_lived=0) as load:
        write(6444, 6443)
        wait_for("a successor of one", lambda: replaced(host, former, "one"), patience(15))
        daemon.wait_phase("/one", "converged")
        looked = daemon.instance("/one")["observedAt"]
        daemon.wait("another look", lambda: daemon.instance("/one")["observedAt"] != looked, patience(10))
        assert f"one-apilb-old-{former[:8]}" in host.engine.names()
        daemon.ctl("resume", "two")
        wait_for("both alone", lambda: host.engine.names() == ["one", "two"], patience(15))
    load.assert_unharmed()


def test_new_name_replaces_the_container(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.drop("prod", spec.document([spec.instance(host, name="other")], servers))
    wait_for("the new name alone", lambda: host.engine.names() == ["other"], patience(10))
    daemon.wait_converged(1)
    serves(endpoint(host))


@pytest.mark.parametrize("edit", ["reordered", "timeouts", "credentials"])
def test_edits_that_change_nothing_on_hosts(daemon, hosts, servers, edit):
    content = deploy(daemon, hosts, servers)
    before = [identity(host) for host in hosts]
    with EngineEvents(hosts[0].engine) as first, EngineEvents(hosts[2].engine) as last:
        if edit == "reordered":
            content["apiLoadBalancers"].reverse()
        elif edit == "timeouts":
            for instance in content["apiLoadBalancers"]:
                instance["host"]["ssh"].update(connectionTimeout="7s", retryTimeout="1m", retryInterval="250ms")
        elif edit == "credentials":
            for host, instance in zip(hosts, content["apiLoadBalancers"]):
                instance["host"]["ssh"]["privateKeyFile"] = str(host.keys["second"])
        daemon.drop("prod", content)
        daemon.reconcile()
        time.sleep(3)
        daemon.wait_converged(3)
        assert first.mutating() + last.mutating() == []
    assert [identity(host) for host in hosts] == before


# Removal.


def test_instance_that_leaves_the_spec_is_removed(daemon, hosts, servers):
    content = deploy(daemon, hosts, servers)
    left = content["apiLoadBalancers"].pop(1)
    daemon.drop("prod", content)
    wait_for("removal", lambda: hosts[1].engine.names() == [], patience(10))
    daemon.wait_converged(2)
    assert hosts[0].engine.names() == hosts[2].engine.names() == [NAME]
    assert hosts[1].read(CONFIG), "files on the host stay"
    assert left["host"]["ssh"]["address"] not in str(daemon.instances())


def test_spec_that_leaves_the_directory_is_removed(daemon, hosts, local, servers):
    deploy(daemon, hosts, servers)
    deploy_local(daemon, servers)
    daemon.remove("prod")
    daemon.wait_empty("prod")
    assert [host.engine.names() for host in hosts] == [[], [], []]
    assert local.engine.names() == ["lb0"]


def test_empty_list_removes_all_when_something_was_made(daemon, local, servers):
    content = deploy_local(daemon, servers, count=2)
    content["apiLoadBalancers"] = []
    daemon.drop("local", content)
    daemon.wait_empty("local")
    assert local.engine.names() == []


def test_empty_list_is_an_error_when_nothing_was_made(daemon, servers):
    daemon.drop("prod", spec.document([], servers))
    errors = daemon.wait_invalid("prod")
    assert "at least one load balancer must be defined if state is empty" in errors[0]["message"]


def test_removal_while_the_daemon_was_down(daemon, hosts, servers):
    content = deploy(daemon, hosts, servers)
    daemon.drop("second", spec.document([spec.instance(hosts[0], name="two", bindAddress=f"{hosts[0].address}:7000",
                                                       hostConfigPath="/etc/haproxy-two/x.cfg")], servers))  # fmt: skip
    daemon.wait_converged(4)
    daemon.stop()
    daemon.remove("second")
    content["apiLoadBalancers"].pop()
    daemon.drop("prod", content)
    daemon.start()
    wait_for("removal", lambda: [host.engine.names() for host in hosts] == [[NAME], [NAME], []], patience(10))
    daemon.wait_converged(2)


def test_removal_from_a_host_that_was_unreachable_at_first(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    daemon.stop()
    hosts[0].link("down")
    daemon.remove("prod")
    daemon.start()
    wait_for("removal", lambda: [h.engine.names() for h in hosts[1:]] == [[], []], patience(10))
    daemon.wait("it to be remembered", lambda: len(daemon.instances()) == 1)
    assert daemon.instances()[0]["phase"] in {"removing", "unreachable"}
    daemon.restart()  # and remembered after a restart as well
    assert len(daemon.wait("it to be remembered", daemon.instances)) == 1
    hosts[0].link("up")
    wait_for("removal", lambda: hosts[0].engine.names() == [], patience(40))
    daemon.wait_empty()


@pytest.mark.parametrize("loss", ["gone", "unreadable", "a file"])
def test_losing_the_spec_directory_removes_nothing(make_daemon, hosts, servers, loss):
    # Root reads everything; without these two rights it is as anybody else.
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    daemon = make_daemon(prefix=plain).start()
    deploy(daemon, hosts[:1], servers)
    before = identity(hosts[0])
    with EngineEvents(hosts[0].engine) as events:
        aside = daemon.spec_dir.with_name("aside")
        if loss == "unreadable":
            daemon.spec_dir.chmod(0)
        else:
            daemon.spec_dir.rename(aside)
        if loss == "a file":
            daemon.spec_dir.write_text("not a directory")
        time.sleep(3)
        daemon.process.check()
        daemon.process.child.send_signal(1)  # a reload asks for another look
        time.sleep(2)
        daemon.stop()
        daemon.start(wait=False)  # and a start in this state may be refused, but removes nothing either
        time.sleep(2)
        assert events.mutating() == []
        assert identity(hosts[0]) == before
        if daemon.process.running():
            daemon.stop()
        daemon.process = None
        if loss == "unreadable":
            daemon.spec_dir.chmod(0o755)
        else:
            if loss == "a file":
                daemon.spec_dir.unlink()
            aside.rename(daemon.spec_dir)
        daemon.start()
        daemon.wait_converged(1)
        assert events.mutating() == []


# Ownership, memory, crashes.


def test_container_of_somebody_else_is_left_alone(daemon, hosts, servers):
    host = hosts[0]
    foreign = host.engine.create(NAME, "haproxy:2.6-lab", Cmd=["busybox", "sleep", "10000"])
    host.engine.act(NAME, "start")
    with EngineEvents(host.engine) as events:
        daemon.drop("prod", spec.document([spec.instance(host)], servers))
        found = daemon.wait_phase(host.address, "conflict")
        assert NAME in found["lastError"]["message"]
        daemon.remove("prod")
        daemon.wait_empty()
        assert [e for e in events.mutating() if e[2] == NAME] == []
    assert host.engine.inspect(NAME)["Id"] == foreign
    assert host.engine.status(NAME) == "running"


def test_container_of_another_owner_is_left_alone(make_daemon, local, servers):
    other = make_daemon("--owner=other").start()
    deploy_local(other, servers)
    other.stop()
    before = identity(local, "lb0")
    daemon = make_daemon().start()
    daemon.drop("local", spec.document([spec.direct("lb0")], servers))
    daemon.wait_phase("lb0", "conflict")
    assert identity(local, "lb0") == before


def test_state_hands_a_container_over(make_daemon, local, servers):
    """Another tool's container, named by `state`, becomes ours; the requests do not notice."""
    other = make_daemon("--owner=other").start()
    content = deploy_local(other, servers)
    exported = other.ctl("state", "export", "local").stdout
    other.stop()
    assert exported.startswith("state:")
    old = local.engine.inspect("lb0")["Id"]
    assert old in exported
    recreate(local, {"Labels": {}}, "lb0")
    exported = exported.replace(old, local.engine.inspect("lb0")["Id"])
    serves("127.0.0.1:7443")
    # Every JSON value is YAML as well: a document with two halves.
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items()) + exported
    daemon = make_daemon().start()
    with LoadGenerator(["127.0.0.1:7443"], rate=10, long_lived=0) as load:
        daemon.drop("local", text)
        daemon.wait_converged(1)
        wait_for("some load", lambda: load.total > 20, 10)
    load.assert_unharmed()
    assert local.engine.inspect("lb0")["Config"]["Labels"]["io.apilb.owner"] == "apilb"
    wait_for("the former to leave", lambda: local.engine.names() == ["lb0"], patience(15))


def test_amnesia_changes_nothing(daemon, hosts, servers):
    """The store can be lost: the labels are enough."""
    deploy(daemon, hosts, servers)
    before = [identity(host) for host in hosts]
    daemon.stop()
    run("rm", "-r", daemon.state_dir)
    recorders = [EngineEvents(host.engine) for host in hosts]
    daemon.start()
    daemon.wait_converged(3)
    time.sleep(2.5)
    assert [recorder.mutating() for recorder in recorders] == [[], [], []]
    for recorder in recorders:
        recorder.close()
    assert [identity(host) for host in hosts] == before


def test_amnesia_and_a_smaller_spec(daemon, hosts, servers):
    """What has left the spec is found by its labels, on the hosts that are still known."""
    host = hosts[0]
    second = spec.instance(host, name="two", bindAddress=f"{host.address}:7000", hostConfigPath="/etc/haproxy-2/x.cfg")
    daemon.drop("prod", spec.document([spec.instance(host), second], servers))
    daemon.wait_converged(2)
    daemon.stop()
    run("rm", "-r", daemon.state_dir)
    daemon.drop("prod", spec.document([spec.instance(host)], servers))
    daemon.start()
    wait_for("removal of the orphan", lambda: host.engine.names() == [NAME], patience(10))
    daemon.wait_converged(1)


@pytest.mark.parametrize("delay", [0.05, 0.1, 0.2, 0.4, 0.8])
def test_crash_while_deploying(daemon, hosts, servers, delay):
    content = spec.document([spec.instance(host) for host in hosts], servers)
    for _ in range(3):
        daemon.drop("prod", content)
        time.sleep(patience(delay))
        daemon.crash()
        daemon.start()
    daemon.wait_converged(3)
    assert [host.engine.names() for host in hosts] == [[NAME]] * 3
    for host in hosts:
        serves(endpoint(host))


def test_invalid_edit_keeps_the_last_good_version(daemon, hosts, servers):
    content = deploy(daemon, hosts[:1], servers)
    before = identity(hosts[0])
    content["apiLoadBalancers"][0]["bindAdress"] = "oops"
    daemon.drop("prod", content)
    errors = daemon.wait_invalid("prod")
    assert errors[0]["path"] == "apiLoadBalancers[0].bindAdress"
    assert "bindAddress" in errors[0]["message"], "names the nearest known key"
    hosts[0].engine.remove(NAME)  # and it is still taken care of
    wait_for("repair", lambda: hosts[0].engine.status(NAME) == "running", patience(6))
    daemon.restart()  # the last good version survives a restart
    assert daemon.spec("prod")["valid"] is False
    hosts[0].engine.remove(NAME)
    wait_for("repair", lambda: hosts[0].engine.status(NAME) == "running", patience(6))
    assert identity(hosts[0]) != before
    del content["apiLoadBalancers"][0]["bindAdress"]
    daemon.drop("prod", content)
    daemon.wait("it to be valid", lambda: daemon.spec("prod")["valid"])
    daemon.wait_converged(1)


def test_config_that_haproxy_refuses_never_takes_over(daemon, hosts, servers, apis):
    """Valid as a spec, refused by HAProxy: a bind address that the host does not have."""
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    serves(endpoint(host))
    content["apiLoadBalancers"][0]["bindAddress"] = [host.address, "192.0.2.77:6443"]
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", content)
        daemon.wait_error(host.address, "192.0.2.77|bind|refused|reload")
        wait_for("some load", lambda: load.total > 30, 10)
    load.assert_unharmed()


def test_quiet_when_converged(make_daemon, hosts, servers):
    daemon = make_daemon(resync="1s").start()
    deploy(daemon, hosts, servers)
    serves(endpoint(hosts[0]))
    time.sleep(1)
    recorders = [EngineEvents(host.engine) for host in hosts]
    looked = {i["id"]: i["observedAt"] for i in daemon.instances()}
    time.sleep(11)  # ten resyncs and then some
    assert [recorder.mutating() for recorder in recorders] == [[], [], []]
    for recorder in recorders:
        recorder.close()
    assert all(i["observedAt"] != looked[i["id"]] for i in daemon.instances()), "it did look"
    assert [host.sshd.connections() for host in hosts] == [1, 1, 1], "one SSH connection a host"
