"""Specs, or what they name, lie on a network mount whose server is gone: nothing else comes to a halt."""

import signal

import pytest

from lab import spec
from lab.daemon import BUILD
from lab.fleet import NAME, deploy_local
from lab.proc import patience, wait_for

SHIM = BUILD / "tests/hung_mount.so"
TOLD = "does its file system hang"


class Mount:
    """A directory that hangs, for the daemon, while it is told to."""

    def __init__(self, directory):
        self.path = directory / "mount"
        self.path.mkdir()
        self.switch = directory / "hangs"
        self.env = {"LD_PRELOAD": SHIM, "APILB_HUNG": self.path, "APILB_HUNG_WHILE": self.switch}

    def hang(self):
        self.switch.touch()

    def answer(self):
        self.switch.unlink()


@pytest.fixture
def mount(tmp_path):
    return Mount(tmp_path)


def all_specs(daemon, mount, certificate):
    daemon.spec_dir = daemon.settings["spec-dir"] = mount.path
    return {}


def ca_file(daemon, mount, certificate):
    file = mount.path / "ca.crt"
    file.write_text(certificate[0].read_text())
    return {"healthCheck": {"caFile": str(file)}}


@pytest.mark.parametrize("lies", [all_specs, ca_file], ids=lambda place: place.__name__)
def test_a_mount_that_hangs(make_daemon, mount, local, servers, certificate, lies):
    daemon = make_daemon(env=mount.env)
    more = lies(daemon, mount, certificate)
    daemon.start()
    content = deploy_local(daemon, servers, **more)

    def trouble():
        return TOLD in daemon.ctl("status").text

    mount.hang()
    local.engine.remove("lb0")
    daemon.wait("trouble", trouble)
    daemon.reconcile()
    wait_for("the repair", lambda: local.engine.status("lb0") == "running", patience(20))
    assert daemon.request("GET", "/healthz")[0] == 503
    assert TOLD in daemon.ctl("plan").text
    daemon.process.child.send_signal(signal.SIGHUP)
    daemon.wait("SIGHUP", lambda: "the specs are those of before: spec directory" in daemon.log())
    content["apiLoadBalancers"].append(spec.direct("lb1", 7444))
    daemon.drop("local", content)

    # It ends, and starts, all the same, with what is in force.
    daemon.restart()
    daemon.wait("trouble", trouble)
    local.engine.remove("lb0")
    daemon.reconcile()
    wait_for("the repair", lambda: local.engine.status("lb0") == "running", patience(20))
    assert local.engine.names() == ["lb0"] and trouble()

    mount.answer()
    daemon.wait_converged(2)
    assert not trouble() and daemon.request("GET", "/healthz")[0] == 200


def test_a_key_file_that_hangs(make_daemon, mount, hosts, servers):
    """Its host cannot be reached, and that is said; another one is looked after."""
    key = mount.path / "key"
    key.write_bytes(hosts[0].keys["ed25519"].read_bytes())
    key.chmod(0o600)
    daemon = make_daemon(env=mount.env).start()
    instances = [spec.instance(host) for host in hosts[:2]]
    instances[0]["host"]["ssh"]["privateKeyFile"] = str(key)
    daemon.drop("prod", spec.document(instances, servers))
    daemon.wait_converged(2)

    mount.hang()
    daemon.restart()
    hosts[1].engine.remove(NAME)
    wait_for("the repair", lambda: hosts[1].engine.status(NAME) == "running", patience(20))
    said = daemon.wait_error(hosts[0].address, "timed out after 2 s")
    assert f"reading key file {key}: does its file system hang?" in said
    daemon.restart()

    mount.answer()
    daemon.wait_converged(2)


def test_a_settings_file_that_hangs(make_daemon, mount, local, servers):
    """SIGHUP: everything else goes on, with the settings of before, until the file answers."""
    file = mount.path / "apilbd.yaml"
    file.write_text("logLevel: info\n")
    daemon = make_daemon(f"--config={file}", env=mount.env).start()
    deploy_local(daemon, servers)

    mount.hang()
    file.write_text("logLevel: debug\n")
    daemon.process.child.send_signal(signal.SIGHUP)
    daemon.wait("the hang", lambda: f"settings file {file} could not be read for 5 s" in daemon.log())
    daemon.wait("SIGHUP", lambda: f"read again: settings ({file}: not used" in daemon.log())
    local.engine.remove("lb0")
    wait_for("the repair", lambda: local.engine.status("lb0") == "running", patience(20))
    assert daemon.request("GET", "/healthz")[0] == 200
    mount.answer()
    daemon.wait("the settings", lambda: f"read again: settings ({file}) and" in daemon.log())

    # It ends while the file hangs.
    mount.hang()
    daemon.process.child.send_signal(signal.SIGHUP)
    daemon.stop()
