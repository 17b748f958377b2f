"""What a worker does for one candidate: teacher, student, sweep, file, check, score. No journal and no Optuna here."""
