"""What goes wrong. Each is done to a cell (failover_cell.py), from its beginning on."""

import asyncio
from collections import namedtuple

# seconds: how long it is watched. targets: what of the summary (failover.py) may be how much at most.
# before: done, and over, before counting begins.
Fault = namedtuple("Fault", "what act seconds targets old_worker before")
FAULTS = {}

NONE_FAILS = {"failed": 0}
# 0.1 s of each gap is the time between two lines.
AT_ONCE = NONE_FAILS | {"gap worst": 0.5}
SOON = NONE_FAILS | {"failed after": 3, "wait worst": 3, "gap worst": 4}
DRAINED = NONE_FAILS | {"late": 0, "cut": 0}


def fault(name, what, seconds, targets, before=None, old_worker=False):
    def add(act):
        FAULTS[name] = Fault(what, act, seconds, targets, old_worker, before)
        return act

    return add


def once(how):
    """A fault of the first server that comes and stays."""

    async def act(cell):
        server = cell.servers[0]
        cell.doomed(server)
        getattr(server, how)()
        cell.unwant(server)

    return act


# Longer than a client waits (LIMIT_S of failover_cell.py).
for _how, _name, _what, _seconds, _targets in (
    ("kill", "killed", "process killed", 10, AT_ONCE),
    ("hang", "hanging", "process stopped; its kernel goes on accepting connections", 22, SOON),
    ("drop", "dropped", "packets dropped both ways", 22, SOON),
):
    fault(_name, _what, _seconds, _targets)(once(_how))
    _old = f"{_what}; connections of an old worker"
    fault(f"{_name}-old", _old, _seconds, _targets, old_worker=True)(once(_how))


@fault("not-ready", "/readyz answers 500, it still serves; exits after 10 s", 15, DRAINED)
async def not_ready(cell):
    server = cell.servers[0]
    server.not_ready()
    cell.unwant(server)
    await asyncio.sleep(10)
    cell.doomed(server)
    server.kill()


@fault("stopping", "/readyz answers 500; port closed after 3 s, connections in use go on; exits after 10 s", 15, DRAINED)
async def stopping(cell):
    """What a kube-apiserver does on SIGTERM, with a short --shutdown-delay-duration."""
    server = cell.servers[0]
    server.not_ready()
    cell.unwant(server)
    await asyncio.sleep(3)
    server.close_port()
    await asyncio.sleep(7)
    cell.doomed(server)
    server.kill()


@fault("all-failing", "every server fails its checks, and serves; one is well again after 35 s", 42, DRAINED)
async def all_failing(cell):
    for server in cell.servers:
        server.not_ready(("/readyz", "/livez", "/healthz"))
    await asyncio.sleep(35)
    cell.servers[0].ready()


@fault("flapping", "one server is killed and started again, every 3 s", 21, NONE_FAILS)
async def flapping(cell):
    server = cell.servers[0]
    for _ in range(3):
        cell.doomed(server)
        server.kill()
        await asyncio.sleep(3)
        server.start()
        await asyncio.sleep(3)


async def one_is_gone(cell):
    cell.servers[0].kill()
    await asyncio.sleep(8)
    for stream in cell.streams:
        stream.affected = False


@fault("comes-back", "a server that was gone starts, and is not ready for 3 s", 15, NONE_FAILS, before=one_is_gone)
async def comes_back(cell):
    server = cell.servers[0]
    server.not_ready()
    cell.unwant(server)
    server.start()
    await asyncio.sleep(3)
    server.ready()
    cell.want(server)


@fault("rolling", "all three restart in order: not ready for 5 s, gone for 2 s, starting for 2 s, then 6 s", 46, NONE_FAILS)
async def rolling(cell):
    for server in cell.servers:
        server.not_ready()
        cell.unwant(server)
        await asyncio.sleep(5)
        cell.doomed(server)
        server.kill()
        await asyncio.sleep(2)
        server.start()
        await asyncio.sleep(2)
        server.ready()
        cell.want(server)
        await asyncio.sleep(6)
