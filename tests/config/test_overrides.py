"""Values as overrides, and overrides as values."""

import shlex

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hypothesis import given
from hypothesis import strategies as st

from erasure.config.folders import conf_folder
from erasure.config.overrides import (
    override_value,
    parse_overrides,
    parsed_value,
    split_overrides,
)
from erasure.core.errors import ConfigError

SPECIAL = "\\'\"${}[](),:=|&; \n\tab+*#~%é"
TEXTS = st.text() | st.text(alphabet=SPECIAL)
VALUES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS


@given(VALUES)
@pytest.mark.slow
def test_hydra_reads_the_value_that_was_written(value):
    back = parsed_value(f"group.key={override_value(value)}")
    assert (type(back), back) == (type(value), value)


@given(st.dictionaries(st.from_regex(r"[a-z][a-z_]*", fullmatch=True), st.lists(VALUES)))
def test_hydra_reads_lists_and_mappings_that_were_written(value):
    assert parsed_value(f"key={override_value(value)}") == value


@given(st.lists(VALUES, min_size=1))
def test_a_command_can_be_pasted_into_a_shell(values):
    overrides = [f"key={override_value(value)}" for value in values]
    words = shlex.split(shlex.join(["python", "run.py", *overrides]))
    assert [parsed_value(word) for word in words[2:]] == values


@pytest.mark.parametrize(
    ("value", "text"), [(r"\d+", r"'\d+'"), ("it's", r"'it\'s'"), ("a\\", r"'a\\'"), (0.1, "0.1")]
)
def test_a_backslash_is_doubled_only_before_a_quotation_mark(value, text):
    assert override_value(value) == text


@given(st.lists(VALUES))
def test_a_line_of_overrides_is_split_at_its_spaces_alone(values):
    words = [f"key={override_value(value)}" for value in values]
    assert split_overrides(" ".join(words)) == words
    line = "  a=[1, 2]  b={c: (d)} e='f g' "
    assert split_overrides(line) == ["a=[1, 2]", "b={c: (d)}", "e='f g'"]


@pytest.fixture
def choices():
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        yield lambda text: parse_overrides(loader, [text])[0].choices()


def test_ranges_are_added_up_in_decimals_and_end_before_their_end(choices):
    assert choices("a=range(0,1,0.3)") == ["a=0.0", "a=0.3", "a=0.6", "a=0.9"]
    assert choices("a=range(0.1,0.4,0.1)") == ["a=0.1", "a=0.2", "a=0.3"]
    assert choices("a=range(1,0,-0.5)") == ["a=1.0", "a=0.5"]
    assert choices("a=range(3)") == ["a=0", "a=1", "a=2"]
    assert sorted(choices("a=shuffle(range(0,0.3,0.1))")) == ["a=0.0", "a=0.1", "a=0.2"]


@pytest.fixture
def requests(tmp_path, monkeypatch):
    for name in ("b.csv", "a.csv", "a_old.csv", "more/c.csv", "two words.csv", "notes.txt"):
        (tmp_path / "requests" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "requests" / name).touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("requests")
@pytest.mark.parametrize(
    ("glob", "paths"),
    [
        ("requests/?.csv", ["requests/a.csv", "requests/b.csv"]),
        ("requests/*.csv,exclude=[*_old.csv,requests/b*]",
         ["requests/a.csv", "requests/two words.csv"]),
        ("'requests/two *'", ["requests/two words.csv"]),
        ("[requests/**/c.csv,requests/*.txt]", ["requests/more/c.csv", "requests/notes.txt"]),
        ("requests/m*", []),
    ],
)  # fmt: skip
def test_a_glob_on_a_setting_matches_files(choices, glob, paths):
    if paths:
        assert [parsed_value(text) for text in choices(f"split.path=glob({glob})")] == paths
        return
    with pytest.raises(ConfigError, match=r"split\.path must match a file.*got glob\(requests/m"):
        choices(f"split.path=glob({glob})")


@pytest.mark.usefixtures("requests")
def test_a_glob_on_a_group_matches_its_options(choices):
    assert choices("unlearner=glob(ssd*)") == ["unlearner=ssd"]
    with pytest.raises(ConfigError, match="unlearner must match something"):
        choices("unlearner=glob(requests/*)")
