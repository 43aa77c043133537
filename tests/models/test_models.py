"""Models: shapes, sizes, and initial weights that depend on their seed alone."""

import pytest
import torch

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.seeding import isolated
from erasure.models.cnn import CNN
from erasure.models.mlp import MLP
from erasure.models.resnet import resnet18

BUILDERS = {"mlp": MLP, "cnn": CNN, "resnet18": resnet18}


def built(kind, *args, seed=0, **kwargs):
    with isolated(seed, "model"):
        return BUILDERS[kind](*args, **kwargs)


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def images(count, *shape):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", BUILDERS)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14)])
def test_logits_have_one_column_per_class(kind, shape):
    model = built(kind, shape, 7)
    assert model(images(2, *shape)).shape == (2, 7)


@pytest.mark.parametrize("shape", [(64,), (1, 8, 8), (4, 4, 2, 2)])
def test_a_perceptron_takes_samples_of_any_shape(shape):
    assert built("mlp", shape, 3)(images(2, *shape)).shape == (2, 3)


@pytest.mark.parametrize(
    ("kind", "args", "settings", "count"),
    [
        ("mlp", ((64,), 10), {"hidden": [256, 128]}, 50_826),
        ("mlp", ((64,), 10), {"hidden": [128]}, 64 * 128 + 128 + 128 * 10 + 10),
        ("mlp", ((1, 8, 8), 10), {"hidden": []}, 64 * 10 + 10),
        ("cnn", ((1, 8, 8), 10), {"channels": [16, 32], "hidden": 64}, 13_754),
        ("cnn", ((1, 8, 8), 10), {"channels": [32, 64], "hidden": 128}, 53_098),
        ("resnet18", ((3, 32, 32), 10), {"stem": "cifar"}, 11_173_962),
        ("resnet18", ((3, 32, 32), 10), {"stem": "imagenet"}, 11_181_642),
        ("resnet18", ((1, 8, 8), 10), {"stem": "cifar"}, 11_173_962 - 2 * 64 * 9),
        ("resnet18", ((1, 32, 32), 10), {"stem": "imagenet"}, 11_181_642 - 2 * 64 * 49),
    ],
)
def test_models_have_as_many_parameters_as_they_should(kind, args, settings, count):
    assert parameters(built(kind, *args, **settings)) == count


def test_the_two_stems_keep_and_quarter_the_size_of_images():
    small, large = (built("resnet18", (3, 32, 32), 2, stem=s) for s in ("cifar", "imagenet"))
    inputs = images(1, 3, 32, 32)
    assert small.maxpool(small.conv1(inputs)).shape == (1, 64, 32, 32)
    assert large.maxpool(large.conv1(inputs)).shape == (1, 64, 8, 8)


@pytest.mark.parametrize("kind", BUILDERS)
def test_initial_weights_are_a_function_of_the_seed(kind):
    first, again, other = (model_fingerprint(built(kind, (1, 8, 8), 5, seed=s)) for s in (0, 0, 1))
    assert first == again
    assert first != other


@pytest.mark.parametrize("kind", ["cnn", "resnet18"])
def test_what_is_not_an_image_is_refused_with_what_would_work(kind):
    with pytest.raises(
        UnsupportedError, match=rf"model {kind} needs images .*\(64,\); use model=mlp"
    ):
        built(kind, (64,), 10)


@pytest.mark.parametrize("kind", ["cnn", "resnet18"])
def test_channels_are_those_of_the_data_or_refused(kind):
    assert built(kind, (3, 8, 8), 2, in_channels=3)(images(2, 3, 8, 8)).shape == (2, 2)
    with pytest.raises(ConfigError) as error:
        built(kind, (1, 8, 8), 10, in_channels=3)
    assert str(error.value) == (
        "in_channels must be 1, the number of channels of the data set "
        "(samples of shape (1, 8, 8)), got 3; null takes it from the data"
    )


def test_an_unknown_stem_is_refused():
    with pytest.raises(ConfigError, match="stem must be auto, cifar or imagenet, got 'tiny'"):
        built("resnet18", (3, 32, 32), 10, stem="tiny")


@pytest.mark.parametrize("channels", [[], [4, 4, 4, 4]])
def test_a_depth_that_the_images_cannot_bear_is_refused_with_the_one_they_can(channels):
    with pytest.raises(ConfigError) as error:
        built("cnn", (1, 8, 8), 10, channels=channels)
    assert str(error.value) == (
        f"channels must have between 1 and 3 entries for images of 8 x 8, got {channels}"
    )


def test_the_deepest_network_that_is_allowed_works():
    model = built("cnn", (1, 8, 11), 10, channels=[4, 4, 4])
    assert model(images(2, 1, 8, 11)).shape == (2, 10)


def test_hidden_layers_without_width_are_refused():
    with pytest.raises(ConfigError, match=r"hidden must hold positive widths, got \[8, 0\]"):
        built("mlp", (4,), 2, hidden=[8, 0])
