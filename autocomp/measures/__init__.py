"""How is a number obtained? One file per measure; each yields a `Measurement`."""
