"""Put a finished run's averaged weights into the package, in float16, with the vectors of all its captions.

    python tools/export_bundled.py runs/emoji emoji --command "ornstein train edm ..." --machine "1 GPU" \
        --data "emoji, 1,707 training pictures" --licence "Apache-2.0 (weights and pictures)"

The captions of the set's test part travel too: who has no encoder asks the model by them, and it is measured by them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ornstein
from ornstein.data import SOURCES, open_data
from ornstein.recipes.bundled import WEIGHTS

LIMIT = 12e6


def main() -> None:
    """Export, and refuse what is too large."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name", help="of the bundled model, and of the data that it was trained on")
    parser.add_argument("--command", required=True)
    parser.add_argument("--machine", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--licence", required=True)
    parser.add_argument("--out", type=Path, default=WEIGHTS)
    args = parser.parse_args()
    system = ornstein.load(args.run)
    if system.captions is not None:
        for split in SOURCES[args.name].splits:
            captions = open_data(args.name, split=split).captions
            system.captions = system.captions.extended(list(captions or ()))
    about = {name: getattr(args, name) for name in ("command", "data", "licence", "machine")}
    about |= {key: system.weights[key] for key in ("step", "seen")}
    folder = ornstein.export(system, args.out / args.name, about)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{folder}: {size / 1e6:.2f} MB, {system.parameters() / 1e6:.2f} M parameters")
    if size > LIMIT:
        raise SystemExit(f"{size / 1e6:.2f} MB are more than the {LIMIT / 1e6:.0f} that a bundled model may have")


if __name__ == "__main__":
    main()
