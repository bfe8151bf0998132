"""What may become of a balancer behind the daemon's back, by the hundred: makers of drift, and what edits a spec.

A drift is a function of a Balancer and a random.Random; it returns False when the balancer, as others have left it, has
nothing that it could do its work on. It leaves alone what tests need to tell what happened: names.
"""

import copy
import secrets

from .engine import EngineError
from .images import NEW, OLD


class Balancer:
    """One of many on a host. What it is to be (`wanted`) is what the spec says."""

    def __init__(self, host, number):
        self.host = host
        self.name = f"lb{number}"
        self.port = 7000 + number
        self.wanted = {
            "name": self.name,
            "bindAddress": f"{host.address}:{self.port}",
            # Every third one has its file in a directory that others use as well.
            "hostConfigPath": f"/etc/haproxy-{self.name}.cfg" if number % 3 == 2 else f"/etc/haproxy-{self.name}/lb.cfg",
            "image": OLD,
        }

    @property
    def path(self):
        return self.wanted["hostConfigPath"]

    @property
    def stats(self):
        return f"/var/lib/apilb/{self.name}"

    def container(self):
        return self.host.engine.inspect(self.name)

    def make(self, name, old, start=True, **change):
        """A container as `old` was (what the engine's inspect says), but for a change."""
        config = {
            **{key: old["Config"].get(key) for key in ("Cmd", "User", "Labels", "StopSignal", "Env")},
            "HostConfig": {key: old["HostConfig"].get(key) for key in ("NetworkMode", "Binds", "RestartPolicy", "CapDrop")},
        }
        config["HostConfig"].update(change.pop("HostConfig", {}))
        image = change.pop("Image", old["Config"]["Image"])
        # Its own socket, and only the variables that are not the image's.
        token = secrets.token_hex(4)
        config["Env"] = [f"APILB_TOKEN={token}"]
        config.update(change)
        made = self.host.engine.create(name, image, **config)
        if start:
            self.host.engine.act(made, "start")
            # Until it has come up, or has not: what else is done to it is to happen to it as it is then.
            self.host.sh(f"for i in 1 2 3 4 5 6 7 8 9 10; do [ ! -e {self.stats}/{token}.sock ] || break; sleep 0.1; done")
        return made

    def recreate(self, **change):
        old = self.container()
        if not old:
            return False
        self.host.engine.remove(self.name)
        self.make(self.name, old, **change)
        return True


def _engine(action, **query):
    def drift(balancer, _):
        container = balancer.container()
        if not container:
            return False
        balancer.host.engine.act(container["Id"], action, **query)
        return True

    return drift


def _shell(script):
    def drift(balancer, _):
        balancer.host.run("sh", "-c", script, "-", balancer.path, balancer.stats)
        return True

    return drift


def _recreated(**change):
    return lambda balancer, _: balancer.recreate(**copy.deepcopy(change))


def _updated(**change):
    def drift(balancer, _):
        container = balancer.container()
        if not container:
            return False
        balancer.host.engine.update(container["Id"], **change)
        return True

    return drift


def _removed(balancer, _):
    return bool(balancer.container()) and balancer.host.engine.remove(balancer.name) is not None


def _renamed(balancer, _):
    if not balancer.container():
        return False
    balancer.host.engine.act(balancer.name, "rename", name=f"mine-{balancer.name}")
    return True


def _left_over(suffix, start, **change):
    def drift(balancer, dice):
        name = balancer.name + suffix
        if suffix.endswith("-"):
            name += f"{dice.getrandbits(32):08x}"
        old = balancer.container()
        if not old or balancer.host.engine.inspect(name):
            return False
        balancer.make(name, old, start, **copy.deepcopy(change))
        return True

    return drift


def _interrupted_after_drain(balancer, _):
    """The successor runs, and the one before it has left."""
    old = balancer.container()
    if not old or balancer.host.engine.inspect(f"{balancer.name}-apilb-next"):
        return False
    balancer.make(f"{balancer.name}-apilb-next", old)
    balancer.host.engine.remove(balancer.name)
    return True


WORLD = {
    "removed": _removed,
    "stopped": _engine("stop", t=1),
    "killed": _engine("kill", signal="KILL"),
    "paused": _engine("pause"),
    "renamed": _renamed,
    "restart policy": _updated(RestartPolicy={"Name": "no"}),
    "memory limit": _updated(Memory=1 << 28, MemorySwap=1 << 29),
    "other image": _recreated(Image=NEW),
    "other user": _recreated(User="0", HostConfig={"RestartPolicy": {"Name": "no"}}),
    "other labels": _recreated(Labels={"io.apilb.owner": "apilb", "io.apilb.container-sha256": "00ff"}),
    "privileged": _recreated(HostConfig={"Privileged": True}),
    "helper left": _left_over("-apilb-helper", False),
    "successor left, not started": _left_over("-apilb-next", False),
    "successor left": _left_over("-apilb-next", True),
    "other successor left": _left_over("-apilb-next", True, Image=NEW),
    "handed over, not renamed": _interrupted_after_drain,
    "former one has left": _left_over("-apilb-old-", False),
    "former one is leaving": _left_over("-apilb-old-", True),
    "config edited": _shell("[ ! -d ${1%/*} ] || echo '# by hand' >>$1"),
    "config of the same size and age": _shell('[ -s "$1" ] || exit 0; touch -r "$1" /run/age; sed -i s/Written/wRITTEN/ "$1"; touch -r /run/age "$1"'),
    "config replaced": _shell('[ ! -d "${1%/*}" ] || { echo what >"$1.new"; mv "$1.new" "$1"; }'),
    "config emptied": _shell('[ ! -d "${1%/*}" ] || : >"$1"'),
    "config deleted": _shell('rm -f "$1"'),
    "config unreadable": _shell('[ ! -e "$1" ] || chmod 0 "$1"'),
    "config directory deleted": _shell('case $1 in /etc/*/*) rm -rf "${1%/*}" ;; *) rm -f "$1" ;; esac'),
    "stats directory deleted": _shell('rm -rf "$2"'),
    "stats directory closed": _shell('[ ! -d "$2" ] || chmod 700 "$2"'),
}


# What does not start again after that ends in a loop, and is another thing at each look.
BREAK = {name for name in WORLD if name.startswith(("config", "stats"))} - {"config edited", "config of the same size and age"}
START = {"renamed"} | {name for name, does in WORLD.items() if does.__qualname__.startswith(("_recreated", "_left_over", "_inter"))}


def _other_image(balancer, _):
    balancer.wanted["image"] = NEW if balancer.wanted["image"] == OLD else OLD


def _other_servers(balancer, dice):
    servers = [f"10.77.0.254:644{n}" for n in (1, 2, 3)]
    dice.shuffle(servers)
    balancer.wanted["servers"] = servers[: dice.randint(1, 3)]


def _other_port(balancer, _):
    balancer.port += 100 if balancer.port < 7400 else -400
    balancer.wanted["bindAddress"] = f"{balancer.host.address}:{balancer.port}"


def _other_path(balancer, dice):
    balancer.wanted["hostConfigPath"] = f"/etc/haproxy-{balancer.name}-{dice.getrandbits(16)}/lb.cfg"


def _other_timeouts(balancer, dice):
    balancer.wanted["timeouts"] = {"client": f"{dice.randint(30, 90)}s"}


def _other_name(balancer, dice):
    balancer.name = f"{balancer.name.split('-')[0]}-{dice.getrandbits(16)}"
    balancer.wanted["name"] = balancer.name


EDITS = {
    "edit: image": _other_image,
    "edit: servers": _other_servers,
    "edit: port": _other_port,
    "edit: path": _other_path,
    "edit: timeouts": _other_timeouts,
    "edit: name": _other_name,
}


def drift(balancer, dice):
    """One or more of all that, in some order. Returns the names of what was done."""
    done = []
    for _ in range(dice.choice((1, 1, 2, 2, 3))):
        name = dice.choice(list(WORLD))
        if name in done or (name in START and BREAK & set(done)):
            continue
        try:
            if WORLD[name](balancer, dice):
                done.append(name)
        except EngineError as error:
            # What is paused cannot be stopped, what runs cannot be started, and the like.
            if error.status not in (404, 409, 304, 500):
                raise
    if dice.random() < 0.25:
        # What was made for an old name, and has a third one, goes when the new name serves: nobody knows beforehand.
        name = dice.choice([edit for edit in EDITS if edit != "edit: name" or "renamed" not in done])
        EDITS[name](balancer, dice)
        done.append(name)
    return done
