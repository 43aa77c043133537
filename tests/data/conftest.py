"""A place for crafted files."""

import pytest
from crafted_torchvision import home_at


@pytest.fixture
def home(tmp_path):
    """A home whose files are taken as they are, without a network."""
    return home_at(tmp_path)


@pytest.fixture
def files(home):
    """Where torchvision looks for files."""
    folder = home.root / "torchvision"
    folder.mkdir()
    return folder
