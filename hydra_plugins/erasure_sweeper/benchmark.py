"""``hydra/sweeper=benchmark``: every method tuned, then confirmed on fresh seeds.

Hydra imports this module whenever it starts, so nothing heavy may be imported at its top; what
the sweeper does is in ``erasure.tuning``.
"""

from collections.abc import Sequence
from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class BenchmarkSweeper(Sweeper):
    """Compare methods at their best; see :func:`erasure.tuning.benchmark.run.run_benchmark`.

    Args:
        confirm_seeds: Seeds of the comparison, none of those that are tuned with.
        confirm_evaluator: Option of ``evaluator`` that the comparison is made with.
        output: Folder of recipes and table.
        settings: The keys of ``hydra/sweeper=optuna``.
    """

    def __init__(
        self,
        *,
        confirm_seeds: Sequence[int] = (10, 11, 12),
        confirm_evaluator: str = "standard",
        output: str | None = None,
        **settings: Any,
    ) -> None:
        self.confirmation = {
            "seeds": confirm_seeds,
            "evaluator": confirm_evaluator,
            "output": output,
        }
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
        """Tune and confirm as ``arguments`` ask and return one result for each confirming run."""
        from erasure.config.errors import shown_by_hydra
        from erasure.tuning.benchmark.run import run_benchmark
        from erasure.tuning.benchmark.trials import Confirmation
        from erasure.tuning.settings import StudySettings
        from erasure.tuning.study import Search

        if self.launcher is None or self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra did not call setup")
        with shown_by_hydra():
            search = Search(
                launcher=self.launcher,
                loader=self.hydra_context.config_loader,
                master=self.config,
                settings=StudySettings(**self.settings),
            )
            confirmation = Confirmation(**self.confirmation)  # type: ignore[arg-type]
            return run_benchmark(search, confirmation, arguments)
