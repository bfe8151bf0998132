"""`plan` is the truth: what it says is what a run then does, action for action, and nothing else.

Hundreds of drifts are made behind the daemon's back, many at a time, while it
cannot reach the engines. Then it is asked for a plan, and told to run. What was
done is taken from the engines' own events, and from the daemon's.
"""

import json
import os
import random
import re
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime



from lab import spec
from lab.drift import Balancer, drift
from lab.engine import EngineEvents
from lab.fleet import CONFIG, NAME, deploy
from lab.proc import patience

SEED = int(os.environ.get("APILB_SEED", "20260101"))
# So many on each of the three hosts, so many times over.
BALANCERS, ROUNDS, AT_LEAST = 8, 8, 300

# What an action is to the engine: the events, in this order. H is the helper, N what the action is done to.
WRITE = ("create H", "extract-to-dir H", "extract-to-dir H", "destroy H")
# With what the config refers to, beside it.
CHECK = ("create H", "extract-to-dir H", "extract-to-dir H", "start H", "destroy H")
# First the directory of its socket.
REHEARSE = ("create H", "extract-to-dir H", "destroy H", "create H", "extract-to-dir H", "start H", "destroy H")
MEANS = {
    "pull": ("pull N",),
    "check-config": CHECK,
    "rehearse": REHEARSE,
    "write-config": WRITE,
    "create": ("create N",),
    "start": ("start N",),
    "unpause": ("unpause N",),
    "reload": ("exec_create N",),
    "await": (),
    "drain": ("kill N",),
    "stop": ("kill N", "stop N"),
    "remove": ("destroy N",),
    "rename": ("rename N",),
}
TOLD = {event.split()[0] for events in MEANS.values() for event in events}
PARTS = re.compile(r"-apilb-(next|helper|old-[0-9a-f]{8})$")


class Gate:
    """The engines' sockets, as the daemon finds them."""

    def __init__(self, daemon, hosts):
        self.daemon, self.hosts = daemon, hosts

    def shut(self):
        for host in self.hosts:
            host.sh("mv /run/docker.sock /run/docker.aside")

    def open(self):
        for host in self.hosts:
            host.sh("[ ! -e /run/docker.aside ] || mv /run/docker.aside /run/docker.sock")

    def run_in_vain(self):
        """The daemon reads its specs, tries to reach the hosts, and gives up for the next ten minutes."""
        self.daemon.reconcile()
        self.daemon.wait("it to give up", lambda: all(i["nextRunAt"] for i in self.daemon.instances()), patience(20))

    def run(self, plan=None):
        """A run; returns when every balancer has its verdict."""
        status, _, body = self.daemon.request("POST", "/v1/reconcile" + (f"?plan={plan}" if plan else ""), patience(60))
        assert status == 202, body
        asked = json.loads(body)["requestedAt"]

        # What goes when another balancer is as wanted goes in a run after that one's.
        under_way = ("reconciling", "removing")

        def over():
            found = self.daemon.instances()
            return all(i["observedAt"] and i["observedAt"] >= asked and i["phase"] not in under_way for i in found)

        self.daemon.wait("the run to end", over, patience(60))
        return asked


def told_by(recorder):
    """What has been done to each balancer, as the engine tells it: { name: ["create NAME", ...] }."""
    found, last = {}, {}
    for event in list(recorder.seen):
        action, attributes = event["Action"].split(":")[0], event["Actor"]["Attributes"]
        # What the engine does by itself: restarting what has ended, killing what does not stop, or is removed.
        by_itself = (action == "start" and last.get(event["Actor"]["ID"]) == "die") or attributes.get("signal") == "9"
        last[event["Actor"]["ID"]] = action
        if action not in TOLD or by_itself:
            continue
        name = attributes.get("name", event["Actor"]["ID"])
        if action == "rename":
            name = attributes["oldName"].lstrip("/")
        found.setdefault(PARTS.sub("", name), []).append(f"{action} {name}")
    return {name: without_looks(events) for name, events in found.items()}


def without_looks(events):
    """A helper that is made and goes again, with nothing in between, was there to look at the host's file."""
    left = []
    for event in events:
        if event.startswith("destroy ") and left and left[-1] == event.replace("destroy ", "create ", 1) and "-helper" in event:
            left.pop()
        else:
            left.append(event)
    return left


def meant_by(row, actions):
    """The same, of actions of a plan."""
    helper = f"{row['name']}-apilb-helper"
    return [
        event.replace(" N", f" {action['target']}").replace(" H", f" {helper}")
        for action in actions
        for event in MEANS[action["action"]]
    ]


def said_by(events, row, since):
    """What the daemon says that it has done."""
    return [
        event["message"]
        for event in events
        if event["time"] >= since and event["instance"] == row["id"] and event["type"] in MEANS
    ]


# What the drain timeout does to one that does not leave by itself.
LATER = ("kill N", "stop N", "destroy N")


def later_than(row):
    """What of it may have become due by the end of the run: as the engine tells it, and as the daemon does."""
    later = row["later"]
    names = [action["target"] for action in later]
    return (
        [event.replace(" N", f" {name}") for name in names for event in LATER] + meant_by(row, later),
        [text for name in names for text in (f"remove container {name}", f"stop container {name} gracefully")]
        + [action["text"] for action in later],
    )


def assert_is(what, planned, done, later):
    """Exactly the plan; then what the plan said would come when connections have ended, if they had."""
    rest = done[len(planned) :]
    assert done[: len(planned)] == planned, f"{what}:\nplanned {planned}\ndone    {done}"
    assert set(rest) <= set(later), f"{what}: it was not planned to {sorted(set(rest) - set(later))}\nplanned {planned}"


class Truth:
    """A fleet, what is made of it, and what plan and run say and do about that."""

    def __init__(self, daemon, hosts, servers, seed):
        self.daemon, self.hosts, self.servers = daemon, hosts, servers
        self.dice = random.Random(seed)
        self.gate = Gate(daemon, hosts)
        self.balancers = [Balancer(host, n) for host in hosts for n in range(BALANCERS)]
        self.drifts = self.actions = 0
        self.want()
        daemon.wait_converged(len(self.balancers), timeout=patience(60))

    def want(self):
        made = [
            # Not tried again by itself within the test: when it runs, it was told to.
            {**b.wanted, "host": {"ssh": spec.ssh(b.host, retryInterval="10m", retryTimeout="1h")}}
            for b in self.balancers
        ]
        self.daemon.drop("prod", spec.document(made, self.servers, timeouts={"drain": "5s"}))

    def drift_host(self, host, dice):
        done = {}
        for balancer in self.balancers:
            if balancer.host is host and dice.random() < 0.9:
                done[f"{balancer.name} {host.address}"] = drift(balancer, dice)
        return done

    def make_drifts(self):
        self.gate.shut()
        self.gate.run_in_vain()
        with ThreadPoolExecutor() as pool:
            dice = [random.Random(self.dice.random()) for _ in self.hosts]
            made = {}
            for done in pool.map(self.drift_host, self.hosts, dice):
                made.update(done)
        self.want()
        self.gate.run_in_vain()
        self.gate.open()
        self.drifts += sum(len(done) for done in made.values())
        return made

    def plan(self):
        return json.loads(self.daemon.request("GET", "/v1/plan", patience(60))[2])

    def round(self):
        began = time.monotonic()
        made = self.make_drifts()
        plan = self.plan()
        again = self.plan()
        differ = [(a, b) for a, b in zip(plan["instances"], again["instances"]) if a != b]
        assert plan["id"] == again["id"], f"two plans of the same world: {differ}\n{made}"
        recorders = {host.address: EngineEvents(host.engine) for host in self.hosts}
        since = self.gate.run(plan["id"])
        time.sleep(0.5)  # the last events may be under way
        done = {address: told_by(recorder) for address, recorder in recorders.items()}
        for recorder in recorders.values():
            recorder.close()
        self.compare(made, plan, done, since)
        left = [(i["id"], i["lastError"], made.get(key(i))) for i in self.daemon.instances() if not i["converged"]]
        assert not left, f"not converged: {left}"
        again = [
            (row["id"], [a["text"] for a in row["actions"]], made.get(key(row)))
            for row in self.plan()["instances"]
            if row["actions"] and not may_have_left(row)
        ]
        assert not again, f"there is more to do: {again}"
        print(f"round: {self.drifts} drifts and {self.actions} actions by now, {time.monotonic() - began:.1f} s")

    def compare(self, made, plan, done, since):
        events = [json.loads(line) for line in self.daemon.get("/v1/events?limit=1000").splitlines()]
        for row in plan["instances"]:
            what = f"{row['id']} ({made.get(key(row))})"
            told = done[key(row).split()[1]].pop(PARTS.sub("", row["name"]), [])
            later, later_text = later_than(row)
            assert_is(what, meant_by(row, row["actions"]), told, later)
            if row["spec"]:
                planned = [f"{a['text']} ({a['reason']})" for a in row["actions"]]
                said = said_by(events, row, since)
                said = [text if n < len(planned) else text.split(" (")[0] for n, text in enumerate(said)]
                assert_is(what, planned, said, later_text)
            self.actions += len(row["actions"])
        unplanned = {address: told for address, told in done.items() if told}
        assert not unplanned, f"what nothing was planned for: {unplanned}\n{made}"


def key(row):
    return f"{row['name']} {row['host'].split('@')[1].split(':')[0]}"


def may_have_left(row):
    return all(a["action"] in ("stop", "remove") and "-apilb-old-" in a["target"] for a in row["actions"])


def test_plan_is_what_a_run_does(make_daemon, hosts, servers, capsys):
    truth = Truth(make_daemon(resync="1h").start(), hosts, servers, SEED)
    began = time.monotonic()
    try:
        for _ in range(ROUNDS):
            truth.round()
    finally:
        truth.gate.open()
    took = time.monotonic() - began
    with capsys.disabled():
        print(
            f"\nplan truth: {truth.drifts} drifts, {truth.actions} actions, all as planned"
            f" (seed {SEED}, {took:.0f} s)"
        )
    assert truth.drifts >= AT_LEAST


def test_a_plan_that_is_out_of_date_is_not_run(make_daemon, hosts, servers):
    daemon = make_daemon(resync="1h").start()
    deploy(daemon, hosts[:2], servers)
    daemon.wait("it to be quiet", lambda: all(quiet_for_long(i) for i in daemon.instances()), patience(20))
    hosts[0].write(CONFIG, "garbage\n")
    shown = daemon.ctl("plan", expect=1).stdout
    (plan,) = re.findall(r"reconcile --plan=([0-9a-f]{16})", shown)
    assert f"This is plan {plan}" in shown
    assert plan in daemon.ctl("plan", expect=1).stdout, "the same plan has the same name"

    hosts[1].engine.act(NAME, "pause")
    with EngineEvents(hosts[0].engine) as first, EngineEvents(hosts[1].engine) as second:
        said = daemon.ctl("reconcile", f"--plan={plan}", expect=1).stderr
        assert f"plan {plan} is out of date" in said and "Nothing was done" in said
        assert first.mutating() + second.mutating() == []
    hosts[1].engine.act(NAME, "unpause")

    # The same container as before, and the same to do: the same plan.
    daemon.ctl("reconcile", f"--plan={plan}", "--wait")
    assert "garbage" not in hosts[0].read(CONFIG)
    assert "is out of date" in daemon.ctl("reconcile", f"--plan={plan}", expect=1).stderr


def test_the_same_actions_on_another_container_are_another_plan(make_daemon, hosts, servers):
    daemon = make_daemon(resync="1h").start()
    host = hosts[0]
    deploy(daemon, [host], servers)
    daemon.wait("it to be quiet", lambda: quiet_for_long(daemon.instances()[0]), patience(20))
    host.engine.act(NAME, "stop", t=1)
    before = json.loads(daemon.get("/v1/plan"))
    old = host.engine.inspect(NAME)
    host.engine.remove(NAME)
    host.engine.create(NAME, old["Config"]["Image"], **{**old["Config"], "HostConfig": old["HostConfig"]})
    host.engine.act(NAME, "start")
    host.engine.act(NAME, "stop", t=1)
    after = json.loads(daemon.get("/v1/plan"))
    assert [r["actions"] for r in before["instances"]] == [r["actions"] for r in after["instances"]]
    assert before["id"] != after["id"]
    status, _, body = daemon.request("POST", f"/v1/reconcile?plan={before['id']}")
    assert status == 409 and before["id"] in json.loads(body)["error"]
    assert host.engine.status(NAME) == "exited"


def quiet_for_long(instance):
    """It is not looked at again within the test."""
    due = instance["nextRunAt"]
    return due and (datetime.fromisoformat(due[:-1]) - datetime.utcnow()).total_seconds() > 60
