"""Train the arms one after the other, each from the weights it begins from; once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.navigation.arms import Arm
from napari_mrissl.training import initial
from napari_mrissl.training.ablation import Stopped
from napari_mrissl.training.run import Run
from napari_mrissl.training.states import RunState

Train = Callable[[Run], RunState]
Tell = Callable[[str], object]


def trained(
    folder: Path, arms: Mapping[str, Arm], train: Train, tell: Tell = lambda text: None
) -> dict[str, Run]:
    """The runs of all arms, finished; what is finished is not done again.

    Parameters
    ----------
    folder
        New, or of an earlier call with the same arms; each is a run in it.
    arms
        Those that others begin from come before these.
    train
        Trains a run until it is finished or stopped.
    tell
        Is told what happens.

    Raises
    ------
    Stopped
        If one does not reach its last step; the same call goes on from there.
    MrisslError
        If the folder holds other arms.
    """
    folder.mkdir(parents=True, exist_ok=True)
    runs: dict[str, Run] = {}
    for name, arm in arms.items():
        run = runs[name] = opened(folder, arm)
        state = run.state()
        if state.name == "finished":
            continue
        tell(f"{name}: step {state.step} of {arm.settings.optimisation.steps}")
        state = train(run)
        if state.name != "finished":
            raise Stopped(
                f"{name} is {state.name} at step {state.step} of {state.steps}",
                where=folder,
                remedy="the same command goes on from there",
            )
    return runs


def opened(folder: Path, arm: Arm) -> Run:
    """The run of an arm, made where it is not there yet.

    Raises
    ------
    MrisslError
        If it is there with other settings, or what it begins from cannot be read.
    """
    settings, file = arm.settings, None
    if arm.begins_from is not None:
        file, sha256 = initial.weights_file(folder / arm.begins_from)
        settings = initial.begun_from(settings, file, sha256)
    place = folder / arm.name
    run = Run.open(place) if place.exists() else Run.create(place, settings)
    if run.settings != settings:
        raise MrisslError(
            f"{arm.name} is there with other settings",
            where=folder,
            expected="the settings of this command",
            remedy="choose another folder",
        )
    # A command that was killed may have made the run, but not yet copied the weights.
    if file is not None and initial.card_of(run) is None:
        initial.keep(run, file)
    return run
