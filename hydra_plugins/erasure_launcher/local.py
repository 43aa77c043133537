"""``hydra/launcher=local``: one crash-isolated process per trial, several at a time.

Hydra imports this module whenever it starts, so nothing heavy may be imported at its top; what
the launcher does is in ``erasure.launch``.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from erasure.launch.local import LocalWorkers


class LocalLauncher(Launcher):
    """Run trials in processes forked from one that has imported what they need.

    Args:
        n_jobs: Trials at a time, or ``auto``.
        gpus: ``auto``, ``none`` or a list.
        trials_per_gpu: Trials that share a GPU when ``n_jobs`` is ``auto``.
        preload: Modules to import before anything is forked.
    """

    def __init__(
        self,
        n_jobs: int | str = "auto",
        gpus: str | list[int | str] = "auto",
        trials_per_gpu: int = 1,
        preload: Sequence[str] = (),
    ) -> None:
        self.settings = {"n_jobs": n_jobs, "gpus": gpus, "trials_per_gpu": trials_per_gpu}
        self.preload = preload

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra knows about this run."""
        self.hydra_context = hydra_context
        self.task_function = task_function
        self.config = config

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Compose and run a batch, for sweepers that know nothing of us."""
        from erasure.config.compose import Compositions
        from erasure.config.errors import shown_by_hydra
        from hydra_plugins.erasure_launcher._launchers import launched

        compositions = Compositions(loader=self.hydra_context.config_loader, master=self.config)
        with shown_by_hydra():
            configs = [
                compositions.compose(overrides, initial_job_idx + offset)
                for offset, overrides in enumerate(job_overrides)
            ]
            return launched(self.workers(), configs)

    def workers(self) -> "LocalWorkers":
        """Return what carries out runs of our own sweeper, which composed them already."""
        from erasure.config.hydra_job import HydraJob
        from erasure.launch.local import LocalWorkers
        from erasure.launch.slots import Resources
        from hydra_plugins.erasure_launcher._launchers import to_job

        return LocalWorkers(
            call=HydraJob(task=self.task_function, context=self.hydra_context),
            to_job=to_job,
            resources=Resources(**self.settings),  # type: ignore[arg-type]  # checked in there
            preload=self.preload,
        )
