"""The faces of a film: live in a notebook, static in a book, as text everywhere; and what a saved notebook keeps of it."""

import json
import re

import pytest

import vfslab
from vfslab.teach.notebook import draw, trace
from vfslab.viz import views, widget
from vfslab.viz.film import KEY_FRAMES
from vfslab.viz.widget import LONGEST_TWIN, Face

LIVE = "application/vnd.jupyter.widget-view+json"


@pytest.fixture
def timeline():
    with vfslab.boot() as kernel:
        kernel.attach("vda", vfslab.deck_image(), read_only=True)
        p = kernel.process()
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        yield trace(p.stat, "/mnt/a123/b456/test.c", view=views.PATH_WALK)


# --- static -------------------------------------------------------------------------------------------


def test_a_static_stepper_has_at_most_24_pictures_and_no_script(timeline):
    html = timeline.static_html()
    panes = html.count('class="vfslab-pane"')
    assert len(timeline) > KEY_FRAMES == 24 == panes == html.count('type="radio"') == html.count('role="img"')
    assert not re.search(r"<script|javascript:|\son\w+=|https?://(?!www\.w3\.org/2000/svg)", html)
    assert html.count("<desc>") == panes and html.count("<details>") == panes, "alternative text and a twin for each"
    steps = timeline.key_frames()
    assert steps[0] == 0 and steps[-1] == len(timeline) - 1 and steps == sorted(set(steps))
    assert set(steps) >= set(timeline.when("nd.path")), "no step of the walk is left out"


def test_two_steppers_on_one_page_do_not_share_names(timeline):
    with vfslab.boot() as kernel:
        other = trace(kernel.process().stat, "/")
    names = [set(re.findall(r' id="([^"]+)"', film.static_html())) for film in (timeline, other)]
    assert all(names) and not names[0] & names[1]
    for film in (timeline, other):
        html = film.static_html()
        assert set(re.findall(r'href="#([^"]+)"', html)) <= set(re.findall(r' id="([^"]+)"', html))
        assert len(re.findall(r' id="([^"]+)"', html)) == len(set(re.findall(r' id="([^"]+)"', html)))


def test_hostile_names_cannot_break_out_of_any_face():
    with vfslab.boot() as kernel:
        p = kernel.process()
        p.mkdir("/<script>alert(1)<'\"&]]>\x1b\u202e")
        t = trace(p.stat, "/<script>alert(1)<'\"&]]>\x1b\u202e", view=views.PATH_WALK)
        bodies = [t.static_html(), t._saved(), t.payload()["svg"]]
    assert t.result is not None
    for body in bodies:
        assert "<script" not in body and "\x1b" not in body
    assert "&lt;script&gt;" in bodies[0]


@pytest.mark.parametrize("value, static", [("1", True), ("0", False), ("", False)])
def test_vfslab_static_chooses_the_face(timeline, monkeypatch, value, static):
    pytest.importorskip("anywidget")
    monkeypatch.setenv("VFSLAB_STATIC", value)
    bundle = timeline._repr_mimebundle_()
    assert ("text/html" in bundle, LIVE in bundle) == (static, not static)
    assert bundle["text/plain"].startswith("stat('/mnt/a123/b456/test.c'): ")


def test_without_widgets_there_is_a_picture_all_the_same(timeline, monkeypatch):
    monkeypatch.setattr(widget, "_widget_class", lambda: None)
    assert timeline.widget is None
    bundle = timeline._repr_mimebundle_()
    assert "vfslab-pane" in bundle["text/html"] and LIVE not in bundle
    timeline.step = 3  # nobody to tell, and no error


def test_the_text_twin_holds_calls_and_objects_and_stays_short(timeline):
    twin = timeline.twin()
    assert len(twin) <= LONGEST_TWIN + 100 and "link_path_walk(" in twin and "Dentry#1 /" in twin
    small = draw(timeline.kernel.init_task, view=views.FILES)
    assert str(small) == small.text() and "TaskStruct#1" in small.twin()


# --- live ---------------------------------------------------------------------------------------------


class Recorder:
    """Stands for the widget: keeps what is sent."""

    def __init__(self):
        self.sent = []

    def send(self, content, buffers=()):
        self.sent.append((content, [json.loads(bytes(b)) for b in buffers]))


def ask(face, number, what, **values):
    face._widget, face._lock = Recorder(), __import__("threading").Lock()
    face._answer({"id": number, "what": what, "values": values})
    ((content, bodies),) = face._widget.sent
    assert content["id"] == number
    return content.get("error"), bodies[0] if bodies else None


def test_questions_of_the_browser_are_answered_by_number(timeline):
    error, script = ask(timeline, 1, "script")
    assert error is None and "export function render" in script["js"] and "--fill-dentry" in script["css"]
    _, told = ask(timeline, 2, "payload")
    assert len(told["steps"]) == len(timeline) and told["calls"][0]["function"].startswith("sys_")
    assert ask(timeline, 3, "step", step=5) == (None, 5) and timeline.step == 5
    assert ask(timeline, 4, "text", step=0)[1] == timeline.text(0)


def test_a_question_that_makes_no_sense_is_a_line_for_the_reader_and_no_traceback(timeline):
    error, body = ask(timeline, 9, "banana")
    assert body is None and error == "ValueError: unknown question 'banana'"
    assert "not in sight" in ask(timeline, 10, "details", step=0, key="Dentry#99999")[0]


def test_setting_the_step_tells_the_live_views(timeline):
    timeline._widget = Recorder()
    timeline.step = 7
    assert timeline._widget.sent == [({"push": {"step": 7}}, [])]


def test_what_is_saved_of_a_widget_is_small():
    pytest.importorskip("anywidget")

    class Tiny(Face):
        script = "timeline.js"

        def payload(self):
            return "x" * 10**6

    state = Tiny().widget.get_state()
    assert len(json.dumps(state)) < 8000 and len(widget._file("timeline.js")) > 10000


SCENE = """
import vfslab
from vfslab import trace
from vfslab.viz.views import PATH_WALK
k = vfslab.boot(); k.attach("vda", vfslab.deck_image(), read_only=True)
p = k.process(); p.mkdir("/mnt"); p.mount("/dev/vda", "/mnt", "ext4", "ro")
"""


def executed(monkeypatch, static):
    """Run a notebook that shows five timelines; return it as it would be saved, widget state included."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("anywidget")
    monkeypatch.setenv("VFSLAB_STATIC", static)
    show = 't = trace(p.stat, "/mnt/a123/b456/test.c", view=PATH_WALK)\nt'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in [SCENE, *[show] * 5]])
    nbclient.NotebookClient(notebook, timeout=60, kernel_name="python3", store_widget_state=True).execute()
    return notebook


def test_a_notebook_saved_with_five_timelines_stays_under_200_kB_and_keeps_their_twins(monkeypatch):
    notebook = executed(monkeypatch, "")
    assert len(json.dumps(notebook)) < 200_000
    assert len(notebook.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"]) >= 5
    for cell in notebook.cells[1:]:
        live, twin = cell.outputs
        assert list(live.data) == [LIVE]
        assert "link_path_walk" in twin.data["text/plain"] and "vfslab-saved" in twin.data["text/html"]
        assert "<svg" not in twin.data["text/html"]


def test_a_notebook_built_for_a_book_holds_steppers_and_no_widget(monkeypatch):
    notebook = executed(monkeypatch, "1")
    assert "widgets" not in notebook.metadata or not notebook.metadata.widgets
    for cell in notebook.cells[1:]:
        (output,) = cell.outputs
        assert LIVE not in output.data and output.data["text/html"].count('type="radio"') == 24
