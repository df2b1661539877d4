"""%%kernel in a notebook: what its reader sees, cell by cell. Each test gives cells to one real IPython kernel."""

import re

import pytest

jupyter_client = pytest.importorskip("jupyter_client")

WALK = "%%kernel fs/namei.py step=1\ndef may_lookup(nd: Nameidata) -> None:\n    return helper(nd)\n\n\n"


@pytest.fixture(scope="module")
def shell():
    manager, client = jupyter_client.manager.start_new_kernel(kernel_name="python3")
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


@pytest.fixture
def cell(shell):
    """Return run(source): what a cell shows, as text, with errors as their tracebacks; run.status is the reply's."""

    def run(source):
        shown = []

        def output(message):
            content, kind = message["content"], message["msg_type"]
            if kind == "error":
                shown.append("\n".join(content["traceback"]))
            elif kind == "stream":
                shown.append(content["text"])
            elif kind in ("display_data", "execute_result"):
                run.html = content["data"].get("text/html", "")
                shown.append(content["data"]["text/plain"] + "\n")

        reply = shell.execute_interactive(source, output_hook=output, timeout=60)
        run.status = reply["content"]["status"]
        return re.sub(r"\x1b\[[0-9;]*m", "", "".join(shown))

    run("%load_ext vfslab\nimport vfslab\nfrom vfslab import boot, revert, source")
    run("k = boot(stub='fs/namei.py:may_lookup')\np = k.process()\np.mkdir('/closed', 0o700)")
    assert run.status == "ok"
    yield run
    run("k.shutdown()")
    assert run.status == "ok"


def test_a_banner_says_that_patched_code_runs(cell):
    assert "fs/namei.py: may_lookup (ENOSYS)" in cell("k = boot(stub='fs/namei.py:may_lookup')")
    assert "patched code" in cell.html and 'role="note"' in cell.html
    shown = cell(WALK + "def helper(nd):\n    inode_permission(nd.inode, MAY_EXEC)")
    assert "may_lookup (step 1)" in shown and "ENOSYS" not in shown
    assert "patched code (fs/namei.py)" in cell("k")
    assert "package's own code runs again: fs/namei.py" in cell("revert()")
    assert cell("revert()") == "" and "patched" not in cell("k")


def test_the_cell_runs_in_the_kernel_until_it_is_reverted(cell):
    shown = cell("p.stat('/closed/in')")
    assert "Function not implemented" in shown and cell.status == "error"
    assert "(may_lookup() of fs/namei.py is a stub: a %%kernel cell brings it)" in shown
    cell("%%kernel fs/namei.py\ndef may_lookup(nd: Nameidata) -> None:\n    raise ELOOP(nd.last)")
    assert "Too many levels" in cell("p.stat('/closed/in')")
    cell("revert()")
    assert "No such file" in cell("p.stat('/closed/in')")


def test_an_error_in_a_cell_shows_the_readers_lines_by_their_numbers(cell):
    cell(WALK + "def helper(nd):\n    return nd.nothing")
    shown = cell("p.stat('/closed/in')")
    assert cell.status == "error"
    assert "----> 3     return helper(nd)" in shown and "----> 7     return nd.nothing" in shown
    assert "AttributeError" in shown and "frames of vfslab's own code left out" in shown
    assert "path_lookupat" not in shown and "syscall" not in shown
    assert re.search(r"namei\.py \(In\[\d+\]\):7, in helper", shown)


def test_the_answer_of_a_system_call_is_shown_at_the_readers_line_only(cell):
    shown = cell("p.stat('/nothing')")
    assert "No such file or directory: '/nothing'" in shown and "raise_error" not in shown


@pytest.mark.parametrize(
    "source, line",
    [
        ("%%kernel fs/nami.py\npass", "NoSource: there is no kernel file 'fs/nami.py': did you mean fs/namei.py"),
        ("%%kernel fs/namei.py\nSTEP_MASK = 1", "LivePatchError: line 2: the value STEP_MASK"),
        ("%%kernel\npass", "LivePatchError: what is ''? Write %%kernel FILE [step=N]"),
        ("%%kernel fs/namei.py 3\npass", "LivePatchError: what is 'fs/namei.py 3'? Write"),
        ("boot()", "LivePatchError: a kernel with patched code runs (fs/namei.py)"),
    ],
)
def test_what_is_refused_is_one_line(cell, source, line):
    shown = cell(source)
    assert shown.startswith(line) and "\n" not in shown.strip() and cell.status == "error"


def test_a_syntax_error_looks_as_in_any_cell(cell):
    shown = cell("%%kernel fs/namei.py\ndef may_lookup(nd):\n    x = (\n")
    assert cell.status == "error"
    assert ":3\n    x = (\n        ^\n" in shown and "SyntaxError" in shown and "compile" not in shown


def test_a_boot_cell_may_be_run_again(cell):
    assert "ENOSYS" in cell("k = boot(stub='fs/namei.py:may_lookup')")
    assert "ENOSYS" in cell("k = boot(stub='fs/namei.py:may_lookup')")
    assert cell.status == "ok"
    cell("p = k.process()")


def test_without_a_patch_tracebacks_are_ipythons_own(cell):
    cell("revert()")
    assert "raise_error" in cell("p.stat('/nothing')")
    assert "----> 1 1 / 0" in cell("1 / 0")


def test_source_is_shown_with_its_linux_counterpart(cell):
    shown = cell("source('may_lookup')")
    assert "In Linux: fs/namei.c" in shown and "patched at the moment" in shown
