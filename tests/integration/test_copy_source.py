"""What scripts/demo and scripts/test build: a copy of the source, without what a build in the tree has left there."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
# By kind: what automake, libtool, make check and python leave in the tree. VPATH would find each of these.
BUILT = """configure config.status config.h config.h.in Makefile Makefile.in libtool aclocal.m4 stamp-h1 apilbd apilbctl
           common/libcommon_la-err.o common/libcommon_la-err.lo libcommon.la .libs/libcommon.a common/.dirstamp
           common/.deps/err.Plo daemon/core/haproxy/addresses.c daemon/core/haproxy/guard.c systemd/apilbd.service
           tests/check_plan tests/check_plan.log tests/fuzz_spec tests/ssh_tool tests/crash_points.so
           tests/integration/__pycache__/x.pyc build/apilbd build-asan/Makefile""".split()
# Names that look like built ones, a file that is not yet committed, and what a shell would trip over.
SOURCE = """README.md tests/check_plan.c tests/check_plan.h tests/fuzz_spec.c tests/ssh_tool.c common/new.c
            tests/cases/plan/x/spec.yaml .clang-format .ci/run tests/corpus/x/-rf""".split() + ["docs/two words.md"]


def write(tree, names):
    for name in names:
        path = tree / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


@pytest.fixture
def tree(tmp_path):
    """A tree as of a tarball that was built where it stands."""
    made = tmp_path / "tree"
    (made / "scripts").mkdir(parents=True)
    shutil.copy(TOP / "scripts/copy-source", made / "scripts")
    shutil.copy(TOP / ".gitignore", made)
    write(made, SOURCE + BUILT)
    (made / "bootstrap").write_text("#!/bin/sh\n")
    (made / "bootstrap").chmod(0o755)
    (made / "docs/link.md").symlink_to("two words.md")
    return made


def git(tree, *arguments):
    subprocess.run(["git", "-C", tree, "-c", "user.name=x", "-c", "user.email=x@x", *arguments], check=True,
                   capture_output=True)


def copied(tree, **environment):
    copy = tree.parent / "copy"
    subprocess.run([tree / "scripts/copy-source", copy], check=True, env={**os.environ, **environment}, cwd="/")
    return copy


def assert_whole(copy):
    names = {str(path.relative_to(copy)) for path in copy.rglob("*") if not path.is_dir()}
    assert names == {*SOURCE, "scripts/copy-source", ".gitignore", "bootstrap", "docs/link.md"}
    assert os.access(copy / "bootstrap", os.X_OK)
    assert (copy / "docs/link.md").is_symlink()
    assert (copy / "docs/two words.md").read_text() == "docs/two words.md"


def test_of_a_tarball(tree):
    assert_whole(copied(tree))


def test_of_a_clone(tree):
    git(tree, "init", "-q")
    git(tree, "add", "README.md", "tests")
    git(tree, "commit", "-q", "-m", "x")
    assert_whole(copied(tree))


def test_of_a_clone_that_git_refuses(tree):
    git(tree, "init", "-q")
    for path in [tree, *tree.rglob("*")]:
        os.chown(path, 65534, 65534, follow_symlinks=False)
    assert b"dubious ownership" in subprocess.run(["git", "-C", tree, "status"], capture_output=True).stderr
    assert_whole(copied(tree))


def test_from_a_hook(tree):
    """Git tells its hooks where its repository is: what that tracks must not be taken for what is not there."""
    git(tree, "init", "-q")
    git(tree, "add", "-A")
    assert_whole(copied(tree, GIT_DIR=str(tree / ".git"), GIT_INDEX_FILE=str(tree / ".git/index")))


def test_without_git(tree, tmp_path):
    (tmp_path / "bin").mkdir()
    for program in ("sh", "dirname"):
        (tmp_path / "bin" / program).symlink_to(shutil.which(program))
    said = subprocess.run([tree / "scripts/copy-source", tmp_path / "copy"], env={"PATH": str(tmp_path / "bin")},
                          capture_output=True, text=True)
    assert (said.returncode, said.stderr) == (
        1, "copy-source: git is not installed, and it tells which files are built ones: apt-get install git\n")
