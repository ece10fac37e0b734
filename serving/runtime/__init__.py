"""Parts that every process needs: named actors, liveness, metric labels, background tasks."""
