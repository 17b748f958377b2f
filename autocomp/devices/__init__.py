"""Where does a number hold? What a machine is, how fast it is, and how long a file would take on one that is away."""
