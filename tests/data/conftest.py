"""A place for crafted files."""

import pytest
from crafted_torchvision import home_at


@pytest.fixture
def data_config(tmp_path):
    """Data settings whose files are taken as they are, without a network."""
    return home_at(tmp_path)


@pytest.fixture
def files(data_config):
    """Where torchvision looks for files."""
    folder = data_config.root / "torchvision"
    folder.mkdir()
    return folder
