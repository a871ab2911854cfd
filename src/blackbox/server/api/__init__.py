"""The routes: what each one answers."""
