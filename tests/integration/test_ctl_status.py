"""apilbctl status: the table, --wait and --watch."""

import json
import os
import re
import signal
import subprocess
import time

import pytest
import yaml

from ctl_client import (
    BAD_SPEC,
    CTL,
    ENV,
    FAILED,
    HINT,
    SLOWNESS,
    WELL,
    WRAPPER,
    Terminal,
    ctl,
    fake,
    instance,
    path,
    spec,
    stamp,
    status,
    wait_for,
)  # noqa: F401 (fixtures)
from fake_apilbd import Raw, Reply


# status


def test_status_shows_what_needs_a_person_first(fake):
    daemon = fake(
        {
            "GET /v1/status": [
                Reply(
                    status(
                        WELL,
                        instance("prod/direct/b", "converged", servers="up down"),
                        FAILED,
                        instance(
                            "edge/h1/x",
                            "unreachable",
                            host="ssh://u@h1:2222",
                            servers="unknown",
                            error="refused",
                            container=None,
                        ),
                        instance(
                            "edge/h2/x",
                            "reconciling",
                            host="ssh://u@[fd00::1]:22",
                            progress="pulling haproxy:3.0: 2/5 layers",
                            container=None,
                        ),
                        instance("edge/h3/x", "pending", servers="", container=None, changedAt=None),
                    )
                )
            ]
        }
    )
    assert daemon.ctl("status") == (
        0,
        """\
SPEC  HOST      NAME    PHASE        IMAGE        SERVERS  AGE   WHY
prod  10.0.0.7  api-lb  failed       haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
edge  h1:2222   x       unreachable  -            ?/1      2d5h  refused
edge  fd00::1   x       reconciling  -            3/3      2d5h  pulling haproxy:3.0: 2/5 layers
edge  h3        x       pending      -            ?/0      -
prod  direct    b       converged    haproxy:3.0  1/2      2d5h  down: 10.0.0.2:6443
prod  10.0.0.5  api-lb  converged    haproxy:3.0  3/3      2d5h
""",
        "2 of 6 balancers converged, 1 failed, 1 unreachable, 1 reconciling, 1 pending, 1 with servers down\n",
    )


def test_status_problems_leaves_out_what_is_well(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, FAILED))]})
    assert daemon.ctl("status", "--problems") == (
        0,
        """\
SPEC  HOST      NAME    PHASE   IMAGE        SERVERS  AGE   WHY
prod  10.0.0.7  api-lb  failed  haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
""",
        "1 of 2 balancers converged, 1 failed\n",
    )


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ([{}], ""),
        ([{"verifiesServers": False}], "; 1, unlike the others, has no CA to verify API servers with"),
        ([{"verifiesServers": False}] * 2, "; 2, unlike the others, have no CA to verify API servers with"),
        ([{"verifiesServers": False, "insecure": True}], ""),
        ([{"verifiesServers": True}], ""),
    ],
)
def test_status_counts_who_does_not_verify_while_others_do(fake, others, said):
    """Among those that say nothing about it nobody is counted."""
    rows = [instance(f"prod/h{n}/b", **more) for n, more in enumerate(others)]
    ones = [instance("prod/one/b", verifiesServers=verifies) for verifies in (True, False)]
    daemon = fake({"GET /v1/status": [Reply(status(one, *rows)) for one in ones]})
    total = len(rows) + 1
    assert daemon.ctl("status").err == f"{total} of {total} balancers converged{said}\n"
    assert ("unlike" in daemon.ctl("status").err) == ({"verifiesServers": True} in others)


def test_status_shows_every_error_of_an_invalid_spec(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, specs=[spec("prod"), BAD_SPEC]))]})
    assert daemon.ctl("status") == (
        0,
        """\
SPEC  HOST      NAME    PHASE      IMAGE        SERVERS  AGE   WHY
prod  10.0.0.5  api-lb  converged  haproxy:3.0  3/3      2d5h
""",
        """\
INVALID SPEC edge: its last good version, if any, stays in force
  /etc/apilb.d/edge.yaml:7:3: servers[0]: port is missing
  /etc/apilb.d/edge.yaml: unknown key "naem"
1 of 1 balancer converged; 1 spec is invalid
""",
    )


def test_status_shows_what_is_wrong_with_the_daemon(fake):
    troubles = ["/etc/apilb.d: permission denied", "the store cannot be written: disk full\nx"]
    daemon = fake({"GET /v1/status": [Reply(status(WELL) | {"troubles": troubles})]})
    result = daemon.ctl("status")
    assert (result.code, result.err) == (
        0,
        "APILBD IN TROUBLE: /etc/apilb.d: permission denied\n"
        "APILBD IN TROUBLE: the store cannot be written: disk full\\nx\n"
        "1 of 1 balancer converged\n",
    )


@pytest.mark.parametrize(
    "ready, said",
    [
        (True, "no balancers\n"),
        (False, "apilbd has just started and still reads its specs; no balancers\n"),
    ],
)
def test_status_of_nothing(fake, ready, said):
    assert fake({"GET /v1/status": [Reply(status(ready=ready))]}).ctl("status") == (0, "", said)


def test_status_as_json_and_yaml_is_what_the_daemon_said(fake):
    said = status(
        WELL, FAILED, instance("prod/direct/yes", name="no", index=3), specs=[spec("prod"), BAD_SPEC]
    )
    daemon = fake({"GET /v1/status": [Reply(said)]})
    result = daemon.ctl("status", "-o", "json")
    assert (result.code, json.loads(result.out), result.err) == (0, said, "")
    assert list(json.loads(result.out)) == list(said)
    result = daemon.ctl("-o", "yaml", "status")
    assert (result.code, yaml.safe_load(result.out), result.err) == (0, said, "")


def test_status_asks_for_one_spec(fake):
    daemon = fake({"GET /v1/status": [Reply(status(instance("a&b=c d/direct/x")))]})
    assert daemon.ctl("status", "a&b=c d").code == 0
    assert daemon.requests == [("GET /v1/status", {"spec": "a&b=c d"})]


def test_status_of_an_unknown_spec(fake):
    daemon = fake({"GET /v1/status": [Reply(status(specs=[]))]})
    assert daemon.ctl("status", "nope") == (
        1,
        "",
        'apilbctl: there is no spec "nope"; apilbctl status shows all\n',
    )
    assert daemon.ctl("status", "30s") == (
        1,
        "",
        'apilbctl: there is no spec "30s"; a duration is given as --wait=30s\n',
    )


# status --wait, --watch


def test_wait_ends_when_all_is_converged(fake):
    daemon = fake(
        {
            "GET /v1/status": [
                Reply(status(ready=False)),
                Reply(status(FAILED)),
                Reply(status(WELL, specs=[spec("prod"), BAD_SPEC])),
                Reply(status(WELL)),
            ]
        }
    )
    result = daemon.ctl("status", "--wait=10s")
    assert (result.code, result.err) == (0, "1 of 1 balancer converged\n")
    assert len(daemon.requests) == 4
    assert result.out.endswith("3/3      2d5h\n")


def test_wait_says_what_is_missing(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, FAILED, specs=[spec("prod"), BAD_SPEC]))]})
    begin = time.monotonic()
    result = daemon.ctl("status", "--wait=700ms")
    assert 0.7 <= time.monotonic() - begin < 3 * SLOWNESS
    assert result.code == 1
    assert result.err.endswith(
        """\
1 of 2 balancers converged, 1 failed; 1 spec is invalid
apilbctl: not converged after 700ms:
  prod/10.0.0.7/api-lb: failed: no such image: haproxy:9.9
  spec edge is invalid
"""
    )


def rollout(phase, done=3, total=20, why="node4: HAProxy does not stay up"):
    return {"phase": phase, "done": done, "total": total, "changing": 0, "unreachable": 0, "failed": 1, "why": why}


def with_rollout(*args, balancer=WELL, **kwargs):
    return Reply(status(balancer, specs=[spec("prod") | {"rollout": rollout(*args, **kwargs)}]))


HELD = instance("prod/10.0.0.8/api-lb", "paused", progress="the rollout was halted (node4: refused)")


@pytest.mark.parametrize(
    "phase, line",
    [
        ("rolling", "ROLLOUT of prod: 3 of 20 hosts are done"),
        (
            "halted",
            "ROLLOUT HALTED: prod, 3 of 20 hosts are done: node4: HAProxy does not stay up; `apilbctl resume prod` "
            "goes on, a new edit starts over",
        ),
        (
            "reverted",
            "ROLLOUT REVERTED: prod, 3 of 20 hosts are done: node4: HAProxy does not stay up; `apilbctl resume prod` "
            "tries it again, a new edit starts over",
        ),
        (
            "paused",
            "PAUSED: changes of prod are held, repairs go on (3 of 20 hosts are done); `apilbctl resume prod` goes on",
        ),
    ],
)
def test_status_says_how_far_a_rollout_is(fake, phase, line):
    daemon = fake({"GET /v1/status": [with_rollout(phase)]})
    assert daemon.ctl("status").err == f"{line}\n1 of 1 balancer converged\n"


def test_a_pause_that_holds_nothing_is_no_reason_to_wait(fake):
    daemon = fake({"GET /v1/status": [with_rollout("paused", 0, 0)]})
    result = daemon.ctl("status", "--wait=10s")
    assert (result.code, len(daemon.requests)) == (0, 1)
    assert "(no change is held)" in result.err


@pytest.mark.parametrize("phase", ["halted", "reverted", "paused"])
def test_wait_does_not_wait_for_what_has_stopped(fake, phase):
    daemon = fake({"GET /v1/status": [with_rollout(phase, balancer=HELD)]})
    result = daemon.ctl("status", "--wait=30s")
    assert (result.code, len(daemon.requests)) == (1, 1)
    assert "apilbctl resume prod" in result.err
    assert result.err.endswith(
        "apilbctl: a rollout does not go on by itself:\n"
        "  prod/10.0.0.8/api-lb: paused: the rollout was halted (node4: refused)\n"
    )


def test_wait_goes_on_until_the_rollout_has_ended(fake):
    daemon = fake({"GET /v1/status": [with_rollout("rolling"), with_rollout("rolling", 20), Reply(status(WELL))]})
    result = daemon.ctl("status", "--wait=10s")
    assert (result.code, len(daemon.requests)) == (0, 3)


def test_wait_lives_through_a_restart_of_the_daemon(fake, path):
    daemon = fake({"GET /v1/status": [Reply(status(FAILED)), Raw(b"")]})
    process = subprocess.Popen(
        [*WRAPPER, CTL, "--socket", path, "status", "--wait=20s"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENV,
    )
    wait_for(lambda: len(daemon.requests) > 1)
    daemon.stop()
    path.unlink()
    time.sleep(0.3)
    fake({"GET /v1/status": [Reply(status(WELL))]})
    out, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "1 of 1 balancer converged\n")


def test_wait_with_a_daemon_that_does_not_come_back(fake, path):
    fake({"GET /v1/status": [Reply(status(FAILED)), Raw(b"")]})
    result = ctl("--socket", str(path), "status", "--wait=600ms")
    assert result == (
        3,
        "",
        f"apilbctl: {path}: GET /v1/status: the connection was closed without an answer.\n" + HINT,
    )


def test_wait_does_not_wait_for_a_daemon_that_never_was(path):
    begin = time.monotonic()
    assert ctl("--socket", str(path), "status", "--wait").code == 3
    assert time.monotonic() - begin < 2 * SLOWNESS


def test_wait_gives_a_new_spec_time_to_be_seen(fake):
    daemon = fake(
        {
            "GET /v1/status": [
                Reply(status()),
                Reply({"error": "no such spec: prod"}, 404),
                Reply(status(WELL)),
            ]
        }
    )
    assert daemon.ctl("status", "--wait=5s", "prod").code == 0


def test_watch_prints_what_changes(fake):
    other = instance("prod/10.0.0.6/api-lb")
    daemon = fake(
        {
            "GET /v1/status": [
                Reply(status(WELL, FAILED)),
                Reply(status(WELL, FAILED | {"observedAt": stamp(seconds=1)}, other)),
                Reply(
                    status(WELL, FAILED | {"phase": "a-much-longer-phase"}, specs=[spec("prod"), BAD_SPEC])
                ),
                Raw(b""),
            ]
        }
    )
    result = daemon.ctl("status", "--watch")
    assert (
        result.out
        == """\
SPEC  HOST      NAME    PHASE      IMAGE        SERVERS  AGE   WHY
prod  10.0.0.5  api-lb  converged  haproxy:3.0  3/3      2d5h
prod  10.0.0.7  api-lb  failed     haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
prod  10.0.0.6  api-lb  converged  haproxy:3.0  3/3      2d5h
prod  10.0.0.6  api-lb  gone                 haproxy:3.0  3/3      2d5h
prod  10.0.0.7  api-lb  a-much-longer-phase  haproxy:9.9  ?/2      2d5h  no such image: haproxy:9.9
INVALID SPEC edge: its last good version, if any, stays in force
  /etc/apilb.d/edge.yaml:7:3: servers[0]: port is missing
  /etc/apilb.d/edge.yaml: unknown key "naem"
"""
    )
    assert result.code == 3


def test_watch_and_wait_end_together(fake):
    daemon = fake({"GET /v1/status": [Reply(status(FAILED)), Reply(status(WELL))]})
    result = daemon.ctl("status", "--watch", "--wait=10s")
    assert result.code == 0
    assert [line.split()[:4] for line in result.out.splitlines()] == [
        ["SPEC", "HOST", "NAME", "PHASE"],
        ["prod", "10.0.0.7", "api-lb", "failed"],
        ["prod", "10.0.0.5", "api-lb", "converged"],
        ["prod", "10.0.0.7", "api-lb", "gone"],
    ]


def test_a_terminal_gets_colour_and_no_long_lines(fake):
    daemon = fake({"GET /v1/status": [Reply(status(FAILED | {"lastError": {"message": "x" * 200}}))]})
    with Terminal(daemon, "status", columns=90) as terminal:
        header, row, *_ = terminal.read_until().split("\r\n")
    assert (
        row
        == "prod  10.0.0.7  api-lb  \x1b[31mfailed\x1b[0m  haproxy:9.9  ?/2      2d5h  " + "x" * 27 + "..."
    )
    assert len(row.replace("\x1b[31m", "").replace("\x1b[0m", "")) == 90
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        with Terminal(daemon, "status", env=env) as terminal:
            assert "\x1b" not in terminal.read_until()


def test_watch_draws_a_terminal_anew(fake):
    many = [instance(f"prod/10.0.0.{n}/api-lb") for n in range(30)]
    daemon = fake({"GET /v1/status": [Reply(status(*many)), Reply(status(FAILED, *many[1:]))]})
    with Terminal(daemon, "status", "--watch", lines=10) as terminal:
        terminal.read_until("1 failed")
        first, second = terminal.text.split("\x1b[?7l\x1b[H")[1:]
        assert first.endswith("\x1b[J\x1b[?7h")
        lines = first.split("\x1b[K\r\n")
        assert len(lines) == 10  # nine, and what ends the screen
        assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d  30 of 30 balancers converged", lines[0])
        assert lines[8] == "... 25 more lines"
        terminal.read_until("more lines")
        daemon.stop()
        terminal.read_until("NO LONGER CURRENT")
        assert terminal.process.poll() is None
        os.write(terminal.master, b"\x03")
        terminal.process.wait(10)
        assert terminal.process.returncode == -signal.SIGINT
