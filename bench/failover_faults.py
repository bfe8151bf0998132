"""What goes wrong. Each is done to a cell (failover_cell.py), from its beginning on."""

import asyncio
from collections import namedtuple

# seconds: how long it is watched. before: done, and over, before counting begins.
Fault = namedtuple("Fault", "what act seconds old_worker before")
FAULTS = {}


def fault(name, what, seconds, before=None, old_worker=False):
    def add(act):
        FAULTS[name] = Fault(what, act, seconds, old_worker, before)
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


for _how, _name, _what, _seconds in (
    ("kill", "killed", "process killed", 10),
    ("hang", "hanging", "process stopped; its kernel goes on accepting connections", 25),
    ("drop", "dropped", "packets dropped both ways", 25),
):
    fault(_name, _what, _seconds)(once(_how))
    fault(f"{_name}-old", f"{_what}; connections of an old worker", _seconds, old_worker=True)(once(_how))


@fault("not-ready", "/readyz answers 500, it still serves; exits after 10 s", 20)
async def not_ready(cell):
    server = cell.servers[0]
    server.not_ready()
    cell.unwant(server)
    await asyncio.sleep(10)
    cell.doomed(server)
    server.kill()


@fault("all-failing", "every server fails its checks, and serves", 45)
async def all_failing(cell):
    for server in cell.servers:
        server.not_ready(("/readyz", "/livez", "/healthz"))


@fault("flapping", "one server is killed and started again, every 3 s", 21)
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


@fault("comes-back", "a server that was gone starts, and is not ready for 3 s", 15, before=one_is_gone)
async def comes_back(cell):
    server = cell.servers[0]
    server.not_ready()
    server.start()
    await asyncio.sleep(3)
    server.ready()


@fault("rolling", "all three restart in order: not ready for 5 s, gone for 2 s, starting for 2 s, then 8 s", 52)
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
        await asyncio.sleep(8)
