"""apilbctl and every way to be no daemon."""

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from ctl_client import CTL, ENV, HINT, WELL, WRAPPER, ctl, fake, path, status  # noqa: F401 (fixtures)
from fake_apilbd import FakeDaemon, Raw, Reply


# no daemon


def test_no_socket(path):
    assert ctl("--socket", str(path), "status") == (
        3,
        "",
        f"apilbctl: cannot connect to {path}: no such socket.\n{HINT}",
    )


def test_a_socket_that_was_left(path):
    FakeDaemon(path).start().stop()
    assert ctl("--socket", str(path), "plan") == (
        3,
        "",
        f"apilbctl: cannot connect to {path}: nobody listens there; the socket was left by a daemon that has ended.\n{HINT}",
    )


def test_no_socket_but_a_file(path):
    path.write_text("x")
    assert ctl("--socket", str(path), "events") == (3, "", f"apilbctl: {path}: that is not a socket.\n{HINT}")


def as_nobody():
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)


@pytest.fixture
def public_ctl(tmp_path_factory):
    """A copy of the client that everybody may run."""
    directory = Path(tempfile.mkdtemp(prefix="apilbctl."))
    directory.chmod(0o755)
    shutil.copy(CTL, directory / "apilbctl")
    yield directory
    shutil.rmtree(directory)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
@pytest.mark.skipif(WRAPPER != [], reason="valgrind itself needs more rights than nobody has")
def test_a_socket_of_somebody_else(public_ctl):
    path = public_ctl / "s"
    with FakeDaemon(path):
        path.chmod(0o660)
        os.chown(path, 0, 4)
        result = subprocess.run(
            [public_ctl / "apilbctl", "--socket", path, "status"],
            capture_output=True,
            text=True,
            env=ENV,
            preexec_fn=as_nobody,
        )
        assert (result.returncode, result.stderr) == (
            3,
            f"apilbctl: {path}: permission denied for nobody: the socket has mode 0660 and group adm.\n"
            "Members of that group may use it (usermod -aG adm nobody, then log in anew), or root.\n",
        )
        (public_ctl / "closed").mkdir(mode=0o700)
        inner = public_ctl / "closed" / "s"
        result = subprocess.run(
            [public_ctl / "apilbctl", "--socket", inner, "status"],
            capture_output=True,
            text=True,
            env=ENV,
            preexec_fn=as_nobody,
        )
        assert (result.returncode, result.stderr) == (
            3,
            f"apilbctl: {inner}: permission denied for nobody: the directory of the socket is closed to you.\n"
            "Its group (see ls -ld) or root may use it.\n",
        )


@pytest.mark.parametrize(
    "answer, said",
    [
        (Raw(b""), "GET /v1/status: the connection was closed without an answer"),
        (
            Raw(b"\x00\xffSSH-2.0-garbage\r\n"),
            "GET /v1/status: what answers there does not speak HTTP, so it is not apilbd",
        ),
        (
            Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"),
            "GET /v1/status: the connection was closed in the middle of the answer",
        ),
        (
            Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{", hang=True),
            "no answer to GET /v1/status within 300ms (--timeout)",
        ),
        (Raw(hang=True), "no answer to GET /v1/status within 300ms (--timeout)"),
    ],
)
def test_a_daemon_that_is_none(fake, path, answer, said):
    daemon = fake({"GET /v1/status": [answer]})
    assert daemon.ctl("--timeout=300ms", "status") == (3, "", f"apilbctl: {path}: {said}.\n{HINT}")


def test_a_stream_that_does_not_begin(fake, path):
    daemon = fake({"GET /v1/events": [Raw(hang=True)]})
    assert daemon.ctl("--timeout=300ms", "events", "-f") == (
        3,
        "",
        f"apilbctl: {path}: no answer to GET /v1/events within 300ms (--timeout).\n{HINT}",
    )


@pytest.mark.parametrize(
    "body, why",
    [("", ": unexpected end of data"), ("[]", ""), ("nonsense", ": unexpected character"), ('{"a": ', None)],
)
def test_answers_that_are_no_json_object(fake, path, body, why):
    daemon = fake({"GET /v1/status": [Reply(body)]})
    result = daemon.ctl("status")
    assert result.code == 3
    assert result.err.startswith(
        f"apilbctl: what answers at {path} is not apilbd: its reply to GET /v1/status is no JSON object"
    )


@pytest.mark.parametrize("body", [{}, {"instances": 1, "specs": []}, {"instances": []}])
def test_a_status_that_is_none(fake, body):
    daemon = fake({"GET /v1/status": [Reply(body)]})
    assert daemon.ctl("status") == (
        3,
        "",
        "apilbctl: what answers is not apilbd: its status has no list of instances and specs\n",
    )


def test_a_status_full_of_nonsense_is_shown_as_far_as_it_goes(fake):
    daemon = fake(
        {
            "GET /v1/status": [
                Reply(
                    {
                        "ready": 1,
                        "specs": [None, {"errors": [3]}],
                        "instances": [
                            None,
                            7,
                            {"servers": [1], "container": "x", "changedAt": "then", "phase": []},
                        ],
                    }
                )
            ]
        }
    )
    assert daemon.ctl("status").code == 0


def test_a_proxy_is_not_asked(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    assert (
        daemon.ctl("status", env={"http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "http://127.0.0.1:1"}).code
        == 0
    )


def test_a_path_that_is_too_long():
    assert ctl("--socket", "/" + "x" * 200, "status").code == 2


def test_a_full_disk_is_no_success(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*WRAPPER, CTL, "--socket", daemon.path, "status", "-o", "json"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=ENV,
        )
    assert (result.returncode, result.stderr) == (
        1,
        "apilbctl: cannot write to standard output: No space left on device\n",
    )
