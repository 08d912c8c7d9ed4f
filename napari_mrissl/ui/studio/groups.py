"""Which settings belong to which stages."""

from __future__ import annotations

from typing import NamedTuple

from pydantic import BaseModel

from napari_mrissl.synthesis.settings import AugmentationSettings, EngineSettings


class Group(NamedTuple):
    """Settings that act together.

    Attributes
    ----------
    title
        Of its section.
    stages
        Names of the stages they act on.
    paths
        Dotted names of the fields.
    """

    title: str
    stages: tuple[str, ...]
    paths: tuple[str, ...]


def _of(holder: str, *names: str) -> tuple[str, ...]:
    return tuple(f"{holder}.{name}" for name in names)


GROUPS = (
    Group(
        "Templates and placement",
        ("templates", "copy", "ensemble"),
        _of("ensemble", "side", "templates", "scale", "reflect", "degrees", "shear", "shift"),
    ),
    Group("Median filter", ("median",), _of("ensemble", "median")),
    Group(
        "Mask",
        ("ball", "mask", "foreground"),
        _of("ensemble", "mask_probability", "ball_radius", "ball_shift", "warp_scales", "warp_std"),
    ),
    Group("Envelope", ("envelope",), _of("ensemble", "envelope_probability", "envelope_widths")),
    Group("Grey values", ("mixture",), _of("appearance", "mean", "std", "background_skip")),
    Group(
        "Smooth noise",
        ("noise",),
        _of("appearance", "noise_amplitude", "noise_scales", "noise_std"),
    ),
    *(
        Group(
            field.title or name,
            (name,),
            _of(f"augmentation.{name}", *field.default.__class__.model_fields),
        )
        for name, field in AugmentationSettings.model_fields.items()
    ),
)
"""All settings, in the order of the stages."""


def field_of(path: str) -> tuple[type[BaseModel], str]:
    """The model that holds a field of the settings, and the field's name in it."""
    model: type[BaseModel] = EngineSettings
    *holders, name = path.split(".")
    for holder in holders:
        model = type(model.model_fields[holder].default)
    return model, name


def explanation(path: str) -> str:
    """What a setting means, and its published value."""
    model, name = field_of(path)
    info = model.model_fields[name]
    default = info.default if isinstance(info.default, tuple) else (info.default,)
    joint = " to " if len(default) == 2 else ", "
    published = joint.join(f"{value:.3g}" for value in default)
    return f"{info.description or info.title}\nPublished: {published}"
