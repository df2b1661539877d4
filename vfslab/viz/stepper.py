"""A film without script and kernel: radio buttons that show one picture each, for the book, a PDF, an exported page.

Each key frame is a picture of its own, drawn at the places that all share. CSS shows the one
whose button is chosen; the arrow keys move between the buttons, as they do for any radio group.
On paper all key frames follow each other.
"""

from __future__ import annotations

import hashlib
from html import escape
from typing import TYPE_CHECKING

from vfslab.viz.svg import parts, picture
from vfslab.viz.widget import style

if TYPE_CHECKING:
    from vfslab.viz.film import Film


def stepper(film: Film) -> str:
    """Return a film as HTML without script: at most 24 key frames."""
    if not len(film):
        return f'<div class="vfslab-face"><pre>{escape(str(film))}</pre></div>'
    frames = film.key_frames()
    group = "v" + hashlib.sha256(repr((film.label, frames, film.note(frames[-1]))).encode()).hexdigest()[:12]
    store = Store(group)
    inputs, panes, rules = [], [], []
    for place, number in enumerate(frames):
        name = f"{group}-{place}"
        checked = " checked" if place == 0 else ""
        inputs.append(
            f'<input type="radio" name="{group}" id="{name}" aria-label="Step {number + 1}: {escape(film.note(number))}"{checked}>'
            f'<label for="{name}" title="{escape(film.note(number))}">{number + 1}</label>'
        )
        panes.append(pane(film, number, store))
        rules.append(f"#{name}:checked~.vfslab-panes>:nth-child({place + 1}){{display:block}}")
    more = "" if len(frames) == len(film) else f" ({len(frames)} of them here; run the notebook for all)"
    return (
        f"<style>{style()}{''.join(rules)}</style>"
        f'<div class="vfslab-face vfslab-static" role="group" aria-label="{escape(film.label)}">'
        f'<p class="vfslab-heading">{escape(film.label)}{more}</p>'
        f'{store.svg()}{"".join(inputs)}<div class="vfslab-panes">{"".join(panes)}</div></div>'
    )


class Store:
    """Parts of pictures, each kept once however many pictures show it."""

    def __init__(self, group: str) -> None:
        self.group = group
        self.names: dict[str, str] = {}

    def use(self, part: str) -> str:
        """Return the element that stands for a part."""
        name = self.names.setdefault(part, f"{self.group}p{len(self.names)}")
        return f'<use href="#{name}"/>'

    def svg(self) -> str:
        """Return all parts, invisible themselves."""
        kept = "".join(f'<g id="{name}">{part}</g>' for part, name in self.names.items())
        return f'<svg class="v-picture vfslab-store" width="0" height="0" aria-hidden="true"><defs>{kept}</defs></svg>'


def pane(film: Film, number: int, store: Store) -> str:
    """Return one key frame: its sentence, its picture, its text twin."""
    union = film.union
    graph = film.graph(number)
    body = map(store.use, parts(union, union.state(number), frozenset(union.marks[number])))
    svg = picture(union, body, graph.title, graph.description())
    return (
        f'<div class="vfslab-pane"><p class="vfslab-note">Step {number + 1} of {len(film)}: {escape(film.note(number))}</p>'
        f'<div class="vfslab-scroll">{svg}</div>'
        f"<details><summary>As text</summary><pre>{escape(film.text(number))}</pre></details></div>"
    )
