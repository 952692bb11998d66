"""Whether an open file is still what it was; what readers make of it is in test_passes.py."""

import os
import time

import pytest

from surefit.data.file_version import FileVersion
from surefit.errors import DataError


@pytest.fixture
def path(tmp_path):
    (tmp_path / "file").write_bytes(b"one\n")
    return tmp_path / "file"


@pytest.mark.parametrize("content", [b"two\n", b"three\n", b""], ids=["as long", "longer", "empty"])
def test_a_file_that_is_written_to_is_no_longer_the_same(path, content):
    with open(path, "rb") as file:
        version = FileVersion(file)
        version.require_same()
        time.sleep(0.05)  # the clock of some file systems has coarse ticks
        path.write_bytes(content)
        with pytest.raises(DataError, match="the file changed while it was read"):
            version.require_same()


def test_names_and_permissions_are_not_its_content(path):
    with open(path, "rb") as file:
        version = FileVersion(file)
        time.sleep(0.05)
        path.chmod(0o600)
        os.link(path, path.with_name("second"))
        path.unlink()
        version.require_same()
