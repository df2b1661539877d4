"""What a live patch is made of: from the text of a cell to function objects that may take the old ones' place.

    text ──compiled──▶ syntax tree ──check_statements──▶ nothing but functions and imports
         ──prepare──▶ the Change of each function of the file, and what is new to it: helpers, imports

A stub takes the same way: its text is made from the package's function. Nothing here changes a
module; livepatch.py puts the changes in force.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import linecache
from collections.abc import Container, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from vfslab.teach.source import PACKAGE, NoSource, check_file, missing, package_functions

STARS = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS
YIELDS = inspect.CO_GENERATOR
FUTURE = annotations.compiler_flag  # the package's files begin with this import, and a cell has to mean the same
ABSENT = object()


class LivePatchError(RuntimeError):
    """What cannot be patched, where, and what to do: one line for a person."""

    def _render_traceback_(self) -> list[str]:
        """What a notebook shows: the line is all there is to say."""
        return [f"{type(self).__name__}: {self}"]


@dataclasses.dataclass(frozen=True)
class Body:
    """What a function object can be given, and given back."""

    code: CodeType
    defaults: tuple | None
    kwdefaults: dict | None
    doc: str | None

    @staticmethod
    def of(function: FunctionType) -> Body:
        kwdefaults = function.__kwdefaults__ and dict(function.__kwdefaults__)
        return Body(function.__code__, function.__defaults__, kwdefaults, function.__doc__)

    def put(self, function: FunctionType) -> None:
        function.__code__, function.__defaults__ = self.code, self.defaults
        function.__kwdefaults__, function.__doc__ = self.kwdefaults and dict(self.kwdefaults), self.doc


@dataclasses.dataclass(frozen=True)
class Change:
    """One function of a file that is to get another body; told says by what: a stub, a step, a cell."""

    file: str
    name: str
    function: FunctionType
    before: Body
    now: Body
    told: str


# --- from text to function objects --------------------------------------------------------------------


def compiled(file: str, text: str, place: str) -> tuple[ast.Module, CodeType]:
    """Return the syntax tree and the code of a cell; SyntaxError as from any cell, with its line.

    Its file name begins as that of the file, so the tracer takes it for that; linecache keeps its lines.
    """
    filename = f"{PACKAGE / file} ({place})"
    linecache.cache[filename] = (len(text), None, text.splitlines(keepends=True), filename)
    tree = compile(text, filename, "exec", ast.PyCF_ONLY_AST | FUTURE, dont_inherit=True)
    return tree, compile(tree, filename, "exec", FUTURE, dont_inherit=True)


def check_statements(file: str, tree: ast.Module) -> None:
    """Raise LivePatchError unless the cell holds nothing but functions, imports and texts."""
    for node in tree.body:
        text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not text and not isinstance(node, ast.FunctionDef | ast.Import | ast.ImportFrom):
            raise LivePatchError(f"line {node.lineno}: {unpatchable(node)} cannot be patched into {file}")


def unpatchable(node: ast.stmt) -> str:
    """Return the words for a statement that no patch can hold."""
    if isinstance(node, ast.ClassDef):
        return f"the class {node.name} (only functions can)"
    if isinstance(node, ast.AsyncFunctionDef):
        return f"the coroutine {node.name} (only plain functions can)"
    if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
        names = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        return f"the value {names} (write it inside the function that uses it)"
    return f"`{ast.unparse(node).splitlines()[0][:50]}` (only functions and imports can)"


def prepare(
    file: str, module: ModuleType, tree: ast.Module, code: CodeType, brought: Container[str], told: str
) -> tuple[list[Change], dict[str, Any]]:
    """Return the changes a cell makes, and {name: value} of what it adds; LivePatchError if one is not possible.

    brought: names that earlier cells have added to the module.
    """
    check_statements(file, tree)
    namespace: dict[str, Any] = {}
    exec(code, vars(module), namespace)  # makes function objects whose globals are the module's
    changes: dict[str, Change] = {}
    added: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            added |= imported(file, module, node, namespace, brought)
    for name, node in {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}.items():
        if name in brought or name not in vars(module):
            check_helper(file, node)
            added[name] = namespace[name]
        else:
            changes[name] = changed(file, module, node, namespace[name], told)
    return list(changes.values()), added


def imported(file: str, module: ModuleType, node: Any, namespace: dict, brought: Container[str]) -> dict[str, Any]:
    """Return {name: value} of what an import brings to the module; LivePatchError if a name is taken."""
    found = {}
    for alias in node.names:
        name = alias.asname or alias.name.partition(".")[0]
        old = vars(module).get(name, ABSENT)
        if old is ABSENT or name in brought:
            found[name] = namespace[name]
        elif old is not namespace[name]:
            raise LivePatchError(
                f"line {node.lineno}: {name} means something else in {file}: import it `as` another name"
            )
    return found


def check_helper(file: str, node: ast.FunctionDef) -> None:
    """Raise LivePatchError if a function that is new to the file is more than plain."""
    if node.decorator_list:
        raise LivePatchError(f"line {node.lineno}: {node.name} is new to {file}: a new function has no decorators")


def changed(file: str, module: ModuleType, node: ast.FunctionDef, value: Any, told: str) -> Change:
    """Return the change that a definition makes to a function of the file; LivePatchError if it is not possible."""
    where, old = f"line {node.lineno}: {node.name}", vars(module)[node.name]
    home = getattr(old, "__module__", None) or module.__name__
    if callable(old) and home != module.__name__:
        lies = f"it lies in {home}" if not home.startswith("vfslab.") else f"patch it where it lies, {file_of(home)}"
        raise LivePatchError(f"{where} is imported into {file}: {lies}")
    function, new = inspect.unwrap(old) if callable(old) else old, inspect.unwrap(value)
    if not isinstance(function, FunctionType):
        kind = "a class" if isinstance(old, type) else "no function"
        raise LivePatchError(f"{where} is {kind} in {file}: only functions can be patched")
    if function.__code__.co_freevars or node.name not in package_functions(file):
        raise LivePatchError(f"{where} is a closure in {file}, made by other code: it cannot be patched")
    check_same_face(file, node, function, new, where)
    return Change(file, node.name, function, Body.of(function), Body.of(new), told)


def check_same_face(file: str, node: ast.FunctionDef, old: FunctionType, new: FunctionType, where: str) -> None:
    """Raise LivePatchError unless callers and decorators can go on with the new code as with the old (L1)."""
    original = package_functions(file)[node.name]
    if list(map(ast.dump, node.decorator_list)) != list(map(ast.dump, original.decorator_list)):
        has = " ".join(f"@{ast.unparse(each)}" for each in original.decorator_list) or "none"
        raise LivePatchError(f"{where} has other decorators than in {file} (there: {has}): a patch cannot change them")
    if parameters(old) != parameters(new):
        told, wanted = ast.unparse(node.args), ast.unparse(original.args)
        raise LivePatchError(f"{where}({told}): its callers in the kernel pass ({wanted}): keep these parameters")
    if (old.__code__.co_flags ^ new.__code__.co_flags) & YIELDS:
        does = "yields" if old.__code__.co_flags & YIELDS else "does not yield"
        raise LivePatchError(f"{where} {does} in {file}, and its callers count on that")


def parameters(function: FunctionType) -> tuple:
    """Return the names of the parameters, and of which kinds they are."""
    code, stars = function.__code__, function.__code__.co_flags & STARS
    count = code.co_argcount + code.co_kwonlyargcount + stars.bit_count()
    return code.co_posonlyargcount, code.co_argcount, code.co_kwonlyargcount, stars, code.co_varnames[:count]


def file_of(module: str) -> str:
    return module.partition(".")[2].replace(".", "/") + ".py"


# --- stubs ------------------------------------------------------------------------------------------


def stubbed_functions(stubs: str | Iterable[str]) -> Iterator[tuple[str, list[str]]]:
    """Yield (file, functions) for "fs/namei.py", "fs/namei.py:step_into,lookup_fast", or several of these."""
    for each in [stubs] if isinstance(stubs, str) else stubs:
        file, _colon, names = each.partition(":")
        file = check_file(file)
        known = list(package_functions(file))
        wanted = [name.strip() for name in names.split(",") if name.strip()] or known
        for name in wanted:
            if name not in known:
                raise NoSource(missing(name, file, known))
        yield file, wanted


def stub_text(file: str, node: ast.FunctionDef) -> str:
    """Return a function with the same face that only raises ENOSYS, and leaves a line in the kernel's log."""
    body = ast.parse(STUB.format(file=file, name=node.name)).body
    if yields(node):
        body += ast.parse("yield").body  # never reached: it makes a generator, as the original is one
    doc = [] if ast.get_docstring(node) is None else node.body[:1]
    face = {field: getattr(node, field) for field in node._fields if field != "body"}
    return ast.unparse(ast.fix_missing_locations(ast.FunctionDef(**face, body=[*doc, *body])))


STUB = """
from vfslab.kernel.errno import ENOSYS
from vfslab.kernel.printk import KERN_NOTICE, printk
printk(KERN_NOTICE, "{name}() of {file} is a stub")
raise ENOSYS(b"{name}")
"""


def yields(node: ast.AST) -> bool:
    """Return whether a function is a generator; a function inside it does not count."""
    inner = [each for each in ast.iter_child_nodes(node) if not isinstance(each, ast.FunctionDef | ast.Lambda)]
    return any(isinstance(each, ast.Yield | ast.YieldFrom) or yields(each) for each in inner)
