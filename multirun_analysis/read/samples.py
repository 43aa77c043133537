"""Behind the averages: losses of single samples, from ``per_sample.parquet`` of every trial."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from erasure.schema import SAMPLES_FILE
from multirun_analysis.read.frame import Results
from multirun_analysis.read.sample_file import SampleFile, rates, read_file
from multirun_analysis.read.tracking import artifact, local_folder

Floats = NDArray[np.float64]
Key = tuple[str, str]
"""Block and method."""

SIDES = ("forget", "heldout")
FPR: Floats = np.geomspace(1e-5, 1.0, 251)
"""False-positive rates of the curves, 50 a decade."""

EDGES: Floats = np.geomspace(1e-6, 1e2, 49)
"""Edges of the bins of losses, 6 a decade; what lies outside is in the first or the last."""

MOST_FETCHED = 200
"""Files that are fetched from another machine, at a call each."""

EXTREMES = 8
"""Samples that are shown on either end."""


@dataclass(frozen=True, kw_only=True)
class ForgetSample:
    """A forget sample as one trial left it.

    Args:
        id: Its number in the pool.
        run_id: The trial.
        artifact_uri: Where its files are.
        seed: Seed of the trial, None if unknown.
        target: Its label.
        losses: Loss by role.
        predicted: Prediction by role.
        distance: Loss after unlearning minus loss of the retrained model, or of the original
            where there is none.
        picture: A file that shows it, None without.
    """

    id: int
    run_id: str
    artifact_uri: str
    seed: int | None
    target: str
    losses: Mapping[str, float]
    predicted: Mapping[str, str]
    distance: float
    picture: Path | None = None


@dataclass(kw_only=True, eq=False)
class SampleGroup:
    """All trials of a method in a block.

    Args:
        trials: Trials whose file was read.
        part: Name of the held-out part.
        non_members: Fewest held-out samples an attack had.
        members: Fewest forget samples.
        counts: Samples per bin of :data:`EDGES` ``(bins,)``, by role and side.
        tpr: Sum over trials of true-positive rates at :data:`FPR`, by role.
        curves: Trials in that sum, by role.
        least: Forget samples that the model knows best, compared with retraining, first ones most.
        most: Those it knows worst.
        against: The role that :attr:`ForgetSample.distance` is measured from.
    """

    trials: int = 0
    part: str = ""
    non_members: int = 0
    members: int = 0
    counts: dict[tuple[str, str], Floats] = field(default_factory=dict)
    tpr: dict[str, Floats] = field(default_factory=dict)
    curves: dict[str, int] = field(default_factory=dict)
    least: list[ForgetSample] = field(default_factory=list)
    most: list[ForgetSample] = field(default_factory=list)
    against: str = "gold"

    def roc(self, role: str) -> Floats | None:
        """Return the mean ROC of the loss attack on a role, None if it cannot be computed."""
        return self.tpr[role] / self.curves[role] if self.curves.get(role) else None

    def shares(self, role: str, side: str) -> Floats | None:
        """Return the share of a side's samples per bin, None without any."""
        counts = self.counts.get((role, side))
        return counts / counts.sum() if counts is not None and counts.sum() else None


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What was read.

    Args:
        groups: By block and method; those without a file are left out.
        note: What was not read and why, empty if nothing.
    """

    groups: Mapping[Key, SampleGroup]
    note: str


def read_samples(results: Results) -> Samples:
    """Read the samples of all finished trials.

    Files of other machines are fetched up to :data:`MOST_FETCHED`, every method in turn.
    """
    finished = results.runs[results.runs["outcome"] == "finished"].to_dict("records")
    groups: dict[Key, SampleGroup] = {}
    ends: dict[Key, list[ForgetSample]] = defaultdict(list)
    fetched = skipped = absent = 0
    for run in _in_turn(finished):
        is_remote = local_folder(run["artifact_uri"]) is None
        if is_remote and fetched >= MOST_FETCHED:
            skipped += 1
            continue
        fetched += is_remote
        path = artifact(results.uri, run["run_id"], run["artifact_uri"], SAMPLES_FILE)
        file = None if path is None else read_file(path)
        if file is None:
            absent += 1
            continue
        key = run["block"], run["method"]
        group = groups.setdefault(key, SampleGroup())
        _take_in(group, file)
        ends[key] += _outermost(file, group.against, run)
    for key, samples in ends.items():
        _pick_extremes(groups[key], samples)
    return Samples(groups=groups, note=_note(len(finished), absent, skipped))


def _in_turn(runs: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the first trial of every method, then the second of every method, and so on."""
    by_method: dict[Key, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        by_method[run["block"], run["method"]].append(run)
    for portion in zip_longest(*by_method.values()):
        yield from (run for run in portion if run is not None)


def _note(finished: int, absent: int, skipped: int) -> str:
    sentences = []
    if absent:
        sentences.append(
            f"{SAMPLES_FILE} of {absent} of {finished} finished trials is missing or unreadable"
        )
    if skipped:
        sentences.append(
            f"{SAMPLES_FILE} was fetched from {MOST_FETCHED} trials on another machine and left "
            f"out for {skipped} more"
        )
    return "; ".join(sentences)


def _take_in(group: SampleGroup, file: SampleFile) -> None:
    """Add the losses of a trial to those of its method."""
    members, non_members = (len(side["id"]) for side in (file.forget, file.heldout))
    group.part = file.part
    # 0 until the first trial
    group.members = min(group.members or members, members)
    group.non_members = min(group.non_members or non_members, non_members)
    group.trials += 1
    group.against = "gold" if "gold" in file.roles else "original"
    for role in file.roles:
        forget, heldout = (file.losses(role, side) for side in SIDES)
        for side, losses in zip(SIDES, (forget, heldout), strict=True):
            # histogram drops what lies outside the edges
            inside = np.clip(losses, EDGES[0], EDGES[-1])
            counts = np.histogram(inside, EDGES)[0].astype(np.float64)
            group.counts[role, side] = group.counts.get((role, side), 0.0) + counts
        if len(forget) and len(heldout):
            tpr = rates(-forget, -heldout, FPR)
            group.tpr[role] = group.tpr.get(role, 0.0) + tpr
            group.curves[role] = group.curves.get(role, 0) + 1


def _outermost(file: SampleFile, against: str, run: Mapping[str, Any]) -> list[ForgetSample]:
    """Return the samples of one trial that can be among the extremes of its method."""
    if against not in file.roles:
        return []
    unlearned, baseline = (
        file.forget[f"{r}_loss"].astype(np.float64) for r in ("unlearned", against)
    )
    distance = unlearned - baseline
    comparable = np.flatnonzero(np.isfinite(distance))
    order = comparable[np.argsort(distance[comparable], kind="stable")]
    # what is not outermost in its trial is not outermost among all trials
    ends = order if len(order) <= 2 * EXTREMES else np.r_[order[:EXTREMES], order[-EXTREMES:]]
    return [_sample(file, int(i), float(distance[i]), run) for i in ends]


def _pick_extremes(group: SampleGroup, samples: list[ForgetSample]) -> None:
    samples.sort(key=lambda sample: sample.distance)
    group.least = [_with_picture(sample) for sample in samples[:EXTREMES] if sample.distance < 0]
    # from the largest distance down
    group.most = [
        _with_picture(sample) for sample in samples[: -EXTREMES - 1 : -1] if sample.distance > 0
    ]


def _sample(file: SampleFile, row: int, distance: float, run: Mapping[str, Any]) -> ForgetSample:
    columns, seed = file.forget, run["seed_train"]
    predictions = {role: columns.get(f"{role}_predicted") for role in file.roles}
    return ForgetSample(
        id=int(columns["id"][row]),
        run_id=run["run_id"],
        artifact_uri=run["artifact_uri"],
        seed=int(seed) if isinstance(seed, int | np.integer) else None,
        target=str(columns["target"][row]),
        losses={role: float(columns[f"{role}_loss"][row]) for role in file.roles},
        predicted={role: _label(values, row) for role, values in predictions.items()},
        distance=distance,
    )


def _label(values: "NDArray[Any] | None", row: int) -> str:
    """Return a prediction as its label is written; missing ones made it a column of floats."""
    if values is None:
        return ""
    value = values[row]
    # only NaN is not equal to itself
    return str(int(value)) if isinstance(value, np.floating) and value == value else str(value)


def _with_picture(sample: ForgetSample) -> ForgetSample:
    """Add the file ``samples/<id>.png`` of the trial, if it is on this machine."""
    folder = local_folder(sample.artifact_uri)
    path = None if folder is None else folder / "samples" / f"{sample.id}.png"
    return replace(sample, picture=path) if path is not None and path.is_file() else sample
