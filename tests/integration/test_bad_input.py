"""Bad input gets a clear error and loses nothing."""

import contextlib
import json
import os
import re
import socket
import subprocess
import time

import pytest

from lab import fakes, spec
from lab.daemon import BUILD
from lab.fleet import deploy_local, identity, serves
from lab.proc import SLOWNESS, always, patience, run, wait_for

PLAIN_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]  # root without root's eyes


# Spec files. Each is made at the path of a spec that was good until now.


def block_depth(levels):
    return "".join(f"{' ' * n}a:\n" for n in range(levels))


def laughs():
    lines = ["a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]"]
    for n in range(1, 12):
        lines.append(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]")
    return "\n".join(lines) + "\n"


def quoted(text):
    return lambda path, good: spec.write(path, text)


def at_path(action):
    """Something that is not written, but takes the place of the file."""

    def make(path, good):
        path.unlink()
        action(path)

    return make


BAD_SPECS = {
    "empty": (quoted(""), "."),
    "only comments": (quoted("# nothing\n\n# at all\n"), "."),
    "not UTF-8": (quoted(b"image: caf\xe9\nservers: [\xff\xfe]\n"), "(?i)utf-?8|character|encod|byte"),
    "NUL bytes": (quoted(b"image: x\0y\n"), "."),
    "UTF-16": (quoted("image: x\n".encode("utf-16")), "."),
    "truncated": (lambda path, good: spec.write(path, good[: len(good) // 2]), "."),
    "20 MB": (quoted(b"servers:\n" + b"- 10.0.0.1:6443\n" * 1_310_720), "larger than 4 MiB"),
    "10,000 levels deep": (quoted("[" * 10_000 + "]" * 10_000), "(?i)deep|nest|level|depth"),
    "10,000 levels of blocks": (quoted(block_depth(10_000)[:4_000_000]), "(?i)deep|nest|level|depth"),
    "full of aliases": (quoted(laughs()), "(?i)alias|node|large|big"),
    "an alias of itself": (quoted("servers: &a [*a]\n"), "."),
    "many documents": (quoted("--- {}\n" * 1000), "."),
    "a list": (quoted("[1, 2]"), "(?i)map"),
    "a word": (quoted("hello\n"), "(?i)map"),
    "tabs": (quoted("apiLoadBalancers:\n\t- name: x\n"), "."),
    "duplicate keys": (quoted("image: a\nimage: b\n"), "(?i)duplicate|twice|already"),
    "a directory": (at_path(lambda path: path.mkdir()), "(?i)directory"),
    "a FIFO": (at_path(lambda path: os.mkfifo(path)), "(?i)regular|fifo|pipe"),
    "a socket": (at_path(lambda path: run("/usr/bin/python3", "-c", BIND, path)), "(?i)regular|socket"),
    "a device": (at_path(lambda path: run("mknod", path, "c", 1, 5)), "(?i)regular|device"),
    "a dangling link": (at_path(lambda path: path.symlink_to("/nowhere/at/all")), "(?i)no such file|dangling|link"),
    "a link to itself": (at_path(lambda path: path.symlink_to(path)), "(?i)symbolic|link"),
    "unreadable": (lambda path, good: path.chmod(0), "(?i)permission denied"),
}
BIND = "import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])"


@pytest.mark.parametrize("kind", BAD_SPECS)
def test_spec_file(make_daemon, local, servers, kind):
    make, pattern = BAD_SPECS[kind]
    daemon = make_daemon(prefix=PLAIN_RIGHTS).start()
    content = deploy_local(daemon, servers)
    before = identity(local, "lb0")
    path = daemon.spec_dir / "local.yaml"
    good = path.read_text()
    make(path, good)
    if kind == "a FIFO":
        time.sleep(0.5)
    errors = daemon.wait_invalid("local", patience(15))
    assert all(e["file"].endswith("local.yaml") and e["message"] for e in errors)
    assert any(re.search(pattern, e["message"]) for e in errors), errors
    always("it goes on serving", lambda: serves("127.0.0.1:7443"), 2.5, interval=0.5)
    assert identity(local, "lb0") == before
    # --check says the same, and with the same words.
    checked = daemon.check(expect=2).text
    assert any(error["message"] in checked for error in errors)
    # Put right, it is as if nothing had been.
    subprocess.run(["rm", "-rf", path], check=True)
    daemon.drop("local", content)
    daemon.wait("the spec to be good again", lambda: (daemon.spec("local") or {}).get("valid"))
    daemon.wait_converged(1)
    assert identity(local, "lb0") == before


def test_bad_spec_does_not_harm_its_neighbour(daemon, local, servers):
    daemon.drop("a-bad", "}{")
    daemon.drop("c-bad", "nonsense: true\n")
    deploy_local(daemon, servers, "b-good")
    assert {s["name"]: s["valid"] for s in daemon.status()["specs"]} == {
        "a-bad": False,
        "b-good": True,
        "c-bad": False,
    }


# As much work as a file may be, in several ways.
HOSTILE = {
    "maps": "servers: [10.0.0.1:6443]\napiLoadBalancers:\n" + "- {}\n" * 200_000,
    "shared": "bindAddress: '*'\nservers:\n" + "- 10.0.0.1:6443\n" * 200 + "apiLoadBalancers:\n" + "- {}\n" * 200_000,
    "nested": "x: " + "[" * 60 + "a," * 200_000 + "]" * 60 + "\n",
    "aliases": laughs(),
    "text": 'x: "' + "a" * 4_190_000 + '"\n',
    "errors": "".join(f"unknown{n}: x\n" for n in range(100_000)),
}
TURNS = BUILD / "tests/turns.so"
# What is promised of a turn is 50 ms of the CPU; on a machine that others use, too, all takes longer. Each of the
# files takes more than that to parse, and all are read at once.
LONGEST_TURN_MS = 100


def test_hostile_spec_files_keep_nobody_waiting(make_daemon, local, servers, tmp_path):
    """At an edit, at each look, and at the start: the loop goes on, and a balancer is repaired."""
    turns = tmp_path / "turns"
    # A sanitizer wants to be the first that is preloaded.
    shim = {"LD_PRELOAD": str(TURNS), "APILB_TURNS": str(turns)} if SLOWNESS == 1 else {}
    daemon = make_daemon(env=shim).start()
    deploy_local(daemon, servers)

    def is_alive():
        return daemon.request("GET", "/healthz", timeout=patience(1))[0] == 200

    def is_repaired():
        return is_alive() and local.engine.status("lb0") == "running"

    def check_turns():
        assert not shim or int(turns.read_text()) < LONGEST_TURN_MS * 1000
        turns.unlink(missing_ok=True)

    for edit in range(3):
        check_turns()
        for kind, text in HOSTILE.items():
            spec.write(daemon.spec_dir / f"{kind}.yaml", f"{text}# {edit}\n")
        for number in range(40):
            spec.write(daemon.spec_dir / f"small{number}.yaml", f"unknown: {edit}\n")
        local.engine.act("lb0", "stop", t=0)
        daemon.wait("a repair", is_repaired)
        # Every answer knows what was written before.
        assert {s["name"]: s["valid"] for s in daemon.status()["specs"]} == {
            "local": True,
            **{kind: False for kind in HOSTILE},
            **{f"small{number}": False for number in range(40)},
        }
    check_turns()
    always("it is alive", is_alive, 3)  # with a look or two
    assert daemon.log().count("errors.yaml:1:1") == 1, "what is wrong is told once"
    daemon.restart()
    daemon.wait("the start", is_alive)
    check_turns()
    assert not daemon.spec("maps")["valid"] and daemon.spec("local")["valid"]


def test_file_that_is_written_slowly(daemon, local, servers):
    """An editor that writes in place: half a file for a while."""
    content = deploy_local(daemon, servers, count=2)
    before = [identity(local, f"lb{n}") for n in (0, 1)]
    text = json.dumps({**content, "servers": servers[:2]}, indent=1)
    with open(daemon.spec_dir / "local.yaml", "w") as out:
        for at in range(0, len(text), 40):
            out.write(text[at : at + 40])
            out.flush()
            time.sleep(0.02)
    daemon.wait("two servers", lambda: all(len(i["servers"]) == 2 for i in daemon.instances()))
    daemon.wait_converged(2)
    assert [identity(local, f"lb{n}") for n in (0, 1)] == before


@pytest.mark.parametrize("name", [".hidden.yaml", "x.yaml~", "x.yaml.swp", "x.yaml.dpkg-new", "README", "x.json"])
def test_files_that_are_no_specs_are_ignored(daemon, name):
    (daemon.spec_dir / name).write_text("}{")
    time.sleep(0.5)
    daemon.reconcile()
    assert daemon.status()["specs"] == []


def test_spec_directory_not_mounted_at_the_start(make_daemon, local, servers, small_disk):
    """The file system with the specs is missing after a boot: what shows is its empty mount point."""
    daemon = make_daemon(resync="1s")
    run("mount", "--bind", small_disk, daemon.spec_dir)
    try:
        daemon.start()
        deploy_local(daemon, servers)
        before = identity(local, "lb0")
        daemon.stop()
    finally:
        run("umount", "--lazy", daemon.spec_dir)
    for _ in range(2):
        daemon.start()
        assert "not mounted?" in " ".join(daemon.status()["troubles"])
        daemon.reconcile()
        time.sleep(2)
        assert identity(local, "lb0") == before
        daemon.stop()
    refused = daemon.once(expect=2)
    assert ".empty" in refused.stderr
    assert identity(local, "lb0") == before
    # On purpose.
    daemon.start()
    (daemon.spec_dir / ".empty").touch()
    wait_for("the balancer to go", lambda: "lb0" not in local.engine.names(), patience(15))
    assert daemon.status()["troubles"] == []


# State directories.


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 1 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=1m", "lab", path)
    yield path
    run("umount", "--lazy", path)


def fill(path):
    filler = os.open(path / "filler", os.O_WRONLY | os.O_CREAT)
    with contextlib.suppress(OSError):
        while os.write(filler, b"x" * 4096):
            pass
    os.close(filler)


def test_state_directory_read_only_at_start(make_daemon, small_disk):
    run("mount", "-o", "remount,ro", small_disk)
    daemon = make_daemon()
    daemon.settings["state-dir"] = small_disk / "state"
    said = daemon.fails_to_start()
    assert re.search("(?i)read-only", said) and str(small_disk) in said


def test_state_directory_full_at_start(make_daemon, small_disk):
    fill(small_disk)
    daemon = make_daemon()
    daemon.settings["state-dir"] = small_disk / "state"
    said = daemon.fails_to_start()
    assert re.search("(?i)full|no space", said)


def test_state_directory_fills_up_and_has_room_again(make_daemon, local, servers, small_disk):
    daemon = make_daemon()
    daemon.settings["state-dir"] = daemon.state_dir = small_disk / "state"
    daemon.start()
    content = deploy_local(daemon, servers)
    fill(small_disk)
    # The job goes on ...
    content["apiLoadBalancers"].append(spec.direct("lb1", 7444))
    daemon.drop("local", content)
    daemon.wait_converged(2)
    serves("127.0.0.1:7444")
    # ... and the trouble is told.
    daemon.wait("/healthz to say it", lambda: daemon.request("GET", "/healthz")[0] != 200, patience(10))
    (small_disk / "filler").unlink()
    daemon.wait("health", lambda: daemon.request("GET", "/healthz")[0] == 200, patience(20))
    # Nothing was lost: what was made meanwhile is known after a restart, and can be removed.
    daemon.stop()
    daemon.remove("local")
    daemon.start()
    wait_for("removal", lambda: local.engine.names() == [], patience(30))


@pytest.mark.parametrize("kind", ["a file", "below a file", "no permission"])
def test_state_directory_is_none(make_daemon, tmp_path, kind):
    daemon = make_daemon(prefix=PLAIN_RIGHTS)
    path = tmp_path / "thing"
    if kind == "no permission":
        path.mkdir(mode=0)
        path = path / "state"
    else:
        path.write_text("x")
        path = path / "state" if kind == "below a file" else path
    daemon.settings["state-dir"] = path
    assert str(path) in daemon.fails_to_start()


def test_damaged_store_is_set_aside(daemon, local, servers):
    deploy_local(daemon, servers)
    before = identity(local, "lb0")
    daemon.stop()
    for file in daemon.state_dir.glob("*.db*"):
        file.write_bytes(os.urandom(8192))
    daemon.start()
    daemon.wait_converged(1)
    assert identity(local, "lb0") == before
    assert "damaged" in daemon.log()
    assert list(daemon.state_dir.glob("*damaged*")), "kept for those who want to look"


# The control socket's path.


def test_socket_path_is_a_file(make_daemon, tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    daemon = make_daemon()
    daemon.settings["socket"] = path
    assert str(path) in daemon.fails_to_start()
    assert path.read_text() == "data"


@pytest.mark.parametrize("path", ["/nowhere/apilbd.sock", "/run/" + "x" * 200, ""])
def test_socket_path_cannot_be(make_daemon, path):
    daemon = make_daemon()
    daemon.settings["socket"] = path
    assert daemon.fails_to_start().strip()


def test_left_over_socket_is_replaced(make_daemon):
    daemon = make_daemon().start()
    daemon.crash()
    assert daemon.socket.exists()
    daemon.start()
    daemon.stop()
    assert not daemon.socket.exists(), "and a clean end leaves none"


# Engines and sshd's that misbehave, all at once, next to one that is well.


def cpu_seconds(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_engines_that_misbehave(daemon, local, servers, tmp_path):
    fake = {}
    try:
        for n, (kind, behave) in enumerate(fakes.ENGINES.items()):
            fake[kind] = fakes.fake_engine(tmp_path / f"{kind}.sock", behave)
            runtime = {"docker": {"host": f"unix://{tmp_path}/{kind}.sock"}}
            daemon.drop(kind, spec.document([spec.direct(f"on-{kind}", 8000 + n)], servers, runtime=runtime))
        deploy_local(daemon, servers, "well")
        for kind in fake:
            daemon.wait_error(f"/on-{kind}", ".", timeout=patience(120))
        messages = {i["spec"]: i["lastError"]["message"] for i in daemon.instances() if i["lastError"]}
        assert "the moon is in the wrong phase" in messages["500"], "the engine's own words"
        assert "the moon is in the wrong phase" in messages["list-500"]
        for kind in ("never", "list-never", "trickle"):
            assert re.search("(?i)timed out|no (complete )?answer within", messages[kind]), messages[kind]
        assert daemon.instance("well/")["converged"]
        serves("127.0.0.1:7443")
        # It waits for them; it does not spin.
        before = cpu_seconds(daemon.process.pid)
        time.sleep(3)
        assert cpu_seconds(daemon.process.pid) - before < patience(1)
        assert max(server.accepted for server in fake.values()) < 200
    finally:
        for server in fake.values():
            server.close()


def handshake_bytes(host):
    """How much sshd says until a session is up."""
    with fakes.Relay((host.address, 22)) as relay:
        run("ssh", "-i", host.keys["ed25519"], "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-p", relay.port, "root@127.0.0.1", "true")  # fmt: skip
        return relay.from_server


@pytest.mark.parametrize("then", ["hang", "close"])
def test_sshd_that_stops_at_each_step(daemon, hosts, servers, then):
    host = hosts[0]
    total = handshake_bytes(host)
    steps = sorted({0, 1, 4, 20, *range(40, total, max(1, total // 16))})
    relays = [fakes.Relay((host.address, 22), after=step, then=then) for step in steps]
    try:
        instances = []
        for n, relay in enumerate(relays):
            one = spec.instance(host, name=f"step{n}", hostConfigPath=f"/etc/step{n}/x.cfg", bindAddress=f"127.0.0.1:{8000 + n}")
            one["host"]["ssh"].update(address="127.0.0.1", port=relay.port, connectionTimeout="2s")
            instances.append(one)
        daemon.drop("steps", spec.document(instances, servers))
        daemon.drop("well", spec.document([spec.instance(hosts[1])], servers))
        daemon.wait("the good host", lambda: any(i["converged"] for i in daemon.instances("well")), patience(10))
        daemon.wait("an error for each", lambda: all(i["lastError"] for i in daemon.instances("steps")), patience(60))
        told = [i["lastError"]["message"] for i in daemon.instances("steps")]
        pattern = "(?i)timed out|no answer" if then == "hang" else "(?i)clos|lost|end|reset"
        assert [m for m in told if not re.search(pattern, m)] == []
        before = cpu_seconds(daemon.process.pid)
        time.sleep(3)
        assert cpu_seconds(daemon.process.pid) - before < patience(1)
    finally:
        for relay in relays:
            relay.close()


GREETINGS = {
    "a web server": b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n",
    "random bytes": os.urandom(100_000),
    "an old protocol": b"SSH-1.5-ancient\r\n",
    "endless banner": b"hello there\r\n" * 100_000,
    "a packet too long": b"SSH-2.0-evil\r\n" + b"\xff\xff\xff\xff" * 1000,
}


def test_sshd_that_is_none(daemon, hosts, servers):
    def greet(greeting):
        def behave(connection):
            connection.sendall(greeting)
            fakes.hang(connection)

        return behave

    listeners = [fakes.tcp_listener() for _ in GREETINGS]
    fake = [fakes.FakeServer(listener, greet(g)) for listener, g in zip(listeners, GREETINGS.values())]
    try:
        instances = []
        for n, listener in enumerate(listeners):
            one = spec.instance(hosts[0], name=f"g{n}", hostConfigPath=f"/etc/g{n}/x.cfg", bindAddress=f"127.0.0.1:{8000 + n}")
            one["host"]["ssh"].update(address="127.0.0.1", port=listener.getsockname()[1], connectionTimeout="2s")
            instances.append(one)
        daemon.drop("fakes", spec.document(instances, servers))
        daemon.wait("errors", lambda: all(i["lastError"] for i in daemon.instances() or [{"lastError": 0}]), patience(30))
        assert all(i["lastError"]["message"].isprintable() for i in daemon.instances()), "no raw bytes in a message"
    finally:
        for server in fake:
            server.close()


def test_settings_file_is_bad(make_daemon, tmp_path):
    settings = tmp_path / "apilbd.yaml"
    settings.write_text("resynk: 5s\n")
    daemon = make_daemon(f"--config={settings}")
    said = daemon.fails_to_start()
    assert "resynk" in said and "resync" in said


def test_open_files_run_out(make_daemon, hosts, local, servers):
    """Few descriptors: hosts wait their turn or fail with a word; nothing breaks."""
    daemon = make_daemon(prefix=["prlimit", "--nofile=24:24"]).start()
    instances = [spec.instance(h) for h in hosts] + [spec.direct("here", 7443)]
    daemon.drop("prod", spec.document(instances, servers))
    clients = [socket.socket(socket.AF_UNIX) for _ in range(30)]
    try:
        for client in clients:
            client.setblocking(False)
            try:
                client.connect(str(daemon.socket))
            except OSError:
                pass
        time.sleep(2)
        daemon.process.check()
    finally:
        for client in clients:
            client.close()
    daemon.wait_converged(4, timeout=patience(60))
