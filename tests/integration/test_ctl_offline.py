"""apilbctl without a daemon: validate, render, the command line, the manual, completion."""

import json
import re
import shlex
import subprocess

import pytest

from ctl_client import BAD_SPEC, CTL, ENV, TOP, WELL, WRAPPER, ctl, fake, path, spec, status  # noqa: F401 (fixtures)
from fake_apilbd import Reply


# validate, render

SPEC = """\
servers: ["10.0.0.1:6443", "10.0.0.2:6443"]
bindAddress: 127.0.0.1
apiLoadBalancers:
- name: one
- name: two
  bindAddress: 127.0.0.1:7000
  hostConfigPath: /etc/two/haproxy.cfg
- host:
    ssh: {address: 10.0.0.9, privateKeyFile: /etc/apilb/key}
  name: two
"""
CHOICE = """
  0  prod/direct/one
  1  prod/direct/two
  2  prod/10.0.0.9/two
"""


@pytest.fixture
def prod(tmp_path):
    file = tmp_path / "prod.yaml"
    file.write_text(SPEC)
    return file


def test_validate_accepts(prod):
    assert ctl("validate", prod) == (0, f"{prod}: valid, 3 balancers\n", "")
    assert ctl("validate", "-", input=SPEC) == (0, "stdin.yaml: valid, 3 balancers\n", "")
    assert json.loads(ctl("validate", "-o", "json", prod).out) == {"valid": True, "errors": []}


def test_validate_shows_all_errors_of_all_files(prod, tmp_path):
    bad = tmp_path / "bad.yaml"
    bad.write_text("servers: [x]\nbindAddress: 127.0.0.1:9000\napiLoadBalancers:\n- naem: x\n")
    result = ctl("validate", bad, prod, tmp_path / "none.yaml")
    assert (result.code, result.out) == (2, f"{prod}: valid, 3 balancers\n")
    errors = result.err.splitlines()
    assert errors[0].startswith(f"{bad}:1:11: servers[0]: ")
    assert errors[1].startswith(f'{bad}:4:3: apiLoadBalancers[0].naem: unknown key; did you mean "name"?')
    assert errors[-1] == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
    found = json.loads(ctl("validate", "-o", "json", bad).out)
    assert found["valid"] is False
    assert [(e["file"], e["line"], e["column"], e["path"]) for e in found["errors"]] == [
        (str(bad), 1, 11, "servers[0]"),
        (str(bad), 4, 3, "apiLoadBalancers[0].naem"),
    ]


def test_validate_compares_the_specs_of_a_directory(prod, tmp_path):
    (tmp_path / "copy.yaml").write_text(SPEC)
    (tmp_path / "ignored.yaml~").write_text("nonsense: [")
    (tmp_path / ".hidden.yaml").write_text("nonsense: [")
    result = ctl("validate", tmp_path)
    assert result.code == 2
    assert (
        result.out == f"{tmp_path}/copy.yaml: valid, 3 balancers\n{tmp_path}/prod.yaml: valid, 3 balancers\n"
    )
    assert f"{tmp_path}/prod.yaml:4:3: apiLoadBalancers[0]" in result.err and "copy.yaml" in result.err


@pytest.mark.parametrize(
    "text, env, code",
    [
        (SPEC.replace(", privateKeyFile: /etc/apilb/key", "").encode(), {}, 2),
        (SPEC.replace(", privateKeyFile: /etc/apilb/key", "").encode(), {"SSH_AUTH_SOCK": "/run/agent"}, 0),
        (b"", {}, 2),
        (b"servers: [\xff\xfe]\n", {}, 2),
        (SPEC.encode()[:60], {}, 2),
        (b"[" * 10000, {}, 2),
        (b"#" * (17 << 20), {}, 2),
    ],
    ids=["no-authentication", "agent", "empty", "no-utf8", "cut", "deep", "large"],
)
def test_validate_reads_anything(tmp_path, text, env, code):
    file = tmp_path / "x.yaml"
    file.write_bytes(text)
    result = ctl("validate", file, env=env)
    assert result.code == code
    assert result.err.startswith(f"{file}:") if code else result.err == ""


NO_SPEC = "no spec is in this directory (a spec's name ends in .yaml or .yml)\n"


def test_validate_a_directory_that_cannot_be_a_file(tmp_path):
    assert ctl("render", tmp_path) == (
        2,
        "",
        f"{tmp_path}: {NO_SPEC}apilbctl: {tmp_path}: render takes one spec; there are 0\n",
    )


def test_validate_says_what_it_does_not_read(prod, tmp_path):
    """Who checks the wrong directory, or a file of the wrong name, must not take silence for approval."""
    empty = tmp_path / "empty"
    empty.mkdir()
    assert ctl("validate", empty) == (0, "", f"{empty}: {NO_SPEC}")
    (empty / "prod.YAML").write_text("nonsense: [")
    (empty / "two words.yaml").write_text("nonsense: [")
    (empty / "prod.yaml~").write_text("nonsense: [")
    ending = f"{empty}/prod.YAML is not read: a spec's name ends in .yaml or .yml, in small letters\n"
    letters = f'{empty}/two words.yaml is not read: a spec\'s name is made of letters, digits, ".", "_" and "-"\n'
    assert ctl("validate", empty) == (0, "", f"{ending}{letters}{empty}: {NO_SPEC}")
    prod.rename(empty / "prod.yaml")
    told = f"{empty}/prod.YAML would not be read from a spec directory: a spec's name ends in .yaml or .yml, in small letters\n"
    (empty / "prod.YAML").write_text(SPEC)
    assert ctl("validate", empty / "prod.YAML") == (0, f"{empty}/prod.YAML: valid, 3 balancers\n", told)
    for directory in (empty, f"{empty}/"):
        assert ctl("validate", directory) == (0, f"{empty}/prod.yaml: valid, 3 balancers\n", ending + letters)


def test_a_closed_descriptor_is_no_place_for_output(fake):
    """Else the socket would get its number, and the daemon the table."""
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    done = subprocess.run(
        ["sh", "-c", 'exec "$@" >&-', "sh", *WRAPPER, CTL, "--socket", daemon.path, "status"],
        capture_output=True,
        text=True,
        env=ENV,
    )
    assert done.returncode == 1
    assert done.stderr.endswith("apilbctl: cannot write to standard output: Bad file descriptor\n")


@pytest.mark.parametrize(
    "wanted, bind",
    [
        ("0", "127.0.0.1:6443"),
        ("1", "127.0.0.1:7000"),
        ("one", "127.0.0.1:6443"),
        ("prod/direct/two", "127.0.0.1:7000"),
        ("10.0.0.9", "127.0.0.1:6443"),
        ("ssh://root@10.0.0.9:22", "127.0.0.1:6443"),
    ],
)
def test_render_one(prod, wanted, bind):
    result = ctl("render", prod, wanted)
    assert (result.code, result.err) == (0, "")
    assert re.search(rf"^\s+bind {bind}", result.out, re.M)
    assert "10.0.0.2:6443" in result.out


def test_render_for_another_owner(prod):
    default, other = ctl("render", prod, "0"), ctl("render", "--owner=ours", prod, "0")
    assert (other.code, other.err) == (0, "")
    first, rest = other.out.split("\n", 1)
    assert first.startswith("# Written by apilbd (owner ours).")
    assert rest == default.out.split("\n", 1)[1]
    result = ctl("render", "--owner=a b", prod, "0")
    assert (result.code, result.out) == (2, "")
    assert '"a b" is none: letters, digits' in result.err


@pytest.mark.parametrize(
    "args, said",
    [
        ([], "name one of these balancers, by number or id:"),
        (["two"], '"two" is more than one of these balancers:'),
        (["direct"], '"direct" is more than one of these balancers:'),
        (["3"], '"3" is none of these balancers:'),
        (["1x"], '"1x" is none of these balancers:'),
    ],
)
def test_render_needs_to_know_which(prod, args, said):
    assert ctl("render", prod, *args) == (2, "", f"apilbctl: {prod}: {said}{CHOICE}")


def test_render_the_only_one(tmp_path):
    file = tmp_path / "single.yaml"
    file.write_text(SPEC.split("- name: two")[0])
    assert ctl("render", file).out == ctl("render", file, "one").out != ""


def test_render_a_spec_with_errors(tmp_path):
    file = tmp_path / "bad.yaml"
    file.write_text("servers: 7\n")
    result = ctl("render", file)
    assert (result.code, result.out) == (2, "")
    assert f"{file}:1:10: servers: " in result.err


def test_the_config_in_the_documents_is_what_render_prints(tmp_path):
    """docs/haproxy.md explains it line by line; its hashes stand for any."""
    page = (TOP / "docs/haproxy.md").read_text()
    example = re.search(r"```yaml\n(.*?)```\n.*?```\n(.*?)```\n", page, re.DOTALL)
    (tmp_path / "spec.yaml").write_text(example[1])
    printed = ctl("render", tmp_path / "spec.yaml").out
    printed = re.sub(r"[0-9a-f]{64} [0-9a-f]{16}", "GENERATION BINDS", printed)
    assert re.sub(r"-[0-9a-f]{12}\.lua", "-XXXXXXXXXXXX.lua", printed) == example[2]


# the command line


@pytest.mark.parametrize(
    "args, said",
    [
        ([], "no command given; see apilbctl --help"),
        (["bogus"], 'unknown command "bogus"; see apilbctl --help'),
        (["stauts"], 'unknown command "stauts"; did you mean "status"? See apilbctl --help'),
        (["rec"], 'unknown command "rec"; did you mean "reconcile"? See apilbctl --help'),
        (["ps"], 'unknown command "ps"; see apilbctl --help'),
        ([""], 'unknown command ""; see apilbctl --help'),
        (["--socket", "", "status"], "--socket: must not be empty"),
        (
            ["reconcile", "--plan="],
            'reconcile: --plan: "" is no name of a plan: take the one that apilbctl plan prints',
        ),
        (
            ["reconcile", "--plan=prod"],
            'reconcile: --plan: "prod" is no name of a plan: take the one that apilbctl plan prints',
        ),
        (["state"], "state what? There is: apilbctl state export"),
        (["status", "-x"], "status: unknown option -x; see apilbctl status --help"),
        (["status", "--bogus"], "status: unknown option --bogus; see apilbctl status --help"),
        (["status", "--follow"], "status: unknown option --follow; see apilbctl status --help"),
        (["state", "export", "-x"], "state export: unknown option -x; see apilbctl state export --help"),
        (["-x"], "unknown option -x; see apilbctl --help"),
        (["--bogus", "status"], "unknown option --bogus; see apilbctl --help"),
        (["status", "--watch=1"], "status: --watch takes no value"),
        (["status", "a", "b"], "too many arguments: apilbctl status [SPEC]"),
        (["status", "--wait=soon"], None),
        (["status", "--wait", "5m"], "status: a duration is given as --wait=5m"),
        (["reconcile", "--wait", "30s"], "reconcile: a duration is given as --wait=30s"),
        (["status", "--wait=0"], "status: --wait: 0 is no time at all"),
        (
            ["status", "--watch", "-o", "json"],
            "status --watch is for a table; programs follow apilbctl events -f -o json",
        ),
        (["status", "--problems", "-o", "json"], "status --problems is for a table, not for -o json"),
        (["events", "-n"], "events: --lines needs a value: --lines N"),
        (["events", "-n", "0"], 'events: --lines: "0" is no number from 1 to 1000000'),
        (["events", "-n", "1x"], 'events: --lines: "1x" is no number from 1 to 1000000'),
        (["-o", "xml", "status"], '--output: "xml" is none of table, json, yaml'),
        (["state", "export", "-o", "json"], "state export cannot be printed with -o json"),
        (["validate"], "validate needs FILE..."),
        (["--socket"], "--socket needs a value: --socket PATH"),
        (["help", "bogus"], 'unknown command "bogus"; see apilbctl --help'),
    ],
)
def test_wrong_usage(args, said):
    result = ctl(*args)
    assert (result.code, result.out) == (2, "")
    assert said is None or result.err == f"apilbctl: {said}\n"


def test_options_stand_anywhere(fake):
    daemon = fake({"GET /v1/status": [Reply(status(WELL))]})
    expected = daemon.ctl("-o", "json", "status", "prod")
    assert expected.code == 0
    assert ctl("status", "prod", "-ojson", "--socket", daemon.path) == (0, expected.out, "")
    assert ctl("--socket=" + daemon.path, "status", "--output=json", "--", "prod") == (0, expected.out, "")


def commands():
    found = re.findall(
        r"^  ([a-z]+(?: export)?)(?:, ([a-z]+))? ", ctl("--help").out.split("Options:")[0], re.M
    )
    assert len(found) == 11
    return found


def test_help_of_every_command():
    for name, alias in commands():
        text = ctl(*name.split(), "--help")
        assert (text.code, text.err) == (0, "")
        assert text.out.startswith(f"apilbctl {name}: ")
        assert ctl("help", *name.split()).out == text.out
        if alias:
            assert ctl(alias, "-h").out == text.out
        assert max(map(len, text.out.splitlines())) <= 110
        if " " in name:
            assert ctl(name.split()[0], "--help").out == text.out
            assert ctl(name.split()[0], "-h").out == text.out
        assert not any(line.endswith(" ") for line in text.out.splitlines())


@pytest.mark.parametrize(
    "typed, offered",
    [
        ("", "diff events help pause plan reconcile render resume state status validate version"),
        ("re", "reconcile render resume"),
        ("help st", "state status"),
        ("state ", "export"),
        ("-o ", "json table yaml"),
        ("events --fo", "--follow"),
        ("--socket SOCKET status ", "edge prod"),
        ("--socket SOCKET diff p", "prod"),
        ("--socket SOCKET.gone status ", ""),
    ],
)
def test_completion(fake, typed, offered):
    daemon = fake({"GET /v1/status": [Reply(status(WELL, specs=[spec("prod"), BAD_SPEC]))]})
    words = ["apilbctl", *typed.replace("SOCKET", daemon.path).split(" ")]
    script = f"""source {TOP}/ctl/completion/apilbctl
        COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
        _apilbctl && printf '%s\\n' "${{COMPREPLY[@]}}" | sort"""
    env = ENV | {"PATH": f"{CTL.parent}:{ENV['PATH']}"}
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, env=env)
    assert (result.stdout.split(), result.stderr) == (offered.split(), "")


def test_the_manual_names_every_command_and_option():
    manual = subprocess.run(
        ["mandoc", "-T", "utf8", TOP / "man/apilbctl.1"], capture_output=True, text=True, check=True
    ).stdout
    manual = re.sub(".\b", "", manual).replace("−", "-").replace("‐", "-")
    described = manual[manual.index("\nCOMMANDS") :]
    for name, alias in commands():
        assert re.search(rf"^     {name}\b", described, re.M), name
        section = re.search(rf"^     {name}\b.*\n(?:(?:       .*)?\n)*", described, re.M).group(0)
        assert not alias or alias in section
        for letter, option, value in re.findall(
            r"^  (?:(-\w), |    )(--[a-z-]+)(\S* ?[A-Z]*)",
            ctl(*name.split(), "--help").out.split("Options of every")[0],
            re.M,
        ):
            assert re.search(rf"{letter}[^\n]*{option}" if letter else option, section), (name, option)
    for letter, option, value in re.findall(
        r"^  (?:(-\w), |    )(--[a-z-]+)(\S* ?[A-Z]*)", ctl("--help").out, re.M
    ):
        assert option in manual, option


def test_the_manual_is_clean():
    lint = subprocess.run(
        ["mandoc", "-T", "lint", "-W", "warning", TOP / "man/apilbctl.1"], capture_output=True, text=True
    )
    assert (lint.returncode, lint.stdout, lint.stderr) == (0, "", "")
