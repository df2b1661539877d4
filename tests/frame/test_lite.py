"""The offline edition: what its lock lists, what its notebooks ask for, and how the book's pages lead to it."""

import json
import zipfile
from pathlib import Path

import pytest

from vfslab.tools import fetch, lite
from vfslab.tools.image import ImageError
from vfslab.viz import browser, render

TOP = Path(__file__).parents[2]


def test_the_closure_follows_needs_however_their_names_are_spelled():
    listed = {
        "a": {"depends": ["b_c"]},
        "b-c": {"depends": ["D"]},
        "d": {"depends": ["a"]},
        "other": {"depends": []},
    }
    assert lite.closure(["a", "not-listed"], listed) == ["a", "b-c", "d"]


def test_a_wheel_in_the_cache_is_found_however_its_file_spells_the_name(tmp_path, monkeypatch):
    monkeypatch.setenv("VFSLAB_CACHE", str(tmp_path))
    monkeypatch.setattr(fetch, "run", lambda *line: pytest.fail("nothing is to be fetched"))
    (tmp_path / "wheels").mkdir()
    kept = tmp_path / "wheels" / "typing_extensions-4.15.0-py3-none-any.whl"
    kept.touch()
    (tmp_path / "wheels" / "typing-4.15.0-py3-none-any.whl").touch()
    assert fetch.wheel("Typing.Extensions", "4.15.0") == kept


def test_a_registry_that_does_not_answer_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setenv("VFSLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ImageError, match="^npm is not installed, and fetches pyodide; "):
        fetch.npm("pyodide", "0", "pyodide.mjs")
    program = tmp_path / "npm"
    program.write_text("#!/bin/sh\necho npm error network: no answer\necho npm error a log is kept\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(ImageError, match="^npm could not fetch pyodide: npm error [^\n]*$"):
        fetch.npm("pyodide", "0", "pyodide.mjs")


def test_the_lock_says_of_a_wheel_what_a_browser_checks(tmp_path):
    file = tmp_path / "comm-0.2.3-py3-none-any.whl"
    file.write_bytes(b"abc")
    said = lite.entry("comm", file, ("traitlets",), ["comm"])
    assert (said["version"], said["file_name"], said["depends"]) == ("0.2.3", file.name, ["traitlets"])
    assert said["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_all_that_the_kernel_loads_at_its_start_is_in_the_lock():
    settings = json.loads((lite.SETTINGS / "jupyter-lite.json").read_text())["jupyter-config-data"]
    kernel = settings["litePluginSettings"]["@jupyterlite/pyodide-kernel-extension:kernel"]
    assert set(kernel["loadPyodideOptions"]["packages"]) <= {*lite.FROM_LOCK, *lite.OURS}
    assert kernel["disablePyPIFallback"] is True


def test_the_runtime_is_the_one_that_the_tests_run_vfslab_under():
    from tests.pyodide.test_pyodide import VERSION

    assert lite.PYODIDE == VERSION


def test_a_staged_notebook_differs_in_its_kernel_alone(tmp_path):
    lite.put_notebooks(tmp_path / "book")
    names = {path.name for path in (TOP / "book").iterdir() if path.suffix in (".ipynb", ".md")}
    assert {path.name for path in (tmp_path / "book").iterdir()} == names and "index.ipynb" in names
    for path in (tmp_path / "book").glob("*.ipynb"):
        staged, ours = json.loads(path.read_text()), json.loads((TOP / "book" / path.name).read_text())
        assert staged["metadata"].pop("kernelspec")["name"] == "python"
        ours["metadata"].pop("kernelspec")
        assert staged == ours


def test_a_page_gets_one_button_however_often_the_edition_is_built():
    page = f"<html>{lite.PLACE}<button>x</button></div></html>"
    once = lite.with_button(page, "book/01.ipynb")
    assert 'href="../lite/lab/index.html?path=book/01.ipynb"' in once
    assert lite.with_button(once, "book/01.ipynb") == once
    assert once.count("<a ") == 1 and once.endswith("<button>x</button></div></html>")


def test_our_wheel_carries_the_engine_that_draws(tmp_path, monkeypatch):
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist" / browser.SCRIPT).write_text("engine")
    monkeypatch.setattr(lite, "npm", lambda *_: tmp_path)
    monkeypatch.setattr(lite, "run", lambda *_: zipfile.ZipFile(tmp_path / "vfslab-1-py3-none-any.whl", "w").close())
    with zipfile.ZipFile(lite.own_wheel(tmp_path)) as made:
        assert made.read(f"vfslab/viz/js/{browser.SCRIPT}") == b"engine"


def test_a_browser_that_cannot_wait_says_to_run_the_cell_again(monkeypatch):
    for name in ("_pygraphviz", "_program"):
        monkeypatch.setattr(render, name, lambda dot, form: None)
    with pytest.raises(render.NoEngine, match="pip install pygraphviz"):
        render.layout("digraph g {}", "svg")
    monkeypatch.setattr(browser, "begin", lambda: "a promise")
    monkeypatch.setattr(browser, "layout", lambda dot, form: None)
    with pytest.raises(render.NoEngine, match="run the cell again"):
        render.layout("digraph g {}", "svg")
