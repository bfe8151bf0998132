"""The configs that are compared: each is a function of the servers' addresses.

Those of other programs are written anew from what their documentation and
templates set; the comments say where. Values are theirs, words are ours.
"""

import os
import subprocess
import tempfile
from pathlib import Path

ADDRESS, PORT = "127.0.0.1", 6443
LISTEN = f"{ADDRESS}:{PORT}"
# Where `ours` has its sockets: see docs/haproxy.md.
TOKEN = "bench"
NAME = "api-loadbalancer-haproxy"


def ours(servers):
    """What `apilbctl render` prints, for a spec that sets nothing but what it must."""
    program = Path(os.environ["APILB_BUILD"]) / "apilbctl"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as spec:
        spec.write(f"servers: [{', '.join(servers)}]\napiLoadBalancers:\n- bindAddress: {LISTEN}\n  host: {{direct: {{}}}}\n")
        spec.flush()
        return subprocess.run([program, "render", spec.name], check=True, stdout=subprocess.PIPE, text=True).stdout


def flexkube(servers):
    """libflexkube v0.10.0, pkg/apiloadbalancer: its only template; HAProxy's own check intervals."""
    lines = [f"  server {n} {server} verify none check check-ssl" for n, server in enumerate(servers)]
    return "\n".join(
        [
            "defaults",
            "  mode tcp",
            "  timeout connect 5s",
            "  timeout client 30s",
            "  timeout client-fin 30s",
            "  timeout server 30s",
            "  timeout tunnel 21d",
            "frontend kube-apiserver",
            f"  bind {LISTEN}",
            "  default_backend kube-apiserver",
            "backend kube-apiserver",
            "  option httpchk GET /healthz HTTP/1.1",
            "  http-check send hdr Host kube-apiserver",
            *lines,
            "",
        ]
    )


def kubespray(servers):
    """kubespray, roles/kubernetes/node: the HAProxy that it puts on every node; its defaults of 2026."""
    lines = [f"  server master{n} {server} check check-ssl verify none" for n, server in enumerate(servers)]
    return "\n".join(
        [
            "global",
            "  maxconn 4000",
            "defaults",
            "  mode tcp",
            "  option redispatch",
            "  retries 5",
            "  timeout queue 5m",
            "  timeout connect 30s",
            "  timeout client 5m",
            "  timeout server 15m",
            "  timeout check 30s",
            "frontend kube_api_frontend",
            f"  bind {LISTEN}",
            "  default_backend kube_api_backend",
            "backend kube_api_backend",
            "  balance leastconn",
            "  default-server inter 15s downinter 15s rise 2 fall 2 slowstart 60s maxconn 1000 maxqueue 256 weight 100",
            "  option httpchk GET /healthz",
            "  http-check expect status 200",
            *lines,
            "",
        ]
    )


def from_file(path):
    """A config of one's own, to try things out: `@S1@`, `@S2@`, `@S3@` are the servers, `@LISTEN@` the address."""

    def config(servers):
        text = Path(path).read_text().replace("@LISTEN@", LISTEN)
        for n, server in enumerate(servers, 1):
            text = text.replace(f"@S{n}@", server)
        return text

    return config


def ours_without_lua(servers):
    """What it is where guard.lua cannot be loaded."""
    return ours(servers).replace("feature(LUA)", "feature(NO_SUCH_FEATURE)")


CONFIGS = {"apilb": ours, "apilb-no-lua": ours_without_lua, "flexkube": flexkube, "kubespray": kubespray}
COMPARED = ("apilb", "flexkube", "kubespray")
GUARD = Path(__file__).resolve().parent.parent / "daemon/core/haproxy/guard.lua"


def scripts_of(name):
    """What lies beside the config in /cell: for a config of one's own, whatever lies beside that."""
    return [] if name in CONFIGS else list(Path(name).resolve().parent.glob("*.lua"))


def config_named(name):
    return CONFIGS[name] if name in CONFIGS else from_file(name)
