"""What to try next, and how deep? Stages and their cache, sweeps, rungs, searchers, the study."""
