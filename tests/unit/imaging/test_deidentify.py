"""What is kept of a DICOM file names nobody, shows the same picture, and is the same whenever it comes."""

import contextlib
import io
import random
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_files
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from app.errors import Unusable, UnusableImage
from app.imaging import Limits, decode_grey, inspect
from app.imaging.deidentify import Origin, deidentify, origin
from tests.dicom_files import IDENTITY, described, dicom, ramp, written

LIMITS = Limits(10**8, 10**7, 1, 64)
KEY = b"a key of thirty-two bytes, or so"
SYNTAXES = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian)


def cleaned(content: bytes, key: bytes = KEY) -> tuple[bytes, Origin]:
    sink = io.BytesIO()
    found = deidentify(io.BytesIO(content), sink, key, LIMITS)
    return sink.getvalue(), found


def identified(syntax: str = ExplicitVRLittleEndian, **changes: object) -> bytes:
    """A film with a name in every place that a name can be in."""
    made = described(ramp(dtype=np.uint8, step=1), **{**IDENTITY, "WindowCenter": "100", "WindowWidth": "150"})
    made.BodyPartExamined, made.ViewPosition = "CHEST", "PA"
    made.ImageType = ["DERIVED", "PRIMARY", "ZWEISTEIN"]
    made.ProtocolName = made.SeriesDescription = made.Manufacturer = "Zweistein"
    item = Dataset()
    item.PatientID, item.LUTExplanation = IDENTITY["PatientID"], "for Albertine"
    item.LUTDescriptor, item.LUTData = [256, 0, 16], np.arange(0, 65536, 256, np.uint16).tobytes()
    item["LUTData"].VR = "OW"
    made.VOILUTSequence = [item]
    made.ReferencedImageSequence = [item]
    private = made.private_block(0x0009, "Zweistein Systems", create=True)
    private.add_new(0x01, "LO", IDENTITY["PatientName"])
    made.add_new(0x60004000, "LT", "overlay of Albertine")
    made.add_new(0x60003000, "OW", b"Albertine!")
    made.add_new(0xFFFCFFFC, "OB", b"Albertine!")
    for keyword, value in changes.items():
        setattr(made, keyword, value)
    return written(made, syntax)


def test_there_is_something_to_remove():
    content = identified()
    assert all(value.encode() in content for value in IDENTITY.values())


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_no_identifying_value_survives_in_any_byte(syntax):
    kept, found = cleaned(identified(syntax))
    words = [
        *IDENTITY.values(),
        "Zweistein",
        "Albertine",
        "4711",
        "0815",
        "1879",
        "2026",
        "Kramgasse",
        "Quincy",
        "222222",
    ]
    told = kept.lower() + repr(found.subject).encode() + repr(found.name).encode()
    assert [word for word in words if word.lower().encode() in told] == []


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_the_picture_is_the_same(syntax):
    content = identified(syntax)
    kept, _ = cleaned(content)
    np.testing.assert_array_equal(decode_grey(kept, LIMITS), decode_grey(content, LIMITS))
    assert inspect(kept, LIMITS) == inspect(content, LIMITS)
    assert inspect(kept, LIMITS).facts == inspect(content, LIMITS).facts
    assert dcmread(io.BytesIO(kept)).PixelData == dcmread(io.BytesIO(content)).PixelData


def test_it_says_that_identity_was_removed_and_is_a_whole_file():
    kept = dcmread(io.BytesIO(cleaned(identified())[0]))
    assert (kept.PatientIdentityRemoved, kept.PatientName, kept.LongitudinalTemporalInformationModified) == (
        "YES", "", "REMOVED",
    )  # fmt: skip
    assert kept.file_meta.MediaStorageSOPInstanceUID == kept.SOPInstanceUID
    assert kept.file_meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert all(uid.is_valid for uid in (kept.SOPInstanceUID, kept.StudyInstanceUID, kept.SeriesInstanceUID))
    assert (kept.ViewPosition, kept.BodyPartExamined) == ("PA", "CHEST")


def test_the_same_file_gives_the_same_bytes_and_another_key_others():
    assert cleaned(identified()) == cleaned(identified())
    assert cleaned(identified(), b"another key of some length")[0] != cleaned(identified())[0]


def test_what_was_made_here_passes_unchanged():
    kept, found = cleaned(identified())
    assert cleaned(kept, b"the key of another store") == (kept, Origin(found.subject, found.name, None))


def test_a_claim_to_have_been_made_here_saves_no_name():
    kept, found = cleaned(identified(DeidentificationMethod="Penumbra 1: what is not known to be harmless is removed"))
    assert b"MRN-4711-0815" not in kept
    assert found.subject is not None
    assert found.subject.startswith("anon-")


def test_a_patient_is_one_subject_and_issuers_part_them():
    subjects = {
        name: cleaned(identified(**changes))[1].subject
        for name, changes in {
            "first": {"SOPInstanceUID": "1.2.3"}, "second": {"SOPInstanceUID": "1.2.4", "StudyInstanceUID": "1.2.5"},
            "elsewhere": {"IssuerOfPatientID": "Another hospital"}, "other": {"PatientID": "MRN-1"},
        }.items()
    }  # fmt: skip
    assert subjects["first"] == subjects["second"]
    assert len({subjects["first"], subjects["elsewhere"], subjects["other"]}) == 3


def test_a_film_of_nobody_belongs_to_its_study():
    nobody = {"PatientID": "", "IssuerOfPatientID": ""}
    first, second = (cleaned(identified(SOPInstanceUID=uid, **nobody))[1] for uid in ("1.2.3", "1.2.4"))
    assert first.subject == second.subject
    assert first.name != second.name


def test_a_code_that_is_the_patients_name_is_dropped():
    kept = dcmread(io.BytesIO(cleaned(identified(BodyPartExamined="ZWEISTEIN", ViewPosition="her left side"))[0]))
    assert "BodyPartExamined" not in kept
    assert "ViewPosition" not in kept


def test_a_number_that_is_none_is_dropped():
    content = identified(KVP="80").replace(b"\x18\0\x60\0DS\x02\x0080", b"\x18\0\x60\0LO\x02\x00ZW")
    assert "KVP" not in dcmread(io.BytesIO(cleaned(content)[0]))


def test_text_burned_into_the_pixels_is_refused():
    with pytest.raises(UnusableImage) as caught:
        cleaned(identified(BurnedInAnnotation="YES"))
    assert caught.value.reason is Unusable.IDENTIFYING_PIXELS
    assert "PENUMBRA_KEEP_DICOM_IDENTITY" in caught.value.message


@pytest.mark.parametrize(
    ("changes", "moment"),
    [
        ({}, datetime(2026, 3, 16, 13, 14, 15, tzinfo=UTC)),
        ({"TimezoneOffsetFromUTC": "+0200"}, datetime(2026, 3, 16, 11, 14, 15, tzinfo=UTC)),
        ({"AcquisitionDateTime": "20260102030405.678-0100"}, datetime(2026, 1, 2, 4, 4, 5, tzinfo=UTC)),
        ({"AcquisitionDate": ""}, datetime(2026, 3, 15, 10, 11, 12, tzinfo=UTC)),
        ({"AcquisitionDate": "20261399", "StudyDate": "yesterday"}, None),
    ],
)
def test_the_moment_is_read_for_those_who_keep_it(changes, moment):
    assert origin(io.BytesIO(identified(**changes)), LIMITS).taken_at == moment
    assert cleaned(identified(**changes))[1].taken_at == moment


@pytest.mark.filterwarnings("ignore")
def test_every_picture_of_pydicom_keeps_its_pixels_and_loses_its_texts():
    seen = 0
    for path in sorted({path for path in map(Path, get_testdata_files()) if path.is_file()}):
        content = path.read_bytes()
        with contextlib.suppress(UnusableImage):
            inspect(content, LIMITS)
            kept, _ = cleaned(content)
            seen += 1
            assert cleaned(kept)[0] == kept
            with contextlib.suppress(UnusableImage):
                expected = decode_grey(content, LIMITS)
                np.testing.assert_array_equal(decode_grey(kept, LIMITS), expected)
            before = dcmread(path, force=True)
            elements = [
                element
                for element in before.iterall()
                if element.VR in {"PN", "LO", "SH", "LT", "ST", "UT", "DA", "TM"}
            ]
            kept_codes = {str(element.value) for element in before.iterall() if element.VR == "CS"}
            texts = {
                str(element.value).encode("utf-8", "ignore")
                for element in elements
                if str(element.value) not in kept_codes
            }
            head = kept[: kept.rindex(b"\xe0\x7f\x10\0") if b"\xe0\x7f\x10\0" in kept else None]
            harmless = b"Penumbra 1: what is not known to be harmless is removed"
            assert [
                text for text in texts if len(text) > 5 and len(set(text)) > 2 and text in head.replace(harmless, b"")
            ] == [], path.name
    assert seen > 80


@pytest.mark.parametrize("seed", range(3))
def test_spoilt_files_raise_nothing_else(seed):
    chance, content = random.Random(seed), identified()
    for _ in range(150):
        spoilt = bytearray(content)
        for _ in range(chance.randint(1, 6)):
            spoilt[chance.randrange(128, len(spoilt))] = chance.randrange(256)
        with contextlib.suppress(UnusableImage):
            cleaned(bytes(spoilt[: chance.choice([len(spoilt), chance.randrange(132, len(spoilt))])]))


def test_items_that_never_end_are_ended(encode):
    from pydicom.encaps import encapsulate

    made = described(ramp(dtype=np.uint8))
    made.PixelData = encapsulate([encode(ramp(dtype=np.uint8), "JPEG")])
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    content = written(made, "1.2.840.10008.1.2.4.50")
    assert content.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    assert cleaned(content[:-8])[0] == cleaned(content)[0]
    with pytest.raises(UnusableImage):
        cleaned(content[:-20])


def test_a_large_file_passes_in_small_pieces(tmp_path):
    """Neither reading nor writing holds the pixels: the largest piece is a mebibyte."""
    largest = 0

    class Sink:
        def write(self, chunk: bytes) -> None:
            nonlocal largest
            largest = max(largest, len(chunk))

    path = tmp_path / "film"
    path.write_bytes(dicom(np.zeros((3000, 3000), np.uint16)))
    with path.open("rb") as stream:
        deidentify(stream, Sink(), KEY, LIMITS)
    assert largest <= 1 << 20
