"""What flexkube's apiloadbalancer package, v0.10.0, leaves behind: a container, its config, and the state that names it.

Made as pkg/apiloadbalancer, pkg/container and its runtime/docker make them (github.com/flexkube/libflexkube).
"""

from .fleet import CONFIG, NAME

TARGET = "/usr/local/etc/haproxy/haproxy.cfg"
# The user of the container, and the owner of its file.
USER = 65534


def config(bind, servers):
    """As its template renders it."""
    rows = "".join(f"\n  server {n} {server} verify none check check-ssl" for n, server in enumerate(servers))
    return f"""defaults
  # Do TLS passthrough
  mode tcp
  # Required values for both frontend and backend
  timeout connect 5s
  timeout client 30s
  timeout client-fin 30s
  timeout server 30s
  timeout tunnel 21d

frontend kube-apiserver
  bind {bind}
  default_backend kube-apiserver

backend kube-apiserver
  option httpchk GET /healthz HTTP/1.1
  http-check send hdr Host kube-apiserver{rows}
"""


class Balancer:
    """One that flexkube has created and started."""

    def __init__(self, host, bind, servers, name=NAME, path=CONFIG, image="haproxy:2.6-lab"):
        self.host, self.name, self.path, self.image = host, name, path, image
        self.config = config(bind, servers)
        host.run("sh", "-ec", 'mkdir -p "$(dirname "$1")"; cat >"$1"', "-", path, input=self.config)
        host.sh(f"chown {USER}:0 {path}; chmod 600 {path}")
        self.id = host.engine.create(
            name,
            image,
            User=str(USER),
            HostConfig={
                "Mounts": [{"Type": "bind", "Source": path, "Target": TARGET, "BindOptions": {}}],
                "NetworkMode": "host",
                "RestartPolicy": {"Name": "unless-stopped"},
            },
        )
        host.engine.act(self.id, "start")

    def gone(self):
        return self.host.engine.inspect(self.id) is None

    def state(self, ssh=None, **config):
        """Its entry, as ContainersState.Export() has it. ssh None: direct."""
        return {
            "configFiles": {self.path: self.config},
            "container": {
                "config": {
                    "image": self.image,
                    "mounts": [{"source": self.path, "target": TARGET}],
                    "name": self.name,
                    "networkMode": "host",
                    "user": str(USER),
                    **config,
                },
                "runtime": {"docker": {"host": "unix:///var/run/docker.sock"}},
                "status": {"id": self.id, "status": "running"},
            },
            "host": {"ssh": ssh} if ssh else {"direct": {}},
        }


def ssh(host):
    """As BuildConfig fills it in: every field, and the secret with it."""
    return {
        "address": host.address,
        "connectionTimeout": "2s",
        "port": 22,
        "privateKey": host.keys["ed25519"].read_text(),
        "retryInterval": "200ms",
        "retryTimeout": "2s",
        "user": "root",
    }
