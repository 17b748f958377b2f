"""What came of it? A run rebuilt from its journal alone: summary, choice, copy, page."""
