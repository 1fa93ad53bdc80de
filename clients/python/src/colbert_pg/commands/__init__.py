"""The subcommands of colbert-pg. Each module has a function that adds its subcommand."""
