"""The Engine API (daemon/io/docker/docker.h) against real engines, through tests/docker_tool.

Each engine has its own directory and socket, pulls come from a registry on the loopback, and containers use
the host's network. Needs root, docker.io, docker-registry, podman, runc, haproxy and busybox-static.
"""

import contextlib
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import subprocess
import tarfile
import time
import urllib.request
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
TOOL = Path(os.environ.get("APILB_BUILD", TOP / "build")) / "tests/docker_tool"
WRAPPER = os.environ.get("APILB_WRAPPER", "").split()
NOTHING = "4:there is none"


def run(*command, **options):
    done = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}"
    return done.stdout


def wait_for(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (result := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)
    return result


class Engine:
    """An engine of our own, and the tool to talk to it. Commands give what was printed, or "exit:error"."""

    def __init__(self, directory, name):
        self.directory = directory / name
        self.directory.mkdir()
        self.socket = self.directory / "s"
        self.log = open(self.directory / "log", "w")
        self.process = subprocess.Popen(getattr(self, name)(), stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env=self.env)
        try:
            wait_for(self.answers)
        except AssertionError:
            self.stop()
            raise AssertionError((self.directory / "log").read_text())

    def dockerd(self):
        d = self.directory
        self.env = None
        return ["dockerd", "--iptables=false", "--ip6tables=false", "--bridge=none", "--data-root", d / "data",
                "--exec-root", d / "exec", "--pidfile", d / "pid", "-H", f"unix://{self.socket}"]

    def podman(self):
        d = self.directory
        (d / "containers.conf").write_text(
            '[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
            '[containers]\ndefault_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]\n')
        (d / "registries.conf").write_text('[[registry]]\nlocation = "127.0.0.1"\ninsecure = true\n')
        (d / "policy.json").write_text('{"default": [{"type": "insecureAcceptAnything"}]}')
        self.env = {**os.environ, "CONTAINERS_CONF": str(d / "containers.conf"), "CONTAINERS_REGISTRIES_CONF": str(d / "registries.conf")}
        self.podman_command = ["podman", "--root", d / "root", "--runroot", d / "run", "--storage-driver", "vfs", "--tmpdir", d / "tmp"]
        return [*self.podman_command, "system", "service", "--time", "0", f"unix://{self.socket}"]

    def answers(self):
        assert self.process.poll() is None, "the engine ended"
        return self.socket.exists() and self("ping") == ""

    def __call__(self, *args):
        done = subprocess.run([*WRAPPER, str(TOOL), str(self.socket), *[str(a) for a in args]], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, timeout=120, check=False)
        assert done.returncode in (0, 1, 4), done.stderr
        return done.stdout if done.returncode == 0 else f"{done.returncode}:{done.stderr.strip()}"

    def json(self, *args):
        return json.loads(self(*args))

    def create(self, name, image="lb:1", **config):
        host = {"NetworkMode": "host", "Binds": config.pop("Binds", [])}
        config = {"Image": image, "Cmd": ["sleep", "1000"], "HostConfig": host, **config}
        return self.json("create", name, json.dumps(config))["Id"]

    def status(self, name):
        return self.json("inspect", name)["State"]["Status"]

    def load(self, tar):
        """The image lb:1; Podman has to be told the registry that Docker takes for granted."""
        if self.env:
            run(*self.podman_command, "import", tar, "docker.io/library/lb:1", env=self.env)
        else:
            run("docker", "-H", f"unix://{self.socket}", "import", tar, "lb:1")

    def stop(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.terminate()
            self.process.wait(20)
        self.process.kill()
        self.process.wait()
        self.log.close()


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    yield tmp_path_factory.mktemp("engines")


@pytest.fixture(scope="module")
def image_tar(directory):
    """haproxy, busybox and what they need, as a tar: an image without a registry."""
    root = directory / "image"
    (root / "bin").mkdir(parents=True)
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin")
    libraries = [word for line in run("ldd", haproxy).splitlines() for word in line.split() if word.startswith("/")]
    for file in [haproxy, *libraries]:
        (root / file[1:]).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, root / file[1:])
    shutil.copy("/bin/busybox", root / "bin")
    for name in ("sh", "sleep", "cat", "echo"):
        (root / "bin" / name).symlink_to("busybox")
    run("tar", "-C", root, "-cf", directory / "image.tar", ".")
    return directory / "image.tar"


@pytest.fixture(scope="module", params=["dockerd", "podman"])
def any_engine(request, directory, image_tar):
    engine = Engine(directory, request.param)
    engine.load(image_tar)
    engine.name = request.param
    yield engine
    for container in engine.json("list", "test=1"):
        engine("remove", container["Id"], "force")
    engine.stop()
    for mount in reversed(Path("/proc/mounts").read_text().splitlines()):
        if str(engine.directory) in mount:
            subprocess.run(["umount", "-l", mount.split()[1]], check=False)


@pytest.fixture
def engine(any_engine):
    yield any_engine
    for container in any_engine.json("list", "test=1"):
        any_engine("remove", container["Id"], "force")


LABELS = {"test": "1"}


def test_life_of_a_container(engine):
    assert engine("inspect", "lb") == NOTHING
    container = engine.create("lb", Labels=LABELS, User="65534", StopSignal="SIGKILL")
    assert engine.status("lb") == "created"
    assert engine.json("inspect", container)["Name"] == "/lb"
    assert [c["Id"] for c in engine.json("list", "test=1")] == [container]
    assert engine.json("list", "test=2") == []
    assert engine("start", "lb") == ""
    assert engine("start", "lb") == ""  # already so
    assert engine.status("lb") == "running"
    assert engine("rename", container, "lb-old") == ""
    assert engine("inspect", "lb") == NOTHING
    assert engine("stop", "lb-old", 5) == ""
    assert engine("stop", "lb-old", 5) == ""
    assert engine.status("lb-old") == "exited"
    assert engine.json("wait", "lb-old")["StatusCode"] == 137
    assert engine("start", "lb-old") == ""
    assert engine("kill", "lb-old", "SIGKILL") == ""
    wait_for(lambda: engine.status("lb-old") == "exited")
    assert engine("remove", "lb-old", "no") == ""
    assert engine("remove", "lb-old", "no") == NOTHING
    assert engine.json("list", "test=1") == []


def test_errors_are_the_engines_own(engine):
    engine.create("lb", Labels=LABELS)
    again = engine("create", "lb", json.dumps({"Image": "lb:1", "Cmd": ["x"]}))
    missing = engine("create", "other", json.dumps({"Image": "nope:9", "Cmd": ["x"]}))
    assert "create container lb: " in again and "already in use" in again
    assert "create container other: " in missing and "no such image" in missing.lower()
    assert "start container gone: " in engine("start", "gone") and "no such container" in engine("start", "gone").lower()
    if engine.name == "dockerd":
        assert again.startswith("1:conflict: create container lb: Conflict. The container name \"/lb\" is already in use by")
        assert missing == "1:permanent: create container other: No such image: nope:9"
        assert engine("kill", "lb", "HUP").startswith("1:transient: signal container lb: Cannot kill container: lb: ")


def test_paused(engine):
    engine.create("lb", Labels=LABELS)
    engine("start", "lb")
    run("curl", "-sSf", "--unix-socket", engine.socket, "-X", "POST", "http://d/v1.40/containers/lb/pause")
    assert engine.status("lb") == "paused"
    if engine.name == "dockerd":
        assert engine("start", "lb") == "1:transient: start container lb: cannot start a paused container, try unpause instead"
    assert engine("unpause", "lb") == ""
    assert engine.status("lb") == "running"


def test_files_through_a_created_container(engine, tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "run").mkdir()
    engine.create("helper", Labels=LABELS, Binds=[f"{tmp_path}/config:/config", f"{tmp_path}/run:/run-lb"])
    assert engine("head", "helper", "/config/haproxy.cfg") == NOTHING
    assert engine("get", "helper", "/config/haproxy.cfg") == NOTHING
    # Under "/" as well, with Docker; Podman writes past the mounts then.
    where = "/" if engine.name == "dockerd" else "/config"
    name = "config/haproxy.cfg" if where == "/" else "haproxy.cfg"
    assert engine("put", "helper", where, name, "first\n", 0, "640") == ""
    assert engine("get", "helper", "/config/haproxy.cfg") == "first\n"
    assert engine("put", "helper", "/config", "haproxy.cfg", "global\n", 0, "640") == ""
    assert engine("put", "helper", "/run-lb", "lb/", "", 65534, "750") == ""
    assert engine("get", "helper", "/config/haproxy.cfg") == "global\n"
    file, made = tmp_path / "config/haproxy.cfg", tmp_path / "run/lb"
    assert (file.read_text(), file.stat().st_uid, oct(file.stat().st_mode), file.stat().st_mtime) == ("global\n", 0, "0o100640", 1700000000)
    assert (made.stat().st_uid, made.stat().st_gid, oct(made.stat().st_mode)) == (65534, 65534, "0o40750")
    stat = engine.json("head", "helper", "/config/haproxy.cfg")
    assert (stat["name"], stat["size"], stat["mode"]) == ("haproxy.cfg", 7, 0o640)
    assert stat["mtime"].startswith("2023-11-14T22:13:20")
    if engine.name == "dockerd":  # Podman makes the directory
        assert "write into helper:/none: " in engine("put", "helper", "/none", "x", "x", 0, "644")
    (tmp_path / "config/other name&?=%2F.cfg").write_text("odd\n")
    assert engine("get", "helper", "/config/other name&?=%2F.cfg") == "odd\n"


def test_the_log_is_plain_text(engine):
    engine.create("lb", Labels=LABELS, Cmd=["sh", "-c", "echo one; echo two >&2; echo three"])
    engine.create("tty", Labels=LABELS, Tty=True, Cmd=["echo", "terminal"])
    for name in ("lb", "tty"):
        engine("start", name)
        wait_for(lambda: engine.status(name) == "exited")
    assert sorted(engine("logs", "lb", 100).splitlines()) == ["one", "three", "two"]
    assert len(engine("logs", "lb", 1).splitlines()) == 1
    assert engine("logs", "tty", 100) == "terminal\n"  # Python has made one of \r\n
    assert engine("logs", "gone", 1).startswith("1:permanent: read the log of container gone: ")


def test_images(engine):
    assert engine.json("image", "lb:1")["Os"] == "linux"
    assert engine("image", "lb:2") == NOTHING
    assert engine("image", "127.0.0.1:1/a/b:2") == NOTHING


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture(scope="module")
def registry(directory):
    port = free_port()
    config = directory / "registry.yml"
    config.write_text(f"version: 0.1\nstorage: {{filesystem: {{rootdirectory: {directory}/registry}}}}\nhttp: {{addr: '127.0.0.1:{port}'}}\n")
    with open(directory / "registry.log", "w") as log:
        process = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)

    def answers():
        with contextlib.suppress(OSError):
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/", timeout=5).status == 200

    try:
        wait_for(answers)
        yield f"127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


def push_layers(registry, repository, tag, layers):
    """Puts an image straight into the registry (its HTTP API, version 2), so that no engine knows its layers."""
    def upload(data):
        digest = "sha256:" + hashlib.sha256(data).hexdigest()
        start = urllib.request.urlopen(urllib.request.Request(f"http://{registry}/v2/{repository}/blobs/uploads/", method="POST"))
        where = start.headers["Location"]
        urllib.request.urlopen(urllib.request.Request(f"{where}&digest={digest}", data=data, method="PUT",
                                                      headers={"Content-Type": "application/octet-stream"}))
        return digest

    descriptors, diff_ids = [], []
    for n, content in enumerate(layers):
        tar = io.BytesIO()
        with tarfile.open(fileobj=tar, mode="w") as archive:
            info = tarfile.TarInfo(f"layer{n}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        packed = gzip.compress(tar.getvalue(), 1)
        diff_ids.append("sha256:" + hashlib.sha256(tar.getvalue()).hexdigest())
        descriptors.append({"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": len(packed), "digest": upload(packed)})
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}).encode()
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json", "layers": descriptors,
                "config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": upload(config)}}
    reply = urllib.request.urlopen(urllib.request.Request(f"http://{registry}/v2/{repository}/manifests/{tag}", data=json.dumps(manifest).encode(),
                                                          method="PUT", headers={"Content-Type": manifest["mediaType"]}))
    return reply.headers["Docker-Content-Digest"]


def test_pull_with_progress(engine, registry):
    repository = f"team/{engine.name}"
    digest = push_layers(registry, repository, "3.0", [os.urandom(4_000_000) for _ in range(3)])
    ref = f"{registry}/{repository}:3.0"
    assert engine("image", ref) == NOTHING
    lines = engine("pull", ref).splitlines()
    assert all(line.startswith(f"pulling {ref}") for line in lines)
    assert len(lines) == len(set(lines)), "the same thing is not said twice"
    if engine.name == "dockerd":
        assert lines[-1] == f"pulling {ref}: 3/3 layers, 12.0 MB of 12.0 MB"
    assert engine("image", ref) != NOTHING
    assert engine("pull", f"{registry}/{repository}@{digest}").splitlines()[0].startswith("pulling ")
    assert engine("image", f"{registry}/{repository}@{digest}") != NOTHING


def test_pull_of_what_there_is_not(engine, registry):
    push_layers(registry, "team/other", "1", [b"x"])
    failed = engine("pull", f"{registry}/team/other:2")
    assert f"pull image {registry}/team/other:2: " in failed and "manifest unknown" in failed
    assert "pull image" in engine("pull", f"{registry}/none") and engine("pull", f"{registry}/none").startswith("1:")
    nobody = f"127.0.0.1:{free_port()}/lb:1"
    assert "connection refused" in engine("pull", nobody)


def test_a_connection_survives_idle_seconds(engine):
    assert engine("idle", 3).startswith("usable after 3 s: yes")
