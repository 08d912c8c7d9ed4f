"""What a finetuning starts from: weights by name, run or file, as those of a backbone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import ValidationError

from napari_mrissl.errors import MrisslError, printable
from napari_mrissl.features.network import PAINTED
from napari_mrissl.networks import weights
from napari_mrissl.networks.diffusion_cards import refuse_frozen
from napari_mrissl.networks.settings import BackboneSettings
from napari_mrissl.networks.unet_layout import OUT_CHANNELS, UNetSize
from napari_mrissl.networks.weight_library import DEFAULT, available, names, weights_named
from napari_mrissl.segmentation.finetuning.settings import SCRATCH
from napari_mrissl.training.initial import weights_file
from napari_mrissl.training.settings import Preprocessing

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BACKBONE = "backbone."


@dataclass(frozen=True)
class Start:
    """Where weights come from, and the network that they are of.

    Attributes
    ----------
    name
        For people; of a run or a file its method and the start of its identity.
    backbone
        The network.
    preprocessing
        What the weights were trained on, where they say so.
    path
        Their file; None for a network that is drawn.
    """

    name: str
    backbone: BackboneSettings
    preprocessing: Preprocessing | None = None
    path: Path | None = field(default=None, repr=False)


def start_of(words: str) -> Start:
    """What the words for weights stand for; torch is not needed.

    ``scratch`` draws the network of the default weights, so that both differ in nothing else;
    where none ship, the published plain U-Net at half its width, which a CPU can train.

    Raises
    ------
    MrisslError
        If there are no such weights, no network here can hold them, or they are a denoiser's.
    """
    if words == SCRATCH:
        shipped = any(file.origin == "shipped" for file in available())
        usual = BackboneSettings(name="unet", width=8, depth=5)
        same = start_of(DEFAULT) if shipped else Start(SCRATCH, usual)
        return Start(SCRATCH, same.backbone, same.preprocessing)
    if words == DEFAULT or words in names() or not Path(words).exists():
        # Says what is there where nothing of this name is.
        file = weights_named(words)
        return Start(file.name, _of_size(file.size), _scale(file.card), file.path)
    path, identity = weights_file(words)
    card = weights.read_card(path)
    refuse_frozen(card, path)
    name = f"{printable(str(card.get('method', 'weights')))[:40]} {identity[:8]}"
    return Start(name, _of_card(card, path), _scale(card), path)


def backbone_arrays(start: Start) -> dict[str, NDArray[Any]]:
    """The backbone's tensors, float32, by the names they have in a run.

    Raises
    ------
    MrisslError
        If they cannot be read, are not finite, or the file holds none of a backbone.
    """
    if start.path is None:
        return {}
    state = weights.load_arrays(start.path)
    of_run = any(name.startswith(_BACKBONE) for name in state)
    chosen = {
        name if of_run else _BACKBONE + name: value
        for name, value in state.items()
        if not of_run or name.startswith(_BACKBONE)
    }
    if not chosen:
        raise MrisslError("hold no backbone", where=start.path)
    floating = {name: v for name, v in chosen.items() if v.dtype.kind == "f"}
    if not all(bool(np.isfinite(value).all()) for value in floating.values()):
        raise MrisslError("holds values that are not finite", where=start.path)
    return {**chosen, **{name: value.astype(np.float32) for name, value in floating.items()}}


def _of_card(card: Mapping[str, Any], path: Path) -> BackboneSettings:
    task = card.get("task")
    plain = task.get("backbone") if isinstance(task, Mapping) else None
    if isinstance(plain, Mapping):
        try:
            return BackboneSettings.model_validate(dict(plain))
        except ValidationError as error:
            raise MrisslError("are of a network unknown here", where=path) from error
    return _of_size(weights_named(path).size)


def _of_size(size: UNetSize) -> BackboneSettings:
    if (size.in_channels, size.out_channels) == (1, OUT_CHANNELS):
        try:
            return BackboneSettings(name="unet", width=size.width, depth=size.depth + 1)
        except ValidationError:
            pass
    raise MrisslError(
        f"a network of width {size.width} and depth {size.depth} from {size.in_channels} to "
        f"{size.out_channels} channels",
        where="weights",
        expected=f"one image channel, {OUT_CHANNELS} features, a width in eights",
        remedy="choose other weights",
    )


def _scale(card: Mapping[str, Any]) -> Preprocessing | None:
    if card.get("method") == PAINTED:
        # Any scale from 0 to 1 is as near to painted images; scratch has the same then.
        return None
    plain = card.get("preprocessing")
    if not isinstance(plain, Mapping):
        return None
    try:
        return Preprocessing.model_validate(dict(plain))
    except ValidationError:
        # Files of others say it in words of their own; then the run's default holds.
        return None
