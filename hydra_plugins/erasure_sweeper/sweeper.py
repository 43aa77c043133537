"""``hydra/sweeper=grid``, ``optuna`` and ``benchmark``: one sweeper, whose runs have a source.

Hydra imports this module whenever it starts, so nothing heavy may be imported at its top; what
the sweeper does is in ``erasure.sweep`` and ``erasure.tuning``.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class ErasureSweeper(Sweeper):
    """Carry out the runs of a source; see :func:`erasure.sweep.run.run_sweep`.

    Args:
        source: Where runs come from: ``grid``, ``optuna`` or ``benchmark``.
        settings: The other keys of ``conf/hydra/sweeper/<source>.yaml``.
    """

    def __init__(self, *, source: str, **settings: Any) -> None:
        self.source = source
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
        from hydra_plugins.erasure_sweeper._sources import Command

        if self.launcher is None or self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra did not call setup")
        with shown_by_hydra():
            loader = self.hydra_context.config_loader
            command = Command(
                compositions=Compositions(loader=loader, master=self.config),
                launcher=self.launcher,
                arguments=arguments,
            )
            return command.run(self.source, self.settings)
