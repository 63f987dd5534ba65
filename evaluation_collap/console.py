"""What every command says in the same way: why it refuses, and how long it took."""

import time

import typer
from rich.console import Console
from rich.markup import escape


def refusal(error: Exception) -> typer.Exit:
    """Says what is wrong; the returned exception ends the command with code 2."""
    Console(stderr=True).print(f"[red]Error:[/red] {escape(str(error))}", soft_wrap=True)
    return typer.Exit(2)


def elapsed(start: float) -> str:
    """Minutes and seconds since `start`, a reading of `time.monotonic`."""
    seconds = time.monotonic() - start
    return f"{int(seconds // 60)} min {seconds % 60:.0f} s"
