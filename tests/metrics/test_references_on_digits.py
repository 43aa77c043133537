"""What attacks with many models see on the digits where the loss attack sees little."""

from functools import partial

import pytest
import torch

from erasure.core.context import EvalContext
from erasure.core.data_config import DataConfig
from erasure.core.seeding import isolated, stream
from erasure.core.splits import DataSplits, SplitIndices
from erasure.data.sources.digits import Digits
from erasure.evaluation.measure import measure
from erasure.evaluation.per_model import per_model
from erasure.metrics.privacy.ulira import ULiRA
from erasure.metrics.to_gold.klom import KLoM
from erasure.models.mlp import MLP
from erasure.training.fit import Fit
from erasure.training.many.ensemble import Member, train_together
from erasure.training.trainers import Standard

MODELS = 24
SGD = partial(torch.optim.SGD, lr=0.05, momentum=0.9, weight_decay=0.01)


@pytest.fixture(scope="module")
def digits():
    """Originals, golds and fine-tuned models: 450 retained, 50 forgotten, 20 % wrong labels."""
    from reference_tables import Tables

    pool = Digits(noise=0.2)(DataConfig(device=torch.device("cpu")))
    order = torch.randperm(len(pool.targets), generator=stream(0, "digits"))[:1100]
    forget, retain, val, test = order.split([50, 450, 100, 500])
    splits = DataSplits.of(pool, SplitIndices(forget=forget, retain=retain, val=val, test=test))

    def trained(view, epochs, starts=None):
        members = [
            Member(
                model=starts[seed] if starts else fresh(seed),
                view=view,
                generator=stream(seed, "train", str(starts is None)),
            )
            for seed in range(MODELS)
        ]
        fit = Fit(optimizer=SGD, epochs=epochs, batch_size=64)
        return [report.model for report in train_together(members, Standard(fit=fit))]

    def logits(models):
        inputs = pool.fetch(torch.arange(len(pool.targets)))
        with torch.no_grad():
            return torch.stack([model.eval()(inputs) for model in models])

    originals = trained(splits.train, 30)
    tables = {"original": logits(originals), "gold": logits(trained(splits.retain, 30))}
    tables["unlearned"] = logits(trained(splits.retain, 8, originals))
    blank = {role: torch.zeros(t.shape[:2], dtype=torch.bool) for role, t in tables.items()}
    return EvalContext(
        models={},
        splits=splits,
        task_type=pool.task_type,
        num_classes=10,
        heldout="test",
        seed=0,
        references=Tables(tables, blank),
    )


def fresh(seed):
    with isolated(seed, "model"):
        return MLP((1, 8, 8), 10, hidden=(96,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "name"),
    [(ULiRA(), "ulira/auc"), (KLoM(min_models=16), "klom/forget/mean")],
    ids=["ulira", "klom"],
)
def test_doing_nothing_is_told_more_surely_than_fine_tuning_and_retraining_not_at_all(
    digits, metric, name
):
    values = {
        who: measure(metric, digits.of(who))[name].value
        for who in ("original", "unlearned", "gold")
    }
    assert values["original"] > values["unlearned"] > values["gold"]


@pytest.mark.slow
def test_the_loss_attack_sees_less_than_the_attack_with_many_models(digits):
    population = per_model("test")["mia/loss/auc"](digits, "unlearned").mean().item()
    per_sample = measure(ULiRA(), digits)["ulira/auc"]
    assert abs(population - 0.5) < abs(per_sample.value - 0.5)
    assert per_sample.ci_low > 0.5


def test_one_half_of_the_golds_is_like_the_other(digits):
    auc = measure(ULiRA(), digits.of("gold"))["ulira/auc"]
    assert auc.value == pytest.approx(0.5, abs=0.05)
    assert auc.ci_low < 0.5 < auc.ci_high
