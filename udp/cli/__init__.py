"""The command line: `udp protect ...`, `protect-many ...`, `attack ...`, `evaluate ...`, `check-model ...`, `app` and
`deploy ...`, also as `python -m udp`.

A command is a module here with `add_flags` and `run`, imported when it is asked for. Flags are made from the dataclass
fields of methods and recipes (`udp.cli.flags`), so a new method has its flags at once.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
import importlib
import itertools
import sys
from collections.abc import Sequence
from typing import NoReturn

from udp.cli.placeholders import placeholders
from udp.errors import UDPError

COMMANDS = {
    "protect": "add a small, bounded change to photos",
    "protect-many": "protect many sets by many processes, see docs/scale.md",
    "attack": "fine-tune on protected, clean and random-noise photos and compare",
    "evaluate": "protect, then try recipes x cleanings and write a report",
    "check-model": "protect and attack a small set on a model, and check that it works here",
    "app": "start the web interface",
    "deploy": "put the app on Hugging Face Spaces, see docs/owners.md",
}


class Command(argparse.ArgumentParser):
    """One command's flags. What it does not know is its own mistake, not that of `udp`, and is said with what was meant perhaps."""

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """See `argparse.ArgumentParser`; nothing unknown is left over."""
        self.given = [*(args or ())]
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, unknown

    def error(self, message: str) -> NoReturn:
        """Without the usage, which fills a screen, and with the flags that mistyped ones look like."""
        flags = itertools.takewhile(lambda text: text != "--", getattr(self, "given", ()))
        known = [*self._option_string_actions]
        typed = [text.partition("=")[0] for text in flags if text.startswith("--")]
        strange = [text for text in typed if not any(flag.startswith(text) for flag in known)]
        near = [(text, difflib.get_close_matches(text, known, 1)) for text in strange]
        meant = "".join(f"; did you mean {found[0]} by {text}?" for text, found in near if found)
        self.exit(2, f"{self.prog}: error: {message}{meant}\nsee {self.prog} --help\n")


def build_parser(arguments: list[str] | None = None) -> argparse.ArgumentParser:
    """The parser of the commands, with the flags of the one that `arguments` begin with; by default of all."""
    wanted = COMMANDS if arguments is None else [text for text in arguments if text in COMMANDS][:1]
    parser = argparse.ArgumentParser(prog="udp", description="Protect photos; then attack the protection.")
    commands = parser.add_subparsers(dest="command", required=True, parser_class=Command)
    for name, help in COMMANDS.items():
        command = commands.add_parser(name, help=help)
        if name in wanted:
            module = importlib.import_module(f"udp.cli.{name.replace('-', '_')}")
            module.add_flags(command)
            command.set_defaults(run=module.run)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run a command; bad input ends with a message and exit code 2, a check that failed with 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        # The help and mistakes in the flags end this first reading, in a fraction of a second.
        with contextlib.suppress(Exception), placeholders():
            build_parser(arguments).parse_args(arguments)
        options = build_parser(arguments).parse_args(arguments)
        failed = options.run(options)
    except UDPError as error:
        print(f"\nerror: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        return 130
    return int(bool(failed))
