"""Ways to run code through data that must not appear in the package, found in its syntax."""

import ast
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(importlib.util.find_spec("napari_mrissl").origin).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
FOLDERS = [Path(__file__).parent, Path(__file__).parents[1] / "tutorials"]
MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "marshal", "shelve", "joblib"}
CALLS = {
    "eval", "exec", "compile", "__import__", "pydoc.locate", "os.system", "os.popen",
    "torch.hub.load", "torch.jit.load", "torch.package.PackageImporter", "runpy.run_path",
    "subprocess.getoutput", "shutil.unpack_archive",
}  # fmt: skip
METHODS = {"extractall", "unsafe_load", "load_state_dict_from_url", "read_pickle", "to_pickle"}
WANTED = {
    # Out of tables of our own, by the name of a method, a format or a library.
    "ui/inspector/registry.py": ["import_module"],
    "trajectories/exchange/formats.py": ["importlib.import_module"] * 2,
    "trajectories/exchange/optional.py": ["importlib.import_module"],
}


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
            if name.split(".")[-1] == "import_module":
                found += [name for word in node.args if not isinstance(word, ast.Constant)]
            # Also where it is not certain: only a plain False is known to be none.
            for word in {"shell", "allow_pickle", "trust_remote_code"} & given.keys():
                if not (isinstance(given[word], ast.Constant) and not given[word].value):
                    found.append(f"{name}({word})")
            if name == "torch.load" and "weights_only" not in true:
                found.append(name)
            if name == "yaml.load":
                found.append(name)
    return found


def bare_text(tree: ast.AST) -> list[int]:
    """The lines that read or write text in whatever encoding the machine has."""
    found = []
    for node in ast.walk(tree):
        words = {word.arg for word in node.keywords} if isinstance(node, ast.Call) else {None}
        if not words.isdisjoint({None, "encoding"}):
            continue
        name, given = dotted(node.func), len(node.args)
        modes = [word.value for word in node.args[1:] if isinstance(word, ast.Constant)]
        # Of a path's two methods, the encoding is the word after the text.
        if (
            (name == "open" and not any("b" in str(mode) for mode in modes))
            or (name.startswith("subprocess.") and "text" in words)
            or (name.endswith(".read_text") and not given)
            or (name.endswith(".write_text") and given < 2)
        ):
            found.append(node.lineno)
    return found


@pytest.mark.parametrize("folder", [PACKAGE, *FOLDERS], ids=lambda path: path.name)
def test_every_text_names_its_encoding(folder):
    found = {path: bare_text(ast.parse(path.read_text("utf-8"))) for path in folder.rglob("*.py")}
    assert len(found) > 3
    assert {str(path): lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_module_can_run_what_it_reads(source):
    wanted = WANTED.get(str(source.relative_to(PACKAGE)), [])
    assert hazards(ast.parse(source.read_text("utf-8"))) == wanted


def test_every_part_of_the_package_is_looked_at():
    parts = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {path.relative_to(PACKAGE).parts[0] for path in SOURCES} >= parts
    assert parts >= {"cli", "evaluation", "networks", "pretext", "training", "trajectories", "ui"}


def test_the_security_rules_of_ruff_find_nothing():
    pytest.importorskip("ruff")
    words = ["check", "--isolated", "--select", "S", "--output-format", "json", "--no-cache"]
    # A check of types is no check of input, and is left out where Python is optimised.
    ran = subprocess.run(
        [sys.executable, "-m", "ruff", *words, "--ignore", "S101", str(PACKAGE)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert [(one["filename"], one["code"]) for one in json.loads(ran.stdout)] == []


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from joblib import load",
        "eval('1')",
        "subprocess.run('x', shell=True)",
        "subprocess.run('x', shell=wanted)",
        "np.load(f, allow_pickle=allowed)",
        "torch.hub.load('x', 'y')",
        "importlib.import_module(name)",
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


def test_a_text_without_an_encoding_would_be_seen():
    bare = [
        "p.read_text()",
        "(p / 'a').write_text(x)",
        "open(p)",
        "open(p, 'w')",
        "subprocess.run(w, text=True)",
    ]
    assert [code for code in bare if not bare_text(ast.parse(code))] == []
    named = "p.read_text('utf-8'); open(p, 'rb'); open(p, encoding='x')"
    assert bare_text(ast.parse(named)) == []
