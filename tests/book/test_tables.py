"""The pages of the book that are made from the package say what the package says."""

from pathlib import Path

from vfslab.teach.tables import ext4_features

BOOK = Path(__file__).parents[2] / "book"


def test_the_page_of_ext4_features_is_what_the_package_says():
    assert (BOOK / "ext4_features.md").read_text() == ext4_features(), (
        "make it anew: python -m vfslab.teach.tables > book/ext4_features.md"
    )
