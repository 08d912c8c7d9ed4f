"""A finetuned network on disk: what it can tell apart, what it wants to see; torch comes last."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mrissl.errors import MrisslError
from napari_mrissl.networks import weights
from napari_mrissl.segmentation.finetuning.task_settings import INFO, FinetuneTaskSettings
from napari_mrissl.training.building import checked
from napari_mrissl.training.committed import best, exported
from napari_mrissl.training.data.preprocessing import limits
from napari_mrissl.training.layout import SETTINGS
from napari_mrissl.training.run import Run
from napari_mrissl.training.settings import Preprocessing
from napari_mrissl.volumes import Volume

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class SavedSegmenter:
    """A segmenter as a finetuning run, or a file of its weights, holds it.

    Attributes
    ----------
    settings
        Of the finetuning: classes in the order of the network's outputs, crops, backbone.
    preprocessing
        How grey values become [0, 1]; see `limits`.
    path
        The safetensors file; never shown and never saved.
    card
        What is said of the weights, e.g. ``step``.
    """

    settings: FinetuneTaskSettings
    preprocessing: Preprocessing
    path: Path = field(repr=False)
    card: Mapping[str, Any] = field(repr=False, hash=False)

    @classmethod
    def load(cls, place: str | Path) -> SavedSegmenter:
        """The segmenter of a run's folder, or of a file of weights.

        Of a run that was measured on held-out scans, the weights that were best there; of any
        other one, the newest.

        Raises
        ------
        MrisslError
            If it is no finetuning, or has no weights yet.
        """
        path = Path(place)
        if path.is_dir():
            return cls._of_run(path)
        if not path.exists():
            raise MrisslError("is not there", where=path, expected="a finetuning run or its file")
        return cls._of_file(path)

    @classmethod
    def _of_run(cls, folder: Path) -> SavedSegmenter:
        if not (folder / SETTINGS).exists():
            raise MrisslError("is no run", where=folder, expected="the folder of a finetuning")
        settings = Run.open(folder).settings
        _check_method(settings.method, folder)
        held_out = any(record.split == "validation" for record in settings.data.subjects)
        chosen = best(folder)[0] if held_out else None
        path = exported(folder) if chosen is None else chosen.exported
        if path is None:
            raise MrisslError(
                "has no weights yet", where=folder, remedy="let it train to a checkpoint"
            )
        return cls._of_file(path)

    @classmethod
    def _of_file(cls, path: Path) -> SavedSegmenter:
        card = weights.read_card(path)
        _check_method(card.get("method"), path)
        task = checked(FinetuneTaskSettings, card.get("task"), where="finetuning settings")
        scale = checked(Preprocessing, card.get("preprocessing"), where="preprocessing")
        return cls(task, scale, path, card)

    @property
    def classes(self) -> dict[int, str]:
        """Names by label, in the order of the network's outputs."""
        return {entry.label: entry.name for entry in self.settings.classes}

    @property
    def colors(self) -> dict[int, str]:
        """``#rrggbb`` by label, of classes that have one."""
        return {
            entry.label: entry.color for entry in self.settings.classes if entry.color is not None
        }

    @property
    def spacing(self) -> tuple[float, float, float] | None:
        """(S, A, R) mm that scans are resampled to; None takes each scan as it is."""
        return self.settings.spacing

    @property
    def patch(self) -> tuple[int, int, int]:
        """Voxels along (S, A, R) of the crops it was trained on: a good window."""
        return self.settings.patch

    @property
    def stride(self) -> int:
        """What every side of an image must be a multiple of."""
        return self.settings.backbone.stride

    @property
    def least_side(self) -> int:
        """The shortest side of an image, in voxels."""
        return self.settings.backbone.least_side

    @property
    def mirrored(self) -> tuple[int, ...]:
        """Axes of (S, A, R), by number, along which its crops were mirrored in training."""
        return (0, 1) if self.settings.spatial.mirror == "safe" else ()

    def limits(self, volume: Volume) -> tuple[float, float]:
        """The values of a scan that become 0 and 1; what lies outside is clipped, NaN is 0."""
        return limits(volume, self.preprocessing)

    def network(self) -> nn.Module:
        """The network for evaluation on the CPU: image (N, 1, Z, Y, X) to logits (N, K, Z, Y, X).

        Raises
        ------
        MrisslError
            If the file cannot be read, or holds another network's weights.
        """
        import torch

        from napari_mrissl.segmentation.finetuning.network import SegmentationNetwork
        from napari_mrissl.training.trainer import load_weights

        state, card = weights.load(self.path)
        if card != dict(self.card):
            raise MrisslError("has changed meanwhile", where=self.path, remedy="load it again")
        with torch.device("meta"):
            # Settings in a small file may ask for a network that fills the memory.
            shapes = {
                name: tensor.shape
                for name, tensor in SegmentationNetwork(self.settings).state_dict().items()
            }
        if shapes != {name: tensor.shape for name, tensor in state.items()}:
            raise MrisslError(
                "holds weights of another network than its settings say", where=self.path
            )
        network = SegmentationNetwork(self.settings)
        load_weights(network, state)
        return network.eval().requires_grad_(False)


def _check_method(method: Any, where: Path) -> None:
    if method != INFO.name:
        raise MrisslError(
            f"is no finetuning but {str(method)[:40]!r}",
            where=where,
            expected="a run of mrissl finetune",
        )
