"""API servers as each balancer sees them: state, since when, why; what is told when that changes."""

import datetime
import os
import signal
import time

from lab.fleet import CONFIG, NAME, backends, deploy, deploy_local, endpoint, serves
from lab.proc import patience, wait_for

TYPES = {"server-down", "server-draining", "server-up", "no-server-up", "servers-up"}


def seen(daemon, address, part=""):
    """How the (only) balancer sees a server."""
    return next(s for s in daemon.instance(part)["servers"] if s["address"] == address)


def wait_state(daemon, address, state, part=""):
    def reached():
        found = seen(daemon, address, part)
        return found if found["state"] == state else None

    return daemon.wait(f"{address} to be {state}", reached, patience(20))


def news(daemon, part=""):
    return [e for e in daemon.events() if e["type"] in TYPES and part in (e["instance"] or "")]


def seconds(stamp):
    return datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()


def well(daemon, count=3):
    """Converged, and all first checks are through."""
    daemon.wait("all servers up", lambda: [s["state"] for i in daemon.instances() for s in i["servers"]]
                == ["up"] * 3 * count, patience(15))  # fmt: skip


def test_a_killed_server_is_down_since_then_for_this_reason(daemon, hosts, servers, apis):
    content = deploy(daemon, hosts[:1], servers)
    well(daemon, 1)
    assert news(daemon) == [], "what was up from the beginning is no news"
    assert daemon.instances()[0]["traffic"] == "checked"
    killed = time.time()
    apis[1].process.stop(signal.SIGKILL)
    down = wait_state(daemon, servers[1], "down")
    assert down["why"] == "connection refused"
    assert down["check"] == "L4CON"
    # Not when it was seen: when HAProxy gave it up.
    assert -1 <= seconds(down["since"]) - killed <= patience(8)
    assert [(e["type"], e["level"], e["message"]) for e in news(daemon)] == [
        ("server-down", "warning", f"{servers[1]} is down: connection refused")]  # fmt: skip

    table = daemon.ctl("status").text
    assert " 2/3 " in table and f"down: {servers[1]} (connection refused)" in table
    assert "1 of 1 balancer converged, 1 with servers down" in table

    # It keeps its time over looks, ...
    for _ in range(3):
        daemon.ctl("reconcile", "--wait=10s")
        assert seen(daemon, servers[1])["since"] == down["since"]
    # ... a reload, in which HAProxy forgets it, ...
    before = [e["id"] for e in news(daemon)]
    content["servers"] = servers[:2]
    daemon.drop("prod", content)
    daemon.wait("the reload", lambda: "reload" in {e["type"] for e in daemon.events()}, patience(15))
    daemon.wait("its end", lambda: len(daemon.wait_converged(1)[0]["servers"]) == 2, patience(15))
    wait_state(daemon, servers[1], "down")
    daemon.wait("first checks", lambda: all(s["state"] != "unknown" for s in daemon.instances()[0]["servers"]))
    assert seen(daemon, servers[1])["since"] == down["since"]
    assert [e["id"] for e in news(daemon)] == before, "a reload is no change"

    # ... and what comes back is told, once.
    apis[1].start()
    apis[1].wait()
    up = wait_state(daemon, servers[1], "up")
    assert "why" not in up
    assert seconds(up["since"]) > seconds(down["since"])
    told = news(daemon)[len(before) :]
    assert [e["type"] for e in told] == ["server-up"]
    assert told[0]["message"].startswith(f"{servers[1]} is up again, after ")


def test_since_is_right_after_a_restart_of_the_daemon(daemon, hosts, servers, apis):
    deploy(daemon, hosts[:1], servers)
    well(daemon, 1)
    apis[0].process.stop(signal.SIGKILL)
    down, up = wait_state(daemon, servers[0], "down"), seen(daemon, servers[1])
    daemon.restart()
    again = wait_state(daemon, servers[0], "down")
    assert abs(seconds(again["since"]) - seconds(down["since"])) <= 2
    assert abs(seconds(seen(daemon, servers[1])["since"]) - seconds(up["since"])) <= 2


def test_a_server_that_is_not_ready(daemon, hosts, servers, apis):
    deploy(daemon, hosts[:1], servers)
    well(daemon, 1)
    apis[2].fail()
    down = wait_state(daemon, servers[2], "down")
    assert down["why"].startswith("not ready: HTTP 500")
    told = news(daemon)
    # Drained where the config tells the one from the other, down where it does not.
    drains = "error-status L7OKC" in hosts[0].read(CONFIG)
    assert down.get("draining", False) == drains
    assert [e["type"] for e in told] == ["server-draining" if drains else "server-down"]
    assert "not ready: HTTP 500" in told[0]["message"]


def test_no_server_up_cannot_be_overlooked(daemon, hosts, servers, apis):
    deploy(daemon, hosts[:2], servers[:2])
    daemon.wait("all up", lambda: [i["traffic"] for i in daemon.instances()] == ["checked"] * 2, patience(15))
    for api in apis:
        api.process.stop(signal.SIGKILL)
    nowhere = "untested" if "backup" in hosts[0].read(CONFIG) else "none"
    daemon.wait("none up", lambda: [i["traffic"] for i in daemon.instances()] == [nowhere] * 2, patience(20))
    told = [e for e in news(daemon) if e["type"] == "no-server-up"]
    assert len(told) == 2 and {e["level"] for e in told} == {"error"}
    assert f"{servers[0]}: connection refused" in told[0]["message"]
    # HAProxy's log is one thing; whoever looks at the daemon's sees it as well.
    assert "no-server-up: " in daemon.log()
    found = daemon.ctl("status")
    assert found.returncode == 0
    lines = found.stdout.splitlines()
    assert " 0/2 " in lines[1] and "NO SERVER UP" in lines[1]
    assert f"{servers[0]} (connection refused), {servers[1]} (connection refused)" in lines[1]
    assert "NO SERVER UP: 2 of 2 balancers see no API server that passes its check" in found.stderr
    assert "2 of 2 balancers converged, 2 with NO SERVER UP" in found.stderr
    metrics = daemon.metrics()
    assert metrics["apilb_instances_without_server"] == 2
    assert metrics[f'apilb_server_balancers{{spec="prod",server="{servers[0]}",state="down"}}'] == 2
    assert metrics[f'apilb_server_balancers{{spec="prod",server="{servers[0]}",state="up"}}'] == 0

    apis[0].start()
    apis[0].wait()
    daemon.wait("recovery", lambda: [i["traffic"] for i in daemon.instances()] == ["checked"] * 2, patience(20))
    assert daemon.metrics()["apilb_instances_without_server"] == 0
    told = [e for e in news(daemon) if e["type"] == "servers-up"]
    assert [e["message"] for e in told] == ["1 of 2 servers are up again"] * 2
    assert "NO SERVER UP" not in daemon.ctl("status").text


def test_many_balancers_that_see_the_same_are_one_event(daemon, local, servers, apis):
    deploy_local(daemon, servers, count=13)
    well(daemon, 13)
    apis[0].process.stop(signal.SIGKILL)
    daemon.wait("all to see it", lambda: [s["state"] for i in daemon.instances() for s in i["servers"]].count("down")
                == 13, patience(30))  # fmt: skip
    expected = f"{servers[0]} is down for 13 of 13 balancers"
    daemon.wait("the sum", lambda: expected in [e["message"] for e in news(daemon)], patience(20))
    told = [e for e in news(daemon) if e["type"] == "server-down"]
    assert sum(e["instance"] is not None for e in told) == 10
    assert [(e["spec"], e["message"], e["level"]) for e in told if not e["instance"]] == [
        ("local", expected, "warning")]  # fmt: skip


def test_failed_says_that_the_former_version_serves(daemon, hosts, servers):
    content = deploy(daemon, hosts[:1], servers)
    well(daemon, 1)
    content["apiLoadBalancers"][0]["bindAddress"] = [hosts[0].address, "192.0.2.77:6443"]
    daemon.drop("prod", content)
    daemon.wait_phase(hosts[0].address, "failed", patience(60))
    daemon.wait("the servers", lambda: daemon.instances()[0]["serves"] == "former", patience(20))
    table = daemon.ctl("status").stdout
    assert "the former version goes on serving (3/3 servers up)" in table, table


def test_the_cause_stands_first(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    hosts[0].link("down")
    daemon.wait_phase(hosts[0].address, "unreachable", patience(30))
    row = daemon.ctl("status").stdout.splitlines()[1]
    assert "ssh://" not in row and f"{hosts[0].address} port" not in row, row
    hosts[0].link("up")


def test_a_file_that_looks_like_a_spec_is_pointed_out_once(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    for name in ("my prod.yaml", "prod.YAML", "x.yml.txt", "backup.yaml~", "notes.txt"):
        (daemon.spec_dir / name).write_text("apiLoadBalancers: []\n")
    daemon.reconcile()
    expected = [
        f"{daemon.spec_dir}/my prod.yaml is not read: a spec's name is made of letters, digits, \".\", \"_\" and \"-\"",
        f"{daemon.spec_dir}/prod.YAML is not read: a spec's name ends in .yaml or .yml, in small letters",
        f"{daemon.spec_dir}/x.yml.txt is not read: a spec's name ends in .yaml or .yml, in small letters",
    ]
    daemon.wait("the warnings", lambda: daemon.status()["warnings"] == expected)
    time.sleep(2.5)  # a resync
    daemon.reconcile()
    assert sorted(e["message"] for e in daemon.events() if e["type"] == "spec-ignored") == expected
    assert f"WARNING: {expected[1]}" in daemon.ctl("status").stderr
    assert expected[1] in daemon.check(0).stderr
    (daemon.spec_dir / "prod.YAML").unlink()
    daemon.wait("one less", lambda: len(daemon.status()["warnings"]) == 2)


def test_sighup_does_not_claim_to_have_read_settings_that_it_refused(make_daemon, tmp_path):
    settings = tmp_path / "apilbd.yaml"
    settings.write_text("concurrency: 5\n")
    daemon = make_daemon(f"--config={settings}").start()
    settings.write_text("concurrency: none\n")
    os.kill(daemon.process.pid, signal.SIGHUP)
    wait_for("the line", lambda: f"settings ({settings}: not used, see above) and 0 specs" in daemon.log(), patience(10))
    assert f"{settings}:1:1: concurrency: " in daemon.log()


def test_sighup_says_what_was_read(daemon, hosts, servers):
    deploy(daemon, hosts[:1], servers)
    daemon.drop("bad", {"nonsense": 1})
    daemon.wait_invalid("bad")
    os.kill(daemon.process.pid, signal.SIGHUP)
    expected = f"and 2 specs, 1 of them not valid ({daemon.spec_dir}); looking at 1 hosts"
    wait_for("the line", lambda: expected in daemon.log(), patience(10))
    assert "read again: settings (/etc/apilb/apilbd.yaml is not there) " in daemon.log()


def test_the_servers_are_what_they_are_said_to_be(daemon, hosts, servers, apis):
    """What status says, and where requests go."""
    deploy(daemon, hosts[:1], servers)
    well(daemon, 1)
    apis[0].process.stop(signal.SIGKILL)
    wait_state(daemon, servers[0], "down")
    serves(endpoint(hosts[0]))
    assert backends(endpoint(hosts[0])) <= {"api2", "api3"}
    assert hosts[0].engine.names() == [NAME]
