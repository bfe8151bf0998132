"""apilbctl against a daemon with canned answers: plan, reconcile, events, state, version."""

import json
import re
import shlex
import signal
import subprocess
import threading

import pytest
import yaml

from ctl_client import (
    BAD_SPEC,
    CTL,
    ENV,
    FAILED,
    HINT,
    WELL,
    WRAPPER,
    Terminal,
    ctl,
    event,
    fake,
    instance,
    lines,
    path,
    plan,
    spec,
    stamp,
    status,
)  # noqa: F401 (fixtures)
from fake_apilbd import Reply, Stream


# plan


def test_plan_without_changes(fake):
    daemon = fake(
        {
            "GET /v1/plan": [Reply({"ready": True, "instances": [plan("prod/h/a"), plan("prod/h/b")]})],
            "GET /v1/status": [Reply(status(WELL))],
        }
    )
    assert daemon.ctl("plan", "prod") == (0, "No changes. 2 balancers are as wanted.\n", "")
    assert daemon.requests == [("GET /v1/plan", {"spec": "prod"}), ("GET /v1/status", {"spec": "prod"})]


def test_plan_with_everything(fake):
    answer = {
        "ready": True,
        "instances": [
            plan("prod/h/a", ["create container api-lb from haproxy:3.0", "start container api-lb"]),
            plan("prod/h/b"),
            plan(
                "prod/h/c",
                ["write /etc/haproxy/haproxy.cfg"],
                diff="--- host\n+++ wanted\n@@ -1 +1 @@\n-a\n+b\n",
            ),
            plan("prod/h/d", error="connection refused"),
        ],
    }
    daemon = fake({"GET /v1/plan": [Reply(answer)], "GET /v1/status": [Reply(status(WELL))]})
    assert daemon.ctl("diff") == (
        1,
        """\
prod/h/a
  * create container api-lb from haproxy:3.0: container is missing
  * start container api-lb: container is missing

prod/h/c
  * write /etc/haproxy/haproxy.cfg: container is missing
      --- host
      +++ wanted
      @@ -1 +1 @@
      -a
      +b

prod/h/d
  ! unreachable: connection refused

3 actions on 2 of 4 balancers; 1 of 4 could not be looked at or changed.
""",
        "",
    )
    result = daemon.ctl("plan", "-o", "json")
    assert (result.code, json.loads(result.out)) == (1, answer)


def test_plan_tells_of_a_spec_that_does_not_count(fake):
    daemon = fake(
        {
            "GET /v1/plan": [Reply({"ready": True, "instances": []})],
            "GET /v1/status": [Reply(status(specs=[BAD_SPEC]))],
        }
    )
    result = daemon.ctl("plan")
    assert result.code == 1
    assert result.err.startswith("INVALID SPEC edge")


def test_plan_before_the_specs_are_read(fake):
    daemon = fake({"GET /v1/plan": [Reply({"ready": False, "instances": []})]})
    assert daemon.ctl("plan") == (
        1,
        "",
        "apilbctl: apilbd has just started and still reads its specs; try again\n",
    )


# reconcile


def test_reconcile_asks_and_returns(fake):
    daemon = fake(
        {
            "POST /v1/reconcile": [Reply({"requestedAt": stamp()}, 202)],
            "GET /v1/status": [Reply(status(FAILED))],
        }
    )
    assert daemon.ctl("reconcile", "prod") == (
        0,
        "",
        "A run is under way (apilbctl status --watch shows it).\n",
    )
    assert daemon.requests[0] == ("POST /v1/reconcile", {"spec": "prod"})


def test_reconcile_is_refused(fake):
    daemon = fake({"POST /v1/reconcile": [Reply({"error": "no such spec: prod"}, 404), Reply("<html>", 500)]})
    assert daemon.ctl("reconcile", "prod") == (1, "", "apilbctl: no such spec: prod\n")
    assert daemon.ctl("reconcile") == (
        1,
        "",
        "apilbctl: POST /v1/reconcile: apilbd answers with status 500\n",
    )


REQUESTED = "2026-05-01T10:00:00.500Z"
BEFORE, AFTER = "2026-05-01T10:00:00.499Z", "2026-05-01T12:00:00.5+02:00"


@pytest.mark.parametrize(
    "final, code", [("converged", 0), ("failed", 1), ("unreachable", 1), ("conflict", 1), ("paused", 1)]
)
def test_reconcile_waits_for_the_end_of_a_run_that_began_after_the_request(fake, final, code):
    daemon = fake(
        {
            "POST /v1/reconcile": [Reply({"requestedAt": REQUESTED}, 202)],
            "GET /v1/status": [
                Reply(status(WELL | {"observedAt": BEFORE})),
                Reply(status(WELL | {"observedAt": None})),
                Reply(status(instance("prod/h/x", "reconciling", observedAt=AFTER))),
                Reply(status(instance("prod/h/x", final, observedAt=AFTER))),
            ],
        }
    )
    result = daemon.ctl("reconcile", "--wait=10s", "prod")
    assert result.code == code
    assert len(daemon.requests) == 5
    assert result.out.splitlines()[1].split()[3] == final


def test_reconcile_gives_up_waiting(fake):
    daemon = fake(
        {
            "POST /v1/reconcile": [Reply({"requestedAt": REQUESTED}, 202)],
            "GET /v1/status": [Reply(status(instance("prod/h/x", "removing", observedAt=AFTER)))],
        }
    )
    result = daemon.ctl("reconcile", "--wait=300ms")
    assert result.code == 1
    assert result.err.endswith("apilbctl: not done after 300ms:\n  prod/h/x: removing\n")


def test_reconcile_wait_counts_invalid_specs(fake):
    daemon = fake(
        {
            "POST /v1/reconcile": [Reply({"requestedAt": REQUESTED}, 202)],
            "GET /v1/status": [Reply(status(WELL | {"observedAt": AFTER}, specs=[spec("prod"), BAD_SPEC]))],
        }
    )
    assert daemon.ctl("reconcile", "--wait=5s").code == 1


# events


def test_events_as_lines(fake):
    daemon = fake(
        {
            "GET /v1/events": [
                Stream(
                    lines(
                        event(1, "container started"),
                        event(2, "gone\nfor good", level="warning", type="drift"),
                        event(3, "bad", instance=None, level="error"),
                    )
                )
            ]
        }
    )
    assert daemon.ctl("events", "-n", "3", "prod") == (
        0,
        """\
2026-05-01 10:00:01  info     prod/10.0.0.5/api-lb  repaired  container started
2026-05-01 10:00:02  warning  prod/10.0.0.5/api-lb  drift     gone\\nfor good
2026-05-01 10:00:03  error    prod                  repaired  bad
""",
        "",
    )
    assert daemon.requests == [("GET /v1/events", {"spec": "prod", "limit": "3"})]


def test_events_as_json_and_yaml(fake):
    events = [event(1, "a"), event(2, "b")]
    daemon = fake({"GET /v1/events": [Stream(lines(*events))]})
    assert [json.loads(line) for line in daemon.ctl("events", "-o", "json").out.splitlines()] == events
    assert list(yaml.safe_load_all(daemon.ctl("events", "-o", "yaml").out)) == events
    assert daemon.requests[0][1] == {"limit": "100"}


def test_events_are_followed_as_they_come(fake, path):
    go = threading.Event()
    text = lines(event(1, "first"), event(2, "second"), event(3, "third"))
    daemon = fake({"GET /v1/events": [Stream(text[:200], text[200:250], go, text[250:])]})
    process = subprocess.Popen(
        [*WRAPPER, CTL, "--socket", path, "events", "-f"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    assert process.stdout.readline().endswith("first\n")
    go.set()
    out, err = process.communicate(timeout=20)
    assert [line.split()[-1] for line in out.splitlines()] == ["second", "third"]
    assert (process.returncode, err) == (3, "apilbctl: apilbd has ended the stream of events\n")
    assert daemon.requests == [("GET /v1/events", {"follow": "1", "limit": "10"})]


@pytest.mark.parametrize("sent, code", [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, -signal.SIGTERM)])
def test_following_is_ended_by_a_signal(fake, path, sent, code):
    fake({"GET /v1/events": [Stream(lines(event(1, "x")), hang=True)]})
    process = subprocess.Popen(
        [*WRAPPER, CTL, "--socket", path, "events", "-f"], stdout=subprocess.PIPE, env=ENV
    )
    assert process.stdout.readline()
    process.send_signal(sent)
    assert process.wait(20) == code


def test_following_a_daemon_that_is_quiet_is_no_timeout(fake):
    go = threading.Event()
    daemon = fake({"GET /v1/events": [Stream(lines(event(1, "x")), go, lines(event(2, "y")))]})
    threading.Timer(1.2, go.set).start()
    assert daemon.ctl("--timeout", "500ms", "events", "-f").out.count("\n") == 2


def test_nobody_reads_the_events_any_more(fake, path):
    fake({"GET /v1/events": [Stream(*[lines(event(1, "x" * 1000))] * 3000, hang=True)]})
    shell = f"{shlex.join([*WRAPPER, str(CTL)])} --socket {path} events -f | head -n 1"
    assert (
        len(
            subprocess.run(shell, shell=True, env=ENV, stdout=subprocess.PIPE, timeout=20).stdout.splitlines()
        )
        == 1
    )


@pytest.mark.parametrize("line", [b"garbage\n", b"[1]\n", b"{\n"])
def test_events_that_are_none(fake, line):
    daemon = fake({"GET /v1/events": [Stream(lines(event(1, "x")) + line)]})
    result = daemon.ctl("events")
    assert (result.code, result.err) == (
        3,
        "apilbctl: what answers is not apilbd: an event is no JSON object\n",
    )


def test_events_of_a_spec_that_has_none(fake):
    daemon = fake({"GET /v1/events": [Stream(b"")]})
    assert daemon.ctl("events", "prdo") == (0, "", 'no events of a spec named "prdo"\n')
    assert daemon.ctl("events") == (0, "", "")


# state export, version


def test_state_export_is_what_the_daemon_says(fake):
    text = 'state:\n  "0":\n    name: api-lb # kept\n'
    daemon = fake({"GET /v1/state": [Reply(text)]})
    assert daemon.ctl("state", "export", "prod") == (0, text, "")
    assert daemon.ctl("state", "export", "-o", "yaml") == (0, text, "")
    assert daemon.requests == [("GET /v1/state", {"spec": "prod"}), ("GET /v1/state", {})]


def test_version(fake, path):
    own = ctl("--version").out.split()[1]
    assert ctl("version", "--socket", str(path)) == (
        3,
        f"apilbctl  {own}\n",
        f"apilbctl: cannot connect to {path}: no such socket.\n{HINT}",
    )
    daemon = fake({"GET /v1/status": [Reply(status())]})
    assert daemon.ctl("version") == (0, f"apilbctl  {own}\napilbd    9.8.7\n", "")
    assert json.loads(daemon.ctl("version", "-o", "json").out) == {"client": own, "daemon": "9.8.7"}


# all of them


def test_nothing_that_others_named_reaches_the_screen_raw(fake):
    evil = "\x1b]0;owned\x07\x9b31m\u202e\r\nx"
    daemon = fake(
        {
            "GET /v1/status": [
                Reply(
                    status(
                        instance("prod/h/n", "failed", error=evil, name=evil),
                        specs=[spec(evil, 1, [{"message": evil}])],
                    )
                )
            ],
            "GET /v1/plan": [
                Reply({"ready": True, "instances": [plan(evil, actions=[evil], diff="+" + evil)]})
            ],
            "GET /v1/events": [
                Reply(json.dumps(event(1, evil, type=evil, level=evil, instance=evil)) + "\n")
            ],
            "POST /v1/reconcile": [Reply({"error": evil}, 409)],
            "GET /v1/state": [Reply(evil)],
        }
    )
    for command in (
        "status",
        "status --watch",
        "status -o json",
        "status -o yaml",
        "plan",
        "plan -o json",
        "reconcile",
        "events",
        "events -o json",
        "events -o yaml",
        "state export",
        "version",
    ):
        with Terminal(daemon, *command.split()) as terminal:
            shown = terminal.read_until("\x1b[?7h" if "watch" in command else None).replace("\r\n", "\n")
        shown = re.sub("\x1b\\[(\\d+m|\\?7[lh]|[HJK])", "", shown)
        assert not set(re.findall("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)), command


# pause, resume


@pytest.mark.parametrize(
    "command, said",
    [
        ("pause", "Changes are held; what is under way on a host ends, and repairs go on.\n"),
        ("resume", "Changes go on (apilbctl status --watch shows them).\n"),
    ],
)
def test_pause_and_resume(fake, command, said):
    refusal = Reply({"error": "there is nothing to resume"}, 409)
    daemon = fake({f"POST /v1/{command}": [Reply({"specs": []}, 202), refusal]})
    assert daemon.ctl(command, "prod") == (0, "", said)
    assert daemon.requests == [(f"POST /v1/{command}", {"spec": "prod"})]
    assert daemon.ctl(command, "prod") == (1, "", "apilbctl: there is nothing to resume\n")
    assert daemon.ctl(command).code == 2


def test_plan_says_what_is_held(fake):
    held = plan("prod/h/a", ["reload HAProxy in container api-lb"])
    held["held"] = "waits for its turn: 1 of 3 hosts are done"
    daemon = fake({"GET /v1/plan": [Reply({"ready": True, "instances": [held]})], "GET /v1/status": [Reply(status())]})
    result = daemon.ctl("plan")
    assert result.code == 1
    assert result.out.startswith("prod/h/a\n  ~ held: waits for its turn: 1 of 3 hosts are done\n  * reload HAProxy")
