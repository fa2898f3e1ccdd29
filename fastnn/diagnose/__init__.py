"""Looking into a model: what it consists of and what it does."""

from .summary import LayerSummary, Summary, summary

__all__ = ["LayerSummary", "Summary", "summary"]
