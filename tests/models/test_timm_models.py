"""Models of timm, an extra: any of them by name, pretrained or not."""

import sys

import pytest
import torch
from safetensors.torch import save_file

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated
from erasure.models.layers import head, weighted_layers
from erasure.models.timm import timm_model

timm = pytest.importorskip("timm", reason='needs pip install "erasure-unlearning[timm]"')

CIFAR = (3, 32, 32)


def built(shape, classes=10, seed=0, **settings):
    with isolated(seed, "model"):
        return timm_model(shape, classes, **settings)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("test_resnet", (1, 32, 32)),
        ("test_resnet.r160_in1k", CIFAR),
        ("test_efficientnet", (2, 40, 33)),
        ("test_vit", (3, 32, 48)),
    ],
)
def test_any_model_takes_the_images_and_classes_of_the_data(name, shape):
    model = built(shape, 7, name=name).eval()
    inputs = torch.rand(2, *shape, generator=torch.Generator().manual_seed(0))
    assert model(inputs).shape == (2, 7)
    assert head(model)[1].out_features == 7
    assert weighted_layers(model)[-1][0] == head(model)[0]


def test_the_transformer_of_timm_is_ours_in_size():
    with torch.device("meta"):
        model = built(CIFAR, name="vit_tiny_patch16_224", settings={"patch_size": 4})
    assert sum(parameter.numel() for parameter in model.parameters()) == 5_362_762


def test_initial_weights_are_a_function_of_the_seed():
    prints = [model_fingerprint(built(CIFAR, name="test_resnet", seed=s)) for s in (0, 0, 1)]
    assert prints[0] == prints[1] != prints[2]


@pytest.mark.parametrize("classes", [7, 10])
def test_fresh_models_share_the_backbone_and_differ_in_the_head(tmp_path, classes):
    source = built(CIFAR, 7, seed=5, name="test_resnet")
    save_file(source.state_dict(), tmp_path / "weights.safetensors")
    asked = {"name": "test_resnet", "pretrained": str(tmp_path / "weights.safetensors")}
    models = [built(CIFAR, classes, seed=seed, **asked) for seed in (0, 0, 1)]
    name, _ = head(source)
    for model in models:
        for key, value in model.state_dict().items():
            assert key.startswith(name) or torch.equal(value, source.state_dict()[key])
    heads = [head(model)[1].weight for model in models]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert not torch.equal(heads[0], head(source)[1].weight)


def test_what_timm_downloads_gets_a_new_head_too(monkeypatch):
    """Stands in for the hub: timm would keep a head that has as many classes as the data."""
    create = timm.create_model
    source = built(CIFAR, 10, seed=5, name="test_resnet")

    def downloading(name, pretrained, **asked):
        assert pretrained
        model = create(name, pretrained=False, **asked)
        model.load_state_dict(source.state_dict())
        return model

    monkeypatch.setattr(timm, "create_model", downloading)
    models = [built(CIFAR, seed=s, name="test_resnet", pretrained=True) for s in (0, 1)]
    assert torch.equal(*(model.state_dict()["conv1.0.weight"] for model in models))
    assert not torch.equal(*(head(model)[1].weight for model in models))


def test_a_download_that_fails_says_what_to_do(monkeypatch):
    def offline(name, pretrained, **asked):
        raise FileNotFoundError("cannot reach the hub\nin many lines")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(ConfigError) as error:
        built(CIFAR, name="test_resnet", pretrained=True)
    assert str(error.value) == (
        "pretrained weights of test_resnet cannot be downloaded from timm/test_resnet.r160_in1k "
        "(cannot reach the hub). Download its model.safetensors elsewhere and set pretrained to "
        "the path of the file"
    )


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"name": "resnet1o"}, "name must be a model of timm, .* got 'resnet1o'; did you mean"),
        ({"pretrained": "nowhere.pth"}, "pretrained must be true, false or a readable file"),
        ({"in_channels": 1}, "in_channels must be 3, .* got 1"),
    ],
)
def test_what_cannot_be_is_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        built(CIFAR, **{"name": "test_resnet"} | settings)


def test_samples_that_are_no_images_are_refused():
    with pytest.raises(UnsupportedError, match=r"model timm \(resnet18\) needs images"):
        built((64,))


def test_without_timm_it_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UnsupportedError, match=r'pip install "erasure-unlearning\[timm\]"'):
        built(CIFAR)
