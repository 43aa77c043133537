"""Facts about the process and its source."""

import os
import subprocess

import pytest

from erasure.results.provenance import git_tags, is_alive, process_tags


@pytest.fixture
def git(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]

    def run(*arguments):
        git_tags.cache_clear()
        command = ["git", "-C", str(tmp_path), *identity, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    yield run
    git_tags.cache_clear()


def test_the_commit_and_whether_files_differ_from_it(git, tmp_path):
    assert git_tags(tmp_path) == {}
    git("init")
    assert git_tags(tmp_path) == {"erasure.dirty": "false"}
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-m", "one")
    commit = git("rev-parse", "HEAD")
    assert git_tags(tmp_path) == {"mlflow.source.git.commit": commit, "erasure.dirty": "false"}
    (tmp_path / "new").touch()
    git("status")
    assert git_tags(tmp_path)["erasure.dirty"] == "true"


def test_without_git_there_are_no_facts(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    git_tags.cache_clear()
    assert git_tags(tmp_path) == {}


def test_this_process_is_alive():
    tags = process_tags()
    assert tags["erasure.pid"] == str(os.getpid())
    assert is_alive(tags)
    assert not is_alive({**tags, "erasure.born": "0"})
    assert not is_alive({})
    assert not is_alive({"erasure.pid": "x"})


def test_a_killed_process_is_dead_before_anybody_waits_for_it():
    import psutil

    with subprocess.Popen(["sleep", "60"]) as child:
        born = f"{psutil.Process(child.pid).create_time():.2f}"
        tags = {"erasure.pid": str(child.pid), "erasure.born": born}
        assert is_alive(tags)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(tags)
