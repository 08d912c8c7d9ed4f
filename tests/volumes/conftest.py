"""Files to read, written by nibabel and SimpleITK rather than by us."""

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture(scope="session", autouse=True)
def quiet_itk():
    sitk.ProcessObject.SetGlobalWarningDisplay(False)


@pytest.fixture
def nifti(tmp_path):
    """Writes a NIfTI file from voxels, affine and edits of its header."""

    def write(voxels, affine=None, name="scan.nii.gz", kind=nib.Nifti1Image, **fields):
        image = kind(voxels, np.eye(4) if affine is None else affine)
        image.header.set_xyzt_units("mm")
        for key, value in fields.items():
            image.header[key] = value
        path = tmp_path / name
        nib.save(image, path)
        return path

    return write
