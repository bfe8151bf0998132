"""Images that are not there yet: pulled from a real registry, with progress that shows."""

import json

import pytest

from lab import fakes, spec
from lab.fleet import deploy, endpoint, identity, serves
from lab.hosts import BRIDGE
from lab.load import ask
from lab.proc import LAB, Process, patience, wait_for

CONFIG = f"""version: 0.1
storage: {{filesystem: {{rootdirectory: {LAB}/registry}}}}
http: {{addr: "{BRIDGE}:5000"}}
"""


@pytest.fixture(scope="module")
def registry(lab):
    (LAB / "registry").mkdir()
    (LAB / "registry.yml").write_text(CONFIG)
    process = Process("registry", ["docker-registry", "serve", LAB / "registry.yml"], LAB / "registry.log")
    process.wait_for("listening", lambda: "listening on" in process.log(), patience(10))
    engine = lab.local.engine
    engine.call("POST", "/images/haproxy:3.0-lab/tag", repo=f"{BRIDGE}:5000/haproxy", tag="3.0")

    def pushed():
        # Any X-Registry-Auth will do; without one the engine refuses.
        return engine.call("POST", f"/images/{BRIDGE}:5000/haproxy/push", tag="3.0", headers={"X-Registry-Auth": "e30="})

    assert not [line for line in pushed() if "error" in line]
    yield f"{BRIDGE}:5000"
    process.stop()


@pytest.fixture
def without_image(hosts, registry):
    """Hosts that have never seen the image."""
    for host in hosts:
        for tag in host.engine.images():
            if tag.startswith(BRIDGE):
                host.engine.call("DELETE", f"/images/{tag}", force=1)
        host.engine.call("DELETE", "/images/haproxy:3.0-lab", force=1)
    yield hosts
    for host in hosts:
        host.engine.clear()
        host.ready()


def test_image_is_pulled(daemon, without_image, servers, registry):
    hosts = without_image
    deploy(daemon, hosts, servers, image=f"{registry}/haproxy:3.0")
    for host in hosts:
        serves(endpoint(host))


def test_progress_shows_while_it_pulls(daemon, without_image, servers):
    host = without_image[0]
    with fakes.Relay((BRIDGE, 5000), listener=fakes.tcp_listener(BRIDGE, 5001), delay=0.05) as relay:
        daemon.drop("prod", spec.document([spec.instance(host)], servers, image=f"{BRIDGE}:{relay.port}/haproxy:3.0"))

        def told():
            return "pull" in (daemon.get("/v1/status") + daemon.get("/v1/events")).lower()

        daemon.wait("the pull to show", told, patience(10))
        assert not daemon.instances()[0]["converged"], "shown while it happens, not afterwards"
        assert daemon.instances()[0]["phase"] == "reconciling"
        daemon.wait_converged(1, timeout=patience(60))
    assert "pull" in json.dumps(daemon.events()).lower()


@pytest.mark.parametrize("reference", ["nothing-of-that-name:1", "haproxy:9.9"])
def test_image_that_is_nowhere(daemon, hosts, servers, registry, reference):
    """The engine's own words, and the balancer that is there goes on."""
    deploy(daemon, hosts[:1], servers)
    before = identity(hosts[0])
    serves(endpoint(hosts[0]))
    daemon.drop("prod", spec.document([spec.instance(hosts[0])], servers, image=f"{registry}/{reference}"))
    message = daemon.wait_error(hosts[0].address, "(?i)not found|unknown|no such image")
    assert reference in message
    assert identity(hosts[0]) == before and ask(endpoint(hosts[0]))


def test_registry_that_is_away(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    before = identity(hosts[0])
    daemon.drop("prod", spec.document([spec.instance(hosts[0])], servers, image=f"{BRIDGE}:5999/haproxy:1"))
    daemon.wait_error(hosts[0].address, "(?i)refused|connect")
    wait_for("it to go on as it was", lambda: identity(hosts[0]) == before, 1)
