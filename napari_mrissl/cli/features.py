"""``mrissl features``: what a trained network says of every voxel of a scan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from napari_mrissl.cli.arguments import Flag, Frame, Scan, Whole
from napari_mrissl.cli.files import check_target, open_scan
from napari_mrissl.cli.terminal import Progress, one_sentence, say, show, show_json
from napari_mrissl.errors import MrisslError

if TYPE_CHECKING:
    from pydantic import BaseModel


def features(
    scan: Scan,
    /,
    *,
    out: Path,
    weights: str = "default",
    layer: Whole | None = None,
    normalise: Literal["l2", "standardised", "none"] = "l2",
    window: tuple[float, float] | None = None,
    precision: Literal["float32", "bfloat16"] = "float32",
    snr: float | None = None,
    coordinates: Literal["true", "zeroed"] | None = None,
    intensity: Flag = False,
    half: Flag = False,
    frame: Frame = None,
    json: Flag = False,
) -> None:
    """Write the features of a scan as a zarr store, (C, S, A, R), with its affine.

    They are kept in the cache: the same scan and weights are not computed again. A run of the
    method tokenizer or dynamics gives the mean of three orthogonal stacks of slices; one of the
    method diffusion all maps of its decoder, of the scan noised once; one of the method
    coordinates three coordinates.

    Parameters
    ----------
    scan
        NIfTI, MGH, NRRD or MetaImage file, or a folder with one DICOM series.
    out
        The store to make; it must end in .zarr and not be there.
    weights
        A name of mrissl weights list, the folder of a run, a safetensors file, or random.
    layer
        Number of an inner layer instead of the features, e.g. 27, 31, 38, 45 or 52; of a
        denoiser one map of its decoder, from 0, the deepest.
    normalise
        Bring the channels of each voxel to length 1, or to mean 0 and deviation 1, or not.
    window
        Two values of the scan that become 0 and 1, e.g. -450 450 for a CT.
    precision
        In which the network computes; bfloat16 is for GPUs, where it is twice as fast.
    snr
        Of a denoiser: signal-to-noise ratio of the noise in dB; without it 10.
    coordinates
        Of a denoiser: whether it is told true ones, or nothing.
    intensity
        Of a run of the method coordinates: grey values behind the coordinates.
    half
        Write float16: half the size, three digits.
    frame
        Which frame of a file with several, from 0; without it the first.
    json
        Print one JSON object.
    """
    from napari_mrissl.features import cached, compute, source_for
    from napari_mrissl.features.export import SUFFIX, write_features
    from napari_mrissl.features.settings import remarks_on

    if out.exists():
        raise MrisslError("is there already", where=out, remedy="give another name")
    check_target(out, (SUFFIX,), overwrite=False)
    settings = _settings(
        weights,
        tap=layer,
        normalise=normalise,
        window=window,
        # What is usual need not be known to every kind of network.
        precision=None if precision == "float32" else precision,
        snr_db=snr,
        coordinates=coordinates,
        intensity=intensity or None,
    )
    source = source_for(settings)
    volume = open_scan(scan, frame)
    for remark in remarks_on(volume, settings):
        say(one_sentence(remark))
    dtype: Literal["float32", "float16"] = "float16" if half else "float32"
    numbers = len(source.channel_names()) * volume.data.size
    store = f"at most {(2 if half else 4) * numbers / 2**30:.3g} GiB for the store"
    if cached(volume, settings) is not None:
        say(f"computed before, and taken from the cache; {store}")
    else:
        expected = source.estimate(volume)
        say(
            f"about {expected.seconds:.0f} s on two cores, {expected.ram_bytes / 2**30:.1f} GiB "
            f"of memory, {expected.disk_bytes / 2**30:.2f} GiB of cache and {store}"
        )
    start = time.perf_counter()
    stack = compute(volume, settings, Progress("computing features"))
    seconds = time.perf_counter() - start
    write_features(out, stack, volume, dtype, Progress("writing"))
    facts: dict[str, Any] = {
        "shape": list(stack.data.shape),
        "dtype": dtype,
        "scan": volume.identity,
        "features": source.settings.model_dump(mode="json"),
        "seconds": round(seconds, 3),
    }
    if json:
        show_json(facts)
        return
    show(
        {
            "channels": len(stack.names),
            "voxels": " x ".join(map(str, volume.shape)),
            "type": dtype,
            "seconds": f"{seconds:.1f}",
        }
    )


def _settings(weights: str, **content: Any) -> BaseModel:
    from pydantic import ValidationError

    from napari_mrissl.features.of_weights import DENOISER, kind_of, settings_of

    if kind_of(weights) is DENOISER:
        level = content.pop("tap")
        content |= {"level": level, "scales": "decoder" if level is None else None}
    try:
        return settings_of(weights, **content)
    except ValidationError as reasons:
        first = reasons.errors(include_url=False)[0]
        field = str(first["loc"][0]) if first["loc"] else "window"
        where = {"tap": "--layer", "level": "--layer", "snr_db": "--snr"}.get(field, f"--{field}")
        raise MrisslError(first["msg"].removeprefix("Value error, "), where=where) from reasons
