"""Live patches: what a cell may change in a running kernel, what it may not, and that nothing of it stays."""

import ast
import contextlib
import errno
import importlib
import inspect
import io
import pdb
import subprocess
import sys
import traceback
from types import FunctionType

import pytest

import vfslab
from vfslab.fs import dcache, namei, permission
from vfslab.init import machine as machines
from vfslab.kernel.sched import cpu
from vfslab.kernel.trace import function_graph
from vfslab.teach import livepatch
from vfslab.teach.cells import LivePatchError
from vfslab.teach.source import NoSource, kernel_files, module_file, package_functions, source, text_of

PATCHABLE = [file for file in kernel_files() if file.split("/")[0] in ("fs", "mm", "block", "drivers")]
WALK = "def may_lookup(nd: Nameidata) -> None:\n    {}\n"


@pytest.fixture
def k():
    with machines.boot() as machine:
        yield machine
    assert not cpu.klp_patches


@pytest.fixture
def disk(k):
    """Return a process of a kernel with the deck's image on /mnt."""
    k.attach("vda", vfslab.deck_image(), read_only=True)
    p = k.process()
    p.mkdir("/mnt")
    p.mount("/dev/vda", "/mnt", "ext4", "ro")
    return p


@pytest.fixture(autouse=True)
def as_it_was():
    """No test leaves a function of the package other than it found it (L3)."""
    before = fingerprint()
    yield
    livepatch.revert()
    assert fingerprint() == before


def module_of(file):
    return importlib.import_module("vfslab." + file.removesuffix(".py").removesuffix("/__init__").replace("/", "."))


MODULES = {file: module_of(file) for file in PATCHABLE}


def fingerprint():
    """Return all that a patch could change: bodies by identity, and the names of each module."""
    found = {}
    for file, module in MODULES.items():
        found[file] = set(vars(module))
        for name, value in vars(module).items():
            function = inspect.unwrap(value) if callable(value) else value
            if isinstance(function, FunctionType):
                body = (
                    id(function.__code__),
                    repr(function.__defaults__),
                    repr(function.__kwdefaults__),
                    function.__doc__,
                )
                found[file, name] = id(function), *body
    return found


def own_text(file):
    """Return the text of a cell with all of a file's own functions."""
    return "\n\n\n".join(text_of(file, node) for node in package_functions(file).values()) + "\n"


def refusal(call, *arguments):
    """Return the line with which a call is refused."""
    with pytest.raises((LivePatchError, NoSource)) as caught:
        call(*arguments)
    line = str(caught.value)
    assert "\n" not in line
    return line


# --- stubs ----------------------------------------------------------------------------------------


def test_a_stub_raises_ENOSYS_for_the_learner_after_boot_has_used_the_function():
    with vfslab.boot(stub="fs/namei.py") as k:
        p = k.process()
        with pytest.raises(OSError) as caught:
            p.stat("/dev")
        assert (caught.value.errno, caught.value.filename) == (errno.ENOSYS, "/dev")
        assert k.dmesg()[-1] == "user_path_at() of fs/namei.py is a stub"
        k.attach("vda", vfslab.deck_image(), read_only=True)
        livepatch.revert()
        assert {"vda", "null"} <= set(p.listdir("/dev"))


def test_stubs_are_named_by_file_by_function_or_by_several():
    with vfslab.boot(stub=["fs/namei.py:step_into, lookup_fast", "fs/ext4/namei.py:ext4_lookup"]) as k:
        wanted = {("fs/namei.py", "step_into"), ("fs/namei.py", "lookup_fast"), ("fs/ext4/namei.py", "ext4_lookup")}
        assert k.patch.names() == wanted
        assert "fs/namei.py" in repr(k) and "patched" in repr(k)
    with vfslab.boot(stub="fs/dcache.py") as k:
        assert k.patch.names() == {("fs/dcache.py", name) for name in package_functions("fs/dcache.py")}


def test_a_wrong_name_in_stub_is_told_with_the_nearest_and_no_kernel_stays():
    before = set(cpu.machines)
    assert "did you mean fs/namei.py" in refusal(vfslab.boot, 1 << 20, "fs/nami.py")
    assert "did you mean step_into" in refusal(vfslab.boot, 1 << 20, "fs/namei.py:stepinto")
    assert "names no function" in refusal(vfslab.boot, 1 << 20, [])
    assert set(cpu.machines) == before and not cpu.klp_patches


def test_a_kernel_full_of_stubs_shuts_down_and_the_next_one_is_whole(disk):
    k = next(iter(cpu.machines))
    livepatch.stub(k, [file for file in PATCHABLE if package_functions(file)])
    k.shutdown()
    assert not k.kernel.running and k.patch is None
    with vfslab.boot() as again:
        assert again.process().listdir("/") == ["dev"]


def test_booting_with_stubs_again_shuts_the_one_before_down():
    first = vfslab.boot(stub="fs/namei.py")
    with vfslab.boot(stub="fs/namei.py:step_into") as second:
        assert not first.kernel.running
        assert second.patch.names() == {("fs/namei.py", "step_into")}


# --- what a cell changes --------------------------------------------------------------------------


def test_a_patch_is_seen_through_operation_tables_and_imports_elsewhere(disk, k):
    livepatch.apply(
        k,
        "fs/ext4/namei.py",
        "from vfslab.kernel.errno import ENXIO\n\n\n"
        "def ext4_lookup(dir: Inode, dentry: Dentry, flags: int) -> Dentry | None:\n    raise ENXIO(dentry.d_name)\n",
    )
    with pytest.raises(OSError) as caught:
        disk.stat("/mnt/a123")
    assert caught.value.errno == errno.ENXIO  # called through i_op
    livepatch.revert()
    assert disk.stat("/mnt/a123")
    assert namei.inode_permission is permission.inode_permission
    livepatch.apply(
        k, "fs/permission.py", "def inode_permission(inode: Inode, mask: int) -> None:\n    raise EACCES(mask)\n"
    )
    with pytest.raises(PermissionError):
        disk.open("/mnt/a123/hello.c", disk.O_RDONLY)  # called by the name that other files import


def test_defaults_keyword_defaults_and_docstring_change_and_come_back(k):
    before = namei.getname.__code__, namei.getname.__doc__
    livepatch.apply(
        k, "fs/namei.py", 'def getname(name: bytes, flags: int = 7) -> Filename:\n    """New."""\n    return flags\n'
    )
    assert (namei.getname(b""), namei.getname.__doc__) == (7, "New.")
    livepatch.apply(k, "fs/namei.py", "def getname(name: bytes, flags: int = 8) -> Filename:\n    return flags\n")
    assert namei.getname(b"") == 8
    livepatch.revert()
    assert namei.getname(b"a").name == b"a"
    assert namei.getname.__code__ is before[0] and namei.getname.__doc__ == before[1]


def test_keyword_defaults_change_and_come_back(k):
    from vfslab.user.ls import ls

    node = package_functions("user/ls.py")["ls"]
    name, old = node.args.kwonlyargs[0].arg, dict(ls.__kwdefaults__)
    text = text_of("user/ls.py", node)
    node = ast.parse(text).body[0]
    node.args.kw_defaults[0] = ast.Constant("new")
    livepatch.apply(k, "user/ls.py", ast.unparse(node))
    assert ls.__kwdefaults__ == old | {name: "new"}
    livepatch.revert()
    assert ls.__kwdefaults__ == old


def test_what_a_chapter_imports_from_vfslab_is_there():
    assert (vfslab.revert, vfslab.source) == (livepatch.revert, source)
    assert {"boot", "draw", "explore", "revert", "source", "trace"} <= set(dir(vfslab))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        vfslab.nothing  # noqa: B018


def test_a_function_that_a_decorator_wraps_can_be_patched(k):
    file, name = next(
        (file, name)
        for file in kernel_files()
        for name, node in package_functions(file).items()
        if [getattr(each, "id", "") for each in node.decorator_list] == ["contextmanager"]
    )
    node = package_functions(file)[name]
    inner = inspect.unwrap(getattr(module_of(file), name))
    before = inner.__code__
    livepatch.apply(k, file, text_of(file, node) + "\n")
    assert inner.__code__ is not before and inner.__code__.co_filename.endswith("(cell 1)")
    bare = "\n".join(line for line in text_of(file, node).splitlines() if not line.startswith("@"))
    assert "decorators" in refusal(livepatch.apply, k, file, bare)
    livepatch.revert()
    assert inner.__code__ is before


def test_helpers_and_imports_are_globals_until_revert(k):
    text = "from vfslab.fs.libfs import simple_statfs as statfs_of\n\n\ndef helper(nd):\n    return nd, statfs_of\n"
    livepatch.apply(k, "fs/namei.py", text)
    assert namei.helper(1)[1] is namei.statfs_of
    assert "helper" in str(k.patch) and "new" in str(k.patch)
    livepatch.apply(k, "fs/namei.py", "def helper(nd, more):\n    return more\n")  # its own parameters are free
    assert namei.helper(1, 2) == 2
    livepatch.revert()
    assert not hasattr(namei, "helper") and not hasattr(namei, "statfs_of")


def test_steps_pile_up_and_the_banner_says_which_is_which(k):
    livepatch.stub(k, "fs/namei.py:may_lookup,step_into,lookup_fast")
    livepatch.apply(k, "fs/namei.py", WALK.format("pass"), step=1)
    patch = livepatch.apply(
        k, "fs/namei.py", text_of("fs/namei.py", package_functions("fs/namei.py")["step_into"]), step=2
    )
    lines = str(patch).splitlines()
    assert "revert()" in lines[0]
    assert set(lines[1:]) == {
        "fs/namei.py: lookup_fast (ENOSYS)",
        "fs/namei.py: may_lookup (step 1)",
        "fs/namei.py: step_into (step 2)",
    }
    assert 'role="note"' in patch._repr_html_() and "may_lookup (step 1)" in patch._repr_html_()


@pytest.mark.parametrize("file", [file for file in PATCHABLE if package_functions(file)])
def test_each_file_can_be_patched_with_itself_and_works_on(disk, k, file):
    patch = livepatch.apply(k, file, own_text(file))
    assert patch.names() == {(file, name) for name in package_functions(file)}
    assert disk.read(disk.open("/mnt/a123/hello.c", disk.O_RDONLY), 10)
    assert disk.listdir("/mnt")


# --- what is refused, with one line, and changes nothing ------------------------------------------

REFUSED = [
    ("class Nameidata:\n    pass\n", "line 1: the class Nameidata"),
    ("def a():\n    pass\n\n\nSTEP_MASK = 3\n", "line 5: the value STEP_MASK"),
    ("print(1)\n", "line 1: `print(1)`"),
    ("async def may_lookup(nd):\n    pass\n", "the coroutine may_lookup"),
    ("def dget(dentry):\n    pass\n", "is imported into fs/namei.py: patch it where it lies, fs/dcache.py"),
    ("def Nameidata(a):\n    pass\n", "Nameidata is imported into fs/namei.py"),
    ("def STEP_MASK():\n    pass\n", "STEP_MASK is no function"),
    ("def may_lookup(nd, flags):\n    pass\n", "may_lookup(nd, flags): its callers in the kernel pass (nd: Nameidata)"),
    ("def may_lookup(*nd):\n    pass\n", "keep these parameters"),
    ("def may_lookup(nd: Nameidata) -> None:\n    yield\n", "does not yield"),
    ("@staticmethod\ndef may_lookup(nd):\n    pass\n", "other decorators than in fs/namei.py (there: none)"),
    ("@staticmethod\ndef helper(nd):\n    pass\n", "helper is new to fs/namei.py"),
    ("from os import path as dget\n", "dget means something else in fs/namei.py"),
]


@pytest.mark.parametrize("text, line", REFUSED)
def test_what_cannot_be_patched_is_one_clear_line_and_changes_nothing(k, text, line):
    before = fingerprint()
    both = text + "\n\n" + WALK.format("pass") if "may_lookup" not in text else text
    assert line in refusal(livepatch.apply, k, "fs/namei.py", both)
    assert fingerprint() == before and k.patch is None


def test_a_closure_cannot_be_patched(k):
    def factory():
        held = 1
        return lambda nd: held

    namei.made = factory()
    namei.made.__module__ = namei.__name__
    try:
        assert "closure" in refusal(livepatch.apply, k, "fs/namei.py", "def made(nd):\n    pass\n")
    finally:
        del namei.made


def test_a_syntax_error_names_the_line_of_the_cell_and_changes_nothing(k):
    with pytest.raises(SyntaxError) as caught:
        livepatch.apply(k, "fs/namei.py", "def may_lookup(nd):\n    x = (\n")
    assert caught.value.lineno == 2 and "(cell 1)" in caught.value.filename
    assert k.patch is None


def test_two_kernels_are_refused_in_either_order(k):
    with machines.boot() as other:
        assert "2 kernels would run patched code" in refusal(livepatch.apply, k, "fs/namei.py", WALK.format("pass"))
        assert "2 kernels would run patched code" in refusal(livepatch.apply, None, "fs/namei.py", WALK.format("pass"))
        assert "3 kernels would run patched code" in refusal(vfslab.boot, 1 << 20, "fs/namei.py")
        assert len(livepatch.running()) == 2
        assert other.kernel.running and k.kernel.running
    livepatch.apply(None, "fs/namei.py", WALK.format("pass"))
    assert "call shutdown() of the first, or revert()" in refusal(vfslab.boot)
    livepatch.revert()
    vfslab.boot().shutdown()


LOST = """
import vfslab
from vfslab.teach import livepatch
vfslab.boot().process()
k = vfslab.boot()
print(livepatch.apply(k, "fs/namei.py", "def may_lookup(nd): pass").machine is k)
"""


def test_a_kernel_nobody_holds_is_no_second_kernel():
    # in a process of its own, for the checks after each test hold every kernel that it boots
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_without_a_kernel_there_is_nothing_to_patch(k):
    k.shutdown()
    assert "boot one first" in refusal(livepatch.apply, None, "fs/namei.py", "")
    assert "was shut down" in refusal(livepatch.apply, k, "fs/namei.py", "")


def test_a_kernel_beside_runs_the_packages_code_while_another_is_patched(k):
    p = k.process()
    livepatch.apply(k, "fs/namei.py", WALK.format("raise ENOTDIR(nd.last)"))
    with livepatch.aside(), machines.boot() as short:
        assert short.process().listdir("/") == ["dev"]
    with livepatch.aside():
        beside = machines.boot()
    q = beside.process()
    q.mkdir("/closed", 0o700)
    q.mkdir("/closed/in")  # may_lookup runs: not anybody may search this one
    assert q.listdir("/closed") == ["in"]
    p.mkdir("/closed", 0o700)
    with pytest.raises(NotADirectoryError):
        p.stat("/closed/in")
    livepatch.apply(k, "fs/namei.py", WALK.format("raise EACCES(nd.last)"))  # it does not count as a second kernel
    with pytest.raises(PermissionError):
        p.stat("/closed/in")
    beside.shutdown()


# --- what tools see -------------------------------------------------------------------------------

BROKEN = "def may_lookup(nd: Nameidata) -> None:\n    return helper(nd)\n\n\ndef helper(nd):\n    return nd.nothing\n"


@pytest.fixture
def closed(k):
    """Return a process, and a path whose walk comes through may_lookup."""
    p = k.process()
    p.mkdir("/closed", 0o700)
    return p, "/closed/in"


def test_the_tracer_sees_a_patched_function_under_its_file(k, closed):
    p, path = closed
    livepatch.apply(
        k, "fs/namei.py", "def may_lookup(nd: Nameidata) -> None:\n    helper(nd)\n\n\ndef helper(nd):\n    pass\n"
    )
    with function_graph(k.kernel) as trace, pytest.raises(FileNotFoundError):
        p.stat(path)
    (call,) = trace.find("may_lookup")[:1]
    (helper,) = call.children
    assert (call.where, call.layer, call.line) == ("fs/namei.py", "fs", 1)
    assert (helper.function, helper.where, list(helper.args)) == ("helper", "fs/namei.py", ["nd"])


def test_inspect_and_tracebacks_show_the_lines_of_the_cell(k, closed):
    p, path = closed
    livepatch.apply(k, "fs/namei.py", BROKEN, place="In[7]")
    assert inspect.getsource(namei.may_lookup) == "".join(BROKEN.splitlines(keepends=True)[:2])
    with pytest.raises(AttributeError) as caught:
        p.stat(path)
    text = "".join(traceback.format_exception(caught.value))
    assert "fs/namei.py (In[7])" in text and "    return nd.nothing\n" in text


def test_a_reader_sees_the_frames_of_the_cells_and_no_others(k, closed):
    from vfslab.teach.magics import shortened

    p, path = closed
    livepatch.apply(k, "fs/namei.py", BROKEN)
    with pytest.raises(AttributeError) as caught:
        p.stat(path)
    shortened(caught.value)
    frames = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert frames == ["test_a_reader_sees_the_frames_of_the_cells_and_no_others", "may_lookup", "helper"]
    assert "of vfslab's own code left out" in caught.value.__notes__[0]
    with pytest.raises(FileNotFoundError) as caught:
        p.stat("/nothing")
    shortened(caught.value)
    assert len(traceback.extract_tb(caught.value.__traceback__)) == 1


def test_the_debugger_stops_in_a_cell_and_shows_its_lines(k, closed):
    p, path = closed
    livepatch.apply(k, "fs/namei.py", BROKEN)
    told = io.StringIO()
    debugger = pdb.Pdb(
        stdin=io.StringIO("from vfslab.fs import namei\nbreak namei.may_lookup\ncontinue\nlist\np nd.last\nquit\n"),
        stdout=told,
        nosigint=True,
    )
    debugger.use_rawinput = False
    with contextlib.suppress(AttributeError):  # of the call itself, which goes on when the debugger quits
        debugger.runcall(p.stat, path)
    assert "return helper(nd)" in told.getvalue() and "b'closed'" in told.getvalue()


def test_source_shows_the_package_and_linux_even_while_patched(k):
    livepatch.apply(k, "fs/namei.py", WALK.format("pass"))
    shown = source("may_lookup")
    assert text_of("fs/namei.py", package_functions("fs/namei.py")["may_lookup"]) in str(shown)
    assert "In Linux: fs/namei.c" in str(shown) and "patched at the moment" in str(shown)
    assert "/fs/namei.c)" in shown._repr_markdown_() and "```python" in shown._repr_markdown_()
    assert source(namei.may_lookup).text == source("fs/namei.py:may_lookup").text == shown.text
    assert "class Dentry" in str(source("Dentry")) and "def stat(" in str(source(k.process().stat))
    assert "did you mean may_lookup" in refusal(source, "fs/namei.py:may_look")
    assert "no file of the kernel defines" in refusal(source, "no_such_function")
    assert "not <built-in function len>" in refusal(source, len)


def test_source_says_whether_what_runs_is_what_it_shows(k):
    text = text_of("fs/namei.py", package_functions("fs/namei.py")["may_lookup"])
    livepatch.stub(k, "fs/namei.py:may_lookup")
    assert "not what runs" in source("may_lookup").heading()
    livepatch.apply(k, "fs/namei.py", WALK.format("pass"))
    assert "not what runs" in source("may_lookup").heading()
    livepatch.apply(k, "fs/namei.py", text)
    assert "with this same text" in source("may_lookup").heading()
    livepatch.revert()
    assert "patched" not in source("may_lookup").heading()


def test_the_final_cell_of_a_chapter_is_printed_and_changes_no_behaviour(k, capsys):
    assert livepatch.main(["fs/namei.py", "may_lookup", "step_into"]) == 0
    head, _, text = capsys.readouterr().out.partition("\n")
    assert head == "%%kernel fs/namei.py"
    livepatch.apply(k, "fs/namei.py", text)
    assert k.patch.names() == {("fs/namei.py", "may_lookup"), ("fs/namei.py", "step_into")}
    assert livepatch.main(["fs/namei.py", "nothing"]) == 2 and "no function" in capsys.readouterr().out
    assert livepatch.main([]) == 2


def test_the_cells_name_of_a_file_is_that_of_its_module():
    assert (
        module_file("vfslab.fs.ext4.extents") == "fs/ext4/extents.py" and module_file(dcache.__name__) == "fs/dcache.py"
    )
