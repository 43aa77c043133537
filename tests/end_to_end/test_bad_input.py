"""Whatever is wrong with the input: one message, no training, nothing written, exit code 1."""

import json
import subprocess
import sys

import pytest
from patience import HANGS
from running import ROOT
from tiers import one_in_default

CASES = {
    "unlearner=negrad": ["unlearner=negrad", "did you mean neggrad_plus", "finetune"],
    "unlearner.epochs=-1": ["unlearner.epochs", "did you mean unlearner.fit.epochs"],
    "unlearner.fit.epochs=-1": ["unlearner.fit.epochs must be >= 0, got -1"],
    "unlearner.fit.batch_size=0": ["unlearner.fit.batch_size must be >= 1, got 0"],
    "unlearner.fit.optimizer.lr=-1": ["unlearner.fit.optimizer", "learning rate", "-1"],
    "unlearner.alpha=much": ["unlearner.alpha must be a number, got 'much'"],
    "unlearner.temperature=0": ["unlearner.temperature must be > 0, got 0"],
    "split.fraction=1.5": ["split.fraction must be in (0, 1), got 1.5"],
    "split.fraction=0.0001": ["split.fraction", "at least one sample to forget"],
    "split.count=9999 split.fraction=null": ["split.count must be < 1294", "got 9999"],
    "split.count=5": ["split.fraction", "count"],
    "split=class split.classes=[12]": ["split.classes", "10 classes", "got 12"],
    "split=class split.classes=3": ["split.classes must be a list"],
    "split=class split.share=0": ["split.share must be in (0, 1], got 0"],
    "dataset=digits model=resnet18 model.in_channels=3": ["model.in_channels must be 1", "got 3"],
    "dataset=synthetic_text model=mlp": ["model does not accept texts or graphs", "input_ids"],
    "model=cnn model.channels=[8,8,8,8]": ["model.channels", "between 1 and 3"],
    "seed=abc": ["seed", "'abc'"],
    "seeds.train=abc": ["seeds.train", "'abc'"],
    "device=gpu": ["device must be auto, cpu, cuda", "got 'gpu'"],
    "device=cuda:99": ["device", "99"],
    "precision=16": ["precision must be 32 or bf16, got '16'"],
    "threads=0": ["threads must be >= 1, got 0"],
    "references.size=1": ["references.size must be 0 or at least 2, got 1"],
    "references.size=2 references.engine=stacked precision=bf16": [
        "references.engine must not be stacked here"
    ],
    "objective.metrics={gap/mean:minimize}": ["objective.metrics", "gap/avg", "replace it"],
    "~objective.metrics +objective.metrics={gap/mean:minimize}": ["metrics[gap/mean]", "gap/avg"],
    "objective.metrics={gap/avg:down}": ["objective.metrics[gap/avg]", "minimize or maximize"],
    "unlearner=custom unlearner._target_=nowhere.Method": ["unlearner._target_", "nowhere"],
    "unlearner=custom": ["unlearner._target_", "must be set"],
    "store.root={file}/store": ["store.root", "written to"],
    "tracking.uri=http://127.0.0.1:9": ["tracking.uri", "http://127.0.0.1:9"],
    "tracking.uri=sqlite:///{file}/mlflow.db": ["tracking.uri"],
    "tracking.uri=nonsense://x": ["tracking.uri", "nonsense"],
    "-m unlearner=finetune,negrad": ["unlearner", "negrad"],
    "-m split.fraction=0.1,1.5": ["split.fraction must be in (0, 1), got 1.5"],
    "-m seed=0,x": ["seed", "'x'"],
    "-m device=cpu,gpu": ["device must be auto, cpu, cuda", "got 'gpu'"],
    "-m --cfg job seed=0,1": ["Only one of --run, --multirun, --cfg"],
}

MIXED = [case for first in range(4) for case in list(CASES)[first::4]]
"""So that the first of them, which are tested by default, are of all kinds."""

DRIVER = """
import contextlib, io, json, sys
sys.path.insert(0, sys.argv[1])
from erasure.cli.hydra import launch
from erasure.cli.run import task
answers = {}
for case in json.loads(sys.stdin.read()):
    sys.argv = ["run.py", *case.split(), "evaluator=fast"]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = launch(task)
        except BaseException as error:
            code = repr(error)
    answers[case] = (code, out.getvalue(), err.getvalue())
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def answers(request, tmp_path_factory, environment):
    """All cases in one process, because importing torch for each would take minutes."""
    folder = tmp_path_factory.mktemp("bad_input")
    (folder / "file").write_text("not a folder")
    asked = {item.callspec.params.get("case") for item in request.session.items
             if item.path == request.path and hasattr(item, "callspec")}  # fmt: skip
    cases = {case: case.replace("{file}", str(folder / "file")) for case in CASES if case in asked}
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(ROOT)],
        input=json.dumps(list(cases.values())),
        cwd=folder,
        env={**environment, "COLUMNS": "400"},
        capture_output=True,
        text=True,
        timeout=HANGS,
        check=True,
    )
    answers = json.loads(done.stdout)
    return folder, {case: answers[typed] for case, typed in cases.items()}


@pytest.mark.slow
@pytest.mark.parametrize("case", one_in_default(MIXED, count=10))
def test_one_message_that_names_the_key_and_what_is_allowed(answers, case):
    code, _, err = answers[1][case]
    assert code == 1, err
    (message,) = [line for line in err.splitlines() if line.startswith("error  ")]
    assert "Traceback" not in err
    for text in CASES[case]:
        assert text in message, message


def test_nothing_was_trained_or_written(answers):
    folder, _ = answers
    assert not list(folder.rglob("weights.safetensors"))
    assert not list(folder.rglob("result.json"))
    assert not list(folder.rglob("mlflow.db"))
