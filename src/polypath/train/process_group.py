"""How a process of a launcher leaves the others."""

from accelerate import PartialState


def leave_process_group() -> None:
    """Wait for the other processes, then end the process group; alone, do nothing.

    A process that only exits can close its connections while another still reads from them, and the
    launcher then reports a run as failed whose results are all written. Call it last, in every
    process: nothing that needs the others works afterwards.
    """
    state = PartialState()
    if state.num_processes > 1:
        state.wait_for_everyone()
        state.destroy_process_group()
