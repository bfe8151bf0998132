"""The service on a booted Debian: installed, started, at work, restarted, watched, stopped.

The tests of this file are one story and run in order on one machine.
"""

import json
import time

import pytest

from lab import spec
from lab.daemon import BUILD
from lab.engine import EngineEvents
from lab.fleet import NAME, endpoint, identity, serves
from lab.load import ask
from lab.machine import Machine
from lab.proc import run, wait_for

CTL = "/usr/local/bin/apilbctl"


@pytest.fixture(scope="module")
def machine(lab):
    lab.reset()
    made = Machine()
    yield made
    made.stop()


def status(machine):
    return json.loads(machine.run(CTL, "-o", "json", "status"))


def test_unit_file_is_well_formed(machine):
    machine.run("systemd-analyze", "verify", "--man=no", "/usr/local/lib/systemd/system/apilbd.service")


def test_exposure_is_low(machine):
    # 0 is sealed, 10 is open; in tenths.
    machine.run("systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", "apilbd.service")


def test_accounts_and_directories(machine):
    machine.run("systemd-sysusers")
    machine.run("systemd-tmpfiles", "--create")
    assert "apilb" in machine.run("getent", "passwd", "apilb")
    assert machine.run("stat", "-c", "%A %U %G", "/etc/apilb.d") == "drwxr-x--- root apilb\n"


def test_starts(machine):
    machine.run("systemctl", "enable", "--now", "apilbd")
    shown = machine.show("ActiveState", "Type", "MainPID", "WatchdogUSec")
    assert shown["ActiveState"] == "active"
    assert shown["Type"] == "notify", "active means that it is ready"
    assert shown["WatchdogUSec"] != "0"
    assert machine.run("ps", "-o", "user=", "-p", shown["MainPID"]) == "apilb\n"
    assert machine.run("stat", "-c", "%a %U", "/var/lib/apilbd") == "700 apilb\n"
    assert machine.run("stat", "-c", "%a %U", "/run/apilb/apilbd.sock") == "660 apilb\n"
    assert status(machine)["instances"] == []


def test_serves_on_a_host(machine, lab, servers):
    host = lab.hosts[0]
    machine.write("/etc/apilb/id", host.keys["ed25519"].read_text())
    instance = spec.instance(host)
    instance["host"]["ssh"]["privateKeyFile"] = "/etc/apilb/id"
    machine.write("/etc/apilb.d/prod.yaml", json.dumps(spec.document([instance], servers)))
    wait_for("the spec to be seen", lambda: status(machine)["instances"], 5)
    machine.run(CTL, "status", "--wait=15s")
    serves(endpoint(host))


def test_local_engine_needs_the_drop_in(machine, lab, servers):
    machine.write("/etc/apilb.d/here.yaml", json.dumps(spec.document([spec.direct("here")], servers)))

    def refused():
        found = [i for i in status(machine)["instances"] if i["name"] == "here"]
        return found and found[0]["lastError"] and "ermission denied" in found[0]["lastError"]["message"]

    wait_for("the refusal to show", refused, 10)
    machine.sh(
        """mkdir -p /etc/systemd/system/apilbd.service.d
		cp /usr/local/share/doc/apilb/apilbd-local-engine.conf /etc/systemd/system/apilbd.service.d/
		systemctl daemon-reload; systemctl restart apilbd"""
    )
    wait_for("both", lambda: len(status(machine)["instances"]) == 2, 5)
    machine.run(CTL, "status", "--wait=15s")
    serves("127.0.0.1:7443")


def test_restart_and_reload_touch_nothing(machine, lab):
    before = identity(lab.hosts[0]), identity(lab.local, "here")
    with EngineEvents(lab.hosts[0].engine) as far, EngineEvents(lab.local.engine) as near:
        machine.run("systemctl", "restart", "apilbd")
        machine.run(CTL, "status", "--wait=15s")
        pid = machine.show("MainPID")
        machine.run("systemctl", "reload", "apilbd")
        time.sleep(1)
        assert machine.show("MainPID") == pid
        assert far.mutating() + near.mutating() == []
    assert (identity(lab.hosts[0]), identity(lab.local, "here")) == before


def test_journal_knows_priorities(machine):
    entries = machine.journal()
    priorities = {entry["PRIORITY"] for entry in entries if entry.get("_COMM") == "apilbd"}
    assert len(priorities) > 1, "the refusal above was worse than information"
    assert not any(str(entry["MESSAGE"]).startswith("<") for entry in entries)


def test_watchdog_ends_a_daemon_that_hangs(machine):
    machine.sh(
        """mkdir -p /run/systemd/system/apilbd.service.d
		printf '[Service]\\nWatchdogSec=2s\\nTimeoutAbortSec=2s\\n' >/run/systemd/system/apilbd.service.d/quick.conf
		systemctl daemon-reload; systemctl restart apilbd"""
    )
    time.sleep(4)
    assert machine.show("NRestarts", "ActiveState") == {"NRestarts": "0", "ActiveState": "active"}, "it is fed"
    machine.run("systemctl", "kill", "--signal=STOP", "apilbd")
    wait_for("a restart", lambda: machine.show("NRestarts")["NRestarts"] == "1", 15)
    wait_for("it to be well", lambda: machine.show("ActiveState")["ActiveState"] == "active", 10)
    machine.run(CTL, "status", "--wait=15s")


def test_crash_is_repaired(machine):
    machine.run("systemctl", "kill", "--signal=KILL", "--kill-who=main", "apilbd")
    wait_for("a restart", lambda: machine.show("NRestarts")["NRestarts"] == "2", 15)
    wait_for("it to be well", lambda: machine.show("ActiveState")["ActiveState"] == "active", 10)


def test_stop_leaves_balancers_alone(machine, lab):
    began = time.monotonic()
    machine.run("systemctl", "stop", "apilbd")
    assert time.monotonic() - began < 5
    assert machine.show("ActiveState", "Result") == {"ActiveState": "inactive", "Result": "success"}
    assert lab.hosts[0].engine.status(NAME) == "running"
    assert ask(endpoint(lab.hosts[0])) and ask("127.0.0.1:7443")


def test_uninstall_takes_all_files(machine):
    run("make", "-C", BUILD, "uninstall", f"DESTDIR={machine.root}")
    assert machine.sh("find /usr/local -type f -o -type l | grep apilb || true") == ""
