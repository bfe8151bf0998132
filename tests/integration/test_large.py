"""Engines whose answers are far beyond their limits: nobody else waits for them, nor pays for them with memory."""

import json
import re

from lab import fakes, spec
from lab.fleet import deploy_local, serves
from lab.proc import SLOWNESS, patience

NONE = (b"404 Not Found", b'{"message":"no such thing"}')


def entry(number, of="gone"):
    return {
        "Id": f"{number:064x}",
        "Names": [f"/lb-{number}"],
        "Image": "haproxy:2.6-lab",
        "State": "exited",
        "Labels": {"io.apilb.owner": "apilb", "io.apilb.spec": of, "io.apilb.instance": f"{of}/h/lb-{number}"},
        "Mounts": [{"Destination": f"/var/lib/apilb/lb-{number}"}],
    }


def listing(body):
    return lambda method, path: (b"200 OK", body) if "/containers/json" in path else NONE


def inspecting(body):
    def answer(method, path):
        if "/containers/json" in path:
            return b"200 OK", b"[]"
        return (b"200 OK", body) if path.endswith("/json") else NONE

    return answer


def endless(method, path):
    yield b"HTTP/1.1 200 OK\r\n\r\n[{}"
    while True:
        yield b",{}" * 10_000


# What it says, and what becomes of it.
LARGE = {
    "many": (listing(json.dumps([entry(n) for n in range(20_000)]).encode()), "more than 5000 elements"),
    "maps": (listing(b"[" + b",".join([b"{}"] * 5_700_000) + b"]"), "more than 5000 elements"),
    "endless": (endless, "more than 5000 elements"),
    "one": (listing(b'[{"Id": "' + b"a" * 20_000_000 + b'"}]'), "larger than 65536 bytes"),
    "text": (inspecting(b'{"Id": "' + b"a" * 20_000_000 + b'"}'), "larger than 524288 bytes"),
    "nested": (inspecting(b"[" * 500_000), "more than 4000 values"),
    "values": (inspecting(b"[" + b",".join([b"{}"] * 170_000) + b"]"), "more than 4000 values"),
}


def peak_mib(pid):
    return int(re.search(r"VmHWM:\s*(\d+)", open(f"/proc/{pid}/status").read())[1]) / 1024


def test_large_replies(daemon, local, servers, tmp_path):
    deploy_local(daemon, servers, "well")
    before = peak_mib(daemon.process.pid)
    fake = {}
    try:
        for n, (kind, (answer, _)) in enumerate(LARGE.items()):
            fake[kind] = fakes.fake_engine(tmp_path / f"{kind}.sock", fakes.answering(answer))
            runtime = {"docker": {"host": f"unix://{tmp_path}/{kind}.sock"}}
            daemon.drop(kind, spec.document([spec.direct(f"on-{kind}", 8000 + n)], servers, runtime=runtime))
        for kind, (_, pattern) in LARGE.items():
            message = daemon.wait_error(f"/on-{kind}", pattern, timeout=patience(40))
            assert "beyond its limit" in message and "docker " in message, "which request, which limit, what to do"
        # With all of them going on, another one's balancer is repaired.
        local.engine.act("lb0", "stop", t=0)
        daemon.reconcile()
        daemon.wait("a repair", lambda: local.engine.status("lb0") == "running")
        daemon.wait_converged(1, "well")
        serves("127.0.0.1:7443")
        # A sanitizer keeps what was freed, so that is for the plain build.
        assert SLOWNESS > 1 or peak_mib(daemon.process.pid) - before < 16 * len(LARGE)
    finally:
        for server in fake.values():
            server.close()


def test_hundreds_of_orphans_go(daemon, servers, tmp_path):
    """A hundred a run, and the next run soon. What a spec has is not among them."""
    left = {f"{n:064x}": entry(n) for n in range(250)}
    kept = entry(999, of="orphans")
    kept["Id"] = "f" * 64
    removed = []

    def answer(method, path):
        if "/containers/json" in path:
            return b"200 OK", json.dumps([kept, *left.values()]).encode()
        name = path.split("/containers/")[-1].split("/")[0].split("?")[0]
        if method == "DELETE":
            removed.append(name)
            left.pop(name, None)
        return (b"204 No Content", b"") if name in left or method == "DELETE" else NONE

    fake = fakes.fake_engine(tmp_path / "engine.sock", fakes.answering(answer))
    with fake:
        daemon.settings["resync"] = "600s"
        daemon.restart()
        runtime = {"docker": {"host": f"unix://{tmp_path}/engine.sock"}}
        daemon.drop("orphans", spec.document([spec.direct("lb-999", 8000)], servers, runtime=runtime))
        daemon.wait("all to be gone", lambda: not left, patience(40))
        assert len(removed) == len(set(removed)) == 250
        assert kept["Id"] not in removed
