"""What the driver of a study decides: what is tried next, how deep, for how much, and what stands on the front."""
