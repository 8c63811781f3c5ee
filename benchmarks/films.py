"""The images that are measured: real films where there are any."""

from pathlib import Path

from app.simulator import encode_jpeg, port_day


def films(folder: Path, count: int) -> list[bytes]:
    """`count` different files of `folder`, taken evenly; simulated scans where it is absent."""
    paths = sorted(folder.rglob("*.jp*g")) if folder.is_dir() else []
    if len(paths) < count:
        return [encode_jpeg(scan) for scan in port_day(count, seed=0)]
    step = len(paths) / (count * 1.05)
    chosen = dict.fromkeys(paths[int(i * step)].read_bytes() for i in range(int(count * 1.05)))
    return list(chosen)[:count]
