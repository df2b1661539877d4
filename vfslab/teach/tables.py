"""Tables of the book that are made from the package, as Markdown.

    python -m vfslab.teach.tables > book/ext4_features.md

A test compares the page with what this gives, so the page is always true.
"""

from __future__ import annotations

from vfslab.fs.ext4.features import COMPAT, FEATURES, INCOMPAT, RO_COMPAT

SETS = (
    (COMPAT, "Compatible: who does not know of it may read and write", "s_feature_compat"),
    (INCOMPAT, "Incompatible: who does not know of it must not even read", "s_feature_incompat"),
    (RO_COMPAT, "Read-only compatible: who does not know of it may read", "s_feature_ro_compat"),
)


def ext4_features() -> str:
    """Return the page that says what vfslab does with each feature bit of mke2fs 1.47."""
    lines = [
        "# ext4 features",
        "",
        "What vfslab does with an image that has a feature, bit by bit; names as `dumpe2fs` prints them. "
        "*Read*: it changes where or how data lies, and that is read. *Replayed*: a read-only mount plays the journal "
        "in memory; the image is never written to. *Tolerated*: it matters to writers only, or what it adds is not "
        "looked at. *Refused*: the mount fails with one line that names the feature. A bit that is in none of these "
        "tables is refused if it is incompatible, and tolerated otherwise.",
        "",
    ]
    for name, heading, member in SETS:
        lines += [f"## {heading}", "", f"`{member}`", "", "| bit | feature | vfslab | meaning |", "|---|---|---|---|"]
        lines += [f"| {f.bit:#x} | `{f.name}` | {f.how} | {f.words} |" for f in FEATURES if f.set == name]
        lines.append("")
    lines.append("Block sizes of 1, 2, 4, 8, 16, 32 and 64 KiB are read, whatever the host's page size is.")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(ext4_features(), end="")
