"""What apilbctl renders, both HAProxys accept: -c, the real check, on every row."""

import re
import tarfile
from pathlib import Path

import pytest

from lab import images, spec
from lab.certificates import Authority
from lab.daemon import ctl
from lab.proc import LAB, run

LUA = Path(__file__).resolve().parents[2] / "daemon/core/haproxy"
ONE = ["10.0.0.1:6443"]
MANY = [f"10.0.{n // 250}.{n % 250 + 1}:6443" for n in range(500)]

BALANCE = ["leastconn", "roundrobin", "static-rr", "source", "first", "random"]

# name: (servers, what the instance says)
ROWS = {
    "one server": (ONE, {}),
    "three servers": (["10.0.0.1:6443", "10.0.0.2:6443", "10.0.0.3:6443"], {}),
    "500 servers": (MANY, {}),
    "same address, many ports": ([f"10.0.0.1:{port}" for port in range(6443, 6453)], {}),
    "server by name": (["api.example.org:6443", "localhost:443"], {}),
    "long name": ([".".join(["a" * 60] * 4) + ":6443"], {}),
    "IPv6 servers": (["[2001:db8::1]:6443", "[::1]:8443"], {}),
    "bare IP": (ONE, {"bindAddress": "127.0.0.1"}),
    "IP and port": (ONE, {"bindAddress": "127.0.0.1:9000"}),
    "all addresses": (ONE, {"bindAddress": "0.0.0.0:9000"}),
    "IPv6 bind": (ONE, {"bindAddress": "[::1]:9000"}),
    "all of IPv6": (ONE, {"bindAddress": "[::]:9000"}),
    "many binds": (ONE, {"bindAddress": ["127.0.0.1", "127.0.0.2:9000", "[::1]:6443", "192.0.2.1:1"]}),
    "odd name": (ONE, {"name": "a_b.c-D9"}),
    "config in /etc": (ONE, {"hostConfigPath": "/etc/x.cfg"}),
    "health check": (
        ONE,
        {
            "healthCheck": {
                "path": "/livez?exclude=etcd&x=%20$!()*+,;=:@~",
                "interval": "1500ms",
                "timeout": "700ms",
                "fall": 100,
                "rise": 1,
                "expect": ["200", "3xx", "401-404"],
                "serverName": "api.example.com",
                "insecure": True,
            },
        },
    ),
    "few connections": (ONE, {"maxConnections": 1}),
    **{f"balance {word}": (ONE, {"balance": word}) for word in BALANCE},
    "own lines": (
        ONE,
        {
            "extraConfig": {
                "global": "tune.bufsize 32768\nspread-checks 20",
                "defaults": ["option tcp-smart-accept", "option tcp-smart-connect"],
                "frontend": ".if version_atleast(2.4)\n  option tcplog\n.else\n  nonsense\n.endif\n\n# a remark\n",
                "backend": "stick-table type ip size 100k expire 1h\nstick on src\n",
            },
        },
    ),
}


@pytest.fixture(scope="session")
def haproxy_roots():
    """Both HAProxys unpacked, to run without an engine."""
    roots = {}
    for version in images.SUITES:
        root = LAB / "haproxy" / version
        root.mkdir(parents=True)
        with tarfile.open(images.haproxy_image(version)) as image:
            layer = next(m for m in image.getmembers() if m.name.endswith("layer.tar"))
            with tarfile.open(fileobj=image.extractfile(layer)) as files:
                files.extractall(root)
        (root / "etc/resolv.conf").touch()  # every engine gives one to every container
        roots[version] = root
    return roots


def render(tmp_path, servers, **more):
    instance = spec.direct(**{"port": 9999})
    instance.update(more)
    path = spec.write(tmp_path / "x.yaml", spec.document([instance], servers))
    return ctl("render", path).stdout


def without_lua(config):
    """What an HAProxy makes of it that cannot load the guard."""
    assert "feature(LUA)" in config
    return config.replace("feature(LUA)", "feature(NO_SUCH_FEATURE)")


def accepted(haproxy_roots, config):
    for version, root in haproxy_roots.items():
        assert f"version {version}" in run("chroot", root, "haproxy", "-v")
        for path, name in re.findall(r'lua-load "/(\S+/(\w+)-\w+.lua)"', config):
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text((LUA / f"{name}.lua").read_text())
        for text in config, without_lua(config):
            (root / "tmp/x.cfg").write_text(text)
            said = run("chroot", root, "haproxy", "-c", "-f", "/tmp/x.cfg")
            assert "[WARNING]" not in said and "[ALERT]" not in said, said


@pytest.mark.parametrize("row", ROWS)
def test_haproxy_accepts(haproxy_roots, tmp_path, row):
    servers, more = ROWS[row]
    accepted(haproxy_roots, render(tmp_path, servers, **more))


def test_haproxy_accepts_a_ca(haproxy_roots, tmp_path):
    """From a text and from a file: the same config, which names a file beside it."""
    file = Authority(tmp_path, "ca").file
    text = file.read_text()
    config = render(tmp_path, ONE, healthCheck={"ca": text, "serverName": "api.example.com"})
    assert config == render(tmp_path, ONE, healthCheck={"caFile": str(file), "serverName": "api.example.com"})
    path = re.search(r'ca-file "(\S+)"', config)[1]
    for root in haproxy_roots.values():
        (root / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (root / path[1:]).write_text(text)
    accepted(haproxy_roots, config)


def test_the_longest_name_that_is_valid_is_accepted(haproxy_roots, tmp_path):
    """The name is part of the stats socket's path, and those are short."""

    def valid(length):
        path = spec.write(tmp_path / "n.yaml", spec.document([spec.direct("n" * length)], ONE))
        return ctl("validate", path, expect=None).returncode == 0

    longest = next(length for length in range(200, 1, -1) if valid(length))
    assert longest >= 32
    accepted(haproxy_roots, render(tmp_path, ONE, name="n" * longest))


def test_what_a_reader_finds(tmp_path):
    config = render(tmp_path, ["10.0.0.1:6443", "[2001:db8::1]:6443"], bindAddress=["127.0.0.1", "[::1]:7000"])
    lines = [line.split() for line in config.splitlines() if line.strip()]
    assert ["mode", "tcp"] in lines
    assert any(line[0] == "bind" and line[1] in ("127.0.0.1:6443", "ipv4@127.0.0.1:6443") for line in lines)
    assert any(line[0] == "bind" and "7000" in line[1] for line in lines)
    servers = [line for line in lines if line[0] == "server" and "backup" not in line]
    assert ["10.0.0.1:6443" in " ".join(s) for s in servers] == [True, False]
    assert "2001:db8::1" in " ".join(servers[1])


def test_watches_are_not_cut_off(tmp_path):
    """Timeouts of minutes would end every watch of a kubelet that has nothing to do."""
    lines = [line.split() for line in render(tmp_path, ONE).splitlines()]
    given = {line[1]: line[2] for line in lines if line[:1] == ["timeout"]}
    # Once bytes have gone both ways it is the tunnel's time that counts, when there is one.
    lasting = [given["tunnel"]] if "tunnel" in given else [given["client"], given["server"]]
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    assert min(int(time[:-1]) * units[time[-1]] for time in lasting) >= 3600


def test_instances_are_chosen_by_name(tmp_path):
    instances = [spec.direct("one", 7001), spec.direct("two", 7002)]
    path = spec.write(tmp_path / "x.yaml", spec.document(instances, ONE))
    assert "7002" in ctl("render", path, "two").stdout
    assert "7002" not in ctl("render", path, "one").stdout
    refused = ctl("render", path, "three", expect=None)
    assert refused.returncode != 0 and "three" in refused.stderr


def test_render_is_stable(tmp_path):
    assert render(tmp_path, MANY) == render(tmp_path, MANY)
