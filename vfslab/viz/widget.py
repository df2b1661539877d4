"""What a notebook shows: one Python object with three faces, live, static and as text.

    class Timeline(Face):
        script = "timeline.js"                       in viz/js/, with `export function render({el, data, ask, ...})`
        def payload(self): ...                       what the script needs to begin with, as JSON
        def answer(self, what, **values): ...        what it asks for later
        def static_html(self): ...                   the same without script and kernel
        def __str__(self): ...                       the text twin

A saved notebook keeps every synced trait of every widget, so nothing heavy is one: the widget
has a few lines of script (BOOT), asks for the rest by message when it is shown, and the page
keeps each script once. With VFSLAB_STATIC=1 in the environment (the book's build) there is no
widget at all, but static_html(). Without ipywidgets, too.

In a notebook two outputs are written: the live view, and behind it the text twin, folded. The
script hides the twin while the view lives. Who opens the notebook without a kernel sees the twin.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import zlib
from functools import cache
from html import escape
from importlib import resources
from typing import Any

from vfslab.viz.colors import GROUPS

# How a page says that it is dark: JupyterLab, the book's theme; a page that says nothing follows the reader's system.
DARK = ('[data-jp-theme-light="false"]', 'html[data-theme="dark"]')
UNTHEMED = "html:not([data-theme]) body:not([data-jp-theme-light])"
LONGEST_TWIN = 6000  # characters of the text twin that are saved with a notebook

# Asks for the script of its kind once per page, then hands the element over to it.
BOOT = """
const shelf = (globalThis.vfslabShelf ??= {});
const blob = (text) => URL.createObjectURL(new Blob([text], {type: "text/javascript"}));
async function load(ask) {
  const {js, css} = await ask("script");
  document.head.append(Object.assign(document.createElement("style"), {textContent: css}));
  return import(blob(js));
}
export default {
  async render({model, el}) {
    let last = 0, alive = true;
    const open = new Map(), pushed = new Set();
    const ask = (what, values = {}) => new Promise((done, failed) => {
      open.set(++last, {done, failed});
      model.send({id: last, what, values});
    });
    const hear = (message, buffers) => {
      if (message.push) return pushed.forEach((f) => f(message.push));
      const waiting = open.get(message.id);
      if (!waiting) return;
      open.delete(message.id);
      if (message.error) waiting.failed(new Error(message.error));
      else waiting.done(JSON.parse(new TextDecoder().decode(buffers[0])));
    };
    model.on("msg:custom", hear);
    // JupyterLab takes keys such as ArrowDown for the notebook unless the focused element itself says no
    el.addEventListener("focusin", (event) => event.target.setAttribute("data-lm-suppress-shortcuts", "true"));
    const note = el.appendChild(document.createElement("pre"));
    note.setAttribute("role", "status");
    note.textContent = model.get("label") + "\\n";
    const late = setTimeout(() => { note.textContent += "Waiting for the kernel. If none is running, run this cell again."; }, 2000);
    let end;
    try {
      const key = model.get("face");
      const script = (shelf[key] ??= load(ask).catch((e) => { delete shelf[key]; throw e; }));
      const [module, data] = await Promise.all([script, ask("payload")]);
      clearTimeout(late);
      note.remove();
      el.closest(".jp-OutputArea-child")?.nextElementSibling?.querySelector(".vfslab-saved")?.setAttribute("hidden", "");
      if (alive) end = module.render({el, data, ask, label: model.get("label"), onPush: (f) => pushed.add(f)});
    } catch (error) {
      clearTimeout(late);
      note.textContent = "vfslab: " + error.message;
    }
    return () => { alive = false; model.off("msg:custom", hear); end?.(); };
  },
};
"""


class Face:
    """Base of all that is shown live. A subclass names its script (of several files: in order) and says what is in it.

    Questions of the browser may be answered on another thread than the notebook's cells run on,
    so payload() and answer() are called one at a time, under a lock of this object's own.
    """

    script: str | tuple[str, ...] = ""
    styles: tuple[str, ...] = ("vfslab.css",)

    # -- what a subclass says ---------------------------------------------------------------

    @property
    def label(self) -> str:
        """One line: what this is. It is the accessible name, too."""
        return type(self).__name__

    def payload(self) -> Any:
        """Return what the script needs to begin with, as JSON can say it."""
        raise NotImplementedError

    def answer(self, what: str, **values: Any) -> Any:
        """Return the answer to a later question, as JSON can say it. ValueError: a question that makes no sense."""
        raise ValueError(f"unknown question {what!r}")

    def static_html(self) -> str:
        """Return the same as HTML without any script."""
        return f"<pre>{escape(str(self))}</pre>"

    # -- what a notebook asks ---------------------------------------------------------------

    @property
    def widget(self) -> Any:
        """The live widget of this object, made when it is first asked for; None where ipywidgets is missing."""
        if "_widget" not in self.__dict__:
            cls = _widget_class()
            self._lock = threading.Lock()
            self._widget = None if cls is None else cls(face=_key(self.script, self.styles), label=self.label)
            if self._widget is not None:
                self._widget.on_msg(lambda widget, content, buffers: self._answer(content))
        return self._widget

    def push(self, **values: Any) -> None:
        """Tell all live views something: what they were given as onPush is called with it."""
        widget = self.__dict__.get("_widget")
        if widget is not None:
            widget.send({"push": values})

    def _answer(self, content: dict[str, Any]) -> None:
        """Answer one question of the browser; an error becomes a line in the widget, not a traceback nobody sees."""
        number, what = content.get("id"), content.get("what")
        try:
            with self._lock:
                if what == "script":
                    told: Any = {"js": script(self.script), "css": style(self.styles)}
                elif what == "payload":
                    told = self.payload()
                else:
                    told = self.answer(str(what), **content.get("values", {}))
            body = json.dumps(told, separators=(",", ":"), ensure_ascii=False).encode()
        except Exception as error:
            self._widget.send({"id": number, "error": f"{type(error).__name__}: {error}"})
        else:
            self._widget.send({"id": number}, [body])

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": self.twin()}
        if wants_static() or self.widget is None:
            bundle["text/html"] = self.static_html()
        else:
            bundle["application/vnd.jupyter.widget-view+json"] = self._view()
        return bundle

    def _view(self) -> dict[str, Any]:
        return {"version_major": 2, "version_minor": 0, "model_id": self.widget.model_id}

    def _ipython_display_(self) -> None:
        """Show the live view, and behind it the folded twin that a saved notebook keeps."""
        from IPython.display import display

        if wants_static() or "ipykernel" not in sys.modules or self.widget is None:
            display(self._repr_mimebundle_(), raw=True)
            return
        display({"application/vnd.jupyter.widget-view+json": self._view()}, raw=True)
        display({"text/html": self._saved(), "text/plain": self.twin()}, raw=True)

    def _saved(self) -> str:
        """Return the folded twin. Its style silences the front end's complaint that a widget has no kernel."""
        return (
            "<style>.jp-OutputArea-child:has(+ .jp-OutputArea-child .vfslab-saved) .jupyter-widgets:not(:has(*))"
            "{font-size:0}</style>"
            f'<details class="vfslab-saved"><summary>{escape(self.label)} (as text; run the cell to use it)</summary>'
            f"<pre>{escape(self.twin())}</pre></details>"
        )

    def twin(self) -> str:
        """Return the text twin, cut to what a saved notebook should carry."""
        text = str(self)
        if len(text) <= LONGEST_TWIN:
            return text
        return text[: text.rindex("\n", 0, LONGEST_TWIN)] + "\n... (cut; print() shows all)\n"


def wants_static() -> bool:
    """True if outputs are to work without script and kernel: VFSLAB_STATIC=1 (the book, nbconvert, a PDF)."""
    return os.environ.get("VFSLAB_STATIC", "") not in ("", "0")


@cache
def _widget_class() -> Any:
    """Return the class of the live widgets, or None where ipywidgets and anywidget are not installed."""
    try:
        import anywidget
        import traitlets
    except ImportError:
        return None

    class FaceWidget(anywidget.AnyWidget):
        """A few lines of script, which script to ask for, and one line of text: all that a notebook saves."""

        _esm = BOOT
        face = traitlets.Unicode("").tag(sync=True)
        label = traitlets.Unicode("").tag(sync=True)

    return FaceWidget


def _file(name: str) -> str:
    """Return a script or a style sheet of viz/js."""
    return (resources.files("vfslab.viz") / "js" / name).read_text(encoding="utf-8")


def style(names: tuple[str, ...] = Face.styles) -> str:
    """Return style sheets, with the colours of the groups of boxes (colors.py); in the dark they are mixed anew."""
    light, dark = [], []
    for name, (fill, rim, _) in GROUPS.items():
        light.append(f"--fill-{name}:{fill};--rim-{name}:{rim}")
        dark.append(f"--fill-{name}:color-mix(in srgb,{rim} 62%,#000);--rim-{name}:color-mix(in srgb,{rim} 55%,#fff)")
    rules = [f".v-{name}{{--fill:var(--fill-{name});--rim:var(--rim-{name})}}" for name in GROUPS]
    rules.append(f".vfslab-face{{{';'.join(light)}}}")
    dark_face = f".vfslab-face{{{';'.join(dark)}}}"
    rules += [f"@media screen{{{theme} {dark_face}}}" for theme in DARK]
    rules.append(f"@media screen and (prefers-color-scheme:dark){{{UNTHEMED} {dark_face}}}")
    return "\n".join([*map(_file, names), *rules])


def script(names: str | tuple[str, ...]) -> str:
    """Return a script of one or several files as one module."""
    return _file(names) if isinstance(names, str) else "\n".join(map(_file, names))


def _key(names: str | tuple[str, ...], styles: tuple[str, ...]) -> str:
    """Return the name under which a page keeps a script: it changes with the content."""
    content = script(names) + style(styles)
    return f"{names if isinstance(names, str) else names[-1]}@{zlib.crc32(content.encode()):08x}"
