"""What a program in the box finds: nothing of the host, of the solution, of other submissions; and no right to change that."""

import json
import os
import subprocess
import sys
import time

import pytest

from tests.grading import workshop
from vfslab.teach.grading import box
from vfslab.teach.grading.batch import Journal, contents_for, grade_all
from vfslab.teach.grading.merge import Submission
from vfslab.teach.grading.run import prepare
from vfslab.teach.grading.strip import strip
from vfslab.teach.labs import model
from vfslab.teach.labs.model import load
from vfslab.teach.labs.starter import answer, notebook
from vfslab.teach.source import package_functions, text_of

LOOK = r"""
import ctypes, errno, json, os, resource, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
told = {"filtered": filtered, "ids": os.getresuid() + os.getresgid(), "groups": os.getgroups()}
def call(name, number, *arguments):
    ctypes.set_errno(0)
    libc.syscall.restype = ctypes.c_long
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments])
    told[name] = errno.errorcode.get(ctypes.get_errno(), result) if result < 0 else "allowed"
status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status") if ":\t" in line)
told["rights"] = [status[name] for name in ("CapEff", "CapPrm", "CapBnd", "NoNewPrivs", "Seccomp")]
if os.uname().machine == "x86_64":
    name = ctypes.addressof(ctypes.create_string_buffer(b"x"))
    call("memfd_create", 319, name, 0)
    call("unshare", 272, 0x10000000)
    call("clone", 56, 0x10000000, 0, 0, 0, 0)
    call("clone3", 435, 0, 0)
    call("mount", 165, 0, 0, 0, 0, 0)
    call("ptrace", 101, 0, 0, 0, 0)
    call("shmget", 29, 0, 4096, 0o1600)
    call("io_uring_setup", 425, 1, 0)
    call("bpf", 321, 0, 0, 0)
    call("add_key", 248, name, name, name, 1, 0)
    call("x32", 0x40000000 + 39)
def can(words, action):
    try:
        action()
        told[words] = "allowed"
    except (OSError, ValueError) as error:
        told[words] = errno.errorcode.get(getattr(error, "errno", 0), str(error))
for path in ("/x", "/box/package/x", "/box/inside/x", "/usr/lib/x", "/dev/x", os.__file__ + ".x", "/proc/sys/kernel/hostname"):
    can("write " + path, lambda: open(path, "w"))
can("package", lambda: open("/box/package/vfslab/fs/namei.py", "a"))
can("write /tmp", lambda: open("/tmp/x", "w").close())
can("vsock", lambda: socket.socket(40, socket.SOCK_STREAM))
can("packet", lambda: socket.socket(17, socket.SOCK_RAW))
can("inet", lambda: socket.create_connection(("1.1.1.1", 53), 1))
can("raise a limit", lambda: resource.setrlimit(resource.RLIMIT_NPROC, (10000, 10000)) or 1)
can("signal outside", lambda: os.kill(HOST_PID, 0))
told["root"] = sorted(os.listdir("/"))
told["seen"] = [path for path in HIDDEN if os.path.exists(path)]
told["processes"] = sorted(int(each) for each in os.listdir("/proc") if each.isdigit())
told["environment"] = sorted(os.environ)
told["open files"] = sorted(os.readlink(f"/proc/self/fd/{fd}").split(":")[0] for fd in (0, 1, 2))
found = []
for top, folders, files in os.walk("/"):
    folders[:] = [each for each in folders if os.path.join(top, each) not in ("/proc", "/sys", "/dev")]
    found += [os.path.join(top, each) for each in folders + files if "vfslab" in each or "namei" in each]
told["found"] = found
wanted, held = [text.encode() for text in SECRETS], []
for top, folders, files in os.walk("/box"):
    for each in files:
        data = open(os.path.join(top, each), "rb").read()
        held += [os.path.join(top, each) for text in wanted if text in data]
told["held"] = held
print(json.dumps(told))
"""


@pytest.fixture(scope="module", params=workshop.ISOLATED)
def seen(request, tmp_path_factory):
    """Return what the program saw in a box with the package of a lab."""
    backend = workshop.backend_or_skip(request.param)
    secret = tmp_path_factory.mktemp("secret")
    secret.chmod(0o755)
    (secret / "expected").write_text("secret")
    hidden = [
        str(secret),
        os.path.abspath("."),
        __file__,
        "/etc/passwd",
        "/root/.ssh",
        "/home",
        "/bin/sh",
        "/usr/bin",
        "/var",
    ]
    names = {"HOST_PID": os.getppid(), "HIDDEN": hidden, "SECRETS": secrets_of(workshop.lab())}
    with contents_for(workshop.lab()) as contents:
        program = "\n".join(f"{name} = {value!r}" for name, value in names.items()) + LOOK
        done = box.run(backend, contents, program, seconds=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def secrets_of(lab):
    """Return a line of each graded body: long, and nowhere else in the kernel's files."""
    lines = []
    for file, names in lab.graded().items():
        for name in names:
            body = text_of(file, package_functions(file)[name]).splitlines()[-4:]
            lines.append(max((line.strip() for line in body), key=len))
    return [line for line in lines if len(line) > 25]


def test_there_are_secrets_to_look_for():
    assert len(secrets_of(workshop.lab())) >= 4


def test_no_right_is_left(seen):
    uid = box.own_uid()
    effective, permitted, _bounding, no_new, filtered = seen["rights"]
    assert int(effective, 16) == int(permitted, 16) == 0 and (no_new, filtered) == ("1", "2")
    assert seen["filtered"] is True and set(seen["ids"][:3]) == {uid} and uid != 0
    assert set(seen["groups"]) <= {uid}


@pytest.mark.parametrize(
    "call", "memfd_create unshare clone mount ptrace shmget io_uring_setup bpf add_key x32".split()
)
def test_this_system_call_is_refused(seen, call):
    if os.uname().machine == "x86_64":
        assert seen[call] == "EPERM"


def test_clone3_says_that_it_does_not_exist_so_that_clone_is_taken(seen):
    if os.uname().machine == "x86_64":
        assert seen["clone3"] == "ENOSYS"


def test_nothing_can_be_written_but_tmp(seen):
    written = [words for words, result in seen.items() if words.startswith("write /") and result == "allowed"]
    assert written == ["write /tmp"]
    assert seen["package"] in ("EROFS", "EACCES")


def test_there_is_no_way_out(seen):
    assert seen["vsock"] == seen["packet"] == "ENOTSUP"
    assert seen["inet"] == "ENETUNREACH"
    assert seen["signal outside"] == "ESRCH"
    assert seen["raise a limit"] != "allowed"


def test_nothing_of_the_host_is_seen(seen):
    assert seen["seen"] == []
    assert set(seen["root"]) <= {
        "box",
        "dev",
        "etc",
        "lib",
        "lib32",
        "lib64",
        "proc",
        "root",
        "home",
        "opt",
        "tmp",
        "usr",
    }
    assert len(seen["processes"]) <= 3 and max(seen["processes"]) < 50
    assert set(seen["environment"]) <= {
        "HOME",
        "IPYTHONDIR",
        "LANG",
        "MALLOC_ARENA_MAX",
        "PWD",
        "TMPDIR",
        "VFSLAB_HOME",
        "LC_CTYPE",
    }


def test_the_only_vfslab_is_the_one_made_for_the_lab(seen):
    assert [path for path in seen["found"] if not path.startswith("/box/package/vfslab")] == []


def test_no_file_of_the_box_holds_a_graded_body(seen):
    assert seen["held"] == []


# --- the package that is made -------------------------------------------------------------------------


def test_the_package_has_faces_but_no_bodies_chapters_solutions_or_rungs(tmp_path):
    lab = workshop.lab()
    made = strip(lab, tmp_path / "made") / "vfslab"
    for file, names in lab.graded().items():
        text = (made / file).read_text()
        for name in names:
            node = package_functions(file)[name]
            assert text_of(file, node) not in text
            assert f"def {name}(" in text and f'raise ENOSYS(b"{name}")' in text.replace("'", '"')
    names = {path.relative_to(made).as_posix() for path in made.rglob("*")}
    assert not [each for each in names if each.endswith((".ipynb", ".md")) or "rungs" in each or "mutants" in each]
    assert not {"teach/grading", "teach/figures", "teach/explorer", "cli.py"} & names
    assert [each for each in names if each.startswith("teach/labs/") and each.endswith("/lab.py")] == [
        f"teach/labs/{lab.name}/lab.py"
    ]


def test_compiled_files_of_the_package_hold_no_bodies(tmp_path):
    lab = workshop.lab()
    made = strip(lab, tmp_path / "made")
    code = "import json, sys, types, vfslab\nfrom importlib import import_module\n" + CODE_SIZES
    for file, names in lab.graded().items():
        module = "vfslab." + file.removesuffix(".py").replace("/", ".")
        sizes = [json.loads(run_python(path, code, module, *names)) for path in (made, os.path.abspath("."))]
        for name in names:
            assert sizes[0][name][0] == ["ENOSYS"] or "printk" in sizes[0][name][1], name
            assert set(sizes[0][name][1]) <= {
                "ENOSYS",
                "printk",
                "KERN_NOTICE",
                "vfslab.kernel.errno",
                "vfslab.kernel.printk",
            }


CODE_SIZES = """
module = import_module(sys.argv[1])
codes = {name: getattr(module, name).__code__ for name in sys.argv[2:]}
print(json.dumps({name: (len(code.co_code), list(code.co_names)) for name, code in codes.items()}))
"""


def run_python(path, code, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], env={"PYTHONPATH": str(path)}, capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- which box --------------------------------------------------------------------------------------


def test_without_isolation_grading_is_refused_and_says_what_to_do(monkeypatch):
    monkeypatch.setattr(box, "trouble", lambda name: "not here")
    with pytest.raises(box.NoBox, match="install bubblewrap, or say --unsafe"):
        box.available()


def test_a_backend_that_does_not_exist_is_named():
    with pytest.raises(box.NoBox, match="there is no such backend"):
        box.available("docker")


def test_the_first_backend_that_works_is_taken(monkeypatch):
    monkeypatch.setattr(box, "trouble", lambda name: "broken" if name == "bubblewrap" else None)
    assert box.available() == "namespaces"


def test_a_box_that_is_not_shut_is_not_taken(monkeypatch):
    workshop.backend_or_skip("namespaces")
    monkeypatch.setattr(box, "PROBE", "print('open: [/etc]')")
    assert "open" in box.trouble("namespaces")


@pytest.mark.needs_root
def test_an_ordinary_user_gets_a_box_too(tmp_path):
    python = "/usr/bin/python3"
    if (
        not os.path.exists(python)
        or subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]).returncode
    ):
        pytest.skip("needs a Python 3.11 in /usr/bin, which an ordinary user can read")
    copy = tmp_path / "namespaces.py"
    copy.write_bytes((box.HERE / "namespaces.py").read_bytes())
    (tmp_path / "empty").mkdir()
    binds = [(path, path) for path in ("/usr/lib", "/usr/lib64", os.path.realpath(python)) if os.path.exists(path)]
    command = [
        os.path.realpath(python),
        "-I",
        "-S",
        "-c",
        "import os; print(os.getuid(), os.getpid(), os.listdir('/tmp'))",
    ]
    spec = {"root": str(tmp_path / "empty"), "binds": binds, "links": box.root_links(), "disk": 1 << 20, "env": {}}
    for path in [tmp_path, *tmp_path.parents][:3]:
        path.chmod(0o755)
    done = subprocess.run(
        [python, "-I", "-S", str(copy), json.dumps(spec | {"command": command})],
        capture_output=True, text=True, user=65534, group=65534, extra_groups=[], cwd="/",
    )  # fmt: skip
    assert done.stdout == "65534 1 []\n", done.stderr


def test_a_box_and_all_in_it_end_with_its_parent(tmp_path):
    workshop.backend_or_skip("namespaces")
    code = f"from tests.grading import test_box; test_box.hold({str(tmp_path)!r})"
    holder = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=os.path.abspath("."))
    pids = json.loads(holder.stdout.readline())
    assert len(pids) >= 2 and all(map(box.alive, pids))
    holder.kill()
    holder.wait()
    until = time.monotonic() + 10
    while any(map(box.alive, pids)) and time.monotonic() < until:
        time.sleep(0.05)
    assert not any(map(box.alive, pids))


def hold(folder):
    """Open a box, say which processes it has, and stay."""
    from pathlib import Path

    from vfslab.teach.grading.box import Box, descendants

    with contents_for(workshop.lab()) as contents, Box("namespaces", contents, Path(folder)) as made:
        time.sleep(1)
        print(json.dumps(list(descendants(made.process.pid))), flush=True)
        time.sleep(60)


def test_another_function_that_does_the_same_work_goes_too(tmp_path):
    lab = load("ext4_extents")
    assert lab.also_gone
    made = strip(lab, tmp_path / "made") / "vfslab"
    for each in lab.also_gone:
        file, _colon, name = each.partition(":")
        text = (made / file).read_text()
        assert f"def {name}(" in text and text_of(file, package_functions(file)[name]) not in text


def test_every_lab_solved_gets_all_its_points_in_a_box(tmp_path):
    backend = box.available()
    for name in model.names():
        lab = load(name)
        made = notebook([answer(lab, step, function) for step, _file, function in lab.answers()])
        path = workshop.write(tmp_path, name, made)
        (row,) = grade_all([Submission(path)], prepare(lab, backend), Journal(None))
        assert (row.status, row.points) == ("graded", lab.points), row
