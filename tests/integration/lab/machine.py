"""A Debian booted by systemd, for what only systemd can tell."""

import json
import shutil
import subprocess

from . import images
from .daemon import APILBCTL, APILBD, BUILD
from .proc import LAB, Process, patience, run, wait_for

SHUT_DOWN = 37  # SIGRTMIN+3: what systemd takes for "halt"


class Machine:
    """Boots with apilb installed as `make install` does it. Shares the lab's network and local engine."""

    def __init__(self):
        directory = LAB / "machine"
        self.root = directory / "root"
        upper, work = directory / "upper", directory / "work"
        for each in (self.root, upper, work):
            each.mkdir(parents=True)
        lower = images.systemd_root([APILBD, APILBCTL])
        run("mount", "-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "lab", self.root)
        run("make", "-C", BUILD, "install", f"DESTDIR={self.root}", timeout=patience(120))
        # The group of the engine's socket, as docker.io makes it.
        gid = run("stat", "-c", "%g", "/run/docker.sock").strip()
        run("chroot", self.root, "groupadd", "--system", "--gid", gid, "docker")
        (self.root / "etc/resolv.conf").write_text("")
        run("mkdir", "-p", "/var/lib/apilb")
        self.process = Process(
            "systemd-nspawn",
            ["systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", f"--directory={self.root}",
             "--bind=/run/docker.sock", "--bind=/var/lib/apilb", "--console=pipe"],
            directory / "console.log",
        )  # fmt: skip
        self.leader = wait_for("the machine's process 1", self._leader, 10)
        wait_for("the boot to finish", lambda: self.sh("systemctl is-system-running || true") == "running\n", patience(30))

    def _leader(self):
        self.process.check()
        found = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)], capture_output=True, text=True, check=False
        )
        return found.stdout.strip()

    def run(self, *argv, **kwargs):
        return run("nsenter", f"--target={self.leader}", "--all", *argv, **kwargs)

    def sh(self, script):
        return self.run("/bin/sh", "-ec", script)

    def show(self, *properties, unit="apilbd"):
        lines = self.run("systemctl", "show", unit, *(f"--property={p}" for p in properties)).splitlines()
        return dict(line.split("=", 1) for line in lines)

    def journal(self):
        lines = self.run("journalctl", "--unit=apilbd", "--output=json", "--no-pager").splitlines()
        return [json.loads(line) for line in lines]

    def write(self, path, text, mode="0640", group="apilb"):
        """Below the machine's root, as its administrator would."""
        self.run("install", "-m", mode, "-g", group, "/dev/stdin", path, input=text)

    def stop(self):
        run("kill", f"-{SHUT_DOWN}", self.leader)
        try:
            self.process.child.wait(patience(20))
        except subprocess.TimeoutExpired:
            self.process.stop()
        run("umount", self.root)
        shutil.rmtree(LAB / "machine")
