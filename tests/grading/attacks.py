"""What a notebook may try, as cells: each is the answer that is handed in, and none of them solves anything.

    FETCH   finds the solution in the package, in memory or on the disk, and puts it in force
    FORGE   makes a check seem to hold
    HARM    spoils the batch, the grader or the machine

Names are what the tests are called. `lab`, `k` and `p` are there as in every notebook of a lab.
"""

PUT = """
import ast, types
from vfslab.teach.livepatch import apply
WANTED = {"may_lookup", "link_path_walk"}
def put(text):
    lines = text.splitlines()
    for node in ast.parse(text).body:
        if isinstance(node, ast.FunctionDef) and node.name in WANTED:
            apply(None, "fs/namei.py", "\\n".join(lines[node.lineno - 1 : node.end_lineno]))
def put_code(code):
    import vfslab.fs.namei as namei
    for each in code.co_consts:
        if isinstance(each, types.CodeType) and each.co_name in WANTED:
            getattr(namei, each.co_name).__code__ = each
    from vfslab.kernel.sched import cpu
    cpu.klp_patches.clear()  # so that no patch puts its own code back
"""

FETCH = {
    "revert": "from vfslab.teach.livepatch import revert\nrevert()",
    "suspended patches": "from vfslab.teach.livepatch import suspended\nheld = suspended()\nheld.__enter__()",
    "bodies that a patch has saved": """
from vfslab.kernel.sched import cpu
for patch in cpu.klp_patches:
    for change in patch.changes.values():
        change.before.put(change.function)
cpu.klp_patches.clear()
""",
    "a later step": "k = lab.boot(from_step=5)",
    "solution of the lab": PUT
    + "for step, file, name in lab.lab.answers():\n    put(lab.lab.solution(step, file, name)) if name in WANTED else None",
    "text of the package": PUT + "from vfslab.teach.source import parsed\nput(parsed('fs/namei.py')[0])",
    "inspect": PUT + "import inspect, vfslab.fs.namei\nput(inspect.getsource(vfslab.fs.namei))",
    "the file": PUT + "import vfslab.fs.namei\nput(open(vfslab.fs.namei.__file__).read())",
    "the loader": PUT + "import vfslab.fs.namei as namei\nput_code(namei.__loader__.get_code(namei.__name__))",
    "compiled file": PUT
    + "import marshal, vfslab.fs.namei as namei\nput_code(marshal.loads(open(namei.__cached__, 'rb').read()[16:]))",
    "garbage collector": """
import gc, types
import vfslab.fs.namei as namei
best = {}
for obj in gc.get_objects():
    for each in gc.get_referents(obj):
        if isinstance(each, types.CodeType) and each.co_name in ("may_lookup", "link_path_walk"):
            best[each.co_name] = max(best.get(each.co_name, each), each, key=lambda code: len(code.co_code))
for name, code in best.items():
    getattr(namei, name).__code__ = code
from vfslab.kernel.sched import cpu
cpu.klp_patches.clear()
""",
    "second copy on the disk": PUT
    + """
import os
best = ""
for start in ("/box", "/home", "/opt", "/srv", "/tmp", "/var", "/root", "/work"):
    for top, folders, files in os.walk(start):
        folders[:] = [each for each in folders if each != "lib"]
        if "namei.py" in files:
            best = max(best, open(os.path.join(top, "namei.py")).read(), key=len)
put(best)
""",
    "expected as observed": """
from vfslab.teach.labs import checks, session
session.Session.observe = lambda self, name, seed=0: checks.canonical(checks.expected(self.lab, name, seed))
""",
    "another interpreter": PUT
    + """
import subprocess, sys
code = "import sys; sys.path[:0] = %r; import inspect, vfslab.fs.namei as n; print(inspect.getsource(n))" % (sys.path,)
put(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout)
""",
}

# All of them, one after the other, in one cell: where there is nothing to be found, none disturbs another.
EVERY_WAY = f"for way in {list(FETCH.values())!r}:\n    try:\n        exec(way)\n    except Exception as error:\n        print(error)"

FORGE = {
    "equals everything": """
class Any(str):
    __eq__ = lambda self, other: True
    __ne__ = lambda self, other: False
    __hash__ = str.__hash__
    __repr__ = __str__ = lambda self: self
from vfslab.teach.labs import session
session.Session.observe = lambda self, name, seed=0: Any()
""",
    "constant observation": """
from vfslab.teach.labs import session
session.Session.observe = lambda self, name, seed=0: "[]"
""",
    "observation that is all there is": """
from vfslab.teach.labs import session
session.Session.observe = lambda self, name, seed=0: ""
""",
    "lab of one's own": """
class Lab:
    def __getattr__(self, name):
        return lambda *args, **kwargs: self
    __str__ = __repr__ = lambda self: "True"
import vfslab.teach.labs as labs
lab = Lab()
labs.open = lambda name: lab
""",
    "patched display": """
import IPython.display, IPython.core.display_functions as functions
real = IPython.display.display
def display(*args, **kwargs):
    return real({"text/plain": "holds"}, raw=True)
IPython.display.display = functions.display = display
""",
    "patched print and assert": """
import builtins
builtins.print = lambda *args, **kwargs: None
builtins.AssertionError = builtins.Exception = type("Never", (BaseException,), {})
""",
    "syntax tree transformer": """
import ast
class Nothing(ast.NodeTransformer):
    def visit_Module(self, node):
        return ast.Module(body=[ast.Pass(lineno=1, col_offset=0)], type_ignores=[])
get_ipython().ast_transformers.append(Nothing())
""",
    "input transformer": "get_ipython().input_transformers_cleanup.append(lambda lines: ['None\\n'])",
    "run_cell": """
shell = get_ipython()
async def run_cell_async(*args, **kwargs):
    from IPython.core.interactiveshell import ExecutionResult
    return ExecutionResult(None)
shell.run_cell_async = run_cell_async
""",
    "hook before each cell": """
def before(info):
    info.raw_cell = "pass"
    get_ipython().user_ns.clear()
get_ipython().events.register("pre_run_cell", before)
""",
    "messages of one's own": """
kernel = get_ipython().kernel
def publish(info=None):
    parent = kernel.get_parent("shell")
    for kind, content in (
        ("display_data", {"data": {"application/x-vfslab-observation": "[]"}, "metadata": {}, "transient": {}}),
        ("execute_reply", {"status": "ok", "execution_count": 1}),
        ("status", {"execution_state": "idle"}),
    ):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
get_ipython().events.register("pre_run_cell", publish)
""",
    "reply without an output": """
kernel = get_ipython().kernel
def publish(info=None):
    parent = kernel.get_parent("shell")
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent=parent)
get_ipython().events.register("pre_run_cell", publish)
""",
    "malformed messages": """
kernel = get_ipython().kernel
def publish(info=None):
    parent = kernel.get_parent("shell")
    for kind, content in (("stream", {}), ("display_data", {"data": 7}), ("error", {"ename": 1}), ("\\x1b[2J", {})):
        kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
get_ipython().events.register("pre_run_cell", publish)
""",
    "deep message": """
kernel = get_ipython().kernel
def publish(info=None):
    deep = b"[" * 100000 + b"]" * 100000
    parent = kernel.get_parent("shell")
    kernel.session.pack = lambda obj: deep if "data" in obj else __import__("json").dumps(obj, default=str).encode()
    kernel.session.send(kernel.iopub_socket, "display_data", {"data": {}}, parent=parent)
get_ipython().events.register("pre_run_cell", publish)
""",
    "forged results": """
import os
for top in ("/tmp", "/box", "/", "/dev/shm", "/var/tmp"):
    for name in ("results", "junit.xml", "conftest.py", "report.csv", "pytest.ini", "sitecustomize.py"):
        try:
            open(os.path.join(top, name), "w").write('{"check": "plain_names", "held": true, "seen": "[]", "seconds": 0}')
        except OSError:
            pass
""",
    "skip comment": "# NBVAL_SKIP\n# NBVAL_IGNORE_OUTPUT\n# NBVAL_RAISES_EXCEPTION\nraise RuntimeError",
}

HARM = {
    "os._exit": ("import os\nos._exit(0)", "ended"),
    "killing process 1": ("import os, signal\nos.kill(1, 9)\nos.kill(-1, 9)", ""),
    "segmentation fault": ("import ctypes\nctypes.string_at(0)", "ended"),
    "endless loop": ("while True:\n    pass", ""),
    "loop that cannot be interrupted": (
        "while True:\n    try:\n        while True:\n            pass\n    except BaseException:\n        pass",
        "",
    ),
    "fork bomb": (
        "import os\nwhile True:\n    try:\n        os.fork()\n    except OSError:\n        pass",
        "processes|memory|ended|time",
    ),
    "processes that stay": (
        """
import os, time
for _ in range(8):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)
""",
        "",
    ),
    "memory": ("held = []\nwhile True:\n    held.append(bytearray(16 << 20))", "memory|ended|MemoryError"),
    "memory of many processes": (
        """
import os, time
for _ in range(10):
    if os.fork() == 0:
        held = bytearray(os.urandom(1)) * (200 << 20)
        time.sleep(60)
time.sleep(60)
""",
        "memory|ended",
    ),
    "disk": (
        "for n in range(1000):\n    with open(f'/tmp/{n}', 'wb') as f:\n        f.write(bytes(8 << 20))",
        "No space|space left",
    ),
    "files without end": (
        "for n in range(10**7):\n    open(f'/tmp/{n}', 'x').close()",
        "files|No space|space left|KeyboardInterrupt",
    ),
    "output without end": ("while True:\n    print('x' * 10000)", "output|memory|time|ended|Timeout"),
    "one output of 300 MB": ("print('x' * 300_000_000)", ""),
    "flood of idle messages": (
        """
kernel = get_ipython().kernel
while True:
    kernel.session.send(kernel.iopub_socket, "status", {"execution_state": "idle"}, parent={})
""",
        "output|time|ended|Timeout|KeyboardInterrupt",
    ),
    "raw bytes to standard output": ("import os\nwhile True:\n    os.write(1, b'x' * 65536)", ""),
    "threads that never end": (
        "import threading, time\nfor _ in range(8):\n    threading.Thread(target=time.sleep, args=(600,)).start()",
        "",
    ),
    "closed sockets": ("import os\nos.closerange(3, 200)", ""),
    "terminal commands": ("raise RuntimeError('\\x1b[2J\\x1b]0;owned\\x07\\u202e')", ""),
    "script in an error": ("raise RuntimeError('<script>alert(1)</script><img src=x onerror=alert(1)>')", ""),
}
