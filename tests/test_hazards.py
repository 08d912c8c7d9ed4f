"""Ways to run code through data that must not appear in the package, found in its syntax."""

import ast
import importlib.util
from pathlib import Path

import pytest

PACKAGE = Path(importlib.util.find_spec("napari_mrissl").origin).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {"eval", "exec", "compile", "__import__", "pydoc.locate", "os.system", "os.popen"}
METHODS = {"extractall", "unsafe_load"}


def dotted(node: ast.AST) -> str:
    """``a.b.c`` of a name or attribute."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else "?"


def hazards(tree: ast.AST) -> list[str]:
    """What is dangerous in a module."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split(".")[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            given = {word.arg: word.value for word in node.keywords}
            true = {k for k, v in given.items() if isinstance(v, ast.Constant) and v.value is True}
            if name in CALLS or name.split(".")[-1] in METHODS:
                found.append(name)
            if true & {"shell", "allow_pickle"}:
                found.append(f"{name}(shell or allow_pickle)")
            if name == "torch.load" and "weights_only" not in true:
                found.append(name)
            if name == "yaml.load":
                found.append(name)
    return found


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_run_what_it_reads(source):
    assert hazards(ast.parse(source.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "subprocess.run('x', shell=True)",
        "np.load(f, allow_pickle=True)",
        "torch.load(f)",
        "torch.load(f, weights_only=False)",
        "yaml.load(f)",
        "archive.extractall(folder)",
        "pydoc.locate(name)",
    ],
)
def test_each_hazard_would_be_seen(code):
    assert hazards(ast.parse(code))
    assert not hazards(ast.parse("torch.load(f, weights_only=True); re.compile('x')"))
