"""What is on a host, seen without the daemon: all that must be the same however often something went wrong on the way."""

import socket
from pathlib import Path


class Witness:
    """Of the balancers on a host whose configs are at /etc/haproxy-NAME/haproxy.cfg."""

    def __init__(self, host):
        self.host = host
        holder = getattr(host, "holder", None)
        self.root = Path(f"/proc/{holder.pid}/root" if holder else "/")

    def loaded(self, name):
        """The description of the HAProxy that runs, from its own socket."""
        token = next(
            value.split("=")[1]
            for value in self.host.engine.inspect(name)["Config"]["Env"]
            if value.startswith("APILB_TOKEN=")
        )
        with socket.socket(socket.AF_UNIX) as asked:
            asked.connect(str(self.root / f"var/lib/apilb/{name}/{token}.sock"))
            asked.sendall(b"show info\n")
            text = b""
            while piece := asked.recv(65536):
                text += piece
        return next(line for line in text.decode().splitlines() if line.startswith("description: "))

    def balancer(self, name):
        container = self.host.engine.inspect(name)
        return {
            "status": container["State"]["Status"],
            "image": container["Config"]["Image"],
            "labels": container["Config"]["Labels"],
            "config": (self.root / f"etc/haproxy-{name}/haproxy.cfg").read_text(),
            "files": sorted(path.name for path in (self.root / f"etc/haproxy-{name}").iterdir()),
            "loaded": self.loaded(name),
        }

    def seen(self):
        names = self.host.engine.names()
        return {"names": names, **{name: self.balancer(name) for name in names}}

    def identity(self, name):
        container = self.host.engine.inspect(name)
        return container["Id"], container["State"]["StartedAt"]
