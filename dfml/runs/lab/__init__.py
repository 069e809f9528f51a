"""What a lab notebook keeps of runs: sweeps, names and notes, results side by side, reports, what to cite."""
