"""``hydra/sweeper=grid``, ``optuna`` and ``benchmark``: one sweeper, whose runs have a source.

Hydra imports this module whenever it starts, so nothing heavy may be imported at its top; what
the sweeper does is in ``erasure.sweeps`` and ``erasure.tuning``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ErasureSweeper(Sweeper):
    """Carry out the runs of a source; see :func:`erasure.sweeps.run.run_sweep`.

    Args:
        source: Where runs come from: ``grid``, ``optuna`` or ``benchmark``.
        params: Overrides of every sweep, or axes of every study; the command line wins.
        zip: Keys that step together.
        grids: Overrides of each of several grids, or sets of studies.
        max_hours: Wall time after which no trial is started any more.
        stop_at_first_failure: Whether no trial is started any more once one failed.
        settings: The keys of ``conf/hydra/sweeper/<source>.yaml`` that the others lack.
    """

    def __init__(
        self,
        *,
        source: str,
        params: Mapping[str, Any] | None = None,
        zip: Sequence[Any] | None = None,  # noqa: A002  # the key of the YAML files
        grids: Sequence[Any] | None = None,
        max_hours: float | None = None,
        stop_at_first_failure: bool = False,
        **settings: Any,
    ) -> None:
        self.source = source
        self.reading = {"params": params or {}, "paired": zip, "grids": grids}
        self.ends = {"max_hours": max_hours, "stop_at_first_failure": stop_at_first_failure}
        self.settings = settings

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra knows about this run and make the launcher."""
        from hydra.core.plugins import Plugins

        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Run what ``arguments`` ask for and return one result for each run."""
        from erasure.config.compose import Compositions
        from erasure.config.errors import shown_by_hydra
        from hydra_plugins.erasure_sweeper._sources import run_command

        if self.launcher is None or self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra did not call setup")
        loader = self.hydra_context.config_loader
        with shown_by_hydra():
            return run_command(
                self.source,
                self.launcher,
                **self.ends,  # type: ignore[arg-type]  # checked in there
                compositions=Compositions(loader=loader, master=self.config),
                arguments=arguments,
                reading=self.reading,
                settings=self.settings,
            )
