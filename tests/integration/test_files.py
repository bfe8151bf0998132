"""What stands where a config is to be: somebody else's is left alone, ours is repaired, and a write is whole or not at all."""

import json
import re
import time

import pytest

from lab import spec
from lab.engine import EngineEvents
from lab.fleet import serves
from lab.proc import patience, wait_for

OURS = "# Written by apilbd. Changes made here do not stay: change the spec.\n"
# All that would notice being touched.
STAT = "stat -c '%F %s %a %u:%g %Y %i'"


def path_of(name):
    return f"/opt/{name}/lb.cfg"


def document(names, servers, **more):
    made = [
        spec.direct(name, 7500 + n, hostConfigPath=more.pop(name, None) or path_of(name)) for n, name in enumerate(names)
    ]
    return spec.document(made, servers, **more)


# What may stand there already: how it gets there, and what the conflict says of it; None: nobody loses anything.
FOREIGN = {
    "file": ('echo "global # mine" >"$1"; chown 1000:1000 "$1"; chmod 640 "$1"', "is not ours .a file of 14 bytes"),
    "readable": ('echo "global # everybody may read it" >"$1"', "is not ours"),
    "unreadable": ('echo secret >"$1"; chmod 0 "$1"', "is not ours"),
    "nearly": ('echo "#Written by apilbd" >"$1"', "is not ours"),
    "huge": ('truncate -s 1G "$1"', "is not ours .a file of 1073741824 bytes"),
    "other-owner": ('echo "# Written by apilbd (owner blue). x" >"$1"', 'belongs to the apilbd whose owner is "blue"'),
    "directory": ('mkdir "$1"; echo mine >"$1/mine"', "is a directory"),
    "empty-directory": ('mkdir "$1"', "is a directory"),
    "link": ('echo mine >"$1.real"; ln -s "$1.real" "$1"', "is a symbolic link"),
    "dangling": ('ln -s /nowhere "$1"', "is a symbolic link"),
    "fifo": ('mkfifo "$1"', "is not a regular file"),
    "device": ('mknod "$1" c 1 3', "is not a regular file"),
    "nothing": (': >"$1"; chmod 600 "$1"', None),
    "cut-off": ('printf "# Written by ap" >"$1"', None),
    "ours": ('printf "# Written by apilbd. An older one\\n" >"$1"', None),
}


def lay(host, names):
    for name in names:
        host.run("sh", "-ec", f'mkdir -p "${{1%/*}}"; {FOREIGN[name][0]}', "-", path_of(name))


def seen(host, names):
    return {name: host.sh(f"{STAT} {path_of(name)}; cat {path_of(name)}.real 2>/dev/null || :") for name in names}


def test_what_is_somebody_elses_is_left_alone(make_daemon, local, servers):
    """Each thing that may stand there has its outcome, and none is another balancer's concern."""
    daemon = make_daemon(resync="1h").start()
    lay(local, FOREIGN)
    left = {name: says for name, (_, says) in FOREIGN.items() if says}
    names = [*FOREIGN, "bystander"]
    before = seen(local, left)
    daemon.drop("local", document(names, servers))
    for name, says in left.items():
        told = daemon.wait_phase(f"/{name}", "conflict")["lastError"]
        assert told["kind"] == "conflict" and re.search(f"{path_of(name)} on the host {says}", told["message"])
        assert "move it away" in told["message"] and "another hostConfigPath" in told["message"]
        assert ("configFiles" in told["message"]) == ("directory" not in name)
        assert "haproxy package" not in told["message"]
        assert daemon.instance(f"/{name}")["config"]["sha256"] is None
    good = [name for name in names if name not in left]
    for name in good:
        daemon.wait_phase(f"/{name}", "converged")
        assert local.read(path_of(name)).startswith(OURS)
    assert seen(local, left) == before
    assert local.engine.names() == sorted(good)

    # A plan says the same, shows what is there (if everybody may see it), and leaves nothing.
    plan = json.loads(daemon.request("GET", "/v1/plan", patience(60))[2])
    rows = {row["name"]: row for row in plan["instances"]}
    for name in left:
        assert rows[name]["actions"] == [] and rows[name]["error"]["kind"] == "conflict", rows[name]
    assert "-global # everybody may read it" in rows["readable"]["configDiff"]
    assert "+++ /opt/readable/lb.cfg" in rows["readable"]["configDiff"]
    assert rows["unreadable"]["configDiff"] is None and rows["file"]["configDiff"] is None
    assert "secret" not in json.dumps(plan)
    assert seen(local, left) == before and local.engine.names() == sorted(good)

    # All ways out, each as it was said.
    text = daemon.instance("/file")["lastError"]["message"]
    line = re.search(r'"\d+": \{.*\}', text).group()
    local.sh("mv /opt/readable/lb.cfg /opt/readable/aside; mv /opt/directory/lb.cfg /opt/directory/aside")
    content = document(names, servers, link="/opt/link2/lb.cfg")
    daemon.drop("local", "".join(f"{key}: {json.dumps(value)}\n" for key, value in content.items()) + f"state:\n  {line}\n")
    for name in ("file", "readable", "directory", "link"):
        daemon.wait_phase(f"/{name}", "converged")
    assert local.read(path_of("file")).startswith(OURS)
    assert local.sh("cat /opt/readable/aside /opt/directory/aside/mine") == "global # everybody may read it\nmine\n"
    rest = [name for name in left if name not in ("file", "readable", "directory")]
    assert seen(local, rest) == {name: before[name] for name in rest}


@pytest.mark.parametrize("before", ["/opt/lb/haproxy.cfg", "/etc/haproxy/apilb.cfg"])
def test_debians_own_config(daemon, hosts, servers, before):
    """The default path is that of the haproxy package, whose config stays. A balancer that is to move there serves on.

    Also one whose container has that very directory mounted, and so shows the file.
    """
    host = hosts[0]
    host.sh("mkdir -p /etc/haproxy; echo '# the package' >/etc/haproxy/haproxy.cfg")
    content = spec.document([spec.instance(host, hostConfigPath=before)], servers)
    daemon.drop("prod", content)
    daemon.wait_converged(1)
    del content["apiLoadBalancers"][0]["hostConfigPath"]
    daemon.drop("prod", content)
    message = daemon.wait_phase(host.address, "conflict")["lastError"]["message"]
    assert "Debian's haproxy package" in message
    serves(f"{host.address}:6443")
    # It is looked after as before, too: what was stopped starts again.
    host.engine.act("api-loadbalancer-haproxy", "stop", t=1)
    serves(f"{host.address}:6443", patience(10))
    assert host.read("/etc/haproxy/haproxy.cfg") == "# the package\n"


def by_hand(host, name, script):
    host.run("sh", "-ec", script, "-", path_of(name), f"/var/lib/apilb/{name}")


# What may become of a file of ours. None of it is somebody else's, but what is in a directory.
BECOMES = {
    "link": 'mv "$1" "$1.real"; ln -s "$1.real" "$1"',
    "fifo": 'rm "$1"; mkfifo "$1"',
    "huge": 'truncate -s 1G "$1"',
    "header": 'sed -i 1d "$1"',
    "lua": 'for f in "$2"/guard-*.lua; do printf x | dd of="$f" bs=1 count=1 conv=notrunc status=none; done',
    "guard-link": 'for f in "$2"/guard-*.lua; do mv "$f" "$f.real"; ln -s "$f.real" "$f"; done',
    "guard-huge": 'for f in "$2"/guard-*.lua; do truncate -s 1G "$f"; done',
}


def test_what_was_ours_is_repaired(make_daemon, local, servers):
    daemon = make_daemon(resync="1h").start()
    names = [*BECOMES, "directory", "bystander"]
    content = document(names, servers)
    daemon.drop("local", content)
    daemon.wait_converged(len(names))
    before = {name: local.sh(f"cat {path_of(name)}; cat /var/lib/apilb/{name}/guard-*.lua") for name in names}
    for name, script in BECOMES.items():
        by_hand(local, name, script)
    by_hand(local, "directory", 'rm "$1"; mkdir "$1"; echo mine >"$1/mine"')
    bystander = local.engine.inspect("bystander")["Id"]
    daemon.reconcile()
    told = daemon.wait_phase("/directory", "conflict")["lastError"]["message"]
    assert "is a directory" in told and local.read(f"{path_of('directory')}/mine") == "mine\n"
    for name in BECOMES:
        daemon.wait_phase(f"/{name}", "converged")
        now = local.sh(f"cat {path_of(name)}; cat /var/lib/apilb/{name}/guard-*.lua")
        assert now == before[name], name
        assert local.sh(f"stat -c %F {path_of(name)} /var/lib/apilb/{name}/guard-*.lua") == "regular file\n" * 2
    assert local.engine.inspect("bystander")["Id"] == bystander

    # Once repaired it is quiet, and not read again and again.
    local.sh(f"rm -r {path_of('directory')}")
    daemon.reconcile()
    daemon.wait_converged(len(names))
    with EngineEvents(local.engine) as events:
        daemon.reconcile()
        daemon.wait("a run", lambda: daemon.instance("/bystander")["phase"] == "converged")
        time.sleep(1)
        assert [e for e in events.seen if e["Action"] not in ("top",)] == []

    # The store remembers whose it was; without it, and without the container, nobody does.
    local.engine.remove("header")
    by_hand(local, "header", 'sed -i 1d "$1"')
    daemon.reconcile()
    daemon.wait("the container", lambda: local.engine.status("header") == "running", patience(10))
    daemon.wait_converged(len(names))
    daemon.stop()
    local.engine.remove("header")
    by_hand(local, "header", 'sed -i 1d "$1"')
    local.sh(f"rm -r {daemon.state_dir}")
    daemon.start()
    daemon.wait_phase("/header", "conflict")
    wait_for("all others", lambda: sum(i["converged"] for i in daemon.instances()) == len(names) - 1, patience(20))


def test_full_disk(daemon, hosts, servers):
    """No half config is ever what a restart finds, and what was tried in vain is tried again."""
    host, fresh = hosts[:2]
    for each in (host, fresh):
        each.sh("mkdir /opt/lb; mount -t tmpfs -o size=16k lab /opt/lb")
    try:
        fresh.sh("head -c 16384 /dev/zero >/opt/lb/fill")
        content = spec.document(
            [spec.instance(each, hostConfigPath="/opt/lb/haproxy.cfg") for each in (host, fresh)], servers
        )
        daemon.drop("prod", content)
        # One that is new: no half of it.
        message = daemon.wait_error(fresh.address, "no space left")
        assert "/config" in message or "haproxy.cfg" in message
        assert fresh.engine.names() == [] and not fresh.exists("/opt/lb/haproxy.cfg")
        assert daemon.instance(fresh.address)["config"]["sha256"] is None
        fresh.sh("rm /opt/lb/fill")
        daemon.wait_converged(2, timeout=patience(40))

        # One that serves: the former, whole, also after a crash.
        former = host.read("/opt/lb/haproxy.cfg")
        host.sh("head -c 16384 /dev/zero >/opt/lb/fill || :")
        content["apiLoadBalancers"] = content["apiLoadBalancers"][:1]
        content["servers"] = servers[:2]
        daemon.drop("prod", content)
        daemon.wait_error(host.address, "no space left")
        assert host.read("/opt/lb/haproxy.cfg") == former
        serves(f"{host.address}:6443")
        host.run("kill", "-KILL", str(host.engine.inspect("api-loadbalancer-haproxy")["State"]["Pid"]))
        serves(f"{host.address}:6443", patience(10))
        found = daemon.instance(host.address)
        assert found["phase"] == "failed" and not found["converged"]
        host.sh("rm /opt/lb/fill")
        daemon.wait_converged(1, timeout=patience(40))
        assert servers[2] not in host.read("/opt/lb/haproxy.cfg")
    finally:
        for each in (host, fresh):
            each.engine.clear()
            each.sh("umount -l /opt/lb")
