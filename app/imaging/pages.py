"""The pages of a TIFF that are scans, found without decoding one."""

from PIL import ExifTags
from PIL.TiffImagePlugin import TiffImageFile

from app.imaging.bounds import Limits, check_frames

# NewSubfileType: bit 0 is a smaller version of another page, bit 2 the mask of one.
_NO_SCAN = 0b101
# Directories looked at for each frame that is accepted: a file of nothing but previews ends somewhere.
_MOST_DIRECTORIES_A_FRAME = 8


def scan_pages(image: TiffImageFile, limits: Limits) -> list[int]:
    """Numbers of the pages that are scans; previews and masks of another page are none.

    The first page always counts. Raises UnusableImage(TOO_MANY_FRAMES) as soon as there are too many, so that a
    hostile chain of directories is not walked to its end. Leaves the image at its first page.
    """
    pages = [0]
    for page in range(1, _MOST_DIRECTORIES_A_FRAME * limits.max_frames + 1):
        try:
            image.seek(page)
        except EOFError:
            break
        if not int(image.tag_v2.get(ExifTags.Base.NewSubfileType, 0)) & _NO_SCAN:
            pages.append(page)
            check_frames(len(pages), limits)
    else:
        check_frames(limits.max_frames + 1, limits)
    image.seek(0)
    return pages
