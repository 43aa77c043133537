"""Data sets of the Hugging Face hub, read by its own library from tiny copies."""

import gc
import itertools
import json
import shutil

import pandas as pd
import pytest
import torch
from crafted_huggingface import AGES, OPTIONS, SETTINGS, craft
from datasets import ClassLabel, Dataset, DatasetDict
from tiers import one_in_default

from erasure.config.build import build
from erasure.core.data_config import DataConfig
from erasure.core.errors import ConfigError, DataError
from erasure.core.task_types import Multilabel
from erasure.data.frames.attributes import Category, Members, Mentions, Number
from erasure.data.pools.lazy import LazyPool
from erasure.data.sources.huggingface.images import HuggingFaceImages
from erasure.data.sources.huggingface.tables import HuggingFaceTable
from erasure.data.sources.huggingface.texts import HuggingFaceText
from erasure.data.sources.synthetic_text import SyntheticText
from erasure.trial.task import run


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for option in OPTIONS:
        craft(folder, option)
    return folder


@pytest.fixture
def load(root, compose_config):
    """Build the data set of an option, with changes, offline."""

    def loaded(option, *changes):
        cfg = compose_config(
            f"dataset={option}", "evaluator=fast", *SETTINGS.get(option, []), *changes
        )
        return build(cfg.dataset, "dataset")(DataConfig(root=root, download=False))

    return loaded


def rows(data_config, count=12, **columns):
    """Write a file of texts and return the settings that read it."""
    data_config.root.mkdir(parents=True, exist_ok=True)
    usual = {
        "text": [f"text {i}" for i in range(count)],
        "label": [("no", "yes")[i % 2] for i in range(count)],
    }
    pd.DataFrame({**usual, **columns}).to_json(
        data_config.root / "rows.jsonl", orient="records", lines=True
    )
    return {"path": "rows.jsonl", "text": ["text"], "target": "label"}


@pytest.fixture
def data_config(tmp_path):
    return DataConfig(root=tmp_path / "data", download=False)


def words(pool, index):
    """Return how many tokens stand between the first and the last of a text."""
    return int(pool.offsets[index + 1] - pool.offsets[index]) - 2


def test_ag_news_has_its_classes_parts_and_mentions(load):
    pool = load("ag_news")
    assert pool.class_names == ("World", "Sports", "Business", "Sci/Tech")
    assert pool.targets.tolist() == [i % 4 for i in range(80)] + [i % 4 for i in range(40)]
    assert pool.official.tolist() == [0] * 80 + [2] * 40
    mentions = pool.attributes["mentions"]
    numbers = torch.tensor([*range(80), *range(40)])
    expected = (numbers % 3 == 0) & (numbers // 4 % 3 == 0)
    assert torch.equal(mentions.having(["Juventus"]), expected)
    assert not mentions.having(["NASA", "Nets"]).any()
    assert len(mentions.names) == 28


def test_imdb_reads_labelled_reviews_only_and_keeps_names_of_classes(load):
    pool = load("imdb")
    assert pool.class_names == ("neg", "pos")
    assert pool.targets.tolist() == [0] * 20 + [1] * 20 + [0] * 20 + [1] * 20
    assert pool.official.bincount().tolist() == [40, 0, 40]


def test_reviews_know_their_film_and_their_author(load):
    films = load("imdb_movies").attributes["identity"]
    assert films.names == tuple(f"tt{100 + i}" for i in range(10))
    assert films.values[:12].tolist() == [*range(10), 0, 1]
    pool = load("french_book_reviews")
    assert len(pool.targets) == 58  # two reviews are missing
    assert pool.class_names == ("negative", "neutral", "positive")
    assert pool.attributes["author"].names[3] == "Auteur 3"
    kept = [i for i in range(60) if i % 30 != 29]
    assert pool.attributes["author"].values.tolist() == [i % 6 for i in kept]
    assert pool.targets.tolist() == [i % 3 for i in kept]


def test_a_game_counts_once_with_its_first_genre_and_all_platforms(load):
    pool = load("playmydata")
    kept = [i for i in range(65) if i not in (19, 39, 59)]  # summaries that are missing
    assert len(pool.targets) == len(kept)
    assert pool.class_names == ("5", "12", "31")  # sorted as numbers
    assert pool.targets.tolist() == [i % 3 for i in kept]
    platforms = pool.attributes["platforms"]
    assert platforms.names == ("4", "6", "48", "49", "130")
    assert platforms.having([130]).tolist() == [i % 2 == 1 for i in kept]
    assert platforms.having(["4"]).tolist() == [i < 20 for i in kept]


def test_all_genres_of_a_game_make_a_task_with_several_labels(load):
    pool = load("playmydata", "dataset.holds=many")
    assert isinstance(pool.task_type, Multilabel)
    assert pool.class_names == ("5", "12", "31", "33")
    assert pool.targets[:3].tolist() == [[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 1]]


def test_faces_are_pictures_with_three_columns_in_the_order_of_the_source(load):
    pool = load("fairface", "dataset.resize=16", "dataset.mean=[]", "dataset.std=[]")
    assert pool.class_names == AGES
    assert pool.targets.tolist() == [i % 9 for i in range(126)] + [i % 9 for i in range(18)]
    assert pool.official.bincount().tolist() == [126, 18]
    race = pool.attributes["race"]
    assert race.names[5] == "Latino_Hispanic"
    assert race.values[:8].tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert pool.attributes["gender"].names == ("Male", "Female")
    assert pool.inputs.dtype == torch.uint8
    inputs = pool.fetch(torch.tensor([5, 62]))
    assert inputs.shape == (2, 3, 16, 16)
    colours = torch.tensor([[15, 25, 35], [186, 54, 178]]) / 255
    assert (inputs.mean(dim=(2, 3)) - colours).abs().max() < 3 / 255  # what JPEG leaves of it


def test_pictures_that_do_not_fit_are_read_by_id(root, compose_config):
    cfg = compose_config("dataset=fairface", "dataset.resize=16")
    settings = build(cfg.dataset, "dataset")
    lazy = settings(DataConfig(root=root, download=False, resident_limit=0.0))
    resident = settings(DataConfig(root=root, download=False))
    assert isinstance(lazy, LazyPool)
    ids = torch.tensor([7, 0, 80])
    assert torch.equal(lazy.fetch(ids), resident.fetch(ids))
    assert lazy.fingerprint == resident.fingerprint


def test_songs_are_rows_of_fifteen_numbers_with_sets_of_singers(load):
    pool = load("spotify_tracks")
    assert pool.class_names == tuple(f"genre {letter}" for letter in "abcdefghij")
    kept = [i for i in range(144) if i % 12 < 10]
    assert pool.targets.tolist() == [i % 12 for i in kept]
    assert len(pool.features) == 15
    assert pool.attributes["popularity"].values.tolist() == [float(i % 100) for i in kept]
    singers = pool.attributes["artists"]
    assert singers.names == (*(f"Band {i}" for i in range(3)), *(f"Singer {i}" for i in range(5)))
    assert singers.having(["Band 1"]).tolist() == [i % 2 == 1 and i % 3 == 1 for i in kept]
    encoded = pool.fitted(torch.arange(60))
    assert encoded.input_shape[0] > 15
    assert "artists" not in pool.features


def test_the_most_frequent_members_are_kept(load):
    change = "dataset.sets.artists.top=3"
    singers = load("spotify_tracks", change).attributes["artists"]
    counts = load("spotify_tracks").attributes["artists"].values.sum(dim=0)
    names = load("spotify_tracks").attributes["artists"].names
    best = sorted(range(8), key=lambda i: (-int(counts[i]), names[i]))[:3]
    assert sorted(singers.names) == sorted(names[i] for i in best)


def test_text_is_tokenized_once_and_nothing_is_left_over(root, load, monkeypatch):
    first = load("ag_news")
    monkeypatch.setattr("datasets.load_dataset", None)
    again = load("ag_news")
    assert first.fingerprint == again.fingerprint
    assert {path.name for path in root.iterdir()} == {"hf", "prepared", "texts.csv"}
    left = [path.name for path in (root / "prepared").iterdir() if path.name.startswith(".")]
    assert left == []


@pytest.mark.parametrize("option", ["huggingface", "text_csv"])
def test_files_of_ones_own_are_read(load, option):
    pool = load(option)
    assert pool.class_names == tuple(f"topic {i}" for i in range(4))
    assert pool.targets.tolist() == [i % 4 for i in range(60)]
    expected = None if option == "text_csv" else [40, 10, 10]
    assert (pool.official if expected is None else pool.official.bincount().tolist()) == expected
    assert [words(pool, i) for i in (0, 3)] == [4, 4]


@pytest.mark.parametrize("form", ["csv", "tsv", "json", "jsonl", "parquet", "saved", "saved set"])
def test_every_format_gives_the_same_texts(data_config, form):
    data_config.root.mkdir(parents=True)
    frame = pd.DataFrame({"text": ["a, b", 'c "d"', "a\tb", "é"], "label": ["x", "y", "x", "y"]})
    path = data_config.root / f"rows.{form}"
    dataset = Dataset.from_pandas(frame)
    {
        "csv": lambda: frame.to_csv(path, index=False),
        "tsv": lambda: frame.to_csv(path, index=False, sep="\t"),
        "json": lambda: path.write_text(json.dumps(frame.to_dict("records"))),
        "jsonl": lambda: frame.to_json(path, orient="records", lines=True),
        "parquet": lambda: frame.to_parquet(path),
        "saved": lambda: dataset.save_to_disk(path),
        "saved set": lambda: DatasetDict({"train": dataset}).save_to_disk(path),
    }[form]()
    pool = HuggingFaceText(path=path.name, text=["text"], target="label")(data_config)
    assert pool.targets.tolist() == [0, 1, 0, 1]
    reference = HuggingFaceText(
        **rows(data_config, 4, text=list(frame.text), label=list(frame.label))
    )
    assert torch.equal(pool.flat, reference(data_config).flat)


def test_a_folder_of_pictures_has_a_class_per_folder(data_config):
    from PIL import Image

    for name, colour in (("cats", (255, 0, 0)), ("dogs", (0, 0, 255))):
        folder = data_config.root / "pets" / name
        folder.mkdir(parents=True)
        for i in range(3):
            Image.new("RGB", (8, 8), colour).save(folder / f"{i}.png")
    pool = HuggingFaceImages(path="pets")(data_config)
    assert pool.class_names == ("cats", "dogs")
    assert pool.targets.tolist() == [0, 0, 0, 1, 1, 1]
    assert pool.fetch(torch.tensor([0, 5]))[:, :, 0, 0].tolist() == [[1, 0, 0], [0, 0, 1]]
    with pytest.raises(ConfigError, match="image must be among the columns image, label"):
        HuggingFaceImages(path="pets", image="imag")(data_config)
    with pytest.raises(ConfigError, match="image must be a column of pictures, got 'label'"):
        HuggingFaceImages(path="pets", image="label")(data_config)


def test_a_picture_that_is_broken_is_named(data_config):
    folder = data_config.root / "pets"
    for name in ("cats", "dogs"):
        (folder / name).mkdir(parents=True)
        (folder / name / "0.png").write_bytes(b"not a picture")
    with pytest.raises(DataError, match="first picture of pets cannot be decoded"):
        HuggingFaceImages(path="pets")(data_config)


def test_changed_files_are_read_again(data_config):
    settings = rows(data_config)
    before = HuggingFaceText(**settings)(data_config)
    rows(data_config, 14)
    assert len(before.targets) == 12
    assert len(HuggingFaceText(**settings)(data_config).targets) == 14


def test_parts_are_put_in_order_and_may_be_chosen(data_config):
    parts = {
        name: Dataset.from_dict({"text": [f"{name} {i}" for i in range(4)], "label": [0, 1, 0, 1]})
        for name in ("test", "extra", "dev", "train")
    }
    DatasetDict(parts).save_to_disk(data_config.root / "parts")
    settings = {"path": "parts", "text": ["text"], "target": "label"}
    with pytest.raises(ConfigError, match=r"splits must say .* has test, extra, dev, train"):
        HuggingFaceText(**settings)(data_config)
    pool = HuggingFaceText(**settings, splits={"test": "test", "extra": "train"})(data_config)
    assert pool.official.tolist() == [0] * 4 + [2] * 4
    swapped = {"dev": "val", "train": "train"}
    assert (
        HuggingFaceText(**settings, splits=swapped)(data_config).official.tolist()
        == [0] * 4 + [1] * 4
    )
    with pytest.raises(ConfigError, match=r"splits must be among .*, got 'tests'; did you mean"):
        HuggingFaceText(**settings, splits={"tests": "test"})(data_config)


def test_codes_of_the_source_keep_their_order_and_minus_one_is_missing(data_config):
    dataset = Dataset.from_dict({"text": list("abcd"), "label": [1, -1, 0, 1]})
    dataset = dataset.cast_column("label", ClassLabel(names=["zebra", "ant", "none such"]))
    dataset.save_to_disk(data_config.root / "coded")
    settings = {"path": "coded", "text": ["text"], "target": "label"}
    with pytest.raises(
        DataError, match=r"values are missing: label \(1\) of 4 rows; missing=drop"
    ):
        HuggingFaceText(**settings)(data_config)
    pool = HuggingFaceText(**settings, missing="drop", attributes={"kind": "label"})(data_config)
    assert pool.class_names == ("zebra", "ant", "none such")
    assert pool.targets.tolist() == pool.attributes["kind"].values.tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0.5, 1.0] * 6}, "target label must hold classes, got numbers such as 0.5"),
        ({"label": [None, "a", "b"] * 4}, r"values are missing: label \(4\) of 12 rows"),
        ({"text": [None, "a", "b"] * 4}, r"values are missing: text \(4\) of 12 rows"),
        ({"text": [""] * 12}, r"values are missing: text \(12\) of 12 rows"),
        ({"label": ["same"] * 12}, "target label must have two or more classes"),
    ],
)
def test_labels_and_texts_that_make_no_sense_are_refused(data_config, columns, message):
    with pytest.raises(DataError, match=message):
        HuggingFaceText(**rows(data_config, **columns))(data_config)


def test_one_of_several_texts_may_be_missing(data_config):
    settings = rows(
        data_config, 4, title=["one", None, "three", None], text=["a", "b", None, None]
    )
    both = {**settings, "text": ["title", "text"]}
    with pytest.raises(DataError, match=r"title, text \(1\) of 4 rows"):
        HuggingFaceText(**both)(data_config)
    pool = HuggingFaceText(**both, missing="drop")(data_config)
    assert [words(pool, i) for i in range(3)] == [2, 1, 1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "lable"}, "target must be among .*, got 'lable'; did you mean 'label'"),
        ({"text": ["texts"]}, "text must be among .*, got 'texts'; did you mean 'text'"),
        ({"unique": "id"}, "unique must be among the columns text, label, got 'id'"),
        (
            {"attributes": {"author": "writer"}},
            "attributes must be among the columns text, label, got 'writer'",
        ),
        ({"class_names": ["a"]}, "class_names must be 2 names, for the classes no, yes, got 1"),
        ({"attributes": {"n": Number(column="label")}}, "column label must hold numbers"),
    ],
)
def test_columns_that_do_not_exist_are_named_with_those_near(data_config, changes, message):
    with pytest.raises(ConfigError, match=message):
        HuggingFaceText(**{**rows(data_config), **changes})(data_config)


TEXT = {"path": "a/b", "text": ["text"], "target": "label"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"streaming": True}, "streaming must be false: .* ids must be the same in every run"),
        ({"path": ""}, "path must be a hub id, a file or a folder, got nothing"),
        ({"text": []}, "text must name a column, got nothing"),
        ({"separator": ""}, "separator must be a text, got nothing"),
        ({"splits": {"train": "training"}}, "splits must name train, val, test as parts"),
        ({"max_length": 1}, "max_length must be >= 3, got 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        HuggingFaceText(**{**TEXT, **changes})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Members(column="a", separator=""), "separator must be a text"),
        (lambda: Members(column="a", top=0), "top must be >= 1 or null, got 0"),
        (lambda: Mentions(columns=[], phrases=["a"]), "columns must name a column"),
        (lambda: Mentions(columns=["a"], phrases=[""]), "phrases must hold texts"),
        (lambda: Mentions(columns=["a"], phrases=["b", "b"]), "phrases must differ"),
        (lambda: HuggingFaceTable(path="a/b"), "target must be a column, got null"),
        (lambda: HuggingFaceTable(path="a/b", target="t", top_classes=1), "top_classes must be"),
        (
            lambda: HuggingFaceTable(
                path="a/b", target="t", attributes=["s"], sets={"s": Members(column="s")}
            ),
            "sets must have names of their own, got s",
        ),
    ],
)
def test_readers_and_tables_refuse_settings_that_make_no_sense(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_mentions_are_whole_words_in_any_alphabet():
    frame = pd.DataFrame(
        {
            "text": ["The Nets win", "Networks", "nets", "Éric met José.", "(Nets)", None, "Jos"],
            "more": ["", "", "", "", "", "U.S. Nets", "U2S."],
        }
    )
    phrases = ["Nets", "Jos", "José", "U.S.", "Nets win"]
    actual = Mentions(columns=["text", "more"], phrases=phrases)(frame).values
    assert actual.long().argmax(dim=1).tolist() == [0, 0, 0, 2, 0, 0, 1]
    assert actual.sum(dim=1).tolist() == [2, 0, 0, 1, 1, 2, 1]
    loose = Mentions(columns=["text"], phrases=["nets"], ignore_case=True)(frame).values
    assert loose.flatten().tolist() == [True, False, True, False, True, False, False]


def test_lists_may_be_written_in_many_ways():
    frame = pd.DataFrame(
        {
            "written": ["[4, 130]", "['10', '4']", "130", None, "[]"],
            "given": [[4, 130], ["10", "4"], [130], None, []],
            "numbers": [4.0, 10.0, None, 130.0, 4.0],
        }
    )
    written = Members(column="written")(frame)
    assert written.names == ("4", "10", "130")
    expected = [[1, 0, 1], [1, 1, 0], [0, 0, 1], [0, 0, 0], [0, 0, 0]]
    assert written.values.long().tolist() == expected
    given = Members(column="given")(frame)
    assert torch.equal(given.values, written.values)
    alone = Members(column="numbers")(frame)
    assert alone.names == written.names
    assert alone.values.long().sum(dim=1).tolist() == [1, 1, 0, 1, 1]
    assert Category(column="numbers")(frame).values.tolist() == [0, 1, -1, 2, 0]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("nobody/nothing", "nobody/nothing could not be loaded from Hugging Face: .*hf/nobody"),
        ("row.jsonl", "there is no file or folder 'row.jsonl', .*; did you mean 'rows.jsonl'"),
        ("deep/in/a/folder", "there is no file or folder 'deep/in/a/folder'"),
    ],
)
def test_what_is_not_there_is_said_at_once(data_config, path, message):
    with pytest.raises(DataError, match=message):
        HuggingFaceText(**{**rows(data_config), "path": path})(data_config)


def test_a_file_of_another_kind_is_refused(data_config):
    rows(data_config)
    (data_config.root / "rows.xlsx").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"path must end in one of .csv, .* got 'rows.xlsx'"):
        HuggingFaceText(path="rows.xlsx", text=["text"], target="label")(data_config)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the library leaves the file open
@pytest.mark.parametrize("name", ["rows.parquet", "rows.jsonl", "rows.csv"])
def test_damaged_files_are_told(data_config, name):
    rows(data_config)
    (data_config.root / name).write_bytes(b"\x00\x01PAR1 broken {")
    with pytest.raises((DataError, ConfigError), match=r"could not be loaded|among the columns"):
        HuggingFaceText(path=name, text=["text"], target="label")(data_config)
    assert [p.name for p in data_config.root.iterdir() if p.name.startswith(".")] == []
    gc.collect()


def test_the_library_is_kept_off_the_network_and_left_as_it_was(data_config):
    import datasets.config
    import huggingface_hub.constants

    before = (datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE)
    with pytest.raises(DataError, match="OfflineModeIsEnabled"):
        HuggingFaceText(**TEXT)(data_config)
    assert before == (datasets.config.HF_HUB_OFFLINE, huggingface_hub.constants.HF_HUB_OFFLINE)


def test_a_mirror_comes_before_a_folder_of_the_same_name(data_config):
    for folder, count in (("hf/a/b", 4), ("a/b", 6)):
        inner = DataConfig(root=data_config.root / folder)
        rows(inner, count)
    assert len(HuggingFaceText(**TEXT)(data_config).targets) == 4
    shutil.rmtree(data_config.root / "hf")
    assert len(HuggingFaceText(**TEXT)(data_config).targets) == 6


IN_A_PROCESS = """
import sys
from pathlib import Path
from erasure.core.data_config import DataConfig
from erasure.data.sources.huggingface.texts import HuggingFaceText
from erasure.data.sources.synthetic_text import SyntheticText
home = DataConfig(root=Path(sys.argv[1]), download=False)
settings = {"path": "rows.jsonl", "text": ["text"], "target": "label"}
pools = [HuggingFaceText(**settings, attributes={"author": "author"})(home)]
pools.append(SyntheticText(samples=60)(home))
print(*[pool.fingerprint for pool in pools], *pools[0].flat.tolist())
"""


@pytest.mark.slow
def test_ids_and_codes_are_the_same_in_processes_with_other_hash_seeds(data_config, python):
    rows(data_config, author=[f"author {i * 7 % 5}" for i in range(12)])
    outputs = []
    for seed in ("1", "2"):
        shutil.rmtree(data_config.root / "prepared", ignore_errors=True)
        outputs.append(python("-c", IN_A_PROCESS, data_config.root, PYTHONHASHSEED=seed).stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0].split()[1] == SyntheticText(samples=60)(data_config).fingerprint


TRIALS = {
    "synthetic_text": ["dataset.samples=200", "trainer.fit.epochs=1"],
    "ag_news": ["trainer.fit.epochs=2"],
    "fairface": ["model=mlp", "dataset.resize=8", "trainer=adam", "trainer.fit.epochs=1"],
    "spotify_tracks": ["trainer.fit.epochs=1"],
}


@pytest.mark.parametrize(
    ("unlearner", "option"), one_in_default(itertools.product(("scrub", "ssd"), TRIALS))
)
def test_a_trial_runs_from_files_to_result(
    root, compose_config, tmp_path, capsys, option, unlearner
):
    cfg = compose_config(
        f"dataset={option}",
        f"unlearner={unlearner}",
        *TRIALS[option],
        *(["unlearner.alpha=1.0"] if unlearner == "ssd" else []),
        "split.fraction=0.4",
        "tracking=none",
        "pictures=false",
        f"store.root={tmp_path / 'store'}",
        f"data.root={root}",
        "data.download=false",
    )
    assert 0.0 <= run(cfg) <= 1.0
    assert "forget accuracy" in capsys.readouterr().out
