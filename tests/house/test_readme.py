"""The READMEs' table is the ledger's."""

import subprocess
import sys

from house.tree import ROOT, environment


def test_table_is_current() -> None:
    command = [sys.executable, str(ROOT / "tools" / "readme_table.py"), "--check"]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
