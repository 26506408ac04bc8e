"""Exported models, and what runs them without TensorFlow."""

import sys

# OpenVINO tells Google Analytics that it was imported and what it converts, from a
# forked process, with an id that it leaves in the home folder. It does without this.
sys.modules.setdefault("openvino_telemetry", None)
