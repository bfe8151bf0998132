"""Passwords and keys: nowhere but on the wire and in files that only the daemon reads."""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

import yaml

from lab import spec
from lab.daemon import APILBD
from lab.fleet import deploy_local
from lab.hosts import PASSWORD
from lab.proc import patience, wait_for

NOBODY = 65534
WRONG = "this-one-is-wrong-but-secret"


def test_secrets_stay_secret(daemon, hosts, local, servers):
    key = hosts[1].keys["ed25519"].read_text()
    stranger = hosts[2].keys["stranger"].read_text()
    secrets = [PASSWORD, WRONG] + [line for text in (key, stranger) for line in text.splitlines()[1:-1]]
    instances = [spec.instance(host) for host in hosts]
    instances[0]["host"]["ssh"] = spec.ssh(hosts[0], key=None, password=PASSWORD)
    instances[1]["host"]["ssh"] = spec.ssh(hosts[1], key=None, privateKey=key)
    instances[2]["host"]["ssh"] = spec.ssh(hosts[2], key=None, privateKey=stranger, password=WRONG)
    content = spec.document(instances, servers)
    daemon.drop("prod", content)
    daemon.wait("two of three", lambda: sum(i["converged"] for i in daemon.instances()) == 2)
    daemon.wait_error(hosts[2].address, "(?i)authentication")
    # Every way to be wrong about a secret: an error message is the likeliest place for it.
    bad = spec.instance(hosts[0])
    bad["host"]["ssh"].update(passwrd=PASSWORD, privateKey=WRONG, port=PASSWORD, connectionTimeout=WRONG)
    broken = spec.document([bad], servers)
    daemon.drop("broken", broken)
    daemon.wait_invalid("broken")
    daemon.drop("mangled", f"apiLoadBalancers:\n- host: {{ssh: {{password: '{PASSWORD}', : {WRONG}]}}\n")
    daemon.wait_invalid("mangled")
    deploy_local(daemon, servers)

    said = {
        "log": daemon.log(),
        "status": daemon.get("/v1/status"),
        "plan": daemon.get("/v1/plan"),
        "events": daemon.get("/v1/events"),
        "metrics": daemon.get("/metrics"),
        "state": daemon.get("/v1/state"),
        "state as JSON": daemon.get("/v1/state?format=json"),
        "ctl state export": daemon.ctl("state", "export").text,
        "ctl validate": daemon.ctl("validate", *daemon.spec_dir.glob("*.yaml"), expect=2, timeout=patience(30)).text,
        "ctl render": daemon.ctl("render", daemon.spec_dir / "prod.yaml", expect=None).text,
        "processes": subprocess.run(["ps", "axwwe", "-o", "args"], capture_output=True, text=True, check=True).stdout,
        "containers": str([host.engine.containers() for host in hosts]),
        "config": hosts[0].read("/etc/haproxy/haproxy.cfg"),
    }
    for where, text in said.items():
        assert text
        for secret in secrets:
            assert secret not in text, f"{secret[:12]}... is in {where}"


def test_files_of_the_daemon_are_its_own(daemon, hosts, servers):
    daemon.drop("prod", spec.document([spec.instance(hosts[0])], servers))
    daemon.wait_converged(1)
    assert stat.S_IMODE(daemon.state_dir.stat().st_mode) == 0o700
    for path in daemon.state_dir.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def exported(daemon, *options):
    """The entries by address, and what was said about them."""
    done = daemon.ctl("state", "export", "prod", *options)
    entries = yaml.safe_load(done.stdout)["state"].values()
    return {entry["host"]["ssh"]["address"]: entry for entry in entries}, done.stderr


def takes(entry):
    """What flexkube v0.10.0 wants of an entry (Validate of Container, host.Host and ssh.Config) where no agent is."""
    ssh = entry["host"]["ssh"]
    return bool(
        entry["container"]["config"]["name"]
        and entry["container"]["config"]["image"]
        and entry["container"]["runtime"]["docker"]
        and entry["container"]["status"]["id"]
        and ssh["address"]
        and ssh["user"]
        and ssh["port"]
        and all(re.fullmatch(r"\d+ms", ssh[key]) for key in ("connectionTimeout", "retryTimeout", "retryInterval"))
        and (ssh.get("password") or ssh.get("privateKey"))
    )


def test_state_with_secrets(daemon, hosts, servers, tmp_path):
    """For flexkube: with texts where the spec names files; only for who can read the spec."""
    key = hosts[1].keys["ed25519"].read_text()
    (tmp_path / "password").write_text(PASSWORD + "\n")
    (tmp_path / "password").chmod(0o600)
    instances = [spec.instance(host) for host in hosts]
    instances[0]["host"]["ssh"] = spec.ssh(hosts[0], key=None, password=PASSWORD)
    instances[1]["host"]["ssh"] = spec.ssh(hosts[1], key=None, privateKey=key)
    instances[2]["host"]["ssh"] = spec.ssh(hosts[2], passwordFile=str(tmp_path / "password"))
    file = daemon.drop("prod", spec.document(instances, servers))
    daemon.wait_converged(3)
    logged = daemon.log()

    entries, _ = exported(daemon)
    assert not any({"password", "privateKey"} & set(entry["host"]["ssh"]) for entry in entries.values())
    assert not any(takes(entry) for entry in entries.values())

    entries, said = exported(daemon, "--with-secrets")
    assert said == ""
    assert all(takes(entry) for entry in entries.values()), entries
    assert entries[hosts[0].address]["host"]["ssh"]["password"] == PASSWORD
    assert entries[hosts[1].address]["host"]["ssh"]["privateKey"] == key
    assert entries[hosts[2].address]["host"]["ssh"]["password"] == PASSWORD
    assert entries[hosts[2].address]["host"]["ssh"]["privateKey"] == key
    assert PASSWORD not in daemon.log() and logged

    (tmp_path / "password").unlink()
    failed = daemon.ctl("state", "export", "--with-secrets", expect=1)
    assert failed.stdout == "" and f"{tmp_path}/password: No such file or directory" in failed.stderr

    # Who may ask apilbd, and may not read its specs: root without the right to read everything.
    file.chmod(0)
    plain = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    failed = daemon.ctl("state", "export", "--with-secrets", expect=1, prefix=plain)
    assert failed.stdout == "" and "cannot be read: Permission denied" in failed.stderr
    assert daemon.ctl("state", "export", prefix=plain).stdout.startswith("state:")


def test_memory_is_private():
    """No core, and nothing for another process of the same user to read. Who owns the files below /proc/PID tells (proc(5))."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        directory = Path(directory)
        shutil.copy(APILBD, directory)
        for name in ("specs", "state"):
            (directory / name).mkdir()
        for path in (directory, *directory.iterdir()):
            os.chown(path, NOBODY, NOBODY)
        argv = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", directory / "apilbd",
                f"--spec-dir={directory}/specs", f"--state-dir={directory}/state", f"--socket={directory}/socket"]
        with subprocess.Popen(argv, stderr=subprocess.PIPE) as process:
            try:
                wait_for("the control socket", (directory / "socket").exists, patience(10))
                assert os.stat(f"/proc/{process.pid}/mem").st_uid == 0
                assert re.search(r"Max core file size +0 +0 ", Path(f"/proc/{process.pid}/limits").read_text())
            finally:
                process.terminate()
        assert process.returncode == 0
