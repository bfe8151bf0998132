"""Podman in the place of Docker, and what engines add by themselves: it is no drift, and what people add is.

Podman speaks Docker's API with an accent: it adds to the environment, names images in full, gives signals as numbers.
"""

import gc

import pytest
from test_reconcile import DRIFTS, image_of, wellness

from lab import images, spec
from lab.engine import Podman
from lab.fleet import NAME, backends, deploy, endpoint, identity, serves, stats
from lab.hosts import Host
from lab.load import LoadGenerator
from lab.proc import patience, wait_for


@pytest.fixture(scope="module")
def podman_host(lab):
    made = Host(20, lab.keys, engine=Podman)
    made.ready()
    yield made
    made.sshd.stop(sessions=True)
    made.engine.clear()
    made.engine.stop()
    made.holder.stop()


@pytest.fixture
def podman(podman_host):
    podman_host.reset()
    return podman_host


@pytest.fixture(params=["docker", "podman"])
def host(request):
    return request.getfixturevalue("hosts")[0] if request.param == "docker" else request.getfixturevalue("podman")


def look(daemon, times=1):
    """The host is looked at again, for that many times."""
    for _ in range(times):
        before = [i["observedAt"] for i in daemon.instances()]
        daemon.reconcile()
        daemon.wait("a look", lambda: all(i["observedAt"] not in before for i in daemon.instances()))


def assert_quiet(daemon):
    """It stays as it is, and is only looked at."""
    requests = "apilb_engine_mutating_requests_total"
    before = daemon.metrics()[requests]
    look(daemon, 3)
    assert [i["phase"] for i in daemon.instances()] == ["converged"] * len(daemon.instances())
    assert daemon.metrics()[requests] == before


def test_a_life_with_podman(daemon, podman, servers):
    content = deploy(daemon, [podman], servers)
    serves(endpoint(podman))
    assert_quiet(daemon)
    before = identity(podman)

    # A reload.
    content["servers"] = servers[:1]
    daemon.drop("prod", content)
    wait_for("api1 only", lambda: backends(endpoint(podman)) == {"api1"}, patience(8))
    daemon.wait_converged(1)
    assert identity(podman) == before

    # A handover: what has left, and is started again by Podman (before 4.7), does not stay.
    with LoadGenerator([endpoint(podman)], rate=10, long_lived=0) as load:
        wait_for("some load", lambda: load.total > 10, patience(10))
        content["image"] = "haproxy:3.0-lab"
        daemon.drop("prod", content)
        wait_for("the new image", lambda: image_of(podman) == "localhost/haproxy:3.0-lab", patience(15))
        wait_for("it to be alone", lambda: podman.engine.names() == [NAME], patience(20))
        assert "Version: 3.0" in stats(podman, "show info")
    load.assert_unharmed()
    daemon.wait_converged(1)
    assert_quiet(daemon)

    # A daemon that remembers nothing.
    before = identity(podman)
    daemon.stop()
    podman.run("rm", "-r", daemon.state_dir)
    daemon.start()
    daemon.wait_converged(1)
    assert_quiet(daemon)
    assert identity(podman) == before

    daemon.remove("prod")
    daemon.wait_empty("prod")
    assert podman.engine.names() == []


# Podman 4.3 has no `update` in this API; and some that only concern files, which are not the engine's.
LEFT_OUT = {"restart policy", "memory limit", "config replaced", "config emptied", "config unreadable", "stats directory closed"}
REPAIRED = [drift for drift in DRIFTS if drift not in LEFT_OUT]


def test_drift_on_podman_is_repaired_once(daemon, podman, servers):
    deploy(daemon, [podman], servers)
    serves(endpoint(podman))
    before = wellness(podman)
    for drift in REPAIRED:
        DRIFTS[drift](podman)
        daemon.reconcile()
        gc.collect()  # closes what we had asked through it: the one before has 10 s for its connections
        wait_for(f"'{drift}' to be repaired", lambda: wellness(podman) == before or None, patience(30))
        # What happens next is another drift, not a disturbance of the run that mends this one.
        daemon.wait_converged(1)
    assert_quiet(daemon)


# What an image can say that a container then has as well.
IMAGES = {
    "bare": {"Env": None, "Entrypoint": None, "User": None, "StopSignal": None, "Cmd": None},
    "odd": {
        "Env": [*images.IMAGE_CONFIG["Env"], "HOME=/data", "TERM=dumb", "EMPTY=", "HAPROXY_VERSION=3.0", "container=mine"],
        "Entrypoint": ["/bin/sh", "-c", 'exec docker-entrypoint.sh "$@"', "--"],
        "Labels": {"maintainer": "somebody", "io.apilb.owner": "somebody-else", "io.apilb.role": "helper"},
        "User": "root",
        "Volumes": {"/data": {}, "/usr/local/etc/haproxy": {}},
        "WorkingDir": "/tmp",
        "StopSignal": "SIGTERM",
        "ExposedPorts": {"6443/tcp": {}},
    },
}


def test_images_of_all_kinds_converge(daemon, host, servers, tmp_path):
    for name, config in IMAGES.items():
        host.engine.load(images.variant(f"{name}:1", tmp_path / f"{name}.tar", **config))
    deploy(daemon, [host], servers, name="first")
    # As somebody keeps what he has seen running.
    host.engine.call("POST", "/commit", {}, container=NAME, repo="committed", tag="1")
    instances = [
        spec.instance(host, name=name, image=f"{name}:1", hostConfigPath=f"/opt/{name}/x.cfg",
                      bindAddress=f"{host.address}:{port}")
        for port, name in enumerate([*IMAGES, "committed"], start=7001)
    ]  # fmt: skip
    daemon.drop("second", spec.document(instances, servers))
    daemon.wait_converged(4)
    for port in (6443, 7001, 7002, 7003):
        serves(f"{host.address}:{port}")
    assert_quiet(daemon)
    made = [event for event in daemon.events() if event["type"] == "create"]
    assert len(made) == 4, made


def test_copies_of_our_labels_make_nothing_ours(daemon, host, servers):
    """What is run from an image that was committed from a balancer has its labels, and is somebody else's."""
    deploy(daemon, [host], servers)
    host.engine.call("POST", "/commit", {}, container=NAME, repo="debug", tag="1")
    binds = host.engine.inspect(NAME)["HostConfig"]["Binds"]
    labels = host.engine.inspect(NAME)["Config"]["Labels"]
    copies = {
        "debug": ("debug:1", {}, {}),
        "debug-with-volumes": ("debug:1", {}, {"Binds": binds}),
        "by-hand": (image_of(host), {"Labels": labels}, {}),
        "one-label": (image_of(host), {"Labels": {"io.apilb.owner": "apilb"}}, {}),
    }
    for name, (image, config, host_config) in copies.items():
        host.engine.create(name, image, Cmd=["sleep", "1d"], **config, HostConfig={"NetworkMode": "host", **host_config})
        host.engine.act(name, "start")
    assert "io.apilb.instance" in host.engine.inspect("debug")["Config"]["Labels"]
    assert_quiet(daemon)
    [told] = [e for e in daemon.events() if e["type"] == "lookalike"]
    assert "and 3 more: copies of our labels" in told["message"]

    # What a run that was interrupted has left goes all the same, though it was never started: a helper to write through, and
    # one to look through.
    made = {name: labels[name] for name in ("io.apilb.owner", "io.apilb.spec", "io.apilb.instance")}
    look = {"Type": "bind", "Source": "/etc/haproxy", "Target": "/config", "ReadOnly": True}
    for mounts in ({"Binds": ["/etc/haproxy:/config", "/var/lib/apilb:/run-dir"]}, {"Mounts": [look]}):
        helper = {"Labels": {**made, "io.apilb.role": "helper"}, "HostConfig": {"NetworkMode": "none", **mounts}}
        host.engine.create(f"{NAME}-apilb-helper", image_of(host), **helper)
        daemon.reconcile()
        wait_for("the helper to be gone", lambda: host.engine.names() == sorted([NAME, *copies]), patience(20))

    # So does what is ours and has been renamed; and without a spec only ours goes.
    host.engine.act(NAME, "rename", name="somebody-was-here")
    daemon.reconcile()
    wait_for("ours to be alone", lambda: host.engine.names() == sorted([NAME, *copies]), patience(20))
    daemon.wait_converged(1)
    daemon.remove("prod")
    wait_for("ours to be gone", lambda: host.engine.names() == sorted(copies), patience(20))
    deploy(daemon, [host], servers, name="another")
    assert_quiet(daemon)
    assert [host.engine.status(name) for name in copies] == ["running"] * len(copies)
