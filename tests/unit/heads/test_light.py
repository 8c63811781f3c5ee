"""What the API process imports loads no training framework."""

import subprocess
import sys

HEAVY = (
    "sklearn", "scipy", "keras", "tensorflow", "skl2onnx", "onnx", "openvino", "matplotlib", "optuna", "sqlalchemy",
    "fastapi",
)  # fmt: skip
LIGHT = (
    "scoring", "artifact", "metrics", "recipe", "table", "gates", "card", "thresholds", "parity", "evidence", "figures",
    "rates", "comparison", "report.parts", "report.caveats", "report.consulted", "report.words",
)  # fmt: skip


def test_light_modules_load_no_framework():
    program = (
        f"import sys\nfor name in {LIGHT}: __import__('app.heads.' + name)\n"
        f"print([name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_trainers_load_no_tensorflow_before_a_network_is_asked_for():
    program = "import sys, app.heads.trainers\nprint('tensorflow' in sys.modules, 'keras' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
