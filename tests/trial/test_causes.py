"""Which fingerprints move when a module is edited: those that depend on it, and no others."""

import ast
import re
import shutil
from pathlib import Path

import pytest
import yaml

import erasure
from erasure.config.settings import settings_of_config as plain_config
from erasure.core import source
from erasure.core.source import code_of_targets, modules_here, read_again, source_hash
from erasure.testing.toy import toy_pool
from erasure.training.trainers import Standard
from erasure.trial import causes
from erasure.trial.causes import method_code, model_code, trial_causes, trial_fingerprint

REPOSITORY = Path(__file__).parents[2]
EDIT = "\nEDITED = 1\n"
FROM = re.compile(r"^ *from (erasure[\w.]*) import (\([^)]*\)|[^\n(]+)", re.MULTILINE)
ONLY_FOR_TYPES = re.compile(r"^if TYPE_CHECKING:\n(?:    .*\n|\n)+", re.MULTILINE)
SHOWN_OR_KEPT = ("artifacts", "checks", "describe", "monitor", "objective", "progress", "recorded")
"""Modules of erasure/trial whose code moves no result, among others."""


def conf_targets():
    """Every class of ours that a YAML file names, but those of sweeps and of tracking."""
    folders = ("dataset", "fit", "metric", "model", "split", "trainer", "unlearner", "evaluator")
    files = (path for folder in folders for path in (REPOSITORY / "conf" / folder).rglob("*.yaml"))
    texts = (path.read_text() for path in files)
    return sorted({name for text in texts for name in re.findall(r"erasure\.\w+\.[A-Z]\w*", text)})


@pytest.fixture
def copied(tmp_path, monkeypatch):
    """A copy of the package from which code is read; the imported one stays as it is."""
    shutil.copytree(
        Path(erasure.__file__).parent,
        tmp_path / "erasure",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    monkeypatch.setattr(source, "ROOT", tmp_path)
    read_again()
    yield tmp_path / "erasure"
    read_again()


def module_name(path, package):
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read_edited(module):
    """Let the code of one module be read again, as a new process would, and no other."""
    modules_here()._syntax.pop(module, None)
    modules_here()._referred.pop(module, None)
    source._code.cache_clear()


class Imports:
    """Who imports whom, read off the text line by line: another way to the same answer."""

    def __init__(self, package):
        self.texts = {module_name(p, package): p.read_text() for p in package.rglob("*.py")}
        self.direct = {name: self._imported(text) for name, text in self.texts.items()}

    def reached(self, *first, beyond=lambda _: True):
        seen, left = set(), list(first)
        while left:
            name = left.pop()
            if name not in seen and name not in source.ONLY_NAMES:
                seen.add(name)
                left += [inner for inner in self.direct[name] if beyond(inner)]
        return seen

    def defining(self, base, name):
        room = {"erasure.datasets": "erasure.data", "erasure.splits": "erasure.data.splits"}
        below = [m for m in self.texts if m.startswith(f"{room.get(base, base)}.")]
        pattern = re.compile(rf"^(?:class|def) {name}\b", re.MULTILINE)
        return [m for m in below if pattern.search(self.texts[m])]

    def _imported(self, text):
        imported = set()
        for base, names in FROM.findall(ONLY_FOR_TYPES.sub("", text)):
            for line in names.strip("()").split(","):
                name = line.partition("#")[0].split(" as ")[0].strip()
                inner = f"{base}.{name}"
                if name and "lazy_names" in self.texts.get(base, "") and inner not in self.texts:
                    imported.update(self.defining(base, name))
                elif name:
                    imported.add(inner if inner in self.texts else base)
        return imported


@pytest.fixture
def plain(compose_config):
    return plain_config(compose_config("evaluator=fast", "unlearner=ssd"))


def test_an_edited_module_moves_what_imports_it_and_nothing_else(copied, plain):
    imports = Imports(copied)
    pool = toy_pool()
    recipe = {key: plain[key] for key in ("model", "trainer")}
    subjects = {
        target: (lambda target=target: code_of_targets([target])) for target in conf_targets()
    }
    expected = {
        target: imports.reached(*imports.defining(*target.rsplit(".", 1))) for target in subjects
    }
    subjects["a model"] = lambda: model_code(recipe, pool)
    expected["a model"] = imports.reached(
        "erasure.models.mlp",
        "erasure.models.precision",
        "erasure.training.trainers",
        "erasure.data.pools.lazy",
        "erasure.core.protocols",
    ) | {"erasure.trial.models"}
    before = {name: compute() for name, compute in subjects.items()}
    assert len(before) > 150
    used = set().union(*expected.values())
    unused = []
    for path in sorted(copied.rglob("*.py")):
        module, text = module_name(path, copied), path.read_text()
        path.write_text(text + EDIT)
        if module not in used:
            unused.append(module)  # these stay edited, and are read at the end, all at once
            continue
        read_edited(module)
        moved = {name for name, compute in subjects.items() if compute() != before[name]}
        assert moved == {name for name, modules in expected.items() if module in modules}, module
        path.write_text(text)
        read_edited(module)
    assert len(unused) > 100
    read_again()
    assert {name: compute() for name, compute in subjects.items()} == before


def test_an_edited_module_moves_the_trials_that_run_it(copied, plain):
    before = trial_fingerprint(plain)
    moved = set()
    for path in sorted(copied.rglob("*.py")):
        module, text = module_name(path, copied), path.read_text()
        path.write_text(text + EDIT)
        read_edited(module)
        if trial_fingerprint(plain) != before:
            moved.add(module)
        path.write_text(text)
        read_edited(module)
    assert moved == set(trial_causes(plain)["modules"])
    rooms = {module.split(".")[1] for module in moved}
    assert rooms == {
        "core", "data", "evaluation", "metrics", "models", "training", "trial", "unlearners"
    }  # fmt: skip
    assert not moved & {f"erasure.trial.{name}" for name in SHOWN_OR_KEPT}
    assert not any(module.startswith("erasure.trial.references") for module in moved)
    assert [module for module in moved if ".unlearners." in module] == ["erasure.unlearners.ssd"]
    assert "erasure.metrics.privacy.loss_mia" in moved
    assert "erasure.metrics.privacy.ulira" not in moved
    assert {f"erasure.{name}" for name in MOVES_A_TRIAL} <= moved


MOVES_A_TRIAL = (
    "core.context",
    "core.seeding",
    "core.splits",
    "data.pools.tensor",
    "data.sources.digits",
    "data.splits.drawn",
    "data.splits.holdout",
    "evaluation.evaluator",
    "evaluation.statistics.roc",
    "models.mlp",
    "models.precision",
    "training.compute",
    "training.fit",
    "training.gradients",
    "training.trainers",
    "trial.trial",
    "trial.models",
    "trial.requests",
    "trial.run",
    "trial.unlearning",
)


def test_layout_comments_and_docstrings_move_nothing(copied, plain):
    pool, recipe = toy_pool(), {key: plain[key] for key in ("model", "trainer")}

    def everything():
        read_again()
        targets = [code_of_targets([target]).fingerprint for target in conf_targets()]
        return [*targets, trial_causes(plain), model_code(recipe, pool)]

    before = everything()
    for path in copied.rglob("*.py"):
        path.write_text(redocumented(path.read_text()))
    ast.parse(next(copied.rglob("ssd.py")).read_text())
    assert "mended" in next(copied.rglob("ssd.py")).read_text()
    assert everything() == before


def redocumented(text):
    """Put another text in place of each docstring, comments and empty lines around it."""
    lines = text.splitlines()
    nodes = [node for node in ast.walk(ast.parse(text)) if source_is_text(node)]
    for node in sorted(nodes, key=lambda node: -node.lineno):
        indent = " " * node.col_offset
        lines[node.lineno - 1 : node.end_lineno] = [
            "", f"{indent}# A remark.", f'{indent}"""It was mended."""', ""
        ]  # fmt: skip
    return "\n".join(["# First of all.", *lines, "", "# The end."])


def source_is_text(node):
    return isinstance(node, ast.Expr) and isinstance(getattr(node.value, "value", None), str)


def test_doubling_the_importance_of_ssd_moves_its_trials_and_its_cached_tensors(copied, plain):
    from erasure.unlearners.ssd import SSD

    other = {**plain, "unlearner": {"_target_": "erasure.unlearners.Finetune"}}

    def hashes():
        read_again()
        method = method_code(plain["unlearner"])
        return [trial_fingerprint(plain), method, source_hash(SSD)], [
            method_code(other["unlearner"]),
            model_code({"trainer": plain["trainer"]}, toy_pool()),
        ]

    ssd, others = hashes()
    path = copied / "training" / "gradients.py"
    path.write_text(path.read_text().replace("return ", "return 2 * ", 1))
    edited, unrelated = hashes()
    assert all(one != another for one, another in zip(ssd, edited, strict=True))
    assert unrelated == others


def test_reference_models_are_a_cause_where_there_are_some(plain):
    key = "references"
    alone = trial_causes(plain)["modules"]
    many = trial_causes({**plain, key: {**plain[key], "size": 4}})["modules"]
    more = set(many) - set(alone)
    assert "erasure.metrics.privacy.ulira" in more
    assert "erasure.training.many.stacked" in more
    assert not set(alone) - set(many)


def test_the_number_of_workers_moves_no_fingerprint(compose_config):
    key = "references"

    def identity(*overrides):
        return trial_fingerprint(plain_config(compose_config("evaluator=fast", *overrides)))

    assert {identity(f"{key}.workers={number}") for number in ("null", 1, 7)} == {identity()}
    assert identity(f"{key}.size=7") != identity()


def test_modules_that_are_named_in_the_cut_exist():
    named = {*causes.CARRIES_OUT, *causes.REFERENCES, *causes.MOVES_NOTHING, *causes.TRAINS}
    named |= {*causes.UNLEARNS, *causes.ABOVE_TRAINING, *source.ONLY_NAMES}
    assert [name for name in sorted(named) if modules_here().file(name) is None] == []
    assert Standard.__module__ in trial_causes_of_trainer()


def trial_causes_of_trainer():
    return code_of_targets(["erasure.training.Standard"]).modules


def test_every_yaml_names_classes_that_exist():
    for path in (REPOSITORY / "conf" / "unlearner").glob("*.yaml"):
        target = (yaml.safe_load(path.read_text()) or {}).get("_target_", "???")
        if target.startswith("erasure."):
            assert code_of_targets([target]).modules, path
