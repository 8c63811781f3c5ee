"""Which attributes of a DICOM file are known here; no other is ever read, and none but the kept ones is stored.

The list says what stays, not what goes: whatever else a file holds (names, dates, comments, private elements,
overlays, attributes that a later edition of the standard adds) is left out without being known.
"""

from functools import cache

WHOLE = (
    "SamplesPerPixel", "PlanarConfiguration", "NumberOfFrames", "Rows", "Columns", "PixelAspectRatio",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "SmallestImagePixelValue",
    "LargestImagePixelValue", "PixelPaddingValue", "PixelPaddingRangeLimit", "PixelIntensityRelationshipSign",
    "LUTDescriptor", "RedPaletteColorLookupTableDescriptor", "GreenPaletteColorLookupTableDescriptor",
    "BluePaletteColorLookupTableDescriptor", "ExposureTime", "XRayTubeCurrent", "Exposure", "ExposureInuAs",
)  # fmt: skip
DECIMAL = (
    "WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope", "PixelSpacing", "ImagerPixelSpacing",
    "LossyImageCompressionRatio", "KVP", "DistanceSourceToDetector", "DistanceSourceToPatient",
)  # fmt: skip
TABLES = (
    "LUTData", "RedPaletteColorLookupTableData", "GreenPaletteColorLookupTableData",
    "BluePaletteColorLookupTableData", "SegmentedRedPaletteColorLookupTableData",
    "SegmentedGreenPaletteColorLookupTableData", "SegmentedBluePaletteColorLookupTableData", "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
)  # fmt: skip
CODES = (
    "PhotometricInterpretation", "Modality", "ViewPosition", "BodyPartExamined", "Laterality", "ImageLaterality",
    "VOILUTFunction", "PixelIntensityRelationship", "PresentationLUTShape", "PresentationIntentType",
    "LossyImageCompression", "LossyImageCompressionMethod", "BurnedInAnnotation", "ConversionType",
)  # fmt: skip
SEQUENCES = (
    "ModalityLUTSequence", "VOILUTSequence", "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence",
    "PixelValueTransformationSequence", "FrameVOILUTSequence", "PixelMeasuresSequence",
)  # fmt: skip
# Replaced, each by what its keyed hash says.
REPLACED_UIDS = ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID")
# Read at ingest, never stored.
IDENTIFYING = ("PatientID", "IssuerOfPatientID", "PatientName")
DATES = (
    "AcquisitionDateTime", "AcquisitionDate", "AcquisitionTime", "ContentDate", "ContentTime", "SeriesDate",
    "SeriesTime", "StudyDate", "StudyTime", "TimezoneOffsetFromUTC",
)  # fmt: skip
_OTHERS = ("SOPClassUID", "DeidentificationMethod")


@cache
def known_tags() -> list[int]:
    """The tags of all these attributes, and of what must be known to read their text."""
    from pydicom.datadict import tag_for_keyword  # noqa: PLC0415

    keywords = (
        *WHOLE, *DECIMAL, *TABLES, *CODES, *SEQUENCES, *REPLACED_UIDS, *IDENTIFYING, *DATES, *_OTHERS,
        "SpecificCharacterSet",
    )  # fmt: skip
    tags = [tag_for_keyword(keyword) for keyword in keywords]
    assert None not in tags
    return [tag for tag in tags if tag is not None]
