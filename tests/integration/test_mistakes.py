"""A mistake in a spec, and then another mishap: neither costs a balancer that serves."""

import json
import shutil
import time

import pytest
from lab import spec
from lab.fleet import CONFIG, NAME, deploy, endpoint, serves, stats
from lab.flexkube import Balancer, ssh
from lab.images import NEW
from lab.load import LoadGenerator, ask
from lab.proc import patience, wait_for
from test_change import Watch, change, events
from test_safety import unusable

NOBODY = ["10.77.0.254:1", "10.77.0.254:2"]
NEXT = f"{NAME}-apilb-next"
TYPO = "haproxy:9.9-typo"
# An image that does this instead of HAProxy, but when a config is tried.
INSTEAD = 'case "$*" in *apilb-check*) exec "$@";; esac; '


def make_image(host, tag, *changes):
    """From the running container's."""
    more = {"changes": "\n".join(changes)} if changes else {}
    host.engine.call("POST", "/commit", {}, container=NAME, repo="haproxy", tag=tag, **more)
    return f"haproxy:{tag}"


def entrypoint(script):
    return "ENTRYPOINT " + json.dumps(["/bin/sh", "-c", INSTEAD + script, "x"])


def bind_what_is_not_there(daemon, host, content):
    content["apiLoadBalancers"][0]["bindAddress"] = unusable(host)
    daemon.drop("prod", content)


def test_stopped_after_a_refused_edit(daemon, hosts, servers):
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    good = host.read(CONFIG)
    bind_what_is_not_there(daemon, host, content)
    daemon.wait_error(host.address, "192.0.2.77")
    wait_for("the former config", lambda: host.read(CONFIG) == good, patience(15))
    host.engine.act(NAME, "stop", t=0)
    wait_for("it to serve again", lambda: ask(endpoint(host), 1), patience(40))
    wait_for("the former config", lambda: host.read(CONFIG) == good, patience(15))


def test_killed_while_a_bad_successor_is_awaited(daemon, hosts, servers):
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    good = host.read(CONFIG)
    bind_what_is_not_there(daemon, host, content)
    wait_for("the successor", lambda: host.engine.status(NEXT), patience(15))
    daemon.crash()
    daemon.start()
    daemon.wait_error(host.address, "192.0.2.77", patience(30))
    wait_for("the former config, for the next restart", lambda: host.read(CONFIG) == good, patience(30))
    host.engine.act(NAME, "restart", t=0)
    wait_for("it to serve again", lambda: ask(endpoint(host), 1), patience(10))


def test_takeover_to_servers_that_do_not_answer(daemon, hosts, servers):
    host = hosts[0]
    old = Balancer(host, f"{host.address}:6443", servers)
    serves(endpoint(host))
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", spec.document([spec.instance(host)], NOBODY, state={"0": old.state(ssh(host))}))
        daemon.wait_error(host.address, "none of the 2 wanted servers up", patience(30))
        wait_for("some load", lambda: load.total > 30, patience(10))
    load.assert_unharmed()
    assert host.engine.names() == [NAME] and not events(daemon, "drain")


def test_servers_that_do_not_answer_and_no_stats_socket(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    good = host.read(CONFIG)
    daemon.stop()
    host.sh(f"rm /var/lib/apilb/{NAME}/*.sock")
    daemon.drop("prod", spec.document([spec.instance(host)], NOBODY))
    daemon.start()
    daemon.wait_error(host.address, "none of the 2 wanted servers up", patience(30))
    assert host.read(CONFIG) == good
    serves(endpoint(host))


def test_killed_while_a_dead_successor_of_flexkubes_is_awaited(daemon, hosts, servers):
    host = hosts[0]
    old = Balancer(host, f"{host.address}:6443", servers)
    serves(endpoint(host))
    dead = make_image(host, "dead", entrypoint("exec sleep 1000"))
    state = {"0": old.state(ssh(host))}
    with LoadGenerator([endpoint(host)], rate=20) as load:
        daemon.drop("prod", spec.document([spec.instance(host)], servers, image=dead, state=state))
        wait_for("the successor", lambda: host.engine.status(NEXT) == "running", patience(20))
        daemon.crash()
        daemon.drop("prod", spec.document([spec.instance(host)], servers, state=state))
        daemon.start()
        daemon.wait_converged(1, timeout=patience(30))
        wait_for("some load", lambda: load.total > 60, patience(10))
    load.assert_unharmed()


def test_new_name_is_a_handover(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    watch = Watch(endpoint(host))
    with LoadGenerator([endpoint(host)], rate=20) as load:
        # With a slip of the pen: what is there stays.
        daemon.drop("prod", spec.document([spec.instance(host, name="other")], servers, image=TYPO))
        daemon.wait_error("/other", "9.9-typo")
        assert host.engine.status(NAME) == "running"
        daemon.drop("prod", spec.document([spec.instance(host, name="other")], servers))
        wait_for("the new one", lambda: host.engine.status("other") == "running", patience(20))
        wait_for("the old one to be told to leave", lambda: host.engine.status(NAME) is None, patience(20))
        wait_for("some load", lambda: load.total > 60, patience(10))
    load.assert_unharmed()
    assert watch.answers(), "connections live on"
    watch.close()
    wait_for("nothing else to be left", lambda: host.engine.names() == ["other"], patience(20))


def test_stats_directory_that_the_engine_made_anew(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.stop()
    host.engine.act(NAME, "stop", t=0)
    host.sh("rm -rf /var/lib/apilb")
    host.engine.act(NAME, "start")
    daemon.start()
    daemon.wait_converged(1, timeout=patience(40))
    serves(endpoint(host))


def test_stopped_and_paused_while_an_image_is_not_to_be_had(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.drop("prod", spec.document([spec.instance(host)], servers, image=TYPO))
    daemon.wait_error(host.address, "9.9-typo")
    host.engine.act(NAME, "stop", t=0)
    wait_for("it to serve again", lambda: ask(endpoint(host), 1), patience(30))
    host.engine.act(NAME, "pause")
    wait_for("it to go on", lambda: host.engine.status(NAME) == "running", patience(30))


def test_connections_of_a_successor_that_is_given_up_live_on(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    other = 'sed "s/description.*/description \\"x\\"/" /usr/local/etc/haproxy/haproxy.cfg >/dev/shm/x.cfg; '
    odd = make_image(host, "odd", entrypoint(other + "exec haproxy -W -db -f /dev/shm/x.cfg"))
    with LoadGenerator([endpoint(host)], rate=20) as load:
        daemon.drop("prod", spec.document([spec.instance(host)], servers, image=odd))
        wait_for("the successor", lambda: host.engine.status(NEXT) == "running", patience(20))
        time.sleep(1)
        watches = [Watch(endpoint(host)) for _ in range(20)]
        wait_for("it to be given up", lambda: host.engine.status(NEXT) is None, patience(30))
        assert all(watch.answers() for watch in watches)
    load.assert_unharmed()
    assert host.engine.status(NAME) == "running"
    for watch in watches:
        watch.close()
    wait_for("it to leave", lambda: host.engine.names() == [NAME], patience(20))


def test_image_with_a_volume(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    change(daemon, [host], servers, image=make_image(host, "volume", "VOLUME /data"))
    made = len(events(daemon, "create"))
    time.sleep(3)
    assert daemon.instances()[0]["phase"] == "converged" and len(events(daemon, "create")) == made == 2


def test_tag_that_means_another_image_by_now(daemon, hosts, servers):
    """A reload is checked by the HAProxy that will load it."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    other = host.engine.call("GET", f"/images/{NEW}/json")["Id"]
    moving = make_image(host, "moving")
    change(daemon, [host], servers, image=moving)
    image = host.engine.inspect(NAME)["Image"]
    host.engine.call("POST", f"/images/{other}/tag", repo="haproxy", tag="moving")
    # The new one would not take this.
    wrong = "tune.bufsize 16384\n.if version_atleast(3.0)\nno-such-keyword\n.endif"
    change(daemon, [host], servers[:2], image=moving, extraConfig={"global": wrong})
    assert host.engine.inspect(NAME)["Image"] == image and "Version: 2.6" in stats(host, "show info")
    assert daemon.instances()[0]["phase"] == "converged" and servers[2] not in host.read(CONFIG)


ONE_BY_ONE = {"canary": 1, "parallel": 1, "settle": "1s"}


def all_serve(hosts):
    return all(ask(endpoint(host), 1) for host in hosts)


def test_new_name_while_a_rollout_is_halted(daemon, hosts, servers):
    """What is removed on a host, and what takes its place, go together."""
    deploy(daemon, hosts, servers, rollout=ONE_BY_ONE)
    with LoadGenerator([endpoint(host) for host in hosts[1:]], rate=10) as load:
        daemon.drop("prod", spec.document([spec.instance(h) for h in hosts], NOBODY, rollout=ONE_BY_ONE))
        daemon.wait("the halt", lambda: (daemon.spec("prod")["rollout"] or {}).get("phase") == "halted", patience(30))
        renamed = [spec.instance(h, name="other") for h in hosts]
        daemon.drop("prod", spec.document(renamed, servers, rollout=ONE_BY_ONE))
        wait_for("the new ones", lambda: all(h.engine.status("other") == "running" for h in hosts), patience(60))
        wait_for("the old ones to be told", lambda: all(h.engine.status(NAME) is None for h in hosts), patience(30))
    load.assert_unharmed()
    wait_for("the old ones to leave", lambda: all(h.engine.names() == ["other"] for h in hosts), patience(20))
    assert all_serve(hosts)


def test_mistyped_address(daemon, hosts, servers):
    """The balancer that was there stays: the one that is wanted may be this very one, and has not been seen."""
    host = hosts[0]
    content = deploy(daemon, [host], servers)
    content["apiLoadBalancers"][0]["host"]["ssh"]["address"] = "10.77.0.250"
    content["apiLoadBalancers"][0]["host"]["ssh"].update(connectionTimeout="1s", retryTimeout="1s")
    with LoadGenerator([endpoint(host)], rate=10) as load:
        daemon.drop("prod", content)
        daemon.wait("the other to be unreachable", lambda: (daemon.instance("10.77.0.250") or {}).get("phase") == "unreachable", patience(20))
        time.sleep(4)
        wait_for("some load", lambda: load.total > 60, patience(10))
    load.assert_unharmed()
    assert host.engine.status(NAME) == "running"
    deploy(daemon, [host], servers)
    assert host.engine.names() == [NAME]


@pytest.mark.parametrize("also", [None, "spec", "store"])
def test_new_name_and_servers_that_do_not_answer(daemon, hosts, servers, also):
    """Both would listen on the same port, and share its connections."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    name = "next" if also == "spec" else "prod"
    if also == "store":
        daemon.stop()
        shutil.rmtree(daemon.state_dir)
    with LoadGenerator([endpoint(host)], rate=20, long_lived=2) as load:
        daemon.drop(name, spec.document([spec.instance(host, name="other")], NOBODY))
        if also == "spec":
            (daemon.spec_dir / "prod.yaml").unlink()
        if also == "store":
            daemon.start()
        daemon.wait_error("/other", f"{NAME}, which serves until this balancer does in its place", patience(30))
        assert host.engine.names() == [NAME] and not events(daemon, "drain")
        daemon.drop(name, spec.document([spec.instance(host, name="other")], servers))
        wait_for("the old one to be told to leave", lambda: host.engine.status(NAME) is None, patience(30))
        wait_for("some load", lambda: load.total > 60, patience(10))
    load.assert_unharmed()
    wait_for("the other alone", lambda: host.engine.names() == ["other"], patience(30))


def test_connections_of_what_nobody_knows_live_on(daemon, hosts, servers):
    """A balancer that somebody renamed, and, without the store, that container and a balancer that left the spec."""
    host = hosts[0]
    deploy(daemon, [host], servers)

    def drains(name):
        return any(n.startswith(f"{name}-apilb-old-") for n in host.engine.names())

    with LoadGenerator([endpoint(host)], rate=20, long_lived=2) as load:
        wait_for("connections", lambda: load.total > 20, patience(10))
        host.engine.act(NAME, "rename", name="mine")
        daemon.reconcile()
        wait_for("it to drain", lambda: drains("mine") and host.engine.status(NAME) == "running", patience(30))
        daemon.wait_converged(1)
        with LoadGenerator([endpoint(host)], rate=20, long_lived=2) as later:
            wait_for("connections", lambda: later.total > 20, patience(10))
            daemon.stop()
            shutil.rmtree(daemon.state_dir)
            daemon.drop("prod", spec.document([spec.instance(host, name="other")], servers))
            daemon.start()
            wait_for("the other to take over", lambda: drains(NAME) and drains("mine"), patience(30))
            since = later.total
            # Longer than the 10 s that what is stopped gets.
            wait_for("more load", lambda: later.total > since + 20 * 12, patience(30))
        later.assert_unharmed()
    load.assert_unharmed()
    wait_for("the other alone", lambda: host.engine.names() == ["other"], patience(30))


def test_new_name_that_does_not_come_up_and_a_restart(daemon, hosts, servers):
    """Both have the same config file: the one that stays finds its own in it again."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    good = host.read(CONFIG)
    daemon.drop("prod", spec.document([spec.instance(host, name="other", bindAddress=unusable(host))], servers))
    daemon.wait_error("/other", "192.0.2.77", patience(30))
    wait_for("its config", lambda: host.read(CONFIG) == good, patience(20))
    host.engine.act(NAME, "restart", t=0)
    wait_for("it to serve again", lambda: ask(endpoint(host), 1), patience(10))


def test_new_name_that_does_not_come_up_and_a_restart_of_apilbd(daemon, hosts, servers):
    """The one that stays is still known after it, and leaves as it should when its time comes."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    renamed = [spec.instance(host, name="other")]
    daemon.drop("prod", spec.document(renamed, servers, image=TYPO))
    daemon.wait_error("/other", "typo", patience(30))
    with LoadGenerator([endpoint(host)], rate=10) as load:
        for end in daemon.stop, daemon.crash:
            end()
            daemon.start()
            daemon.wait_phase("/other", "failed")
            assert "stays" in daemon.instance(f"/{NAME}")["progress"]
            assert host.engine.names() == [NAME]
        daemon.drop("prod", spec.document(renamed, servers))
        daemon.wait("it to leave", lambda: events(daemon, "drain"), patience(30))
    load.assert_unharmed()
    assert not events(daemon, "stop")
    wait_for("the other alone", lambda: host.engine.names() == ["other"], patience(20))


def test_once_finishes_a_new_name(daemon, hosts, servers):
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.stop()
    daemon.drop("prod", spec.document([spec.instance(host, name="other")], servers))
    daemon.once()
    assert host.engine.names() == ["other"]


def test_removal_that_is_paused_is_in_the_plan(daemon, hosts, servers):
    deploy(daemon, hosts[:2], servers)
    daemon.ctl("pause", "prod")
    daemon.drop("prod", spec.document([spec.instance(hosts[0])], servers))
    daemon.ctl("reconcile")
    plan = daemon.ctl("plan", expect=1).text
    assert f"remove container {NAME}" in plan and "held" in plan
    assert hosts[1].engine.status(NAME) == "running"
    daemon.ctl("resume", "prod")
    wait_for("the removal", lambda: hosts[1].engine.status(NAME) is None, patience(20))
