"""Exit codes, and every error as one line for people: what is wrong, and what to do."""

from __future__ import annotations

import enum
import os
import sys

import click

from assay.cli.refusals import in_words
from assay.client.errors import ClientError, ServerError, TimedOut, Unreachable


class Exit(enum.IntEnum):
    """What the exit code of `assay` says."""

    PASSED = 0
    FAILED = 1
    """An evaluation failed, or a benchmark is below its threshold."""
    USAGE = 2
    """Wrong arguments or bad input: the same command fails again."""
    UNREACHABLE = 3
    """No server, or one that cannot work at the moment."""
    INTERRUPTED = 4
    """Ctrl-C, or --timeout is over."""
    BROKEN_PIPE = 141


class CommandError(click.ClickException):
    """An error for the user, with the exit code it leads to."""

    def __init__(self, message: str, code: Exit = Exit.USAGE) -> None:
        super().__init__(message)
        self.code = code


def say(line: str) -> None:
    """Print a message to the user on stderr, which keeps stdout for results."""
    click.echo(line, err=True)


def run(command: click.Command, program: str) -> int:
    """Run `command` on the arguments of the process; return its exit code. Errors become lines on stderr."""
    stand_in_for_closed()
    try:
        code = command.main(prog_name=program, standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else Exit.PASSED
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except (KeyboardInterrupt, click.Abort):
        say("interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        silence()
        return Exit.BROKEN_PIPE
    except click.UsageError as error:
        say(f"error: {error.format_message()}")
        path = error.ctx.command_path if error.ctx else program
        say(f"  see: {path} --help")
        return Exit.USAGE
    except click.ClickException as error:
        say(f"error: {error.format_message()}")
        return error.code if isinstance(error, CommandError) else Exit.USAGE
    except ClientError as error:
        say(f"error: {told(error)}")
        return code_of(error)
    except OSError as error:
        # A file that cannot be read or written.
        where = f"{error.filename}: " if error.filename else ""
        say(f"error: {where}{error.strerror or error}")
        return Exit.USAGE
    except Exception as error:
        if os.environ.get("ASSAY_DEBUG"):
            raise
        say(f"error: unexpected {type(error).__name__}: {error}")
        say("  This is a defect of Assay. ASSAY_DEBUG=1 shows where it happens.")
        return Exit.FAILED


def stand_in_for_closed() -> None:
    """Put /dev/null where the caller has closed a standard stream (`>&-`), which is None then.

    Its number is taken with it: else the next file or connection would get it, and a child would write there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: SIM115 (it stays open)
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


def silence() -> None:
    """Drop what is still to be written to stdout: its reader (`| head`) has what it wanted."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def told(error: ClientError) -> str:
    """Return the line for an error of the client; the request id of a server's own fault finds it in the
    log.
    """
    if isinstance(error, ServerError):
        return f"{error.message} (request {error.trace})" if error.status >= 500 and error.trace else in_words(error.message)
    if isinstance(error, Unreachable) and "CERTIFICATE_VERIFY_FAILED" in error.reason:
        why = "its certificate is not one that this machine trusts"
        return f"Cannot reach {error.url}: {why}. Name the CA that signed it: SSL_CERT_FILE=ca.pem."
    return str(error)


def code_of(error: ClientError) -> Exit:
    """Return the exit code for an error of the client."""
    if isinstance(error, Unreachable | TimedOut) or (isinstance(error, ServerError) and error.status >= 500):
        return Exit.UNREACHABLE
    return Exit.USAGE
