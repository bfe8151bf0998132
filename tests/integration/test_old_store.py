"""A store that does not know the latest takes nothing back: the host is asked first, and what serves stays."""

import shutil

from lab import spec
from lab.fleet import CONFIG, deploy, endpoint, identity
from lab.load import LoadGenerator
from lab.proc import patience

OTHER = {"name": "other", "hostConfigPath": "/etc/other/haproxy.cfg"}
QUICK = {"canary": 1, "parallel": 1, "settle": "2s"}


def want(daemon, hosts, servers):
    daemon.drop("prod", spec.document([spec.instance(host) for host in hosts], servers, rollout=QUICK))


def copy_state(daemon):
    copy = daemon.directory / "copy"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(daemon.state_dir, copy)
    return copy


def restore(daemon, copy):
    shutil.rmtree(daemon.state_dir)
    if copy:
        shutil.copytree(copy, daemon.state_dir)


def lists(host, server):
    return server in host.read(CONFIG)


def done(daemon):
    """All that was done on hosts, as far as this store knows."""
    return [e["id"] for e in daemon.events() if e["type"] in ("drift", "reload", "write-config", "create")]


def wait_found(daemon, count):
    def found():
        told = [e for e in daemon.events() if e["type"] == "found"]
        return len(told) == count and told

    return daemon.wait(f"{count} found", found, patience(20))


def wait_over(daemon, hosts):
    daemon.ctl("status", "--wait=60s", "prod", timeout=patience(70))
    daemon.wait_converged(len(hosts))
    daemon.wait("no rollout", lambda: daemon.spec("prod")["rollout"] is None, patience(20))


def one_by_one(daemon, hosts, is_changed):
    """Whenever one of them has changed, all that have not wait for their turn."""
    for left in reversed(range(len(hosts))):
        changed = f"all but {left} to change"
        daemon.wait(changed, lambda: len([host for host in hosts if not is_changed(host)]) <= left, patience(40))

        def waiting():
            return [i for i in daemon.instances() if i["phase"] == "pending" and "its turn" in (i["progress"] or "")]

        daemon.wait(f"{left} to wait", lambda: len(waiting()) == left, patience(5))


def test_what_hosts_have_is_never_taken_back(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2], rollout=QUICK)
    before = [identity(host) for host in hosts]
    daemon.stop()
    copy = copy_state(daemon)
    daemon.start()
    done_before = done(daemon)
    daemon.wait_converged(3)
    want(daemon, hosts, servers)
    daemon.wait("the edit", lambda: all(lists(host, servers[2]) for host in hosts), patience(40))
    wait_over(daemon, hosts)
    files = [host.read(CONFIG) for host in hosts]

    # The file wants what hosts have; the store knows only what was before.
    daemon.stop()
    restore(daemon, copy)
    with LoadGenerator([endpoint(host) for host in hosts], rate=10) as load:
        daemon.start()
        found = wait_found(daemon, 3)
        assert all("the spec wants already" in event["message"] for event in found)
        wait_over(daemon, hosts)
    load.assert_unharmed()
    assert done(daemon) == done_before
    assert [host.read(CONFIG) for host in hosts] == files
    # So it is after another start: by now it is written down.
    daemon.restart()
    daemon.wait_converged(3)
    assert len([e for e in daemon.events() if e["type"] == "found"]) == 3

    # The file is not valid: nobody knows that it wants what hosts have. Nothing changes until it is.
    daemon.stop()
    restore(daemon, copy)
    daemon.drop("prod", "servers: [")
    daemon.start()
    wait_found(daemon, 3)
    daemon.wait("all are held", lambda: [i["phase"] for i in daemon.instances()] == ["paused"] * 3, patience(15))
    assert all("is not valid" in i["progress"] for i in daemon.instances())
    # So it is after a restart: they are looked at as ever, and held.
    daemon.restart()
    daemon.wait(
        "all are looked at",
        lambda: [i["observedAt"] is not None for i in daemon.instances()] == [True] * 3,
        patience(20),
    )
    assert [i["phase"] for i in daemon.instances()] == ["paused"] * 3
    daemon.reconcile()
    assert [host.read(CONFIG) for host in hosts] == files
    want(daemon, hosts, servers)
    wait_over(daemon, hosts)
    assert [host.read(CONFIG) for host in hosts] == files

    # The file wants a third version: not all hosts at once, and none gets the first again.
    daemon.stop()
    restore(daemon, copy)
    want(daemon, hosts, servers[1:])
    with LoadGenerator([endpoint(host) for host in hosts], rate=10) as load:
        daemon.start()

        def is_changed(host):
            assert lists(host, servers[2]), "it had the first version again"
            return not lists(host, servers[0])

        one_by_one(daemon, hosts, is_changed)
        wait_over(daemon, hosts)
    load.assert_unharmed()
    assert [identity(host) for host in hosts] == before
    # What drifts is mended, as ever.
    hosts[1].write(CONFIG, "garbage\n")
    daemon.wait("the repair", lambda: "garbage" not in hosts[1].read(CONFIG), patience(15))


def test_a_lost_store_does_not_bring_an_edit_to_all_at_once(daemon, hosts, servers):
    deploy(daemon, hosts, servers[:2], rollout=QUICK)
    before = [identity(host) for host in hosts]
    daemon.stop()
    restore(daemon, None)
    # A file that is not finished, or not valid, says nothing: what it has stays, also for another spec's look.
    daemon.drop("prod", "servers: [")
    other = spec.instance(hosts[0], bindAddress=f"{hosts[0].address}:6444", **OTHER)
    daemon.drop("other", spec.document([other], servers))
    daemon.start()
    daemon.wait_invalid("prod")
    daemon.wait_converged(1, "other")
    assert [identity(host) for host in hosts] == before
    daemon.stop()
    want(daemon, hosts, servers)
    # One of them does not serve: what is repaired is not put off.
    hosts[2].engine.remove("api-loadbalancer-haproxy")
    daemon.start()
    one_by_one(daemon, hosts[:2], lambda host: lists(host, servers[2]))
    daemon.ctl("status", "--wait=60s", "prod", timeout=patience(70))
    daemon.wait_converged(3, "prod")
    assert lists(hosts[2], servers[2])
    assert [identity(host) for host in hosts[:2]] == before[:2]
