"""Changes under load: a thousand new connections a second and 200 long ones, and none of them notices.

`make bench` measures the same for longer, beside what others do.
"""

import time

import pytest

from lab import heavy
from lab.fleet import endpoint
from lab.proc import SLOWNESS, patience

# Instrumented builds and busy machines change as well, only not as fast.
RATE, LONG = int(1000 / SLOWNESS), 200


@pytest.fixture
def echo(certificate):
    made = heavy.Echo(certificate)
    yield made
    made.stop()


@pytest.fixture
def changer(make_daemon, hosts, echo):
    echo.prepare(hosts[0])
    made = heavy.Changer(make_daemon().start(), hosts[0])
    made.deploy()
    return made


@pytest.mark.parametrize("kind, times", [("config", 5), ("image", 3)])
def test_change_costs_no_connection(changer, capsys, kind, times):
    with heavy.Load(endpoint(changer.host), RATE, LONG) as load:
        time.sleep(1)
        for _ in range(times):
            (changer.change_config if kind == "config" else changer.change_image)()
        time.sleep(1)
    with capsys.disabled():
        print(f"\n{times} {kind} changes, {load.report['new']['opened']} new connections, {LONG} long ones: {load.losses()}")
    load.assert_unharmed(RATE, LONG)


def test_load_notices_a_restart(changer):
    """The measure itself: what is lost is counted."""
    with heavy.Load(endpoint(changer.host), RATE, LONG) as load:
        time.sleep(1)
        changer.host.engine.act("api-loadbalancer-haproxy", "restart", t=0)
        time.sleep(patience(2))
    lost = load.losses()
    assert lost["long ones cut"] == LONG
    assert lost["refused"] + lost["reset"] > 0
    assert load.report["long"]["kept"] == LONG, "they come back"
