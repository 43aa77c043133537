"""Processes carry out whatever can be called."""

import pytest

PLAIN = """
import os
from pathlib import Path
from erasure.launch.jobs import Job, jobs_from
from erasure.launch.local import LocalWorkers
from erasure.launch.slots import Resources

def call(number):
    print("printed by", number)
    if number == 2:
        raise ValueError("too odd")
    if number == 3:
        os._exit(7)
    return (lambda: 0) if number == 4 else (number, number)

if __name__ == "__main__":
    resources = Resources(n_jobs=2, gpus="none")
    workers = LocalWorkers(call=call, to_job=None, resources=resources)
    logs = {n: Path(__file__).with_name(f"{n}.log") for n in (1, 2, 3, 4)}
    jobs = [Job(number=n, payload=n, log=log) for n, log in logs.items()]
    ends = {}
    workers.run_jobs(jobs_from(jobs), lambda end: ends.update({end.number: end}),
                     threads=1, cpu_only=True)
    for number in sorted(ends):
        end = ends[number]
        print(number, end.error or "-", end.died, end.returned if number < 4 else "")
"""


@pytest.mark.slow
def test_jobs_that_are_no_trials(tmp_path, python):
    (tmp_path / "plain.py").write_text(PLAIN)
    process = python(tmp_path / "plain.py")
    assert process.stdout.splitlines() == [
        "1 - False (1, 1)",
        "2 ValueError: too odd False too odd",
        "3 the worker died (exit code 7) True the worker died (exit code 7)",
        "4 - False ",
    ], process.stderr
    assert (tmp_path / "1.log").read_text() == "printed by 1\n"
    assert "ValueError: too odd" in (tmp_path / "2.log").read_text()
