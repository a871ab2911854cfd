"""Runs a source in a child process that is killed and replaced when it hangs or crashes."""
