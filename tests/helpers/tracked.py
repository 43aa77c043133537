"""A sweep as the tracker writes it, with all that goes wrong."""

import csv
import json
import math

from erasure.results.mlflow.tracker import MLflowTracker
from erasure.results.record import TrialRecord, TrialResult
from erasure.results.tracker import Sweep

COMMIT = "a" * 40
SEEDS = (0, 1, 2, 3, 4)
SECONDS = (1.15, 1.40, 0.95, 1.30, 1.20)
"""Mean 1.2, s.d. 0.169558, half of Student's 95 % interval 0.210534."""

MEANINGS = {
    "forget/accuracy": ("closer_to_gold", [0.0, 1.0], None, ""),
    "retain/accuracy": ("max", [0.0, 1.0], None, ""),
    "mia/loss/auc": ("closer_to_gold", [0.0, 1.0], None, ""),
    "gap/avg": ("min", [0.0, None], 0.0, ""),
    "cost/unlearn_seconds": ("min", [0.0, None], None, "s"),
    "guard/change": ("info", [0.0, None], None, ""),
}
TARGETS = {"identity": "Identity", "retrain": "Retrain"}
GOLD_FORGET = tuple(0.70 + 0.01 * seed for seed in SEEDS)
FORGET = {"identity": 1.0, "finetune": 0.95, "scrub": 0.80, "grad_ascent": 0.60}


def roles(unlearner, alpha, seed):
    """Values by role; the forget accuracy of gold goes from 0.70 to 0.74."""
    gold = {"forget/accuracy": GOLD_FORGET[seed], "retain/accuracy": 1.0, "mia/loss/auc": 0.5}
    original = {"forget/accuracy": 1.0, "retain/accuracy": 1.0, "mia/loss/auc": 0.75}
    forget = gold["forget/accuracy"] if unlearner == "retrain" else FORGET[unlearner]
    forget += 0.05 * (alpha == "0.9")
    mine = {
        "forget/accuracy": forget,
        "retain/accuracy": 0.9 + 0.01 * seed,
        "mia/loss/auc": 0.5 + forget / 10,
        "gap/avg": abs(forget - gold["forget/accuracy"]) / 2,
        "cost/unlearn_seconds": SECONDS[seed] * (1 if unlearner == "finetune" else 10),
        "guard/change": 0.1,
    }
    if unlearner == "scrub" and alpha == "0.9" and seed == 3:
        mine["mia/loss/auc"] = math.nan
    return {"unlearned": mine, "original": original, "gold": gold}


def entries(measured):
    """``metrics.json`` as the evaluator writes it."""
    described = {}
    for role, values in measured.items():
        for name, value in values.items():
            direction, limits, ideal, unit = MEANINGS[name]
            ok = not math.isnan(value)
            described[name if role == "unlearned" else f"{role}/{name}"] = {
                "value": value if ok else None,
                "status": "ok" if ok else "degenerate",
                "reason": "" if ok else "constant_score",
                "direction": direction,
                "range": limits,
                "ideal": ideal,
                "unit": unit,
                "ci": [value - 0.01, value + 0.01] if ok and "accuracy" in name else None,
                "n": 50,
                "extras": {},
                "description": f"What {name} is.",
            }
    return described


def trial_of(unlearner, alpha, seed, dataset="digits"):
    stages = ("split", "train", "unlearn", "evaluate")
    settings = {"unlearner.alpha": alpha} if alpha else {}
    unlabelled = f" · unlearner.alpha={alpha}" if alpha else ""
    return TrialRecord(
        name=f"{unlearner} · {dataset} · mlp · seed {seed}{unlabelled}",
        fingerprint=f"{unlearner}-{alpha}-{dataset}-{seed}",
        params={
            "unlearner._target_": f"erasure.unlearners.x.{TARGETS.get(unlearner, 'Method')}",
            **settings,
            "split._target_": "erasure.splits.RandomForget",
            "split.fraction": "0.1",
            "split.count": "None",
            "split.base.test": "0.2",
            "evaluator.heldout": "test",
            "objective.metrics.gap/avg": "minimize",
            "device": "cuda:1",
            "threads": "1",
            "seed": str(seed),
            **{f"seeds.{stage}": str(seed) for stage in stages},
        },
        tags={
            "unlearner": unlearner,
            "dataset": dataset,
            "model": "mlp",
            "split": "random",
            "trainer": "adam",
            "evaluator": "standard",
            "seed": str(seed),
            **{f"seed.{stage}": str(seed) for stage in stages},
            "store.gold": f"gold-{dataset}-{seed}",
            "store.original": f"original-{dataset}-{seed}",
        },
    )


class Writer:
    """Writes trials through the real tracker."""

    def __init__(self, uri, folder, experiment):
        self.tracker = MLflowTracker(uri=uri, experiment=experiment)
        self.folder = folder
        self.clock = 1_700_000_000.0

    @property
    def client(self):
        return self.tracker._client()

    def trial(self, trial, measured, parent="", reason="", **tags):
        """Write one trial; with a reason, it diverged."""
        self.clock += 10
        run = self.tracker.start(trial, parent, self.clock)
        metrics_json = {} if reason else entries(measured)
        artifacts = self.folder / "artifacts" / run
        artifacts.mkdir(parents=True)
        if metrics_json:
            (artifacts / "metrics.json").write_text(json.dumps(metrics_json))
        result = TrialResult(
            trial=trial,
            outcome="diverged" if reason else "finished",
            reason=reason,
            metrics={k: e["value"] for k, e in metrics_json.items() if e["value"] is not None},
            curves={} if reason else {"unlearn/loss": [(0, 2.0), (1, 1.0)]},
            seconds={"unlearn": 1.0},
            started=self.clock,
            ended=self.clock + 5,
        )
        self.tracker.finish(run, result, artifacts)
        fixed = {
            "mlflow.source.git.commit": COMMIT,
            "erasure.host": "box",
            "erasure.dirty": "false",
        }
        for key, value in (fixed | tags).items():
            self.client.set_tag(run, key, value)
        return run

    def open_sweep(self, name, command, fingerprint):
        sweep = Sweep(
            fingerprint=fingerprint,
            name=name,
            command=command,
            overrides={},
            total=0,
            description="",
        )
        return self.tracker.start_sweep(sweep)

    def close_sweep(self, run, trials):
        """Write the books: trial, overrides, state, reason, run."""
        folder = self.folder / "artifacts" / run
        folder.mkdir(parents=True)
        listed = [
            {
                "fingerprint": trial.fingerprint,
                "name": trial.name,
                "overrides": overrides,
                "state": state,
                "reason": reason,
                "run": run_id,
            }
            for trial, overrides, state, reason, run_id in trials
        ]
        (folder / "sweep.json").write_text(json.dumps({"trials": listed}))
        with (folder / "summary.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, ["fingerprint", *trials[0][0].tags])
            writer.writeheader()
            for trial, *_ in trials:
                writer.writerow({"fingerprint": trial.fingerprint, **trial.tags})
        self.tracker.finish_sweep(run, "", folder, failed=0)


def write_main_sweep(writer):
    """Six methods on five seeds; one diverged, one never started, one value is degenerate."""
    command = "python run.py -m unlearner=scrub,finetune unlearner.alpha=0.5,0.9 seed=0,1,2,3,4"
    parent = writer.open_sweep("6 methods × 5 seeds", command, "sweep-main")
    methods = [(n, "") for n in ("identity", "retrain", "finetune", "grad_ascent")]
    books = []
    for unlearner, alpha in [("scrub", "0.5"), ("scrub", "0.9"), *methods]:
        for seed in SEEDS:
            trial = trial_of(unlearner, alpha, seed)
            overrides = [f"unlearner={unlearner}", f"seed={seed}"]
            overrides += [f"unlearner.alpha={alpha}"] if alpha else []
            if (unlearner, seed) == ("grad_ascent", 4):
                books.append((trial, overrides, "not run", "not run", ""))
                continue
            reason = "the loss\nbecame nan" if (unlearner, seed) == ("grad_ascent", 3) else ""
            run = writer.trial(trial, roles(unlearner, alpha, seed), parent, reason)
            state = "failed" if reason else "finished"
            books.append((trial, overrides, state, reason, run))
    writer.close_sweep(parent, books)
    return parent
