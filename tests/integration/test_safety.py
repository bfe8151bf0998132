"""No edit and no failure takes down a good balancer: cases that a review found."""

import json
import os
import threading
import time

import pytest

from lab import spec
from lab.fleet import CONFIG, NAME, deploy, deploy_local, endpoint, identity, serves, stats
from lab.load import LoadGenerator
from lab.proc import always, patience, wait_for


def unusable(host):
    """A spec that is valid, and that HAProxy cannot take: it binds what the host does not have."""
    return [host.address, "192.0.2.77:6443"]


def test_refused_config_is_not_left_for_the_next_restart(daemon, hosts, servers):
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    good = host.read(CONFIG)
    content["apiLoadBalancers"][0]["bindAddress"] = unusable(host)
    daemon.drop("prod", content)
    daemon.wait_error(host.address, "192.0.2.77")
    wait_for("the former config to be back", lambda: host.read(CONFIG) == good, patience(15))
    # As at a reboot: what the file holds must work.
    host.engine.act(NAME, "restart", t=0)
    serves(endpoint(host), timeout=10)


def test_refused_config_is_tried_ever_more_seldom(daemon, hosts, servers):
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    before = identity(host)
    content["apiLoadBalancers"][0]["bindAddress"] = unusable(host)
    daemon.drop("prod", content)
    daemon.wait_error(host.address, "192.0.2.77")
    time.sleep(4)
    tried = host.engine.inspect(NAME)["Id"]
    assert tried == before[0]
    events = [e for e in daemon.events() if e["type"] == "create"]
    time.sleep(6.5)  # three resyncs
    again = [e for e in daemon.events() if e["type"] == "create"]
    assert len(again) - len(events) <= 1
    # The reason stays, word by word, and a corrected spec counts at once.
    assert "192.0.2.77" in daemon.instances()[0]["lastError"]["message"]
    with LoadGenerator([endpoint(host)], rate=10) as load:
        deploy(daemon, [host], servers[:2])
        wait_for("some load", lambda: load.total > 20, patience(10))
    load.assert_unharmed()


def test_failed_handover_leaves_the_old_one_answering(daemon, hosts, servers):
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    content["apiLoadBalancers"][0]["bindAddress"] = unusable(host)
    daemon.drop("prod", content)
    daemon.wait_error(host.address, "192.0.2.77")
    assert "description: apilb " in stats(host, "show info")
    deploy(daemon, [host], servers)
    assert host.engine.names() == [NAME]


def test_broken_image_never_takes_over(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    before = identity(host)
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", spec.document([spec.instance(host)], servers, image="busybox:lab-none"))
        daemon.wait_error(host.address, "busybox")
        wait_for("some load", lambda: load.total > 20, patience(10))
    load.assert_unharmed()
    assert identity(host) == before


def test_another_way_to_the_same_engine_removes_nothing(daemon, local, servers, tmp_path):
    """The old way leaves the spec, the new one enters it: the container is one."""
    content = deploy_local(daemon, servers)
    before = identity(local, "lb0")
    link = tmp_path / "engine.sock"
    link.symlink_to("/var/run/docker.sock")
    content["runtime"] = {"docker": {"host": f"unix://{link}"}}
    with LoadGenerator(["127.0.0.1:7443"], rate=10) as load:
        daemon.drop("local", content)
        daemon.reconcile()
        daemon.wait_converged(1, "local")
        always("the container stays", lambda: local.engine.names() == ["lb0"], 5)
    load.assert_unharmed()
    assert identity(local, "lb0") == before


def test_renamed_host_keeps_its_balancer(daemon, hosts, servers):
    """The same machine by another of its addresses."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    before = identity(host)
    instance = spec.instance(host)
    instance["host"]["ssh"]["address"] = f"fd77::{host.number}"
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", spec.document([instance], servers))
        daemon.reconcile()
        daemon.wait_converged(1, "prod")
        always("the container stays", lambda: host.engine.names() == [NAME], 5)
    load.assert_unharmed()
    assert identity(host) == before


def test_beginning_of_an_id_is_not_a_name(daemon, local, servers):
    content = deploy_local(daemon, servers)
    before = identity(local, "lb0")
    second = spec.direct(before[0][:12], 7450)
    content["apiLoadBalancers"].append(second)
    daemon.drop("local", content)
    daemon.wait_converged(2, "local")
    assert identity(local, "lb0") == before
    serves("127.0.0.1:7443")
    serves("127.0.0.1:7450")


def test_corrected_ssh_user_counts_at_once(daemon, hosts, servers):
    host = hosts[0]
    instance = spec.instance(host)
    instance["host"]["ssh"]["user"] = "nobody-there"
    daemon.drop("prod", spec.document([instance], servers))
    daemon.wait_phase(host.address, "unreachable", patience(15))
    deploy(daemon, [host], servers)
    serves(endpoint(host))


def test_half_a_spec_at_the_start_removes_nothing(make_daemon, local, servers):
    """Somebody is still writing it, and the half that is there is valid by itself."""
    daemon = make_daemon().start()
    content = deploy_local(daemon, servers, count=2)
    before = [identity(local, name) for name in ("lb0", "lb1")]
    daemon.stop()
    path = daemon.spec_dir / "local.yaml"

    def write(content):
        path.write_text(json.dumps(content))

    def finish():
        for _ in range(30):
            time.sleep(0.02)
            os.utime(path)
        write(content)

    write({**content, "apiLoadBalancers": content["apiLoadBalancers"][:1]})
    writer = threading.Thread(target=finish)
    writer.start()
    daemon.start()
    writer.join()
    daemon.wait_converged(2, "local")
    assert [identity(local, name) for name in ("lb0", "lb1")] == before


def test_removed_orphan_is_told(make_daemon, local, servers):
    """Labels of ours, and nobody who wants it: it goes, and not in silence."""
    daemon = make_daemon().start()
    content = deploy_local(daemon, servers, count=2)
    daemon.stop()
    # The store is lost, and so is one of the two from the spec.
    for file in daemon.state_dir.glob("*"):
        file.unlink()
    content["apiLoadBalancers"].pop()
    daemon.drop("local", content)
    daemon.start()
    wait_for("removal", lambda: local.engine.names() == ["lb0"], patience(15))
    assert any("lb1" in e["message"] and e["type"] == "remove" for e in daemon.events())


def test_mistyped_address_is_forgotten(daemon, hosts, servers):
    """Where nothing was ever done there is nothing to remove, reachable or not."""
    host = hosts[0]
    instance = spec.instance(host)
    instance["host"]["ssh"]["address"] = "10.77.0.99"
    daemon.drop("prod", spec.document([instance], servers))
    daemon.wait_phase("10.77.0.99", "unreachable", patience(15))
    deploy(daemon, [host], servers)
    assert "10.77.0.99" not in str(daemon.instances())


@pytest.mark.parametrize("path", ["/run/dokcer.sock", "/run/other.sock"])
def test_mistyped_engine_is_forgotten(daemon, hosts, servers, path):
    """The host answers, but no engine there: nothing is, and something else than an engine."""
    host = hosts[0]
    host.sh("rm -f /run/other.sock; /usr/bin/python3 -c 'import socket; s = socket.socket(socket.AF_UNIX); s.bind(\"/run/other.sock\")'")
    deploy(daemon, [hosts[1]], servers)
    wrong = spec.instance(host)
    wrong["runtime"] = {"docker": {"host": f"unix://{path}"}}
    daemon.drop("prod", spec.document([wrong, spec.instance(hosts[1])], servers))
    daemon.wait_phase(host.address, "unreachable")
    # Also one that is only remembered.
    if path == "/run/other.sock":
        daemon.stop()
        daemon.drop("prod", spec.document([spec.instance(hosts[1])], servers))
        daemon.start()
    deploy(daemon, hosts[:2], servers)
    daemon.ctl("status", "--wait=20s", "prod")
    # What an engine has been reached for is not: that has to be removed, when the host is back.
    host.link("down")
    daemon.drop("prod", spec.document([spec.instance(hosts[1])], servers))
    daemon.wait_phase(host.address, "removing")
    daemon.wait_error(host.address, "unreachable|timed out|no answer|not answer|connect|lost")
    host.link("up")
    daemon.wait_converged(1)
    assert host.engine.names() == []
