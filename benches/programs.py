"""The programs that the scripts beside this are told to run."""

import argparse
import os
from pathlib import Path


def existing_program(text: str) -> Path:
    """For `type=` of an argument: what is no program is refused before anything is started."""
    path = Path(text)
    if not path.is_file() or not os.access(path, os.X_OK):
        raise argparse.ArgumentTypeError(f"'{text}': expected a program that is there")
    return path.resolve()
