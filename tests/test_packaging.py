"""The wheel: what is in it, and that it works where neither Qt nor torch is installed."""

import email
import email.message
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import nibabel
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from napari_mrissl.assets import asset
from napari_mrissl.errors import MrisslError

CHECKOUT = Path(__file__).resolve().parents[1]
RESOURCES = sorted(
    path.relative_to(CHECKOUT / "resources").as_posix()
    for path in (CHECKOUT / "resources").rglob("*")
    if path.is_file()
)
LEARNING = {"networks", "pretext", "training", "segmentation", "evaluation"}
TRAINING = {"torch", "monai", "safetensors"}
ABSENT = ("torch", "napari", "PyQt6", "PySide6", "pyqtgraph", "SimpleITK", "pytest", "vispy")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built without a network from a copy of the checkout."""
    source = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md"):
        shutil.copy(CHECKOUT / name, source)
    for name in ("napari_mrissl", "resources", "tests"):
        shutil.copytree(
            CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    words = ["-m", "build", "--wheel", "--no-isolation", "--outdir", str(source / "dist")]
    subprocess.run(
        [sys.executable, *words], cwd=source, check=True, capture_output=True, timeout=200
    )
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> email.message.Message:
    """The wheel's core metadata."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


@pytest.fixture(scope="module")
def bare(wheel: Path, metadata: email.message.Message, tmp_path_factory) -> Path:
    """Python of an environment with the wheel and what its base requirements need, only."""
    folder = tmp_path_factory.mktemp("bare")
    venv.EnvBuilder(with_pip=False, symlinks=True).create(folder)
    packages = next((folder / "lib").glob("python3*")) / "site-packages"
    for entry in entries(base_closure(metadata.get_all("Requires-Dist"))):
        (packages / entry.name).symlink_to(entry)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(packages)
    return folder / "bin" / "python"


def base_closure(requirements: list[str]) -> set[str]:
    """Names of all distributions that some requirements lead to, without extras."""
    found: set[str] = set()
    todo = [(Requirement(text), "") for text in requirements]
    while todo:
        requirement, extra = todo.pop()
        name = canonicalize_name(requirement.name)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        wanted = {""} | requirement.extras
        if name in found and not requirement.extras:
            continue
        found.add(name)
        todo += [(Requirement(r), e) for r in distribution(name).requires or () for e in wanted]
    return found


def entries(names: set[str]) -> set[Path]:
    """The files and folders in site-packages that belong to some distributions."""
    found = set()
    for name in names:
        installed = distribution(name)
        tops = {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}
        found |= {Path(str(installed.locate_file(top))) for top in tops}
    return found


def ran(python: Path, *words: object, **options) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "COV"))}
    return subprocess.run(
        [str(python), *map(str, words)],
        capture_output=True,
        encoding="utf-8",
        timeout=200,
        env=environment,
        **options,
    )


def mrissl(python: Path, *words: object, **options) -> subprocess.CompletedProcess[str]:
    start = (
        "import sys; from importlib.metadata import entry_points;"
        "(script,) = entry_points(group='console_scripts', name='mrissl');"
        "sys.exit(script.load()())"
    )
    return ran(python, "-c", start, *words, **options)


def test_resources_are_inside_and_nothing_else_is(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        for name in RESOURCES:
            inside = archive.read(f"napari_mrissl/resources/{name}")
            assert inside == (CHECKOUT / "resources" / name).read_bytes()
    tops = {name.split("/")[0] for name in names}
    assert len(tops) == 2
    assert "napari_mrissl" in tops
    assert "napari_mrissl/napari.yaml" in names
    assert "napari_mrissl/py.typed" in names
    assert not [n for n in names if "test" in n or "__pycache__" in n or n.endswith(".pyc")]
    sources = {
        path.relative_to(CHECKOUT).as_posix() for path in CHECKOUT.glob("napari_mrissl/**/*.py")
    }
    assert sources == {name for name in names if name.endswith(".py")}


def test_metadata(metadata):
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["License-File"] == "LICENSE"
    assert metadata["License"] is None
    assert tuple(map(int, metadata["Metadata-Version"].split("."))) >= (2, 4)
    assert metadata["Requires-Python"] == ">=3.11"
    classifiers = metadata.get_all("Classifier")
    assert "Framework :: napari" in classifiers
    assert not [name for name in classifiers if name.startswith("License ::")]
    assert set(metadata.get_all("Provides-Extra")) >= {"app", "dicom", "register", "train"}


def test_torch_is_recent_enough_to_be_safe_and_optional(metadata):
    requirements = [Requirement(text) for text in metadata.get_all("Requires-Dist")]
    asked = {str(r.marker): r.specifier for r in requirements if r.name == "torch"}
    # One extra that names another has its requirements too.
    assert asked.keys() == {'extra == "register"', 'extra == "train"'}
    assert not any(specifier.contains("2.9.1") for specifier in asked.values())
    base = {r.name.lower() for r in requirements if not r.marker}
    assert not base & {name.lower() for name in ABSENT}


def test_pins_cover_everything_and_satisfy_what_is_asked_for(metadata):
    lines = (CHECKOUT / "constraints.txt").read_text("utf-8").splitlines()
    pins = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(len(pin.specifier) == 1 and "==" in str(pin.specifier) for pin in pins)
    names = [canonicalize_name(pin.name) for pin in pins]
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    versions = {
        name: str(pin.specifier).removeprefix("==") for name, pin in zip(names, pins, strict=True)
    }
    for text in metadata.get_all("Requires-Dist"):
        wanted = Requirement(text)
        name = canonicalize_name(wanted.name)
        if name != "napari-mrissl":
            assert wanted.specifier.contains(versions[name]), text
    assert base_closure(metadata.get_all("Requires-Dist")) <= set(names)


def test_the_entry_points_are_the_command_and_the_manifest(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("entry_points.txt"))
        text = archive.read(name).decode()
    assert "mrissl = napari_mrissl.cli:main" in text
    assert "napari-mrissl = napari_mrissl:napari.yaml" in text


def test_the_lookup_finds_shipped_files_in_the_checkout():
    for name in RESOURCES:
        assert asset(name) == CHECKOUT / "resources" / name
    with pytest.raises(MrisslError, match="missing"):
        asset("no such file")


def test_the_lookup_finds_shipped_files_in_the_wheel(bare, tmp_path):
    script = (
        "import json, sys; from napari_mrissl.assets import asset;"
        "print(json.dumps([str(asset(name)) for name in sys.argv[1:]]))"
    )
    found = ran(bare, "-c", script, *RESOURCES, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    for name, path in zip(RESOURCES, json.loads(found.stdout), strict=True):
        assert "site-packages/napari_mrissl/resources" in path
        assert Path(path).read_bytes() == (CHECKOUT / "resources" / name).read_bytes()


def test_every_module_outside_ui_imports_without_qt_and_torch(bare, tmp_path):
    script = f"""
import importlib, importlib.util, pathlib, pkgutil, sys
assert not [name for name in {ABSENT} if importlib.util.find_spec(name)]
import napari_mrissl, napari_mrissl.errors
assert "site-packages" in napari_mrissl.__file__
count = 0
def walk(paths, prefix):
    global count
    for found in pkgutil.iter_modules(paths, prefix):
        if found.name == "napari_mrissl.ui":
            continue
        count += 1
        try:
            module = importlib.import_module(found.name)
        except ModuleNotFoundError as reason:
            # Modules that are about torch, and that no floor below imports at its top.
            about = ".torch_" in found.name or found.name.split(".")[1] in {LEARNING}
            assert reason.name in {TRAINING} and about, (found.name, reason.name)
            continue
        except napari_mrissl.errors.MrisslError as reason:
            # Its modules are classes of Gymnasium's: it says so for all of them.
            assert found.name == "napari_mrissl.environments", found.name
            assert "gymnasium is not installed" in str(reason)
            folder = pathlib.Path(paths[0]) / "environments"
            count += len(list(folder.glob("*.py"))) - 1
            continue
        if found.ispkg:
            walk(module.__path__, found.name + ".")
walk(napari_mrissl.__path__, "napari_mrissl.")
print(count, napari_mrissl.__version__)
"""
    found = ran(bare, "-W", "error:::napari_mrissl", "-c", script, cwd=tmp_path)
    assert found.returncode == 0, found.stderr
    count, version = found.stdout.split()
    outside_ui = [path for path in CHECKOUT.glob("napari_mrissl/**/*.py") if "ui" not in path.parts]
    assert int(count) == len(outside_ui) - 1
    assert version != "0+unknown"


def test_commands_work_without_qt_and_torch(bare, tmp_path):
    helped = mrissl(bare, "--help", cwd=tmp_path)
    assert helped.returncode == 0, helped.stderr
    for command in ("info", "slice", "segment", "trajectory", "demo"):
        assert command in helped.stdout
    voxels = np.random.default_rng(1).integers(0, 200, (20, 18, 16)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(voxels, np.diag([1, 2, 3, 1])), tmp_path / "scan.nii.gz")
    info = mrissl(bare, "info", "scan.nii.gz", "--json", cwd=tmp_path)
    assert info.returncode == 0, info.stderr
    assert json.loads(info.stdout)["shape"] == [20, 18, 16]
    plane = "--center 9 17 22 --normal 0 0 1 --up 0 1 0 --fov 20 --size 16 --out a.npy"
    cut = mrissl(bare, "slice", "scan.nii.gz", *plane.split(), cwd=tmp_path)
    assert cut.returncode == 0, cut.stderr
    assert np.load(tmp_path / "a.npy").any()


def test_the_demo_says_what_to_install(bare, tmp_path):
    asked = mrissl(bare, "demo", cwd=tmp_path)
    assert asked.returncode == 2
    assert asked.stderr.strip().endswith('run pip install "napari-mrissl[app]".')
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_real_installation_from_the_index(wheel, tmp_path):
    venv.EnvBuilder(with_pip=True, symlinks=True).create(tmp_path / "env")
    python = tmp_path / "env" / "bin" / "python"
    words = ("-m", "pip", "install", "--constraint", CHECKOUT / "constraints.txt", wheel)
    subprocess.run([str(python), *map(str, words)], check=True, timeout=1100)
    helped = subprocess.run(
        [str(tmp_path / "env" / "bin" / "mrissl"), "--help"],
        capture_output=True,
        encoding="utf-8",
        check=True,
        cwd=tmp_path,
    )
    assert "segment" in helped.stdout
    for name in ABSENT:
        assert ran(python, "-c", f"import {name}", cwd=tmp_path).returncode == 1
