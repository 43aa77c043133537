"""Small data with every attribute that the splits in ``conf/split`` ask for; their settings."""

import numpy as np
import torch

from erasure.core.columns import Column, coded
from erasure.core.seeding import stream
from erasure.data.pools.tensor import TensorPool

SIZE = 400
"""Samples, of four classes."""


def drawn(high, name):
    return torch.randint(high, (SIZE,), generator=stream(0, "crafted", name))


def people_pool(**fields):
    """Return 400 images ``(1, 6, 6)`` with people, ages, subclasses and sets of friends.

    Some ages and people are missing; each class has two subclasses.
    """
    targets = drawn(4, "targets")
    person = drawn(40, "person")
    person[::17] = -1
    age = drawn(60, "age").float() + 20
    age[::23] = torch.nan
    half = drawn(2, "half")
    friends = torch.rand((SIZE, 5), generator=stream(0, "crafted", "friends")) < 0.15
    names = tuple(f"class {i}" for i in range(4))
    images = torch.rand((SIZE, 1, 6, 6), generator=stream(0, "crafted", "images"))
    given = {
        "inputs": images + torch.eye(6) * targets.reshape(-1, 1, 1, 1),
        "targets": targets,
        "class_names": names,
        "attributes": {
            "identity": Column(person, tuple(f"person {i:02}" for i in range(40))),
            "age": Column(age),
            "fine": coded([f"{c}{'ab'[h]}" for c, h in zip(targets, half, strict=True)]),
            "sex": coded(["Female" if i % 3 else "Male" for i in range(SIZE)]),
            "friends": Column(friends, ("Ann", "Bob", "Cy", "Dan", "Eve")),
            "capital-gain": Column(drawn(9, "gain").float()),
        },
    }
    return TensorPool(**given | fields)


SETTINGS = {
    "artifact": ["split.path={folder}/split.safetensors"],
    "attribute": ["split.attribute=age", "split.value_range=[60,null]"],
    "ids": ["split.path={folder}/ids.txt"],
    "query": ["split.where='age >= 60 and sex == \"Female\" and not (target == 3)'"],
    "subclass": ["split.values=[1a]"],
    "confusion": ["split.classes=[1,3]"],
}
"""What an option of ``conf/split`` needs besides data with the right columns."""


def craft(folder, option):
    """Write data for ``split=<option>`` into ``folder`` and return the overrides that use them.

    All options run on them: they are images with a column for each attribute the presets name.
    """
    pool = people_pool()
    columns = pool.attributes
    people = np.array([*columns["identity"].names, ""])[columns["identity"].values.numpy()]
    held = {
        "inputs": pool.inputs.numpy(),
        "targets": pool.targets.numpy(),
        "age": columns["age"].values.numpy(),
        "fine": np.array(columns["fine"].names)[columns["fine"].values.numpy()],
        "sex": np.array(columns["sex"].names)[columns["sex"].values.numpy()],
        "mentions": columns["friends"].values.numpy(),
        "artists": columns["identity"].values.numpy()[:, None] == np.arange(40),
        **dict.fromkeys(("identity", "writer"), people),
    }
    np.savez(folder / "people.npz", **held)
    data = ["dataset=tensor_file", f"dataset.path={folder / 'people.npz'}", "model=mlp"]
    train = people_base().tolist()
    (folder / "ids.txt").write_text("\n".join(map(str, train[:30])))
    if option == "artifact":
        _write_artifact(folder, data)
    return [*data, *(setting.format(folder=folder) for setting in SETTINGS.get(option, []))]


def people_base(seed=0):
    """Return the training set of the crafted data, which is the same for every split."""
    from erasure.data.splits.drawn import RandomForget

    return RandomForget()(people_pool(), stream(seed, "split")).train


def _write_artifact(folder, data):
    from erasure.core.data_config import DataConfig
    from erasure.data.sources.tensor_file import TensorFile
    from erasure.data.splits.artifact import save_split
    from erasure.data.splits.drawn import RandomForget

    pool = TensorFile(path=data[1].partition("=")[2])(DataConfig(root=folder))
    save_split(folder, RandomForget()(pool, stream(0, "split")), pool.fingerprint)
