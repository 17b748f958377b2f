"""Who runs the jobs? A pool of processes on this machine; a cluster is another file."""
