"""Figures of a report: functions from tidy numbers to :class:`Picture`, one figure each.

Every figure is narrow enough for a phone and for one column of a paper, has its legend below, and
names the parts that explain themselves when they are pointed at.
"""

from multirun_analysis.report.pictures.drawing import Drawing, Picture, save
from multirun_analysis.report.pictures.looks import Look, looks_of

__all__ = ["Drawing", "Look", "Picture", "looks_of", "save"]
