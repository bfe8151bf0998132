"""What most tests begin with: balancers on hosts, made by apilbd, and how to tell that all is well."""

from . import spec
from .load import ask
from .proc import patience, wait_for

NAME = "api-loadbalancer-haproxy"
CONFIG = "/etc/haproxy/haproxy.cfg"


def deploy(daemon, hosts, servers, name="prod", **more):
    """One spec with one balancer on each host; returns when all are converged."""
    content = spec.document([spec.instance(host) for host in hosts], servers, **more)
    daemon.drop(name, content)
    daemon.wait_converged(len(hosts), name)
    return content


def deploy_local(daemon, servers, name="local", count=1, **more):
    """Balancers on the local engine, on ports 7443 and up."""
    content = spec.document([spec.direct(f"lb{n}", 7443 + n) for n in range(count)], servers, **more)
    daemon.drop(name, content)
    daemon.wait_converged(count, name)
    return content


def endpoint(host):
    return f"{host.address}:6443"


def identity(host, name=NAME):
    """What is different after a container was replaced or restarted."""
    container = host.engine.inspect(name)
    assert container, f"{host.name}: no container {name}, only {host.engine.names()}"
    return container["Id"], container["State"]["StartedAt"]


def replaced(host, former, name=NAME):
    """Whether another container than the one with the id `former` has the name. Between two renames none has it."""
    container = host.engine.inspect(name)
    return bool(container) and container["Id"] != former


def serves(where, timeout=20):
    """Waits for an answer through the balancer."""
    return wait_for(f"{where} to serve", lambda: ask(where, timeout=1), patience(timeout))


def backends(where, requests=12):
    """The API servers that answer through it."""
    return {ask(where) for _ in range(requests)}


def stats(host, command, name=NAME):
    """The answer of the balancer's stats socket, asked on the host itself."""
    script = """
import glob, socket, sys
for path in glob.glob(f"/var/lib/apilb/{sys.argv[1]}/*.sock"):
    s = socket.socket(socket.AF_UNIX); s.settimeout(3)
    try: s.connect(path); break
    except ConnectionRefusedError: pass  # left by a HAProxy that was killed
s.sendall(sys.argv[2].encode() + b"\\n")
while data := s.recv(65536): sys.stdout.write(data.decode())
"""
    return host.run("/usr/bin/python3", "-c", script, name, command)
