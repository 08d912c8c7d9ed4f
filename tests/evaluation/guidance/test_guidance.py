"""Arms, losses, gaps and chance of the comparison, by numbers that are known beforehand."""

import json
from dataclasses import replace

import numpy as np
import pytest
from evaluation.labelled_folder import SIDE, save
from guided_networks import coordinates_file, denoiser, denoiser_file

from napari_mrissl.errors import MrisslError
from napari_mrissl.evaluation.guidance import arms, losses, probes, tables
from napari_mrissl.evaluation.guidance.losses import Losses
from napari_mrissl.evaluation.labelled_scans import labelled_scans
from napari_mrissl.evaluation.navigation.probing import Measure
from napari_mrissl.networks import weights
from napari_mrissl.networks.diffusion_cards import coordinate_card, diffusion_card
from napari_mrissl.pretext.diffusion.inspection import Inspector
from napari_mrissl.pretext.diffusion.optima import Moments
from napari_mrissl.pretext.diffusion.task import Diffusion
from tests.pretext.painted import Blobs


def _losses(**guides):
    values = {guide: np.array(one) for guide, one in guides.items()}
    return Losses({"0": values}, {"0": {"voxelwise": 0.5, "wiener": 0.3}})


def test_arms_differ_in_what_they_are_told_alone():
    made = arms.arms(
        {"kind": "heads"}, "tiny", {"optimisation.steps": 5, "backbone.width": 16}, contrastive=True
    )
    assert list(made) == [arms.START, *arms.COMPARED]
    budgets = arms.budgets(made)
    assert len({tuple(budgets[name].values()) for name in arms.COMPARED}) == 1
    assert made[arms.START].settings.task["backbone"]["width"] == 16
    assert made[arms.RESTORED].settings.task["backbone"]["name"] == "unet"
    told = {name: made[name].settings.task for name in arms.DENOISERS}
    assert made[arms.CONTRASTIVE].settings.method == "synthesis"
    differing = {key for one in told.values() for key in one if one[key] != told[arms.GUIDED][key]}
    assert differing == {"coordinates", "levels"}
    assert [made[name].begins_from for name in arms.DENOISERS] == [
        arms.START, None, arms.START, None,
    ]  # fmt: skip
    uneven = dict(made)
    uneven[arms.NONE] = arms.arms(None, "tiny", {"optimisation.steps": 6})[arms.NONE]
    with pytest.raises(MrisslError, match="different budgets"):
        arms.budgets(uneven)


def test_contrast_needs_label_maps():
    scan = {"subject": "a", "identity": "0" * 64, "split": "train"}

    def data(labels):
        return {"kind": "scans", "subjects": [{**scan, "labels": labels}]}

    assert arms.CONTRASTIVE in arms.arms(data("1" * 64), "tiny", {}, contrastive=True)
    assert arms.CONTRASTIVE not in arms.arms(data(None), "tiny", {})
    with pytest.raises(MrisslError, match="without labels"):
        arms.arms(data(None), "tiny", {}, contrastive=True)


def test_gaps_are_of_pairs_of_subjects():
    known = {
        arms.GUIDED: _losses(true=[0.2, 0.4], off=[0.3, 0.5], shifted=[0.5, 0.8], shuffled=[1, 1]),
        arms.NONE: _losses(off=[0.25, 0.40]),
        arms.SHUFFLED: _losses(true=[0.3, 0.45], off=[0.1, 0.1]),
    }
    all_found = losses.gaps(known)
    assert list(all_found[arms.SHUFFLED]) == ["gap_unguided_0_db"]
    assert all_found[arms.SHUFFLED]["gap_unguided_0_db"].value == pytest.approx(-0.05)
    found = all_found[arms.GUIDED]
    assert found["gap_unguided_0_db"].value == pytest.approx(0.025)
    assert found["gap_off_0_db"].value == pytest.approx(0.1)
    # The same in both subjects.
    assert found["gap_off_0_db"].low == pytest.approx(found["gap_off_0_db"].high)
    assert found["gap_shifted_0_db"].value == pytest.approx(0.35)
    assert found["gap_shuffled_0_db"].value == pytest.approx(0.7)
    assert {one.chance for one in found.values()} == {0}
    measures = known[arms.NONE].measures()
    assert measures["loss_0_db"] == Measure(pytest.approx(0.325), 0.25, 0.4, 0.5, 2)
    assert measures["wiener_0_db"].value == 0.3
    plain = json.loads(json.dumps(known[arms.GUIDED].plain()))
    again = Losses.from_plain(plain)
    assert again.plain() == plain


def test_losses_of_subjects_are_those_of_the_inspector(tmp_path):
    network = denoiser()
    task = Diffusion(network.settings)
    moments = task.moments(Blobs(), 0)
    path = denoiser_file(tmp_path, network, moments=moments.plain())
    found = losses.measured(path, Blobs(), 3, 7)
    inspector = Inspector.open(path)
    count = len(Blobs())
    for number in range(count):
        drawn = inspector.draw(Blobs().scan(number), 3, 7 + number)
        for guide, value in inspector.losses(drawn, 7.5).items():
            assert found.by_guide["7.5"][guide][number] == pytest.approx(value)
    assert len(found.own("7.5")) == count
    step = inspector.schedule.step_of(7.5)
    floor = Moments.from_plain(moments.plain()).voxelwise(inspector.schedule, "epsilon")[step]
    assert found.floors["7.5"]["voxelwise"] == pytest.approx(floor)


def test_chance_of_dice_is_one_label_everywhere(tmp_path):
    for number, (first, second) in enumerate(((4, 2), (8, 1), (6, 6))):
        labels = np.zeros((SIDE,) * 3, np.uint8)
        labels[:first], labels[first : first + second] = 1, 2
        values = np.random.default_rng(number).integers(0, 99, labels.shape).astype(np.int16)
        save(tmp_path, f"person_{number}", values, labels)
    scans = labelled_scans(tmp_path)
    tested, _ = scans.split(2, 0)
    expected = []
    for label in (1, 2):
        everywhere = np.full((SIDE,) * 3, label)
        own = []
        for scan in tested:
            _, truth = scan.read()
            overlap = [
                2 * np.sum((everywhere == k) & (truth == k))
                / (np.sum(everywhere == k) + np.sum(truth == k))
                for k in (1, 2)
            ]  # fmt: skip
            own.append(np.mean(overlap))
        expected.append(np.mean(own))
    assert probes.chance(scans, 2, 0) == pytest.approx(max(expected))


def test_the_table_for_people_has_chance_and_floors():
    rows = {
        "guided": {
            "dice_linear_3": Measure(0.5, 0.4, 0.6, 0.05, 9),
            "loss_0_db": Measure(0.2, None, None, 0.5),
            "wiener_0_db": Measure(0.3),
            "gap_off_0_db": Measure(0.1, 0.05, 0.2, 0.0, 4),
        },
        "intensity": {"dice_linear_3": Measure(0.25, chance=0.05)},
    }
    budgets = {"guided": {"steps": 7, "samples": 14}}
    text = tables.markdown(rows, budgets, "About.")
    lines = text.splitlines()
    assert "| chance |  |  | 0.05 |" in lines
    assert "| guided | 7 | 14 | 0.5 (0.4 to 0.6) |" in lines
    assert "| intensity | 0 | 0 | 0.25 |" in lines
    assert "| chance |  |  | 0.5 |" in lines
    assert "| Wiener filter |  |  | 0.3 |" in lines
    assert "|  | 0 dB |" in lines
    assert "| guided, beside off | 0.1 (0.05 to 0.2) |" in lines
    assert lines[-1] == "About."
    assert "guided,7,14,loss_0_db,0.2,,,0.5,1" in tables.as_csv(rows, budgets).splitlines()


def test_scans_of_one_person_are_one_subject(tmp_path):
    class Twins(Blobs):
        def scan(self, number):
            return replace(super().scan(number), subject="ab"[number // 2])

    network = denoiser()
    moments = Diffusion(network.settings).moments(Blobs(), 0)
    path = denoiser_file(tmp_path, network, moments=moments.plain())
    alone = losses.measured(path, Blobs(), 2, 0).own("0")
    found = losses.measured(path, Twins(), 2, 0).own("0")
    np.testing.assert_allclose(found, [alone[:2].mean(), alone[2]])


def test_what_is_shifted_is_another_place_of_the_body(tmp_path):
    network = denoiser()
    moments = Diffusion(network.settings).moments(Blobs(), 0)
    inspector = Inspector.open(denoiser_file(tmp_path, network, moments=moments.plain()))
    drawn = inspector.draw(Blobs().scan(0), 3, 0)
    shifted = inspector.told(drawn, "shifted")
    apart = shifted - drawn.where
    for one, where in zip(apart, drawn.where, strict=True):
        for axis in range(3):
            way = -0.5 if where[axis].mean() >= 0 else 0.5
            np.testing.assert_allclose(one[axis], way, atol=1e-6)


@pytest.mark.parametrize("change", [{"variance": float("inf")}, {"power": []}, {"variance": -1}])
def test_moments_that_cannot_be_are_refused(change):
    plain = Diffusion(denoiser().settings).moments(Blobs(), 0).plain()
    with pytest.raises(MrisslError, match="no moments of the patches"):
        Moments.from_plain({**plain, **change})


@pytest.mark.parametrize("spacing", [[0, 0], [1, 1e9]])
def test_a_card_of_crops_without_size_is_refused(tmp_path, spacing):
    path = coordinates_file(tmp_path)
    card = weights.read_card(path)
    card["task"]["crop"]["spacing"] = spacing
    with pytest.raises(MrisslError):
        coordinate_card(card)


def test_a_card_of_patches_that_do_not_fit_is_refused(tmp_path):
    card = weights.read_card(denoiser_file(tmp_path))
    card["task"]["patch"]["side"] = 18
    with pytest.raises(MrisslError, match="patches of 18 voxels"):
        diffusion_card(card)
