"""What the distribution is called, and what of the tree is in it."""

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NAME = "erasure-unlearning"


def tracked_texts():
    """Every text that git keeps, by its path."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.split("\0"):
        path = ROOT / name
        if name and path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                yield name, content.decode("utf-8")


def test_no_text_names_the_package_of_a_stranger():
    """The name ``erasure`` alone is another project's where packages are installed from."""
    extras = "|".join(PROJECT["optional-dependencies"])
    # quoted or not, and as a pattern of a test, in which the bracket is escaped
    stranger = re.compile(
        rf"pip3?\s+install\s[^\n`]*(?<![\w./-])erasure(?![\w./-])|\berasure\\?\[({extras})\b"
    )
    texts = dict(tracked_texts())
    assert len(texts) > 700
    assert [name for name, text in texts.items() if stranger.search(text)] == []


def test_the_distribution_has_its_own_name_and_one_command():
    assert PROJECT["name"] == NAME
    assert PROJECT["scripts"] == {"erasure": "erasure.__main__:main"}
    (itself,) = [d for d in PROJECT["optional-dependencies"]["test"] if d.startswith("erasure")]
    assert itself.startswith(f"{NAME}[")
