"""``hydra/sweeper=grid``: every combination of the given values, resumed by fingerprint.

Hydra imports this module whenever it starts, so nothing heavy may be imported at its top; what
the sweeper does is in ``erasure.sweep``.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class GridSweeper(Sweeper):
    """Run a grid of trials; see :func:`erasure.sweep.grid.run_grid`.

    Args:
        params: Overrides of every sweep, key to value or ``a,b,c``; the command line wins.
        zip: Keys that step together.
        grids: Overrides of each of several grids.
        max_hours: Wall time after which no trial is started.
    """

    def __init__(
        self,
        params: Mapping[str, Any] | None = None,
        zip: Sequence[Any] | None = None,  # noqa: A002  # the key of the YAML file
        grids: Sequence[Any] | None = None,
        max_hours: float | None = None,
    ) -> None:
        self.axes: dict[str, Any] = {"params": params or {}, "paired": zip, "grids": grids}
        self.max_hours = max_hours

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
        """Run the trials that ``arguments`` ask for and return one result for each."""
        from erasure.config.axes import SweeperAxes
        from erasure.config.errors import shown_by_hydra
        from erasure.sweep.grid import Grid, run_grid

        if self.launcher is None or self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra did not call setup")
        with shown_by_hydra():
            grid = Grid(
                launcher=self.launcher,
                loader=self.hydra_context.config_loader,
                master=self.config,
                max_hours=self.max_hours,
            )
            return run_grid(grid, SweeperAxes(**self.axes), arguments)
