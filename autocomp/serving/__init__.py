"""How does one look at runs while they go on? A page on this machine: live, with models to try and to take away."""
