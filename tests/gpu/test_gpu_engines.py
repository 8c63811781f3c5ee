"""On a machine with an NVIDIA GPU and a library that uses it: engines agree with the pinned vectors. Else skipped.

Each engine in a process of its own, since Keras runs on one backend only.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import app
from app.features.engines.build import GPU_ENGINES
from app.features.engines.environment import gpu_is_visible, gpu_libraries, installed

CODE = """
import json, pathlib, sys
from app.features.engines import build_extractor, measure_chunk
from app.features.golden import check
engine, precision, cache = sys.argv[1:]
extractor = build_extractor("densenet121-xray", weights=None, engine=engine, precision=precision, device="gpu",
                            cache_dir=pathlib.Path(cache))
report = check(extractor)
print(json.dumps([extractor.engine, report.avg_cosine, report.max_cosine, measure_chunk(extractor).size]))
"""


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("engine", [*GPU_ENGINES, "tensorflow-xla"])
def test_engine_agrees_on_the_gpu(engine, precision, tmp_path):
    library = engine.partition("-")[0]
    if not gpu_is_visible():
        pytest.skip("this machine shows no NVIDIA GPU")
    if not (installed(library) and gpu_libraries(library)):
        pytest.skip(f"{library} is not installed with its CUDA libraries")
    finished = subprocess.run(
        [sys.executable, "-c", CODE, engine, precision, str(tmp_path)],
        cwd=Path(app.__file__).parents[1], capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert finished.returncode == 0, finished.stderr[-2000:]
    name, avg, peak, size = json.loads(finished.stdout.splitlines()[-1])
    assert name == f"{engine}/{precision}/gpu"
    assert avg >= (0.99999 if precision == "fp32" else 0.999)
    assert peak >= (0.99999 if precision == "fp32" else 0.998)
    assert size >= 1
