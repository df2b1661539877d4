"""A real browser and a real JupyterLab, for the checks of this folder.

They are run by name, `pytest tests/browser/lab_check.py`: they need Chromium (VFSLAB_CHROMIUM says where), the
Python package playwright and minutes. Screenshots are left in build/screens, to be looked at.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SCREENS = TOP / "build" / "screens"
# A browser that stays at home: without these it looks up its maker's hosts at each start.
AT_HOME = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
SETTINGS = {
    # every cell is in the page from the start, so that a check sees all of them
    "notebook-extension/tracker.jupyterlab-settings": '{"windowingMode": "none"}',
    "docmanager-extension/plugin.jupyterlab-settings": '{"autosave": false}',
}


@pytest.fixture(scope="session")
def chromium():
    """Give a browser; skip where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
    program = os.environ.get("VFSLAB_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("needs the program chromium, which is not installed")
    SCREENS.mkdir(parents=True, exist_ok=True)
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=program, args=AT_HOME)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """Give a page that remembers what went wrong on it: page.faults, and every request that left this machine."""
    context = chromium.new_context(viewport={"width": 1280, "height": 1000})
    opened = context.new_page()
    opened.faults, opened.abroad = [], []
    opened.on("console", lambda message: opened.faults.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: opened.faults.append(str(error)))
    opened.on("request", lambda request: opened.abroad.append(request.url) if leaves(request.url) else None)
    yield opened
    context.close()


def leaves(url):
    """True if a request goes to another machine."""
    return re.match(r"(https?|wss?)://(?!127\.0\.0\.1|localhost)", url) is not None


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    """Start JupyterLab on a copy of the book; give its address and the copy's folder."""
    root = tmp_path_factory.mktemp("lab")
    shutil.copytree(TOP / "book", root / "book", ignore=shutil.ignore_patterns(".ipynb_checkpoints"))
    settings = root / "settings"
    for name, text in SETTINGS.items():
        path = settings / "@jupyterlab" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}", "--ip=127.0.0.1", "--allow-root"]
    line += [f"--ServerApp.root_dir={root}", "--IdentityProvider.token=", "--LabApp.news_url=None"]
    line += [
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
        f"--LabApp.user_settings_dir={settings}",
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    shown = os.pathsep.join([str(TOP / "vfslab" / "data" / "jupyter"), os.environ.get("JUPYTER_CONFIG_PATH", "")])
    environment = dict(os.environ, PATH=path, JUPYTER_PREFER_ENV_PATH="1", JUPYTER_CONFIG_PATH=shown.strip(os.pathsep))
    environment.pop("PYTEST_VERSION", None)  # a reader sits in front of it: predictions ask, and lock their answers
    with open(root / "lab.log", "w") as log:
        server = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_for(f"http://127.0.0.1:{port}/api", server, root / "lab.log")
        yield f"http://127.0.0.1:{port}", root
    finally:
        server.terminate()
        server.wait(20)


def wait_for(url, server, log):
    """Return when a server answers; fail with its log if it ends or takes more than a minute."""
    for _ in range(120):
        if server.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    pytest.fail("JupyterLab does not answer:\n" + log.read_text()[-2000:])
