"""The metrics work where torch is not installed."""

import subprocess
import sys


def test_importing_the_metrics_does_not_import_torch():
    code = "import sys, polypath.metrics; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
