"""A study's journal: what happened, in order, as one typed event a line."""

from autocomp.journal.file import Journal, JournalReader, read_events, read_lines, read_records

__all__ = ["Journal", "JournalReader", "read_events", "read_lines", "read_records"]
