"""Fixtures. `run` puts pytest into the lab's namespaces; it does not work outside of them."""

import os
import signal
from pathlib import Path

import pytest

from lab import daemon as daemons
from lab.hosts import BRIDGE, Lab
from lab.load import ApiServer, make_certificate
from lab.proc import LAB

HERE = Path(__file__).resolve().parent


def pytest_configure(config):
    # Shells start what they put into the background deaf to Ctrl-C, and so would be all that tests start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if not os.environ.get("LAB"):
        pytest.exit(f"start the integration tests with {HERE}/run (as root), it takes pytest's arguments", 2)
    for program in (daemons.APILBD, daemons.APILBCTL):
        if not program.exists() and not os.environ.get("APILB_LAB_ONLY"):
            pytest.exit(f"{program} is missing: build it, or name the build directory in APILB_BUILD", 2)


@pytest.fixture(scope="session")
def lab():
    """Three hosts and the local engine, up for the whole session."""
    made = Lab()
    yield made
    made.close()


@pytest.fixture(scope="session")
def certificate():
    return make_certificate(LAB / "api")


@pytest.fixture(scope="session")
def all_servers(lab, certificate):
    made = [ApiServer(f"api{n}", BRIDGE, 6440 + n, certificate, LAB / "api") for n in (1, 2, 3)]
    for server in made:
        server.wait()
    yield made
    for server in made:
        server.stop()


@pytest.fixture
def apis(all_servers):
    """Three toy API servers, all well at the start of the test."""
    yield all_servers
    for server in all_servers:
        server.fail(False)
        if not server.process.running():
            server.start()
            server.wait()


@pytest.fixture
def servers(apis):
    """What a spec says about them."""
    return [api.endpoint for api in apis]


@pytest.fixture
def hosts(lab):
    """The three hosts, as new."""
    lab.reset()
    return lab.hosts


@pytest.fixture
def local(lab):
    """The local engine, as new."""
    lab.reset()
    return lab.local


@pytest.fixture
def make_daemon(tmp_path):
    """Makes daemons in directories of their own; each must have ended well when the test does."""
    made = []

    def make(*args, name=None, **kwargs):
        daemon = daemons.Daemon(tmp_path / (name or f"apilbd{len(made)}"), *args, **kwargs)
        made.append(daemon)
        return daemon

    yield make
    for daemon in made:
        daemon.stop()


@pytest.fixture
def daemon(make_daemon):
    """One daemon, running, with no specs yet."""
    return make_daemon().start()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """A failed test shows what the daemon said."""
    outcome = yield
    report = outcome.get_result()
    made = item.funcargs.get("tmp_path") if hasattr(item, "funcargs") else None
    if report.when == "call" and report.failed and made:
        for log in sorted(made.glob("*/apilbd.*.log")):
            report.sections.append((f"{log.relative_to(made)}", log.read_text(errors="replace")[-8000:]))
