"""One file a command: what it does and the object it answers with. The command line and `System`'s methods call these."""
