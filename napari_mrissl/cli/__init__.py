"""The command line: a thin mirror of the Python API.

Exit codes: 0 done, 2 bad input (one sentence on stderr), 130 interrupted; anything else
is a fault of ours and shows its traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from cyclopts.exceptions import CycloptsError

from napari_mrissl.cli.commands import application
from napari_mrissl.cli.terminal import abandon_output, one_sentence, say
from napari_mrissl.errors import MrisslError

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``arguments`` default to the process's."""
    tokens = list(sys.argv[1:] if arguments is None else arguments)
    try:
        application()(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, MrisslError) as reason:
        say(one_sentence(str(reason)))
        return 2
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of a pipe such as `mrissl info ... | head -1` has seen enough.
        abandon_output()
    return 0
