"""Options by their names, without a command line."""

import numpy as np
import pytest
from hydra import version
from hydra.core.global_hydra import GlobalHydra

from erasure.config import options
from erasure.config.options import build_option, option_names, with_settings
from erasure.core.errors import ConfigError
from erasure.training.fit import Fit
from erasure.unlearners.identity import Identity


def test_settings_go_into_those_of_the_file():
    method = build_option("unlearner", "cf_k", {"fit": {"epochs": np.int64(3)}, "k": np.int32(1)})
    assert (method.k, method.fit.epochs, method.fit.clip) == (1, 3, 10.0)
    assert type(method.fit.epochs) is int
    assert method.fit.schedule.levels == 3  # which the file ties to the epochs
    alpha = build_option("unlearner", "scrub", {"alpha": np.float32(0.5), "decay_epochs": (1, 2)})
    assert (alpha.alpha, list(alpha.decay_epochs)) == (0.5, [1, 2])


def test_an_object_replaces_the_whole(tmp_path):
    method = build_option("unlearner", "salun", {"inner": Identity(), "ratio": 0.1})
    assert method.inner == Identity()
    assert method.ratio == 0.1


def test_options_that_choose_others_are_built():
    assert type(build_option("unlearner", "sisa")).__name__ == "SISA"
    assert build_option("trainer", "sharded").shards == 5
    assert "custom" not in option_names("unlearner")
    assert "_base" not in option_names("split")


def test_the_state_of_hydra_is_left_alone():
    before = version.getbase()
    build_option("fit", "sgd", {"optimizer": {"_target_": "torch.optim.SGD"}})
    assert version.getbase() is before
    assert not GlobalHydra.instance().is_initialized()


def test_outside_packages_offer_options_too(tmp_path, monkeypatch):
    package = tmp_path / "outside_conf_of_options"
    (package / "unlearner").mkdir(parents=True)
    (package / "__init__.py").write_text("", encoding="utf-8")
    text = "# Nothing\n_target_: erasure.unlearners.Identity\n"
    (package / "unlearner" / "nothing.yaml").write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    installed = ["outside_conf_of_options", "not_installed_at_all"]
    monkeypatch.setattr(options, "outside_configs", lambda: installed)
    options._loader.cache_clear()
    try:
        assert build_option("unlearner", "nothing") == Identity()
        assert "nothing" in option_names("unlearner")
    finally:
        options._loader.cache_clear()


def test_what_has_no_settings_says_so():
    with pytest.raises(ConfigError, match=r"did you mean finetune\.fit\.epochs\?"):
        build_option("unlearner", "finetune", {"fit": {"epoch": 1}})
    with pytest.raises(ConfigError, match="f is no dataclass"):
        with_settings(lambda: None, {}, "f")
    fit = build_option("fit", "sgd")
    assert isinstance(fit, Fit)
    with pytest.raises(ConfigError, match=r"fit\.epochs must be >= 0, got -1"):
        with_settings(fit, {"epochs": -1}, "fit")
