"""The programs as the contract has them: options, exit codes, tables."""

import json
import re

import pytest

from lab import spec
from lab.daemon import APILBCTL, APILBD, ctl, finish
from lab.engine import EngineEvents
from lab.fleet import NAME, deploy, deploy_local, identity
from lab.proc import patience, wait_for

DAEMON_OPTIONS = """--config --spec-dir --state-dir --socket --owner --resync --concurrency --once --check
                    --log-level --log-format --version --help""".split()
COMMANDS = ["status", "plan", "reconcile", "events", "validate", "render", "state", "version"]


def test_help():
    said = finish([APILBD, "--help"], expect=0).stdout
    assert [option for option in DAEMON_OPTIONS if option not in said] == []
    said = finish([APILBCTL, "--help"], expect=0).stdout
    assert [command for command in COMMANDS if command not in said] == []


def test_version():
    daemons = finish([APILBD, "--version"], expect=0).stdout
    assert re.search(r"\d+\.\d+\.\d+", daemons)
    assert re.search(r"\d+\.\d+\.\d+", daemons).group() in finish([APILBCTL, "--version"], expect=0).stdout


USAGE = [
    [APILBD, "--nonsense"],
    [APILBD, "--resync=soon"],
    [APILBD, "--resync=-1s"],
    [APILBD, "--concurrency=0"],
    [APILBD, "--concurrency=many"],
    [APILBD, "--log-level=loud"],
    [APILBD, "--log-format=xml"],
    [APILBD, "--config=/nowhere/at/all.yaml", "--check"],
    [APILBD, "operand"],
    [APILBCTL],
    [APILBCTL, "--nonsense"],
    [APILBCTL, "dance"],
    [APILBCTL, "-o", "xml", "status"],
    [APILBCTL, "validate"],
    [APILBCTL, "render"],
    [APILBCTL, "state"],
    [APILBCTL, "state", "dance"],
    [APILBCTL, "status", "--wait=never"],
]


@pytest.mark.parametrize("argv", USAGE, ids=lambda argv: " ".join([argv[0].name, *argv[1:]]))
def test_wrong_usage_is_2_and_says_what(argv, tmp_path):
    done = finish(argv, expect=2, cwd=tmp_path)
    assert done.stderr.strip() and not done.stdout.strip()


@pytest.mark.parametrize("command", ["status", "plan", "reconcile", "events", "state export", "status --wait=1s"])
def test_no_daemon_is_3(command, tmp_path):
    path = tmp_path / "nobody.sock"
    done = finish([APILBCTL, f"--socket={path}", *command.split()], expect=3)
    assert str(path) in done.stderr


def test_check(make_daemon, servers):
    daemon = make_daemon()
    daemon.drop("good", spec.document([spec.direct()], servers))
    finish(daemon.argv("--check"), expect=0)
    assert not daemon.socket.exists() and not daemon.state_dir.exists(), "it only looks"
    daemon.drop("bad", "image: [\n")
    said = finish(daemon.argv("--check"), expect=2).text
    assert re.search(r"bad\.yaml:\d+:\d+: ", said)


def test_check_sees_clashes_across_files(make_daemon, servers):
    daemon = make_daemon()
    daemon.drop("one", spec.document([spec.direct("same")], servers))
    daemon.drop("two", spec.document([spec.direct("same", 7999)], servers))
    said = finish(daemon.argv("--check"), expect=2).text
    assert "one" in said and "two" in said and "same" in said


BAD = {
    "no server": (spec.document([spec.direct()], []), "server"),
    "no bind": (spec.document([{"host": {"direct": {}}}], ["a:1"]), "bindAddress"),
    "two transports": (
        spec.document([{"host": {"direct": {}, "ssh": {"address": "a"}}, "bindAddress": "::1"}], ["a:1"]),
        "direct.*ssh|ssh.*direct|one",
    ),
    "no authentication": (
        spec.document([{"host": {"ssh": {"address": "a"}}, "bindAddress": "1.2.3.4"}], ["a:1"]),
        "(?i)privateKey|password|authenticat",
    ),
    "bad port": (spec.document([spec.direct()], ["a:99999"]), "99999|port"),
    "unknown key": (spec.document([spec.direct(nmae="x")], ["a:1"]), "nmae.*name|name.*nmae"),
    "nothing": ({"apiLoadBalancers": []}, "at least one load balancer must be defined if state is empty"),
}


@pytest.mark.parametrize("kind", BAD)
def test_validate(tmp_path, make_daemon, kind):
    content, pattern = BAD[kind]
    path = spec.write(tmp_path / "x.yaml", content)
    said = ctl("validate", path, expect=2).text
    assert re.search(pattern, said, re.S) and f"{path}:" in said
    daemon = make_daemon()
    daemon.drop("x", content)
    checked = finish(daemon.argv("--check"), expect=2).text
    for line in said.splitlines():
        if line.startswith(f"{path}:"):
            assert line[len(str(path)) :] in checked, "validate and --check agree"


def test_validate_shows_all_errors_of_all_files(tmp_path, servers):
    good = spec.write(tmp_path / "good.yaml", spec.document([spec.direct()], servers))
    bad = spec.write(tmp_path / "bad.yaml", "imagee: x\nserverss: []\napiLoadBalancers: 3\n")
    ctl("validate", good)
    said = ctl("validate", good, bad, tmp_path / "none.yaml", expect=2).text
    assert "imagee" in said and "serverss" in said and "none.yaml" in said
    assert "bad.yaml:1:1" in said and "bad.yaml:2:1" in said


# One run.


def test_once(make_daemon, hosts, servers):
    daemon = make_daemon()
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers))
    daemon.once(expect=0)
    before = [identity(host) for host in hosts]
    with EngineEvents(hosts[0].engine) as events:
        daemon.once(expect=0)
        assert events.mutating() == []
    assert [identity(host) for host in hosts] == before


def test_once_with_a_host_that_is_away(make_daemon, hosts, servers):
    daemon = make_daemon()
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers))
    hosts[1].link("down")
    said = daemon.once(expect=1, timeout=patience(60)).text
    assert hosts[1].address in said
    assert [host.engine.status(NAME) for host in (hosts[0], hosts[2])] == ["running", "running"]


def test_once_with_a_bad_spec(make_daemon, local, servers):
    daemon = make_daemon()
    daemon.drop("good", spec.document([spec.direct()], servers))
    daemon.drop("bad", "nonsense: 1\n")
    daemon.once(expect=2)


# The client with a daemon.


def ageless(table):
    """The words of a table but for the ages, which grow."""
    return [word for word in table.split() if not re.fullmatch(r"(\d+(ms|[smhd]))+", word)]


def test_status(daemon, hosts, servers):
    deploy(daemon, hosts, servers)
    wait_for("servers to be up", lambda: all(s["state"] == "up" for i in daemon.instances() for s in i["servers"]), 10)
    table = daemon.ctl("status").stdout
    for host in hosts:
        line = next(line for line in table.splitlines() if host.address in line)
        for word in ("prod", NAME, "converged", "haproxy:2.6-lab", "3/3"):
            assert word in line, f"{word} is not in: {line}"
    assert ageless(daemon.ctl("status", "prod").stdout) == ageless(daemon.ctl("status").stdout)
    assert json.loads(daemon.ctl("-o", "json", "status").stdout).keys() >= {"specs", "instances", "version"}
    assert re.search(r"(?m)^instances:", daemon.ctl("-o", "yaml", "status").stdout)
    daemon.ctl("status", "--wait=10s", expect=0)
    assert daemon.ctl("status", "nosuch", expect=None).returncode == 1


def test_status_wait_gives_up(daemon, hosts, servers):
    hosts[0].link("down")
    deploy_content = spec.document([spec.instance(host) for host in hosts], servers)
    daemon.drop("prod", deploy_content)
    daemon.wait("the spec", daemon.instances)
    daemon.ctl("status", "--wait=2s", expect=1)
    daemon.wait_phase(hosts[0].address, "unreachable")
    line = next(line for line in daemon.ctl("status").stdout.splitlines() if hosts[0].address in line)
    assert "unreachable" in line and re.search("(?i)timed out|route", line), "the table says why"


def test_plan(make_daemon, local, servers):
    daemon = make_daemon(resync="1h").start()
    content = deploy_local(daemon, servers)
    daemon.ctl("plan", expect=0)
    local.sh("sed -i 's/10.77.0.254:6441/10.9.9.9:6441/' /etc/haproxy-lb0/haproxy.cfg")
    with EngineEvents(local.engine) as events:
        said = daemon.ctl("plan", expect=1).stdout
        assert daemon.ctl("diff", "local", expect=1).stdout == said
        assert events.mutating() == []
    # A diff: what is there, what will be.
    assert re.search(r"(?m)^\s*-.*10\.9\.9\.9:6441", said) and re.search(r"(?m)^\s*\+.*10\.77\.0\.254:6441", said)
    daemon.ctl("reconcile", "--wait", expect=0)
    daemon.ctl("plan", expect=0)
    assert content


def test_reconcile_is_now(make_daemon, local, servers):
    daemon = make_daemon(resync="1h").start()
    deploy_local(daemon, servers)
    local.engine.remove("lb0")
    daemon.ctl("reconcile", "local", "--wait", expect=0, timeout=patience(15))
    assert local.engine.status("lb0") == "running"


def test_events(daemon, local, servers):
    deploy_local(daemon, servers)
    local.engine.remove("lb0")
    wait_for("the repair to be told", lambda: daemon.ctl("events").stdout.count("lb0") >= 2, 10)
    lines = daemon.ctl("-o", "json", "events", "local").stdout.splitlines()
    assert all(json.loads(line) for line in lines) or json.loads("\n".join(lines))


def test_version_of_both(daemon):
    said = daemon.ctl("version").stdout
    assert len(re.findall(r"\d+\.\d+\.\d+", said)) == 2


def test_log_formats(make_daemon, local, servers):
    daemon = make_daemon("--log-format=json").start()
    deploy_local(daemon, servers)
    daemon.stop()
    lines = daemon.log().splitlines()
    assert lines and all(isinstance(json.loads(line), dict) for line in lines)


def test_settings_file(make_daemon, tmp_path, local, servers):
    daemon = make_daemon()
    settings = tmp_path / "apilbd.yaml"
    settings.write_text(
        f"specDir: {daemon.spec_dir}\nstateDir: {daemon.state_dir}\nsocket: {daemon.socket}\nresync: 1h\nowner: me\n"
    )
    daemon.args = [f"--config={settings}"]
    daemon.settings = {}
    daemon.start()
    deploy_local(daemon, servers)
    assert local.engine.inspect("lb0")["Config"]["Labels"]["io.apilb.owner"] == "me"


def test_second_interrupt_ends_at_once(make_daemon):
    daemon = make_daemon().start()
    daemon.stop(2)
