"""apilbd and apilbctl as users run them."""

import http.client
import json
import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

from .engine import UnixConnection
from .proc import Process, patience
from . import spec as specs

BUILD = Path(os.environ.get("APILB_BUILD", Path(__file__).resolve().parents[3] / "build"))
APILBD = BUILD / "apilbd"
APILBCTL = BUILD / "apilbctl"
# For example: valgrind --quiet --leak-check=full --error-exitcode=97
WRAPPER = shlex.split(os.environ.get("APILB_WRAPPER", ""))

# What sanitizers and valgrind print. Their exit code alone could be lost in another one.
TROUBLE = re.compile(r"ERROR: \w+Sanitizer|runtime error:|^==\d+== (?!Warning: set address range)", re.M)
ENVIRONMENT = {
    "ASAN_OPTIONS": "exitcode=97:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
}


def environment(**more):
    return {**ENVIRONMENT, **{k: str(v) for k, v in more.items() if v is not None}}


class Result(subprocess.CompletedProcess):
    """What a program that has ended said: .returncode .stdout .stderr, and both as .text."""

    @property
    def text(self):
        return self.stdout + self.stderr


def finish(argv, timeout=None, expect=None, env=None, prefix=(), **kwargs):
    """Runs one of our programs to its end."""
    if "input" not in kwargs:
        kwargs["stdin"] = subprocess.DEVNULL
    done = subprocess.run(
        [*map(str, prefix), *WRAPPER, *map(str, argv)],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout or patience(30),
        env=environment(**(env or {})),
        **kwargs,
    )
    done.__class__ = Result
    assert not TROUBLE.search(done.stderr), done.stderr
    if expect is not None:
        assert done.returncode == expect, f"exit {done.returncode}, not {expect}\n{done.text}"
    return done


class Daemon:
    """An apilbd with directories of its own."""

    def __init__(self, directory, *args, resync="2s", env=None, prefix=()):
        self.directory = Path(directory)
        self.spec_dir = self.directory / "specs"
        self.state_dir = self.directory / "state"
        self.socket = self.directory / "apilbd.sock"
        self.log_path = self.directory / "apilbd.log"
        self.spec_dir.mkdir(parents=True, exist_ok=True)
        self.settings = {
            "spec-dir": self.spec_dir,
            "state-dir": self.state_dir,
            "socket": self.socket,
            "resync": resync,
            "log-level": "debug",
        }
        self.args = list(args)
        self.env = env or {}
        # A command to run it under: other rights, other limits.
        self.prefix = list(prefix)
        self.process = None
        self.runs = 0

    # Running it.

    def argv(self, *more):
        options = [f"--{name}={value}" for name, value in self.settings.items() if value is not None]
        return [APILBD, *options, *self.args, *more]

    def start(self, wait=True):
        self.runs += 1
        self.process = Process(
            "apilbd",
            [*self.prefix, *WRAPPER, *self.argv()],
            self.directory / f"apilbd.{self.runs}.log",
            env=environment(**self.env),
        )
        if wait:
            self.wait_answering()
        return self

    def wait_answering(self):
        self.process.wait_for("its control socket", self.answers, patience(10))

    def stop(self, sig=signal.SIGTERM):
        """A clean end, within the promised 5 s."""
        if not self.process:
            return
        process, self.process = self.process, None
        if process.running():
            process.child.send_signal(sig)
            try:
                process.child.wait(patience(5))
            except subprocess.TimeoutExpired:
                process.stop(signal.SIGKILL)
                raise AssertionError(f"no end within 5 s of signal {sig}:\n{process.log()[-3000:]}") from None
        trouble = TROUBLE.search(process.log())
        assert not trouble, process.log()[trouble.start() :][:6000]
        assert process.child.returncode == 0, f"exit {process.child.returncode}:\n{process.log()[-3000:]}"

    def fails_to_start(self, timeout=10):
        """Starts it, expects it to give up, and returns what it said."""
        self.start(wait=False)
        process, self.process = self.process, None
        try:
            code = process.child.wait(patience(timeout))
        except subprocess.TimeoutExpired:
            process.stop(signal.SIGKILL)
            raise AssertionError(f"still running:\n{process.log()}") from None
        assert code in (1, 2), f"exit {code}:\n{process.log()}"
        assert not TROUBLE.search(process.log()), process.log()
        return process.log()

    def crash(self):
        """The end that nobody can prepare for."""
        process, self.process = self.process, None
        process.stop(signal.SIGKILL)

    def restart(self):
        self.stop()
        return self.start()

    def once(self, *more, expect=0, timeout=None):
        return finish(self.argv("--once", *more), expect=expect, timeout=timeout, env=self.env)

    def check(self, expect):
        return finish(self.argv("--check"), expect=expect, env=self.env, prefix=self.prefix)

    def log(self):
        """Of all its runs."""
        return "".join(path.read_text(errors="replace") for path in sorted(self.directory.glob("apilbd.*.log")))

    # Specs.

    def drop(self, name, content):
        return specs.write(self.spec_dir / f"{name}.yaml", content)

    def remove(self, name):
        (self.spec_dir / f"{name}.yaml").unlink()

    # The control socket.

    def request(self, method, path, timeout=None):
        """(status, headers, body as text)"""
        connection = UnixConnection(self.socket, timeout or patience(10))
        try:
            connection.request(method, path)
            reply = connection.getresponse()
            return reply.status, reply.headers, reply.read().decode()
        finally:
            connection.close()

    def get(self, path):
        status, _, body = self.request("GET", path)
        assert status == 200, f"GET {path}: {status} {body}"
        return body

    def answers(self):
        try:
            return self.request("GET", "/v1/status", timeout=2)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def status(self):
        return json.loads(self.get("/v1/status"))

    def instances(self, spec=None):
        return [i for i in self.status()["instances"] if spec in (None, i["spec"])]

    def instance(self, part):
        """The one whose id contains `part`; None if there is none."""
        found = [i for i in self.instances() if part in i["id"]]
        assert len(found) < 2, f"{part} names several: {[i['id'] for i in found]}"
        return found[0] if found else None

    def spec(self, name):
        return next((s for s in self.status()["specs"] if s["name"] == name), None)

    def events(self):
        return [json.loads(line) for line in self.get("/v1/events").splitlines()]

    def metrics(self):
        """Prometheus text as {"name{labels}": value}."""
        found = {}
        for line in self.get("/metrics").splitlines():
            if line and not line.startswith("#"):
                key, value = line.rsplit(" ", 1)
                found[key] = float(value)
        return found

    def reconcile(self, spec=None):
        status, _, body = self.request("POST", "/v1/reconcile" + (f"?spec={spec}" if spec else ""))
        assert status == 202, body

    # Waiting.

    def wait(self, what, condition, timeout=10):
        try:
            return self.process.wait_for(what, condition, timeout)
        except AssertionError as error:
            status = json.dumps(self.status(), indent=1) if self.process and self.process.running() else "(ended)"
            raise AssertionError(f"{error}\nstatus: {status}\nlog: ...{self.log()[-4000:]}") from None

    def wait_converged(self, count, spec=None, timeout=None):
        """Exactly `count` instances, every one converged. Returns them."""

        def converged():
            found = self.instances(spec)
            return found if len(found) == count and all(i["converged"] for i in found) else None

        return self.wait(f"{count} converged", converged, timeout or patience(40)) if count else self.wait_empty(spec)

    def wait_empty(self, spec=None, timeout=None):
        self.wait("no instances", lambda: not self.instances(spec), timeout or patience(40))
        return []

    def wait_phase(self, part, phase, timeout=None):
        def reached():
            found = self.instance(part)
            return found if found and found["phase"] == phase else None

        return self.wait(f"{part} to be {phase}", reached, timeout or patience(40))

    def wait_error(self, part, pattern, timeout=None):
        """Until lastError of the instance matches; returns its message."""

        def told():
            found = self.instance(part)
            error = found and found["lastError"]
            return error["message"] if error and re.search(pattern, error["message"]) else None

        return self.wait(f"{part} to say /{pattern}/", told, timeout or patience(40))

    def wait_invalid(self, name, timeout=None):
        """Until the spec is known to be invalid; returns its errors."""

        def invalid():
            found = self.spec(name)
            return found["errors"] if found and not found["valid"] else None

        return self.wait(f"{name} to be invalid", invalid, timeout or patience(30))

    # The client.

    def ctl(self, *args, expect=0, **kwargs):
        return finish([APILBCTL, f"--socket={self.socket}", *args], expect=expect, **kwargs)


def ctl(*args, expect=0, **kwargs):
    """apilbctl without a daemon."""
    return finish([APILBCTL, *args], expect=expect, **kwargs)


