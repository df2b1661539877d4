"""Everything that changes lives in a kernel, so that two kernels live side by side in one process.

A module may hold constants: numbers, functions, classes, frozen tables, and containers that nobody changes, whose names
are in CAPITALS. The one exception is `cpu` of vfslab/kernel/sched.py. Two checks: over the text of the package, and over
its modules before and after two kernels ran.
"""

import ast
import dataclasses
import importlib
import pkgutil
import sys
import types
from pathlib import Path

import pytest

from vfslab.lib.kstruct import OperationTable

PACKAGE = Path(__file__).parents[1] / "vfslab"
THE_ONE_GLOBAL = ("vfslab/kernel/sched.py", "cpu")

CONTAINERS = {"list", "dict", "set", "bytearray"}
# Objects that are made to change: no name makes a constant of them.
STATE = "defaultdict OrderedDict Counter deque count cycle local Lock RLock Condition Event Semaphore Queue SimpleQueue".split()
STATE += "array BytesIO StringIO SimpleNamespace Random WeakKeyDictionary WeakValueDictionary WeakSet".split()
CHANGES = "append appendleft extend insert pop popleft popitem remove clear update setdefault add discard sort reverse".split()
# A cache on a function is state too; a pure function of bytes or of text may have one here.
MAY_CACHE = ("vfslab/lib/", "vfslab/viz/", "vfslab/teach/", "vfslab/tools/", "vfslab/data/")


def test_no_module_holds_state():
    found = list(findings(PACKAGE))
    assert not found, "\n".join(
        ["what changes belongs to a kernel (or a task, a superblock), not to a module:", *found]
    )


def test_two_kernels_leave_every_module_as_it_was():
    vfslab = importlib.import_module("vfslab")
    modules = all_modules(vfslab)
    run_a_kernel(vfslab)  # the first one may fill caches of pure functions
    before = {module.__name__: fingerprint(module) for module in modules}
    run_a_kernel(vfslab)
    after = {module.__name__: fingerprint(module) for module in modules}
    changed = [
        f"{module}.{name}"
        for module, names in before.items()
        for name in names.keys() | after[module].keys()
        if names.get(name) != after[module].get(name)
    ]
    assert not changed, f"running a kernel changed {', '.join(changed)}"


# --- over the text --------------------------------------------------------------------------------


def findings(package):
    """Yield one line for each piece of mutable module state in the package."""
    files = {
        path.relative_to(package.parent).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(package.rglob("*.py"))
    }
    live = {name for tree in files.values() for name in live_classes(tree)}
    for path, tree in files.items():
        for line, words in sorted([*held(path, tree, live), *changed_in_functions(tree)]):
            yield f"{path}:{line} {words}"


def live_classes(tree):
    """Yield the names of the classes whose objects change: kstructs and dataclasses that are not frozen."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for decorator in map(ast.unparse, node.decorator_list):
                name = decorator.partition("(")[0].rpartition(".")[2]
                if name == "kstruct" or (name == "dataclass" and "frozen=True" not in decorator):
                    yield node.name


def held(path, tree, live):
    """Yield (line, words) for each name that the module binds to something that is made to change."""
    for statement in at_module_level(tree):
        if isinstance(statement, ast.FunctionDef) and caches(statement) and not path.startswith(MAY_CACHE):
            yield statement.lineno, f"{statement.name} keeps a cache in the module"
        for name, value in bound(statement):
            kind = called(value)
            if (path, name) == THE_ONE_GLOBAL or value is None:
                continue
            if kind in STATE or kind in live:
                yield statement.lineno, f"{name} is a {kind}, which is made to change"
            elif kind in CONTAINERS and not is_constant(name):
                yield statement.lineno, f"{name} is a {kind}: if nobody changes it, write it in CAPITALS or freeze it"


def at_module_level(tree):
    """Yield the statements that run at import, those inside if, try, for and with too."""
    for node in tree.body:
        yield node
        for block in ("body", "orelse", "finalbody", "handlers"):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                yield from at_module_level(types.SimpleNamespace(body=getattr(node, block, [])))


def bound(statement):
    """Yield (name, value) for what an assignment binds."""
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        yield statement.target.id, statement.value
    elif isinstance(statement, ast.Assign):
        for target in statement.targets:
            if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
                yield from (
                    (t.id, v)
                    for t, v in zip(target.elts, statement.value.elts, strict=False)
                    if isinstance(t, ast.Name)
                )
            elif isinstance(target, ast.Name):
                yield target.id, statement.value


def called(value):
    """Return the name of the container that a literal makes, or of the class or function that is called."""
    if isinstance(value, ast.List | ast.ListComp):
        return "list"
    if isinstance(value, ast.Dict | ast.DictComp):
        return "dict"
    if isinstance(value, ast.Set | ast.SetComp):
        return "set"
    if isinstance(value, ast.Call):
        return ast.unparse(value.func).rpartition(".")[2]
    return ""


def is_constant(name):
    return name.upper() == name or (name.startswith("__") and name.endswith("__"))


def caches(function):
    names = [ast.unparse(decorator).partition("(")[0] for decorator in function.decorator_list]
    return any(name.rpartition(".")[2] in ("cache", "lru_cache") for name in names)


def changed_in_functions(tree):
    """Yield (line, words) for each place in a function that changes what the module holds."""
    names = {
        alias.asname or alias.name for node in ast.walk(tree) for alias in getattr(node, "names", []) if is_alias(alias)
    }
    names |= {name for statement in at_module_level(tree) for name, _ in bound(statement)}
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    names -= {"cpu"} | sys.stdlib_module_names  # sys.stdout = None changes Python, not vfslab
    for function, local in functions(tree, frozenset()):
        for node in own_nodes(function):
            if isinstance(node, ast.Global):
                yield node.lineno, f"`global {', '.join(node.names)}` in {function.name}"
            for target, words in changes(node):
                root = target.id if isinstance(target, ast.Name) else ""
                if root in names - local:
                    yield node.lineno, f"{function.name} changes {root}: {words}"


def is_alias(alias):
    return isinstance(alias, ast.alias)


def functions(node, outer):
    """Yield every function below node with the names that are local to it or to a function around it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            arguments = [each.arg for each in ast.walk(child.args) if isinstance(each, ast.arg)]
            local = outer | set(arguments) | {name for each in own_nodes(child) for name in stored(each)}
            yield child, local
            yield from functions(child, local)
        else:
            yield from functions(child, outer)


def own_nodes(function):
    """Yield the nodes of a function's body without those of functions inside it."""
    todo = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            todo.extend(ast.iter_child_nodes(node))


def stored(node):
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in node.names]
    return [node.name] if isinstance(node, ast.ExceptHandler) and node.name else []


def changes(node):
    """Yield (what is changed, how) for x[k] = v, x.a = v, del x[k], x[k] += v and x.append(v)."""
    targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
    if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign | ast.Delete):
        for target in targets:
            if isinstance(target, ast.Subscript | ast.Attribute):
                yield root_of(target), ast.unparse(node).splitlines()[0]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGES:
        if holds_constants(node.func.value):
            yield root_of(node.func), ast.unparse(node).splitlines()[0]


def holds_constants(value):
    """Return whether x in x.append(v) may be what a module holds: a name, or a CONSTANT of a module or class.

    os.remove() removes a file, not an item: the standard library's modules are no containers.
    """
    root = root_of(value)
    if value is root:
        return isinstance(root, ast.Name) and root.id not in sys.stdlib_module_names
    return is_constant(getattr(value, "attr", "a")) or is_constant(getattr(root, "id", "a"))


def root_of(node):
    """Return the name that an expression such as a.b[c].d starts from."""
    while isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return node


# --- over the running package ---------------------------------------------------------------------


def run_a_kernel(vfslab):
    with vfslab.boot() as kernel:
        kernel.attach("vda", vfslab.deck_image(), read_only=True)
        p = kernel.process(uid=0, gid=0)
        p.mkdir("/mnt")
        p.mount("/dev/vda", "/mnt", "ext4", "ro")
        names = p.listdir("/mnt")
        assert "lost+found" in names
        p.umount("/mnt")


def all_modules(vfslab):
    """Import every module of the guest and return them; teach, viz and the command line are not kernel code."""
    skip = ("vfslab.teach", "vfslab.viz", "vfslab.cli", "vfslab.__main__", "vfslab.data.")
    found = pkgutil.walk_packages(vfslab.__path__, "vfslab.", onerror=lambda name: None)
    return [importlib.import_module(info.name) for info in found if not info.name.startswith(skip)]


def fingerprint(module):
    """Return {name: text} of all data that the module holds; functions, classes and modules are code."""
    code = types.FunctionType | types.ModuleType | types.BuiltinFunctionType | type
    return {
        name: described(value, 6)
        for name, value in vars(module).items()
        if not isinstance(value, code) and not name.startswith("__") and name != "cpu"
    }


def described(value, depth):
    """Return the value as text, with what it holds, but without addresses."""
    if depth == 0 or isinstance(value, type | types.FunctionType | types.ModuleType):
        return getattr(value, "__qualname__", type(value).__name__)
    if dataclasses.is_dataclass(value):
        inside = [(each.name, getattr(value, each.name, None)) for each in dataclasses.fields(value)]
    elif isinstance(value, OperationTable):
        inside = [(name, getattr(value, name)) for name in value.__slots__]
    elif isinstance(value, dict | types.MappingProxyType):
        inside = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        inside = [("", item) for item in value]
    elif isinstance(value, int | float | str | bytes | bytearray | set | frozenset | None):
        return repr(value)
    else:
        inside = sorted(getattr(value, "__dict__", {}).items())
    return type(value).__name__ + str([(key, described(item, depth - 1)) for key, item in inside])


# --- the check finds what it is for ---------------------------------------------------------------

PLANTED = [
    "cache = {}",
    "inodes: dict[int, str] = dict()",
    "if True:\n    names = [n for n in 'ab']",
    "from collections import deque\nLRU = deque()",
    "import itertools\nnext_number = itertools.count()",
    "import threading\nLOCK = threading.Lock()",
    "import weakref\nSUPERS = weakref.WeakSet()",
    "@kstruct\nclass Inode: pass\nroot = Inode()",
    "import dataclasses\n@dataclasses.dataclass\nclass Type: supers: int\next4_fs_type = Type(supers=0)",
    "count = 0\ndef f():\n    global count\n    count += 1",
    "TABLE = {}\ndef f(a):\n    TABLE[a] = 1",
    "TABLE = []\ndef f(a):\n    TABLE.append(a)",
    "from vfslab.fs import TABLE\ndef f(a):\n    TABLE.pop(a)",
    "from vfslab.fs import super\ndef f(a):\n    super.LIST.append(a)",
    "from vfslab.fs import super\ndef f(a):\n    super.newest = a",
    "def f():\n    f.calls = 1",
    "class Inode: pass\ndef f():\n    Inode.count = 1",
    "import functools\n@functools.lru_cache(None)\ndef f(sb): pass",
]
ALLOWED = [
    "NAMES = {1: 'one'}\n_TYPES = ['a']\n__all__ = ['f']",
    "from types import MappingProxyType\nnames = MappingProxyType({1: 'one'})\nkinds = frozenset({1})\nothers = (1, 2)",
    "BITS = {}\nfor i in range(3):\n    BITS[i] = 1 << i",
    "import dataclasses\n@dataclasses.dataclass(frozen=True, kw_only=True)\nclass Ops: lookup: int\next4_dir_ops = Ops(lookup=0)",
    "TABLE = {}\ndef f(TABLE):\n    TABLE[1] = 1",
    "names = ()\ndef f():\n    names = []\n    names.append(1)",
    "import os, sys\ndef f(path):\n    os.remove(path)\n    sys.stdout = None",
    "from vfslab.kernel.sched import cpu\ndef f(task):\n    cpu.current = task",
    "def f(sb):\n    def g(x):\n        sb.inodes[x] = 1\n    return g",
]


def planted(tmp_path, text):
    path = tmp_path / "vfslab" / "fs" / "planted.py"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return list(findings(tmp_path / "vfslab"))


@pytest.mark.parametrize("text", PLANTED)
def test_planted_state_is_found(tmp_path, text):
    (message,) = planted(tmp_path, text)
    assert message.startswith("vfslab/fs/planted.py:")


@pytest.mark.parametrize("text", ALLOWED)
def test_a_constant_is_allowed(tmp_path, text):
    assert planted(tmp_path, text) == []


def test_a_changed_module_has_another_fingerprint():
    module = types.ModuleType("planted")
    module.table, module.pairs = {1: [2]}, types.SimpleNamespace(seen=0)
    before = fingerprint(module)
    module.table[1].append(3)
    module.pairs.seen = 1
    assert {name for name, text in fingerprint(module).items() if text != before[name]} == {"table", "pairs"}
