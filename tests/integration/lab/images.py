"""What takes long to make, made once a machine: images and a Debian with systemd.

Run as a program (outside the lab, where there is a network) it makes what is
missing. Everything is keyed by what it is made of.
"""

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CACHE = Path(os.environ.get("APILB_LAB_CACHE", "/var/cache/apilb-lab"))
TOP = Path(__file__).resolve().parents[3]
# Which Debian has which HAProxy.
SUITES = {"2.6": "bookworm", "3.0": "trixie"}
OLD, NEW = "haproxy:2.6-lab", "haproxy:3.0-lab"


def _run(*argv, **kwargs):
    done = subprocess.run([str(a) for a in argv], stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, **kwargs)
    if done.returncode:
        sys.exit(f"{argv[0]}: exit {done.returncode}\n{done.stderr.decode(errors='replace')}")
    return done.stdout


def _release():
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return line.split("=")[1]
    return ""


def _docker_archive(layer, config, tag, out):
    """A tar for `docker load`: no engine is needed to make it, and it keeps its tag."""
    digest = hashlib.sha256(layer.read_bytes()).hexdigest()
    image = {
        "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        "os": "linux",
        "config": config,
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": "apilb lab"}],
    }
    text = json.dumps(image).encode()
    name = hashlib.sha256(text).hexdigest() + ".json"
    with tempfile.TemporaryDirectory() as scratch, tarfile.open(out, "w") as tar:
        manifest = [{"Config": name, "RepoTags": [tag], "Layers": [f"{digest}/layer.tar"]}]
        for path, content in ((name, text), ("manifest.json", json.dumps(manifest).encode())):
            file = Path(scratch, path)
            file.write_bytes(content)
            tar.add(file, path)
        tar.add(layer, f"{digest}/layer.tar")


# As in the official image.
IMAGE_CONFIG = {
    "Entrypoint": ["docker-entrypoint.sh"],
    "Cmd": ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"],
    "StopSignal": "SIGUSR1",
    "User": "99",
    "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
}


def _make_image(version, out):
    suite = SUITES[version]
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        root = Path("/")
        if _release() != suite or not Path("/usr/sbin/haproxy").exists():
            root = Path(scratch, "root")
            _run("mmdebstrap", "--quiet", "--variant=essential", "--include=haproxy", suite, root)
        layer = Path(scratch, "layer.tar")
        layer.write_bytes(_run(TOP / "scripts/haproxy-image", root, stdout=subprocess.PIPE))
        _docker_archive(layer, IMAGE_CONFIG, f"haproxy:{version}-lab", out)


def _cached(name, key, make):
    """The path of `name` for `key`; made under a lock when missing, complete or not there at all."""
    CACHE.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = CACHE / f"{name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    if path.exists():
        return path
    with open(CACHE / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            print(f"lab: making {name} (once a machine) ...", file=sys.stderr, flush=True)
            new = CACHE / f"{path.name}.new"
            shutil.rmtree(new, ignore_errors=True)
            new.unlink(missing_ok=True)
            make(new)
            new.rename(path)
    return path


def haproxy_image(version):
    """A tar for `docker load` that gives haproxy:VERSION-lab."""
    recipe = json.dumps(IMAGE_CONFIG) + (TOP / "scripts/haproxy-image").read_text()
    return _cached(f"haproxy-{version}.tar", _release() + recipe, lambda out: _make_image(version, out))


def variant(tag, out, **config):
    """Such a tar as well: haproxy:3.0-lab under another name, with another configuration."""
    with tempfile.TemporaryDirectory() as scratch:
        with tarfile.open(haproxy_image("3.0")) as tar:
            layer = json.load(tar.extractfile("manifest.json"))[0]["Layers"][0]
            tar.extract(layer, scratch)
        settings = {key: value for key, value in {**IMAGE_CONFIG, **config}.items() if value is not None}
        _docker_archive(Path(scratch, layer), settings, tag, out)
    return out


def systemd_root(programs):
    """A Debian of this machine's release, with systemd and what `programs` load."""
    libraries = set()
    for program in programs:
        for word in _run("ldd", program, stdout=subprocess.PIPE).decode().split():
            if word.startswith("/"):
                # By name: dpkg knows /lib, the loader says /usr/lib, or the other way round.
                libraries.add("*/" + Path(word).name)
    if any("libasan" in library for library in libraries):
        return None  # a sanitizer build is not for installing
    owners = _run("dpkg", "-S", *sorted(libraries), stdout=subprocess.PIPE).decode()
    packages = sorted({line.split(":")[0] for line in owners.splitlines() if not line.startswith("diversion ")})
    include = ["systemd", "systemd-sysv", "dbus", "procps", *packages]

    def make(out):
        _run("mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(include)}", _release(), out)

    return _cached("systemd-root", _release() + ",".join(include), make)


if __name__ == "__main__":
    for wanted in SUITES:
        haproxy_image(wanted)
    if len(sys.argv) > 1:
        systemd_root(sys.argv[1:])
