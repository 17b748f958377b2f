"""`autocomp device VERB`: a machine as a device, on which latency holds."""

SUMMARY = "a machine as a device: record what it is, or let a cluster measure on it"
EXAMPLES = (
    "autocomp device probe --name pi4",
    "autocomp device join 10.0.0.1:6379 --device pi4.yaml",
)
