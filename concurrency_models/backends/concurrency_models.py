"""Makes a model's file runnable by itself: `python backends/thread.py`, an editor's Run button.

Python puts the folder of the file that it runs before all others, so that a model which imports
`concurrency_models` gets this file first. It steps aside for the package of that name and, if what
was started is a model, serves with it, with the options of `python -m concurrency_models.run`.
"""

import importlib
import sys
from pathlib import Path

here = Path(__file__).resolve().parent
sys.path[:] = [folder for folder in sys.path if Path(folder).resolve() != here]
sys.path.insert(0, str(here.parent.parent))
sys.modules.pop("concurrency_models", None)
importlib.import_module("concurrency_models")

started = Path(getattr(sys.modules["__main__"], "__file__", None) or here).resolve()
if started.parent == here:
    from concurrency_models.backends import MODELS
    from concurrency_models.run import main

    name = next((one.name for one in MODELS.values() if one.module == started.stem), started.stem)
    this_file = __name__ == "__main__"  # `python -m concurrency_models`, typed in this folder
    sys.exit(main([*([] if this_file else ["--model", name]), *sys.argv[1:]]))
