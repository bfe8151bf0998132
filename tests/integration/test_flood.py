"""A host that is full of something fills neither the log nor the memory of what happened elsewhere."""

import json

from lab import fakes, spec
from lab.fleet import deploy_local
from lab.proc import patience

ORPHANS = 1500
BURST, PER_MINUTE = 1000, 120


def full_engine(path):
    """An engine with containers of ours that no spec has; removed ones are back at the next look."""
    containers = [
        {
            "Id": f"{n:064x}",
            "Names": [f"/orphan{n}"],
            "Image": "haproxy",
            "State": "exited",
            "Labels": {"io.apilb.owner": "apilb", "io.apilb.spec": "gone", "io.apilb.instance": f"gone/x/orphan{n}"},
            "Mounts": [{"Destination": f"/var/lib/apilb/orphan{n}"}],
        }
        for n in range(ORPHANS)
    ]
    replies = {
        b"/_ping": fakes.PING,
        b"/containers/json": fakes.json_reply(b"200 OK", json.dumps(containers).encode()),
    }

    def behave(connection):
        while True:
            line = fakes.read_request(connection).split(b"\r\n")[0]
            if line.startswith(b"DELETE"):
                connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
            else:
                gone = fakes.json_reply(b"404 Not Found", b'{"message":"no such container"}')
                connection.sendall(next((reply for part, reply in replies.items() if part in line), gone))

    return fakes.fake_engine(path, behave)


def test_a_host_full_of_orphans(daemon, servers, tmp_path):
    deploy_local(daemon, servers)
    before = [e["id"] for e in daemon.events() if e["spec"] == "local"]
    with full_engine(tmp_path / "full.sock"):
        full = spec.direct("lb1", 7444)
        full["runtime"] = {"docker": {"host": f"unix://{tmp_path}/full.sock"}}
        daemon.drop("full", spec.document([full], servers))
        told = lambda: [line for line in daemon.log().splitlines() if "which no spec has" in line]

        def flooded():
            daemon.reconcile("full")
            return len(told()) >= BURST

        # A run takes on a hundred of them.
        daemon.wait("all that may be told at once", flooded, patience(60))
        for _ in range(3):
            daemon.ctl("reconcile", "full", "--wait=20s", expect=None)
        told = told()
        assert BURST <= len(told) < BURST + 3 * PER_MINUTE
        kept = map(json.loads, daemon.get("/v1/events?limit=10000").splitlines())
        kept = [e["id"] for e in kept if e["spec"] == "local"]
        assert kept[: len(before)] == before
        daemon.stop()
    assert "events were left out, since there were too many at once" in daemon.log()
