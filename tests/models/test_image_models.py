"""Image models: sizes, shapes, heads, small images, and backbones trained elsewhere."""

from inspect import signature

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from erasure.core.errors import ConfigError, UnsupportedError
from erasure.core.fingerprint import model_fingerprint
from erasure.core.pool import Batch
from erasure.core.seeding import isolated
from erasure.core.splits import View
from erasure.core.task_types import Multiclass
from erasure.data.pools.tensor import TensorPool
from erasure.models.allcnn import AllCNN
from erasure.models.cnn import CNN
from erasure.models.layers import head, weighted_layers
from erasure.models.lenet import LeNet
from erasure.models.resnet import resnet18, resnet34, resnet50
from erasure.models.resnet_cifar import ResNetCifar
from erasure.models.torchvision import torchvision_model
from erasure.models.vgg import VGG
from erasure.models.vit import ViT
from erasure.training.per_sample.gradients import sample_gradients

CIFAR = (3, 32, 32)
PHOTO = (3, 224, 224)
TINY = {"width": 192, "depth": 12, "heads": 3}
SMALL = {
    "allcnn": (AllCNN, (1, 8, 8), {"width": 0.1}),
    "lenet": (LeNet, (1, 12, 13), {}),
    "mobilenet": (torchvision_model, (1, 8, 8), {"name": "mobilenet_v3_small"}),
    "resnet18": (resnet18, (1, 8, 8), {}),
    "resnet20": (ResNetCifar, (2, 8, 9), {"depth": 8, "width": 4}),
    "vgg11": (VGG, (1, 32, 33), {"depth": 11}),
    "vit": (ViT, (1, 8, 12), {"width": 16, "depth": 2, "heads": 2}),
}
"""Of each family, something that a test can afford to compute."""


def built(build, shape, classes=10, seed=0, **settings):
    with isolated(seed, "model"):
        return build(shape, classes, **settings)


def images(count, *shape):
    return torch.rand(count, *shape, generator=torch.Generator().manual_seed(0))


def parameters(model):
    return sum(parameter.numel() for parameter in model.parameters())


def block(before, after, kernel=3):
    """Weights of a convolution without bias and of the normalization after it."""
    return before * after * kernel**2 + 2 * after


ALLCNN = sum([block(3, 96), block(96, 96), block(96, 192), 4 * block(192, 192)])
ALLCNN += block(192, 192, kernel=1) + 192 * 10 + 10


@pytest.mark.parametrize(
    ("build", "shape", "settings", "count"),
    [
        (LeNet, (1, 28, 28), {}, 61_706),
        (AllCNN, CIFAR, {}, ALLCNN),
        (ResNetCifar, CIFAR, {}, 272_474),
        (ResNetCifar, (1, 8, 8), {}, 272_474 - 2 * 16 * 9),
        (CNN, (1, 8, 8), {"channels": [32, 64], "hidden": 128}, 53_098),
        (resnet18, CIFAR, {}, 11_173_962),
        (resnet18, PHOTO, {}, 11_181_642),
        (resnet34, PHOTO, {}, 21_289_802),
        (resnet50, CIFAR, {}, 23_520_842),
        (VGG, PHOTO, {"depth": 11}, 128_812_810),
        (VGG, PHOTO, {"depth": 16}, 134_309_962),
        (ViT, CIFAR, {}, 208_074),
        (ViT, CIFAR, TINY, 5_362_762),
        (torchvision_model, CIFAR, {"name": "mobilenet_v3_small"}, 1_528_106),
        (torchvision_model, PHOTO, {"name": "vit_b_16"}, 85_806_346),
        (torchvision_model, CIFAR, {"name": "resnet18"}, 11_173_962),
    ],
)
def test_models_have_as_many_weights_as_in_the_literature(build, shape, settings, count):
    with torch.device("meta"):
        model = built(build, shape, **settings)
    assert parameters(model) == count
    name, last = head(model)
    assert last.out_features == 10
    assert weighted_layers(model)[-1][0] == name


@pytest.mark.parametrize(
    ("build", "settings", "millions"),
    [
        (AllCNN, {}, 1.62),
        (VGG, {"depth": 11}, 9.23),
        (VGG, {"depth": 16}, 14.73),
        (ResNetCifar, {"depth": 32}, 0.47),
        (ResNetCifar, {"depth": 56}, 0.86),
        (ResNetCifar, {"depth": 110}, 1.73),
        (ViT, TINY, 5.36),
    ],
)
def test_models_for_32_pixels_have_the_usual_size(build, settings, millions):
    with torch.device("meta"):
        assert round(parameters(built(build, CIFAR, **settings)) / 1e6, 2) == millions


@pytest.mark.parametrize("kind", SMALL)
def test_logits_have_one_column_per_class_and_a_head_that_is_found(kind):
    build, shape, settings = SMALL[kind]
    model = built(build, shape, 7, **settings).eval()
    assert model(images(2, *shape)).shape == (2, 7)
    name, last = head(model)
    assert last.out_features == 7
    assert weighted_layers(model)[-1][0] == name


@pytest.mark.parametrize("kind", SMALL)
def test_initial_weights_are_a_function_of_the_seed(kind):
    build, shape, settings = SMALL[kind]
    prints = [model_fingerprint(built(build, shape, seed=seed, **settings)) for seed in (0, 0, 1)]
    assert prints[0] == prints[1]
    assert prints[0] != prints[2]


@pytest.mark.parametrize("kind", SMALL)
def test_samples_that_are_no_images_and_other_channels_are_refused(kind):
    build, shape, settings = SMALL[kind]
    with pytest.raises(UnsupportedError, match=r"needs images .*\(64,\); use model=mlp"):
        built(build, (64,), **settings)
    with pytest.raises(ConfigError, match=rf"in_channels must be {shape[0]}, .* got 5"):
        built(build, shape, **settings, in_channels=5)


@pytest.mark.parametrize("kind", ["lenet", "resnet20", "vit"])
def test_gradients_of_single_samples_add_up_to_that_of_the_batch(kind):
    """Whichever engine takes the model, the sum over samples is a plain backward pass."""
    build, shape, settings = SMALL[kind]
    model = built(build, shape, 3, **settings).eval()
    inputs, targets = images(4, *shape), torch.tensor([0, 1, 2, 1])
    pool = TensorPool(inputs=inputs, targets=targets, class_names=("a", "b", "c"))
    loss = Multiclass().loss
    rows = torch.cat(list(sample_gradients(model, View(pool, torch.arange(4)), loss)))
    batch = Batch(inputs, targets, torch.arange(4))
    expected = torch.autograd.grad(
        loss(model(batch.inputs), batch.targets).sum(), list(model.parameters())
    )
    flat = torch.cat([gradient.flatten() for gradient in expected])
    torch.testing.assert_close(rows.sum(dim=0), flat, rtol=1e-4, atol=1e-6)


def test_vgg_computes_what_torchvision_computes():
    from torchvision.models.vgg import cfgs, make_layers

    ours = built(VGG, CIFAR, depth=11).eval()
    with isolated(0):
        theirs = make_layers(cfgs["A"], batch_norm=True).eval()
    theirs.load_state_dict(ours.features.state_dict())
    inputs = images(2, *CIFAR)
    assert torch.equal(ours.features(inputs), theirs(inputs))


def test_attention_computes_what_torch_computes():
    model = built(ViT, (1, 8, 8), width=16, depth=1, heads=2).eval()
    ours = model.blocks[0].attend[1]
    with isolated(0):
        theirs = nn.MultiheadAttention(16, 2, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.ask.weight)
        theirs.in_proj_bias.copy_(ours.ask.bias)
        theirs.out_proj.load_state_dict(ours.answer.state_dict())
    words = images(2, 5, 16)
    torch.testing.assert_close(ours(words), theirs(words, words, words)[0])


def test_a_transformer_reads_every_patch_and_its_place():
    model = built(ViT, (1, 8, 8), width=16, depth=1, heads=2).eval()
    inputs = images(1, 1, 8, 8)
    moved = inputs.roll(4, dims=-1)
    assert not torch.allclose(model(inputs), model(moved), atol=1e-6)
    for row, column in ((0, 0), (0, 4), (4, 0), (4, 4)):
        changed = inputs.clone()
        changed[..., row, column] += 1
        assert not torch.allclose(model(inputs), model(changed), atol=1e-6)


@pytest.mark.parametrize(("side", "first"), [(32, (1, 1)), (63, (1, 1)), (64, (2, 2))])
def test_the_stem_follows_the_size_of_images(side, first):
    with torch.device("meta"):
        assert built(resnet18, (3, side, side)).conv1.stride == first
        mobile = built(torchvision_model, (3, side, side), name="mobilenet_v3_small")
    assert mobile.features[0][0].stride == first


@pytest.mark.parametrize(
    ("name", "side", "features"),
    [
        ("densenet121", 32, (1, 64, 32, 32)),
        ("resnet18", 32, (1, 64, 32, 32)),
        ("mobilenet_v2", 32, (1, 32, 32, 32)),
        ("efficientnet_b0", 32, (1, 32, 32, 32)),
        ("shufflenet_v2_x0_5", 32, (1, 24, 32, 32)),
        ("squeezenet1_1", 32, (1, 64, 32, 32)),
    ],
)
def test_the_small_stem_keeps_the_size_of_images(name, side, features):
    with torch.device("meta"):
        model = built(torchvision_model, (3, side, side), name=name).eval()
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        assert first(torch.empty(1, 3, side, side)).shape == features
        assert model(torch.empty(1, 3, side, side)).shape == (1, 10)
        assert first.kernel_size == (3, 3)


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("vit_b_32", (1, 64, 64)),
        ("swin_t", (3, 64, 48)),
        ("convnext_tiny", (2, 64, 64)),
        ("inception_v3", (3, 80, 80)),
        ("googlenet", CIFAR),
        ("inception_v3", CIFAR),
        ("mnasnet0_5", CIFAR),
    ],
)
def test_every_family_takes_the_images_it_is_given(name, shape):
    with torch.device("meta"):
        model = built(torchvision_model, shape, name=name)
        assert model.eval()(torch.empty(2, *shape)).shape == (2, 10)
        assert model.train()(torch.empty(2, *shape)).shape == (2, 10)  # no auxiliary heads
    assert weighted_layers(model)[-1][0] == head(model)[0]


@pytest.mark.parametrize(
    ("build", "shape", "settings", "message"),
    [
        (LeNet, (1, 8, 8), {}, "model lenet needs images of at least 12 x 12 .* has 8 x 8"),
        (VGG, (1, 28, 28), {}, "model vgg16_bn needs images of at least 32 x 32 .* 28 x 28"),
        (torchvision_model, (3, 40, 32), {"name": "vit_b_16"}, "needs square images .* 40 x 32"),
        (torchvision_model, (1, 8, 8), {"name": "vit_b_16"}, "a multiple of 16, .* 8 x 8"),
        (torchvision_model, (3, 8, 8), {"name": "vgg11"}, "model vgg11 needs .* 32 x 32 pixels"),
        (
            torchvision_model,
            (3, 64, 70),
            {"name": "inception_v3"},
            "inception_v3 needs images of at least 75 x 75 pixels",
        ),
        (torchvision_model, (3, 8, 8), {"name": "alexnet"}, "alexnet needs .* 16 x 16 pixels"),
        (torchvision_model, (3, 20, 32), {"name": "swin_t"}, "swin_t needs .* 32 x 32 pixels"),
    ],
)
def test_images_that_would_shrink_to_nothing_are_refused(build, shape, settings, message):
    with pytest.raises(UnsupportedError, match=message), torch.device("meta"):
        built(build, shape, **settings)


@pytest.mark.parametrize(
    ("build", "shape", "settings", "message"),
    [
        (VGG, CIFAR, {"depth": 12}, "depth must be 11, 13, 16 or 19, got 12"),
        (VGG, CIFAR, {"head": "big"}, "head must be auto, cifar or imagenet, got 'big'"),
        (resnet50, (1, 8, 8), {"stem": "imagenet"}, "stem must be cifar for images below 32"),
        (ResNetCifar, CIFAR, {"depth": 18}, r"depth must be 8, 14, 20 or another 6n \+ 2, got 18"),
        (ResNetCifar, CIFAR, {"width": 0}, "width must be >= 1, got 0"),
        (AllCNN, CIFAR, {"width": 0.0}, "width must be > 0, got 0.0"),
        (AllCNN, CIFAR, {"dropout": 1.0}, r"dropout must be in \[0, 1\), got 1.0"),
        (ViT, (3, 30, 32), {}, "patch must divide height and width of images, 30 x 32, got 4"),
        (ViT, CIFAR, {"heads": 5}, "width must be a multiple of heads, 5, got 64"),
        (ViT, CIFAR, {"patch": 0}, "patch must be >= 1, got 0"),
        (ViT, CIFAR, {"dropout": -0.1}, r"dropout must be in \[0, 1\), got -0.1"),
        (
            torchvision_model,
            CIFAR,
            {"name": "resnet19"},
            "name must be a classifier .*'resnet19'; did you mean resnet",
        ),
        (
            torchvision_model,
            CIFAR,
            {"name": "maskrcnn_resnet50_fpn"},
            "name must be a classifier",
        ),
        (
            torchvision_model,
            CIFAR,
            {"name": "swin_t", "stem": "cifar"},
            "stem must be imagenet or auto for swin_t, which cuts images into patches",
        ),
        (
            torchvision_model,
            CIFAR,
            {"pretrained": True, "stem": "cifar"},
            "stem must be imagenet or auto for resnet18, which has pretrained first layers",
        ),
        (
            torchvision_model,
            (1, 32, 32),
            {"pretrained": True},
            "pretrained must be false for images of 1 channels",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_training(build, shape, settings, message):
    with pytest.raises(ConfigError, match=message), torch.device("meta"):
        built(build, shape, **settings)


BACKBONE = {"name": "mobilenet_v3_small"}


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights of a network that was trained on seven other classes, in both kinds of files."""
    folder = tmp_path_factory.mktemp("weights")
    state = built(torchvision_model, CIFAR, 7, seed=5, stem="imagenet", **BACKBONE).state_dict()
    save_file(state, folder / "weights.safetensors")
    torch.save(state, folder / "weights.pth")
    return folder


def without_head(model):
    name = head(model)[0]
    return {k: v for k, v in model.state_dict().items() if not k.startswith(name)}


@pytest.mark.parametrize("file", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("classes", [7, 10])
def test_fresh_models_share_the_backbone_and_differ_in_the_head(weights, file, classes):
    asked = {**BACKBONE, "pretrained": str(weights / file)}
    one, again, other = (
        built(torchvision_model, CIFAR, classes, seed=seed, **asked) for seed in (0, 0, 1)
    )
    source = built(torchvision_model, CIFAR, 7, seed=5, stem="imagenet", **BACKBONE)
    kept = without_head(source)
    for model in (one, again, other):
        assert without_head(model).keys() == kept.keys()
        for name, value in without_head(model).items():
            assert torch.equal(value, kept[name])
    heads = [head(model)[1].weight for model in (one, again, other)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert heads[0].shape == (classes, 1024)
    assert all(not torch.equal(actual, head(source)[1].weight) for actual in heads)


def test_a_backbone_for_small_images_is_taken_on_request(tmp_path):
    state = built(torchvision_model, CIFAR, 7, seed=5, stem="cifar", **BACKBONE).state_dict()
    save_file(state, tmp_path / "small.safetensors")
    asked = {**BACKBONE, "pretrained": str(tmp_path / "small.safetensors"), "stem": "cifar"}
    model = built(torchvision_model, CIFAR, **asked)
    assert model.features[0][0].stride == (1, 1)
    assert torch.equal(model.features[0][0].weight, state["features.0.0.weight"])


def test_positions_of_a_transformer_are_interpolated(tmp_path, monkeypatch):
    """Four patches instead of one; a small stand-in, since those of torchvision are large."""
    from torchvision.models import vision_transformer

    def small(*, weights, image_size, num_classes):
        return vision_transformer.VisionTransformer(
            image_size, 16, 1, 2, 8, 8, num_classes=num_classes
        )

    monkeypatch.setattr("erasure.models.torchvision._builder", lambda name: small)
    state = built(torchvision_model, (3, 16, 16), name="vit_b_16").state_dict()
    save_file(state, tmp_path / "vit.safetensors")
    asked = {"name": "vit_b_16", "pretrained": str(tmp_path / "vit.safetensors")}
    model = built(torchvision_model, (3, 32, 32), **asked)
    positions = model.encoder.pos_embedding
    assert positions.shape == (1, 5, 8)
    expected = state["encoder.pos_embedding"][:, 1:].expand(1, 4, 8)
    torch.testing.assert_close(positions[:, 1:], expected)
    assert model(images(2, *CIFAR)).shape == (2, 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("features.0.0.weight"), "the file lacks features.0.0.weight"),
        (lambda s: s.update(extra=torch.zeros(1)), "the file has besides extra"),
        (
            lambda s: s.update({"features.0.0.weight": torch.zeros(1)}),
            "the file resizes features.0.0.weight",
        ),
        (lambda s: s.clear(), "the file lacks .* more"),
    ],
)
def test_weights_of_another_network_are_refused(weights, tmp_path, change, message):
    state = torch.load(weights / "weights.pth", weights_only=True)
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match=rf"pretrained weights of .*other\.pth .*{message}"):
        built(torchvision_model, CIFAR, **BACKBONE, pretrained=str(tmp_path / "other.pth"))


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
@pytest.mark.parametrize("content", ["nothing", "garbage", "code"])
def test_files_that_are_no_weights_are_refused_and_never_run(tmp_path, capsys, suffix, content):
    file = tmp_path / f"weights.{suffix}"
    if content == "garbage":
        file.write_bytes(b"no weights at all")
    elif content == "code":
        torch.save({"weight": Evil()}, file)
    with pytest.raises(ConfigError, match="pretrained must be true, false or a readable file"):
        built(torchvision_model, CIFAR, **BACKBONE, pretrained=str(file))
    assert "executed" not in capsys.readouterr().out


def test_a_file_of_something_else_is_refused(tmp_path):
    torch.save({"epoch": 3, "state_dict": {}}, tmp_path / "checkpoint.pth")
    with pytest.raises(ConfigError, match=r"a file of tensors by name, as model\.state_dict\(\)"):
        built(torchvision_model, CIFAR, **BACKBONE, pretrained=str(tmp_path / "checkpoint.pth"))


def test_a_download_that_fails_says_where_to_put_the_file(tmp_path, monkeypatch):
    from torchvision.models import MobileNet_V3_Small_Weights

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    weights = MobileNet_V3_Small_Weights.DEFAULT
    nowhere = "http://127.0.0.1:9/mobilenet_v3_small-047dcff4.pth"
    monkeypatch.setattr(type(weights.value), "__setattr__", object.__setattr__, raising=False)
    before = weights.value.url
    object.__setattr__(weights.value, "url", nowhere)
    try:
        with pytest.raises(ConfigError) as error:
            built(torchvision_model, CIFAR, **BACKBONE, pretrained=True)
    finally:
        object.__setattr__(weights.value, "url", before)
    message = str(error.value)
    assert "pretrained weights of mobilenet_v3_small cannot be downloaded" in message
    assert nowhere in message
    assert f"Put mobilenet_v3_small-047dcff4.pth into {tmp_path / 'checkpoints'}" in message


def test_what_was_placed_by_hand_is_not_downloaded(tmp_path, monkeypatch):
    from torchvision.models import MobileNet_V3_Small_Weights

    state = built(torchvision_model, CIFAR, 1000, seed=5, stem="imagenet", **BACKBONE).state_dict()
    place = tmp_path / "checkpoints"
    place.mkdir()
    file = MobileNet_V3_Small_Weights.DEFAULT.url.rpartition("/")[2]
    torch.save(state, place / file)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    model = built(torchvision_model, CIFAR, 1000, **BACKBONE, pretrained=True)
    assert torch.equal(model.features[0][0].weight, state["features.0.0.weight"])
    assert not torch.equal(head(model)[1].weight, state["classifier.3.weight"])


def test_what_a_yaml_can_set_has_a_default():
    for build in (torchvision_model, VGG, ViT, LeNet, AllCNN, ResNetCifar, resnet34):
        names = list(signature(build).parameters.values())[2:]
        assert all(name.default is not name.empty for name in names)
