"""What a chapter asks of its reader, beside predictions: why, review, check.

    why(question)                a box for the reader's own words, to be compared with a model answer
    review("03")                 the chapter's review cards, shuffled, one at a time; several chapters at once
    check("my cat", ("an empty file", lambda: cat("/e") == b"", "what does an empty list of runs give?"), ...)

Questions, review cards and model answers are Markdown in the notebook: <details> with the question as its <summary>.
So they open by mouse and keyboard in every front end and on the pages of the book, with no script; review() takes
the cards from there. Boxes are ipywidgets where there are any; elsewhere a question is printed, and
on the pages of the book (VFSLAB_STATIC=1) a model answer folds open.

Left out: marks and scores; the labs have them.
"""

from __future__ import annotations

import html
import json
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from vfslab.teach.predict import automatic

CARD = re.compile(r"<details>\s*<summary>(.*?)</summary>(.*?)</details>", re.S)
CARDS_TAG = "review-cards"
WHY = "<strong>Why?</strong> "
BOOK = Path(__file__).parents[2] / "book"  # of the checkout, if the package lies in one


def widgets() -> Any:
    """Return ipywidgets, or None where no widget can be shown or answered."""
    if automatic():
        return None
    try:
        import ipywidgets
        from IPython.core.getipython import get_ipython
    except ImportError:
        return None
    return ipywidgets if getattr(get_ipython(), "kernel", None) else None


def ask(question: str, choices: Sequence[Any], answer: Callable[[Any], None], before: Any = None) -> bool:
    """Show a field (or choices) that hands each answer to `answer`; False if there are no widgets here."""
    w = widgets()
    if w is None:
        return False
    from IPython.display import display

    wide = w.Layout(width="auto", max_width="40em")
    field: Any
    if choices:
        field = w.RadioButtons(options=[(str(choice), choice) for choice in choices], value=None, layout=wide)
        field.value = before if before in choices else None
    else:
        text = "" if before is None else str(before)
        field = w.Text(value=text, placeholder="your guess, then Enter", continuous_update=False, layout=wide)
    said = w.Output()

    def told(change: Any) -> None:
        said.clear_output()
        if change["new"] not in (None, ""):
            with said:
                answer(change["new"])

    field.observe(told, "value")
    display(w.VBox([w.HTML(f"<strong>{inline(question)}?</strong>"), field, said]))
    return True


def why(question: str, model: str = "") -> Any:
    """Ask for the reader's own words and then show a model answer beside them.

    Without one the chapter has it below, in <details>, where it is not seen before its time as it is in the cell's code.
    """
    w = widgets()
    if w is None:
        return Folds([(question, model or "Write two sentences down; then open the model answer below.")], WHY)
    box = w.Textarea(placeholder="two or three sentences of your own", layout=w.Layout(width="100%", height="6em"))
    button = w.Button(description="Compare", tooltip="compare with a model answer")
    said = w.HTML()
    answer = f"<strong>A model answer.</strong> {inline(model)}" if model else "Now open the model answer below."

    def compare(_: Any) -> None:
        enough = len(box.value.split()) >= 3
        said.value = answer if enough else "<em>First your own words: a sentence will do.</em>"

    button.on_click(compare)
    return w.VBox([w.HTML(WHY + inline(question)), box, button, said])


class Folds:
    """Questions whose answers fold open without a script; as text, the questions first and the answers below."""

    def __init__(self, pairs: list[tuple[str, str]], prefix: str = ""):
        self.pairs, self.prefix = pairs, prefix

    def _repr_html_(self) -> str:
        folds = (f"<summary>{self.prefix}{inline(asked)}</summary>{inline(said)}" for asked, said in self.pairs)
        return "".join(f"<details>{fold}</details>" for fold in folds)

    def __repr__(self) -> str:
        asked = [f"{number}. {plain(pair[0])}" for number, pair in enumerate(self.pairs, 1)]
        said = [f"{number}. {plain(pair[1])}" for number, pair in enumerate(self.pairs, 1)]
        return "\n".join([*asked, "", "Answers", *said])


def inline(text: str) -> str:
    """Return Markdown of the simplest kind as HTML: `code`, *stress* and paragraphs; HTML in it stays."""
    text = re.sub(r"`([^`]+)`", lambda found: f"<code>{html.escape(found[1], quote=False)}</code>", text.strip())
    text = re.sub(r"(?<![\w*])\*([^*\n]+)\*(?![\w*])", r"<em>\1</em>", text)
    return re.sub(r"\n\s*\n", "<br><br>", text)


# --- review ----------------------------------------------------------------------------------------


def cards(chapter: str, folder: str | Path = ".") -> list[tuple[str, str]]:
    """Return (question, answer) of a chapter's review cards; OSError if the notebook is neither here nor in the book.

    chapter is its number, "03", or the name of its file.
    """
    pattern = chapter if chapter.endswith(".ipynb") else f"{chapter}_*.ipynb"
    path = next((path for place in (Path(folder), BOOK) for path in sorted(place.glob(pattern))), None)
    if path is None:
        raise FileNotFoundError(2, "there is no notebook of this chapter", chapter)
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    sources = ["".join(cell["source"]) for cell in cells if CARDS_TAG in cell["metadata"].get("tags", ())]
    return [(question.strip(), answer.strip()) for text in sources for question, answer in CARD.findall(text)]


def review(*chapters: str, folder: str | Path = ".", seed: int | None = None) -> Any:
    """Return the cards of some chapters in a shuffled order, one at a time where there are widgets, else all."""
    pile = [card for chapter in chapters for card in cards(chapter, folder)]
    random.Random(seed).shuffle(pile)
    w = widgets()
    return deck(w, pile) if w and pile else Folds(pile)


def deck(w: Any, pile: list[tuple[str, str]]) -> Any:
    """Return a widget: a card, its answer, and whether it was known; those that were not come again at the end."""
    front, back = w.HTML(), w.HTML()
    show, known, again = (w.Button(description=text) for text in ("Show the answer", "I knew it", "Ask me again"))

    def turn(_: Any = None) -> None:
        back.value = inline(pile[0][1])
        show.disabled, known.disabled, again.disabled = True, False, False

    def next_card(keep: bool) -> None:
        card = pile.pop(0)
        if keep:
            pile.append(card)
        deal()

    def deal() -> None:
        back.value, show.disabled, known.disabled, again.disabled = "", not pile, True, True
        front.value = f"<strong>{len(pile)} to go.</strong> {inline(pile[0][0])}" if pile else "<strong>Done.</strong>"

    show.on_click(turn)
    known.on_click(lambda _: next_card(False))
    again.on_click(lambda _: next_card(True))
    deal()
    return w.VBox([front, w.HBox([show, known, again]), back])


def plain(text: str) -> str:
    """Return a card's text without its tags, in one line."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split())


# --- checking one's own work ---------------------------------------------------------------------------


def check(title: str, *claims: tuple[str, Callable[[], Any], str]) -> bool:
    """Try (what must hold, a test, a hint) one after the other, print a line each; True if all hold.

    What is still to be written raises NotImplementedError and counts as nothing done, not as a mistake.
    """
    passed = 0
    for text, test, hint in claims:
        try:
            held, why_not = bool(test()), ""
        except NotImplementedError as reminder:
            print(f"{title}: {reminder or 'your turn'}")
            return False
        except Exception as error:
            held, why_not = False, f" It raised {type(error).__name__}: {error}."
        passed += held
        print(f"  right    {text}" if held else f"  not yet  {text}.{why_not} Hint: {hint}")
    print(f"{title}: {passed} of {len(claims)}" + (", all right" if passed == len(claims) else ""))
    return passed == len(claims)
