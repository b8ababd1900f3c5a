"""The command line: thin commands, heavy imports only where used."""
