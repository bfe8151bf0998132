"""Specs as tests write them. YAML is a superset of JSON, so json.dumps is all it takes."""

import json
import os
from pathlib import Path


def ssh(host, key="ed25519", user="root", **more):
    """The `ssh` map for a host of the lab; quick to give up, so that tests are quick."""
    settings = {
        "address": host.address,
        "user": user,
        "connectionTimeout": "2s",
        "retryTimeout": "2s",
        "retryInterval": "200ms",
    }
    if key:
        settings["privateKeyFile"] = str(host.keys[key])
    settings.update(more)
    return {k: v for k, v in settings.items() if v is not None}


def instance(host, servers=None, **more):
    """A balancer on a lab host, on port 6443 of its address."""
    made = {"host": {"ssh": ssh(host)}, "bindAddress": host.address}
    if servers:
        made["servers"] = servers
    made.update(more)
    return made


def direct(name="local-lb", port=7443, **more):
    """A balancer on the local engine."""
    made = {
        "name": name,
        "host": {"direct": {}},
        "bindAddress": f"127.0.0.1:{port}",
        "hostConfigPath": f"/etc/haproxy-{name}/haproxy.cfg",
    }
    made.update(more)
    return made


# For tests that are about something else than in what order hosts change.
ALL_AT_ONCE = {"canary": 0, "parallel": "100%", "settle": "0s"}


def document(instances, servers, image="haproxy:2.6-lab", rollout=ALL_AT_ONCE, **more):
    made = {"image": image, "servers": servers, "apiLoadBalancers": instances, "rollout": rollout, **more}
    return {k: v for k, v in made.items() if v is not None}


def write(path, content):
    """As an editor or Ansible does it: a new file, moved over the old one."""
    path = Path(path)
    text = content if isinstance(content, (str, bytes)) else json.dumps(content, indent=2) + "\n"
    new = path.with_name(f".{path.name}.new")
    if isinstance(text, bytes):
        new.write_bytes(text)
    else:
        new.write_text(text)
    os.replace(new, path)
    return path
