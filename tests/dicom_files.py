"""DICOM files of every sort, made in memory."""

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

DIGITAL_X_RAY = "1.2.840.10008.5.1.4.1.1.1.1"
# What must never be found in a stored byte.
IDENTITY = {
    "PatientName": "Zweistein^Albertine",
    "PatientID": "MRN-4711-0815",
    "IssuerOfPatientID": "Hospital of Nowhere",
    "PatientBirthDate": "18790314",
    "PatientAddress": "Kramgasse 49",
    "OtherPatientIDs": "OTHER-ID-77",
    "PatientComments": "her cousin is the mayor",
    "AccessionNumber": "ACC-998877",
    "InstitutionName": "Nowhere General",
    "ReferringPhysicianName": "Quincy^Medical",
    "OperatorsName": "Radio^Grapher",
    "StudyDate": "20260315",
    "StudyTime": "101112",
    "AcquisitionDate": "20260316",
    "AcquisitionTime": "131415",
    "StudyDescription": "Thorax of Albertine",
    "StudyID": "STUDY-5566",
    "DeviceSerialNumber": "SERIAL-12345",
    "StationName": "ROOM-SEVEN",
    "ImageComments": "seen by Quincy",
    "StudyInstanceUID": "1.2.826.0.1.3680043.8.498.111111",
    "SeriesInstanceUID": "1.2.826.0.1.3680043.8.498.222222",
    "SOPInstanceUID": "1.2.826.0.1.3680043.8.498.333333",
}


def described(pixels: NDArray[Any], **attributes: Any) -> Dataset:
    """A data set of one grey frame, or of several along the first axis; `attributes` are added, or replace."""
    made = Dataset()
    made.SOPClassUID, made.Modality = DIGITAL_X_RAY, "DX"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        made.NumberOfFrames = len(pixels)
    made.BitsAllocated = made.BitsStored = 8 * pixels.itemsize
    made.HighBit, made.PixelRepresentation = made.BitsStored - 1, int(pixels.dtype.kind == "i")
    for keyword, value in attributes.items():
        setattr(made, keyword, value)
    made["PixelData"] = _pixel_element(pixels)
    return made


def _pixel_element(pixels: NDArray[Any]) -> Any:
    from pydicom.dataelem import DataElement

    content = pixels.tobytes()
    return DataElement("PixelData", "OW", content + b"\0" * (len(content) % 2))


def written(made: Dataset, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """The file of a data set."""
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID") or DIGITAL_X_RAY
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID") or "1.2.3"
    made.file_meta.TransferSyntaxUID = UID(syntax)
    stream = io.BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def dicom(pixels: NDArray[Any], syntax: str = ExplicitVRLittleEndian, **attributes: Any) -> bytes:
    return written(described(pixels, **attributes), syntax)


def ramp(height: int = 40, width: int = 60, dtype: Any = np.uint16, step: int = 11) -> NDArray[Any]:
    """Values that differ everywhere, from 0."""
    return (np.arange(height * width).reshape(height, width) * step).astype(dtype)


def report() -> bytes:
    """A structured report: DICOM without a picture."""
    made = Dataset()
    made.SOPClassUID, made.Modality = "1.2.840.10008.5.1.4.1.1.88.22", "SR"
    return written(made)
