"""The controller of jobs: it files, schedules, starts and attends them."""
