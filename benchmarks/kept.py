"""The finished runs that the page shows at once: protect and attack the examples just as the page does, and keep what came out.

    python -m benchmarks.kept

writes `examples/kept/subject` and `examples/kept/style`: a protected photo, what the imitator got from each set of photos,
and run.json with the verdict, every setting, the weights' digest and the date. Takes four to ten minutes for each on two
processor cores. Run it again whenever the defaults or the embedded model change: `tests/test_kept.py` says when. `--steps`
is for looking at the page while it is built: so few steps that nothing is learned, and the same test refuses the outcome.
"""

from __future__ import annotations

import argparse
import datetime
import time
from dataclasses import replace
from pathlib import Path

from udp.language import ENGLISH
from udp.progress import Progress
from udp.ui.state.kept import FINISHED, KEPT, example_work, write_kept


def main(arguments: list[str] | None = None) -> None:
    """Make the runs and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=KEPT, help="where the folders of the runs go (default %(default)s)")
    parser.add_argument("--only", choices=FINISHED, help="one of the examples")
    parser.add_argument("--steps", type=int, help="fine-tuning steps, in a hurry; the protection is cut short as well")
    options = parser.parse_args(arguments)
    for name in [options.only] if options.only else FINISHED:
        work = example_work(name)
        if options.steps:
            hasty = replace(work.method, rounds=1, surrogate_steps=1)
            work = replace(work, method=hasty, recipe=replace(work.recipe, steps=options.steps))
        start = time.monotonic()
        report, made = work(_say)
        seconds = time.monotonic() - start
        write_kept(options.out / name, name, work, made, report, datetime.date.today().isoformat(), seconds)
        size = sum(path.stat().st_size for path in (options.out / name).iterdir())
        print(f"\r{name}: {seconds:.0f} s, {size / 1e3:.0f} kB. {ENGLISH.say(report.judgement.sentence)}", flush=True)


def _say(progress: Progress) -> None:
    print(f"\r{progress.overall:4.0%} {progress.arm} {progress.stage}".ljust(60), end="", flush=True)


if __name__ == "__main__":
    main()
