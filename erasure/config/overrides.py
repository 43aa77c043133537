"""Overrides of a sweep, read and written in Hydra's grammar."""

import decimal
import fnmatch
import glob
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    ChoiceSweep,
    Glob,
    IntervalSweep,
    Override,
    Quote,
    QuotedString,
    RangeSweep,
)

from erasure.core.errors import ConfigError

Loader: TypeAlias = ConfigLoader
"""What composes configurations, for those who hand it on and need no Hydra themselves."""


@dataclass(frozen=True, kw_only=True)
class SweepOverride:
    """An override of a sweep.

    Args:
        parsed: What Hydra read.
        loader: Knows the options of a config group.
    """

    parsed: Override
    loader: Loader

    @property
    def key(self) -> str:
        """The setting or config group it is about."""
        return str(self.parsed.key_or_group)

    @property
    def text(self) -> str:
        """What was typed."""
        return str(self.parsed.input_line)

    @property
    def value_text(self) -> str:
        """What was typed after ``=``."""
        return str(self.parsed.get_value_string())

    @property
    def target(self) -> str:
        """What it sets, so that ``+a=1`` replaces ``a=2`` instead of joining it."""
        package = f"@{self.parsed.package}" if self.parsed.package is not None else ""
        # a deletion replaces nothing: what follows adds
        deletes = "~" if self.parsed.is_delete() else ""
        return f"{deletes}{self.key}{package}"

    def choices(self) -> list[str]:
        """Return one override for each value it has, in order, repeated where a value is.

        Raises:
            ConfigError: If there is none, or no end of them.
        """
        if not self.parsed.is_sweep_override():
            return [self.text]
        if not self.parsed.is_discrete_sweep():
            raise ConfigError(
                f"{self.key} must be a list, a range or a glob in a grid, got {self.value_text}"
            )
        choices = [f"{self.parsed.get_key_element()}={value}" for value in self._values()]
        if not choices:
            raise ConfigError(f"{self.key} must match something, got {self.value_text}")
        return choices

    def axis(self) -> dict[str, Any] | None:
        """Return what it draws from, as a search space has it; None if it draws nothing.

        ``a,b`` and ``glob(...)`` draw nothing, ``choice(a,b)``, a range and an interval do.

        Raises:
            ConfigError: If it has an order, or is a range that no axis has.
        """
        sweep = self.parsed.value()
        if isinstance(sweep, ChoiceSweep) and not sweep.simple_form:
            _refuse_shuffle(sweep)
            return {"choices": [_single(value) for value in sweep.list]}
        if isinstance(sweep, IntervalSweep):
            whole = isinstance(sweep.start, int) and isinstance(sweep.end, int)
            log = "log" in sweep.tags
            return {"low": sweep.start, "high": sweep.end, "log": log, "int": whole}
        if isinstance(sweep, RangeSweep):
            _refuse_shuffle(sweep)
            return _axis_of_range(sweep)
        return None

    def _values(self) -> Iterable[str]:
        sweep = self.parsed.value()
        if isinstance(sweep, RangeSweep):
            # not Hydra's: it adds steps up in binary, and has 1.1 in range(0.1,1.1,0.1)
            numbers = _range_values(sweep)
            if sweep.shuffle:
                random.Random().shuffle(numbers)  # the generator of others is left alone
            return map(repr, numbers)
        if isinstance(sweep, Glob) and not self._is_group():
            return self._files(sweep)
        return self.parsed.sweep_string_iterator()

    def _files(self, sweep: Glob) -> list[str]:
        paths = matching_files(*map(_texts, (sweep.include, sweep.exclude)))
        if not paths:
            raise ConfigError(
                f"{self.key} must match a file, which none below {Path.cwd()} does; "
                f"got {self.value_text}"
            )
        return [override_value(path) for path in paths]

    def _is_group(self) -> bool:
        return bool(self.loader.get_group_options(self.key, results_filter=None))


def parse_overrides(loader: Loader, texts: Sequence[str]) -> list[SweepOverride]:
    """Parse the overrides of a sweep.

    Raises:
        HydraException: If one is not in Hydra's grammar; the message names it.
    """
    parsed = OverridesParser.create(config_loader=loader).parse_overrides(list(texts))
    return [SweepOverride(parsed=override, loader=loader) for override in parsed]


def parsed_value(text: str) -> Any:
    """Return the value that an override sets."""
    return OverridesParser.create().parse_override(text).value()


def override_value(value: Any) -> str:
    """Return a value as an override has it: Hydra reads the same value from it."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        # only before a quotation mark does a backslash stand for more than itself
        return str(QuotedString(text=value, quote=Quote.single).with_quotes())
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{k}:{override_value(v)}" for k, v in value.items()) + "}"
    if isinstance(value, Sequence):
        return "[" + ",".join(override_value(item) for item in value) + "]"
    return repr(value)


def split_overrides(text: str) -> list[str]:
    """Split a line of overrides at its spaces, but for those in quotation marks or brackets."""
    words, word, closing, quote = list[str](), "", list[str](), ""
    pairs = {"(": ")", "[": "]", "{": "}"}
    for index, letter in enumerate(text):
        if letter in "'\"" and not _is_escaped(text, index) and quote in ("", letter):
            quote = "" if quote else letter
        elif not quote and letter in pairs:
            closing.append(pairs[letter])
        elif not quote and closing and letter == closing[-1]:
            closing.pop()
        elif letter.isspace() and not quote and not closing:
            words, word = [*words, word], ""
            continue
        word += letter
    return [word for word in [*words, word] if word]


def matching_files(include: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """Return the files that patterns match, sorted, relative to where the command was typed.

    Args:
        include: Patterns such as ``requests/*.csv``; ``**`` stands for any folders.
        exclude: Patterns of paths or of names that are left out.
    """
    # pathlib would not keep a path as it was typed
    paths = {path for pattern in include for path in glob.glob(pattern, recursive=True)}  # noqa: PTH207
    return sorted(path for path in paths if Path(path).is_file() and not _matches(path, exclude))


def _matches(path: str, patterns: Sequence[str]) -> bool:
    names = (path, Path(path).name)
    return any(fnmatch.fnmatch(name, pattern) for name in names for pattern in patterns)


def _texts(patterns: Sequence[Any]) -> list[str]:
    return [str(p.text if isinstance(p, QuotedString) else p) for p in patterns]


def _is_escaped(text: str, index: int) -> bool:
    before = text[:index]
    return (len(before) - len(before.rstrip("\\"))) % 2 == 1


def _range_values(sweep: RangeSweep) -> list[float]:
    """Return the numbers of a range without its end, as decimals are added on paper."""
    start, stop, step = sweep.start or 0, sweep.stop, sweep.step
    if stop is None or not step:
        raise ConfigError("a range needs an end and a step that is not 0")
    if all(isinstance(number, int) for number in (start, stop, step)):
        return list(range(int(start), int(stop), int(step)))
    first, end, by = (decimal.Decimal(str(number)) for number in (start, stop, step))
    count = int(((end - first) / by).to_integral_value(decimal.ROUND_CEILING))
    return [float(first + index * by) for index in range(count)]


def _axis_of_range(sweep: RangeSweep) -> dict[str, Any]:
    """Return the axis that has exactly the values of a range."""
    log, step = "log" in sweep.tags, sweep.step
    if step is None or step <= 0:
        raise ConfigError("a range of a search space needs an end and a step above 0")
    values = _range_values(sweep)
    if not values:
        raise ConfigError("a range has no value: its end must be above its start")
    whole = all(isinstance(value, int) for value in values)
    by_itself = whole and step == 1  # goes without saying for whole numbers
    if log and not by_itself:
        raise ConfigError(
            "a logarithmic range takes no step but 1 between whole numbers; say "
            "tag(log,interval(low,high)), or choice(...) for values of your own"
        )
    if len(values) == 1:
        return {"choices": list(values)}
    ends = {"low": values[0], "high": values[-1], "log": log, "int": whole}
    return ends if by_itself else {**ends, "step": step}


def _refuse_shuffle(sweep: ChoiceSweep | RangeSweep) -> None:
    if sweep.shuffle:
        raise ConfigError("the values of a search space have no order to shuffle")


def _single(value: Any) -> Any:
    if isinstance(value, QuotedString):
        return value.text
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise ConfigError(f"a choice must be a single value, got {value}")
