"""HAProxy's stats socket, in all the ways in which it can be of no use."""

import contextlib
import re
import subprocess
import time

from lab import spec
from lab.fleet import NAME, deploy, endpoint, identity, stats
from lab.load import LoadGenerator
from lab.proc import Process, patience, wait_for
from test_change import events

# In the place of the socket: HAProxy itself goes on, and serves.
IMPOSTOR = """
import glob, os, socket, sys, threading, time
kind, name = sys.argv[1:]

def answer(connection):
    connection.recv(100)
    if kind == "drips":
        for byte in b"Version: 2.6" * 1000:
            connection.send(bytes([byte]))
            time.sleep(0.5)
    elif kind == "answers half":
        connection.send(b"Version: 2.6\\n\\n# pxname,svname,status,check_status\\nkube-apiserver,10.")
        connection.close()
    else:
        time.sleep(1000)

def serve(listener):
    while True:
        threading.Thread(target=answer, args=(listener.accept()[0],), daemon=True).start()

(path,) = glob.glob(f"/var/lib/apilb/{name}/*.sock")
os.unlink(path)
listener = socket.socket(socket.AF_UNIX)
listener.bind(path)
listener.listen(64)
print("has taken", path, flush=True)
serve(listener)
"""


@contextlib.contextmanager
def impostor(host, kind, directory):
    argv = [*host.within, "/usr/bin/python3", "-c", IMPOSTOR, kind, NAME]
    process = Process("impostor", argv, directory / f"impostor-{host.name}")
    try:
        process.wait_for("the socket", lambda: "has taken" in process.log(), patience(5))
        yield
    finally:
        process.stop()


def of(daemon, part, kind):
    return [e for e in daemon.events() if e["type"] == kind and part in (e["instance"] or "")]


def silences(daemon, host):
    """Since when, as it was told."""
    told = [e["message"] for e in of(daemon, host.address, "failed")]
    return {match[1] for match in map(re.compile(r"stats socket since (\S+)").search, told) if match}


def test_a_haproxy_that_does_not_answer_gets_a_successor(make_daemon, hosts, servers, tmp_path):
    """In real time, once, over a restart; what becomes of it over hours is check_run_silence's."""
    # Longer than a question may take.
    daemon = make_daemon("--silent-after=7s").start()
    kinds = ["says nothing", "drips", "answers half"]
    deploy(daemon, hosts, servers)
    before = [identity(host) for host in hosts]
    with contextlib.ExitStack() as stack:
        load = stack.enter_context(LoadGenerator([endpoint(host) for host in hosts], rate=10))
        for host, kind in zip(hosts, kinds):
            stack.enter_context(impostor(host, kind, tmp_path))
        daemon.wait_error(hosts[0].address, r"has not answered on its stats socket since \S+Z \(.*no complete answer")
        daemon.restart()
        for host in hosts:
            drained = lambda host=host: of(daemon, host.address, "drain")
            daemon.wait(f"a successor on {host.name}", drained, patience(40))
        daemon.wait_converged(3)
    load.assert_unharmed()
    assert all(now[0] != then[0] for now, then in zip([identity(host) for host in hosts], before))
    assert [len(of(daemon, host.address, "create")) for host in hosts] == [2, 2, 2]
    assert len(silences(daemon, hosts[0])) == 1 and all(len(silences(daemon, host)) <= 1 for host in hosts)


HOLD = """
import glob, os, socket, time
os.setuid(12345)
end, held = time.monotonic() + 10, []
while time.monotonic() < end:
    for path in glob.glob("/var/lib/apilb/*/*.sock"):
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(0.2)
        try:
            one.connect(path)
            held.append(one)
        except OSError:
            pass
    time.sleep(0.01)
"""


def is_silent(host):
    try:
        stats(host, "show info")
        return False
    except AssertionError:
        return True


def test_local_user_who_holds_the_stats_socket(daemon, hosts, servers):
    """Where apilbd is root he is kept out. Elsewhere it has patience: what serves is not replaced for that."""
    hosts = root, other = hosts[:2]
    instances = [spec.instance(root), {**spec.instance(other), "host": {"ssh": spec.ssh(other, user="deploy")}}]
    daemon.drop("prod", spec.document(instances, servers))
    daemon.wait_converged(2)
    modes = [host.sh(f"stat -c '%a %u' /var/lib/apilb/{NAME}").strip() for host in hosts]
    assert modes == ["700 65534", "755 65534"]
    before = [identity(host) for host in hosts]
    holders = [subprocess.Popen([*host.within, "/usr/bin/python3", "-c", HOLD]) for host in hosts]
    try:
        wait_for("silence", lambda: is_silent(other), 8)
        assert not is_silent(root)
    finally:
        for holder in holders:
            holder.wait()
    assert not of(daemon, root.address, "failed")
    time.sleep(3)
    daemon.wait_converged(2, timeout=patience(60))
    assert [identity(host) for host in hosts] == before and not events(daemon, "drain")


def test_directory_of_a_former_apilbd(daemon, hosts, servers):
    """It was open to all; to close it is no reason to touch HAProxy."""
    host = hosts[0]
    deploy(daemon, [host], servers)
    before = identity(host)
    host.sh(f"chmod 755 /var/lib/apilb/{NAME}")
    closed = lambda: host.sh(f"stat -c %a /var/lib/apilb/{NAME}").strip() == "700"
    wait_for("it to be closed", closed, patience(15))
    daemon.wait_converged(1)
    assert identity(host) == before and not events(daemon, "reload")
