"""Names for walks, found in any image."""

import pytest

from tests.conftest import needs_program
from tests.images import e2fs
from vfslab.teach.figures import landmarks


def test_the_image_that_ships_has_the_decks_names():
    assert landmarks() == ("a123", "b456", "lost+found")


@needs_program("mke2fs")
def test_an_image_of_ones_own_gives_its_first_directory_in_a_directory(tmp_path):
    (tmp_path / "tree" / "b" / "sub").mkdir(parents=True)
    (tmp_path / "tree" / "a").mkdir()
    image = tmp_path / "own.img"
    e2fs.run("mke2fs", "-q", "-t", "ext4", "-d", tmp_path / "tree", image, "4M")
    assert landmarks(str(image)) == ("b", "sub", "lost+found")


@needs_program("mke2fs")
def test_an_image_without_one_is_an_error(tmp_path):
    image = tmp_path / "empty.img"
    e2fs.run("mke2fs", "-q", "-t", "ext4", image, "4M")
    with pytest.raises(OSError, match="no directory in another one"):
        landmarks(str(image))
