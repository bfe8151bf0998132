"""An engine whose replies cannot be trusted: any field may be anything. The daemon lives, others do not notice, and
when the lies end all is as it should be."""

import base64
import json

from lab import fakes, spec
from lab.fleet import deploy, endpoint, identity, serves
from lab.proc import patience

LIES = [None, -1, 10**30, "\u0000", {}, [None], [[{}], 7, "APILB_TOKEN=../../x"]]
ABSENT = object()

# What the daemon reads of a reply; an image's or container's whole would be thousands of plans.
READ = {
    "inspect": ("Id", "Name", "Image", "State/Status", "State/ExitCode", "State/StartedAt", "State", "Config/Image",
                "Config/User", "Config/Cmd", "Config/Cmd/0", "Config/StopSignal", "Config/Env", "Config/Env/0",
                "Config/Entrypoint", "Config/Labels", "Config/Labels/io.apilb.owner",
                "Config/Labels/io.apilb.container-sha256", "Config", "HostConfig/NetworkMode",
                "HostConfig/RestartPolicy", "HostConfig/RestartPolicy/Name", "HostConfig/Memory",
                "HostConfig/Privileged", "HostConfig", "Mounts", "Mounts/0", "Mounts/0/Source", "Mounts/0/RW"),
    "list": ("", "0", "0/Id", "0/Names", "0/Names/0", "0/Image", "0/State", "0/Labels", "0/Labels/io.apilb.owner",
             "0/Labels/io.apilb.instance", "0/ImageID", "0/Mounts", "0/Mounts/0", "0/Mounts/0/Destination"),
    "image": ("", "Id", "Config", "Config/Env", "Config/Env/0", "Config/Entrypoint"),
    "stat": ("", "name", "size", "mode", "mtime"),
}  # fmt: skip


def kind_of(method, path):
    if "/containers/json" in path:
        return "list"
    if method == "GET" and "/images/" in path:
        return "image"
    if method == "GET" and path.endswith("/json"):
        return "inspect"
    return "stat" if "/archive" in path and method in ("HEAD", "GET") else None


def changed(value, path, lie):
    """The value with another one at the path; None if it has no such place."""
    if not path:
        return lie if lie is not ABSENT else {}
    key, _, rest = path.partition("/")
    # Labels hold dots, not slashes; a list is entered by number.
    at = int(key) if isinstance(value, list) else key
    try:
        inner = value[at]
    except (KeyError, IndexError, TypeError):
        return value
    copy = value.copy()
    if rest:
        copy[at] = changed(inner, rest, lie)
    elif lie is ABSENT:
        del copy[at]
    else:
        copy[at] = lie
    return copy


def lying(kind, path, lie):
    """Once: then the truth again, so that nobody waits for it to come true."""
    told = False

    def tell(method, target, reply):
        nonlocal told
        if told or kind_of(method, target) != kind or reply.status != 200:
            return False
        told = True
        header = "X-Docker-Container-Path-Stat"
        real = json.loads(base64.b64decode(reply.head[header]) if kind == "stat" else reply.body)
        said = json.dumps(changed(real, path, lie)).encode()
        if kind == "stat":
            reply.head[header] = base64.b64encode(said).decode()
        else:
            reply.body = said
        return True

    return tell


def test_any_field_is_a_lie(make_daemon, hosts, local, servers, tmp_path):
    daemon = make_daemon(resync="600s").start()  # no run but those that are asked for
    with fakes.Liar(tmp_path / "liar.sock", local.engine.socket) as liar:
        deploy(daemon, hosts[:1], servers)
        runtime = {"docker": {"host": f"unix://{tmp_path}/liar.sock"}}
        content = spec.document([spec.direct()], servers, runtime=runtime)
        daemon.drop("lied", content)
        daemon.wait_converged(1, "lied")
        before = identity(local, "local-lb"), identity(hosts[0])

        # A plan looks at everything and changes nothing: hundreds of lies in seconds.
        for kind, paths in READ.items():
            told = liar.lies
            for path in paths:
                for lie in [*LIES, ABSENT]:
                    liar.lie = lying(kind, path, lie)
                    status, _, body = daemon.request("GET", "/v1/plan?spec=lied", timeout=patience(20))
                    assert status == 200, f"{kind} {path} {lie}: {body}"
            assert kind == "image" or liar.lies > told, f"{kind}: no lie was told"

        # Runs act on what they see. What is said of the list must not cost a container.
        for path in ("", "0", "0/Id", "0/Names/0", "0/Labels"):
            for lie in (None, "", [], ABSENT):
                liar.lie = lying("list", path, lie)
                told = liar.lies
                daemon.reconcile("lied")
                daemon.wait("a lie in a run", lambda: liar.lies > told)
        liar.lie = None
        daemon.reconcile()
        daemon.wait_converged(2)
        assert (identity(local, "local-lb"), identity(hosts[0])) == before

        # The answers to what is done: a change under lies, and it comes true when they end.
        def bad_words(method, target, reply):
            if method != "POST" or reply.status >= 300 or not reply.body:
                return False
            reply.body = b'{"Id": null, "StatusCode": "zero", "message": {}, "Warnings": 1}'
            return True

        liar.lie = bad_words
        content["servers"] = servers[:2]
        told = liar.lies
        daemon.drop("lied", content)
        daemon.wait("lies about a change", lambda: liar.lies > told)
        daemon.wait_error("lied/", "does not say how the check of the config ended", timeout=patience(30))
        liar.lie = None
        daemon.ctl("resume", "lied")
        daemon.wait_converged(2, timeout=patience(40))
        serves("127.0.0.1:7443")
        serves(endpoint(hosts[0]))
