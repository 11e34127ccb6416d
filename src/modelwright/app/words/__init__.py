"""One file a command: its options, and how its answer is told, to people or as JSON. What it does is in `app/commands`.

Nothing here imports what does the work before a command is chosen, so that `--help` answers at once.
"""
