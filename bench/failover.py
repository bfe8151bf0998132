#!/usr/bin/python3
"""What a client of a balancer notices when an API server fails: `make bench`.

    failover.py [--runs N] [--only FAULT]... [--config NAME|FILE]... [--haproxy VERSION] [--json]

Compares our config with those of others: see failover_configs.py; and
failover_faults.py for what goes wrong, and what should come of it at most. A FILE is a config to try out. Each
measurement has servers, HAProxy and clients, and a network, of its own
(failover_cell.py). Several run at once; the last column tells how late the
clients themselves were at worst, which is how little the rest can be trusted.
It measures and prints; it is not a test.
"""

import argparse
import concurrent.futures
import json
import math
import os
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "tests/integration"))

# pylint: disable=wrong-import-position
from failover_configs import COMPARED, CONFIGS  # noqa: E402
from failover_faults import FAULTS  # noqa: E402
from lab.images import SUITES, haproxy_image  # noqa: E402
from lab.load import make_certificate  # noqa: E402


def unpack(version, directory):
    """The files of the lab's image of this HAProxy."""
    root = directory / f"haproxy-{version}"
    with tarfile.open(haproxy_image(version)) as image:
        (layer,) = [m for m in image.getmembers() if m.name.endswith("layer.tar")]
        with tarfile.open(fileobj=image.extractfile(layer)) as files:
            files.extractall(root)
    return root


def measure(root, config, fault, scratch):
    directory = Path(tempfile.mkdtemp(prefix=f"{fault}-", dir=scratch))
    make_certificate(directory)
    inside = ["unshare", "--net", "--mount", "--pid", "--propagation", "private", "--fork", "--kill-child"]
    argv = ["setpriv", "--pdeathsig", "KILL", *inside, "/usr/bin/python3", "-B", HERE / "failover_cell.py"]
    done = subprocess.run(
        [*argv, root, config, fault, directory], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        log = (directory / "haproxy.log").read_text(errors="replace") if (directory / "haproxy.log").exists() else ""
        sys.exit(f"{config}, {fault}: exit {done.returncode}\n{done.stderr[-2000:]}\n{log[-2000:]}")
    return json.loads(done.stdout)


def percentile(values, share):
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)] if values else None


def summary(results):
    """Of all runs together: waits of new connections, gaps of streams, in seconds."""
    new = [row for r in results for row in r["new"]]
    waits = [wait for _, wait, name in new if name]
    gaps = [gap for r in results for gap in r["gaps"]]
    return {
        "opened": len(new),
        "failed": sum(name is None for _, _, name in new),
        "failed worst": max(sum(name is None for _, _, name in r["new"]) for r in results),
        "failed after": max((wait for _, wait, name in new if name is None), default=None),
        "wait p50": percentile(waits, 0.5),
        "wait p99": percentile(waits, 0.99),
        "wait worst": max(waits, default=None),
        "late": sum(r["late"] for r in results),
        "hit": len(gaps),
        "gap p50": percentile(gaps, 0.5),
        "gap p99": percentile(gaps, 0.99),
        "gap worst": max(gaps, default=None),
        "cut": sum(len(r["cuts"]) for r in results),
        "lag": max(r["lag"] for r in results),
    }


# Heading, key, width.
COLUMNS = (
    ("opened", "opened", 7),
    ("failed", "failed", 7),
    ("in one run", "failed worst", 11),
    ("after s", "failed after", 8),
    ("wait p50", "wait p50", 9),
    ("p99", "wait p99", 7),
    ("worst", "wait worst", 7),
    ("late", "late", 6),
    ("streams hit", "hit", 12),
    ("gap p50", "gap p50", 8),
    ("p99", "gap p99", 7),
    ("worst", "gap worst", 7),
    ("cut alive", "cut", 10),
    ("lag", "lag", 6),
)


def cell_text(value, width):
    if value is None:
        return f"{'-':>{width}}"
    return f"{value:>{width}}" if isinstance(value, int) else f"{value:>{width}.2f}"


def verdict(row, targets):
    """Which targets are missed, and what they are."""
    missed = [f"{key} {row[key]:.3g} (at most {most})" for key, most in targets.items() if (row[key] or 0) > most]
    return "missed: " + ", ".join(missed) if missed else "met"


def show(table, options, took):
    print(
        f"\nfailover: HAProxy {options.haproxy}, {options.runs} runs of each, {options.parallel} at a time,"
        f" {os.cpu_count()} CPUs, {os.uname().release}, {time.strftime('%Y-%m-%d')}, took {took:.0f} s"
    )
    for fault in options.only:
        print(f"\n{fault}: {FAULTS[fault].what}")
        print(f"{'':12}" + "".join(f"{heading:>{width}}" for heading, _, width in COLUMNS) + "  targets")
        for config in options.config:
            row = table[fault][config]
            cells = "".join(cell_text(row[key], width) for _, key, width in COLUMNS)
            print(f"{Path(config).stem:12}{cells}  {verdict(row, FAULTS[fault].targets)}")


def run(options):
    """{fault: {config: [result]}}; configs take turns, so that they meet the same machine."""
    table = {fault: {config: [] for config in options.config} for fault in options.only}
    jobs = [(c, f) for _ in range(options.runs) for f in options.only for c in options.config]
    with tempfile.TemporaryDirectory(prefix="apilb-failover-") as scratch:
        root = unpack(options.haproxy, Path(scratch))
        with concurrent.futures.ThreadPoolExecutor(options.parallel) as pool:
            futures = [(c, f, pool.submit(measure, root, c, f, scratch)) for c, f in jobs]
            for n, (config, fault, future) in enumerate(futures, 1):
                table[fault][config].append(future.result())
                if sys.stderr.isatty():
                    print(f"\r{n} of {len(jobs)} ", end="", file=sys.stderr, flush=True)
    return table


def main():
    parser = argparse.ArgumentParser(description="Measures what clients notice when an API server fails.")
    parser.add_argument("--runs", type=int, default=5, help="how often each is measured (5)")
    parser.add_argument("--only", action="append", metavar="FAULT", choices=FAULTS, help=f"one of {', '.join(FAULTS)}")
    names = f"{', '.join(CONFIGS)}, or a file; without, {', '.join(COMPARED)}"
    parser.add_argument("--config", action="append", metavar="NAME", help=names)
    parser.add_argument("--haproxy", default="2.6", choices=SUITES, help="its version (2.6)")
    parser.add_argument("--parallel", type=int, default=3, help="how many measurements run at once (3)")
    parser.add_argument("--json", action="store_true", help="every value, for other programs")
    options = parser.parse_args()
    options.only = options.only or list(FAULTS)
    options.config = options.config or list(COMPARED)
    if os.geteuid() != 0 or "APILB_BUILD" not in os.environ:
        sys.exit("run it by `make bench`, as root")
    began = time.monotonic()
    table = run(options)
    if options.json:
        print(json.dumps(table))
        return
    summaries = {fault: {c: summary(r) for c, r in of.items()} for fault, of in table.items()}
    show(summaries, options, time.monotonic() - began)


if __name__ == "__main__":
    main()
