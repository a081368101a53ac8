"""Start the ranks of a layout as forks of one process that has imported everything, which takes seconds.

    python -m tests.engines.trl.forked LAYOUT PROCESSES MODEL REHEARSAL OUT

The variables are those that torchrun and accelerate's launcher set, by accelerate's own code from the files
in recipes/accelerate. The launchers themselves run in tests/cli/test_launch.py and test_deepspeed.py.
"""

import os
import signal
import socket
import sys
import traceback

from tests.engines.trl import layouts


def environment(layout: str, processes: int) -> dict[str, str]:
    """Return what a launcher sets for every rank."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    found = {}
    if layout != "ddp":
        file = layouts.ROOT / "recipes" / "accelerate" / f"{layout}.yaml"
        words = ["--config_file", str(file), f"--num_processes={processes}", "--mixed_precision=no"]
        arguments, _, _ = _validate_launch_command(
            launch_command_parser().parse_args([*words, "script.py"])
        )
        found = prepare_multi_gpu_env(arguments)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    return {
        **found,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "LOCAL_WORLD_SIZE": str(processes),
    }


def main(layout: str, processes: int, *folders: str) -> int:
    """Run a layout in forks, and return 0 if all of them ended well; one that fails ends the others."""
    import peft
    import sentence_transformers

    from polypath.engines.trl import DiversityGRPOTrainer
    from tests.engines.trl import helpers

    del peft, sentence_transformers, DiversityGRPOTrainer, helpers  # imported before the forks
    for_all = environment(layout, processes)
    ranks = {}
    for rank in range(processes):
        pid = os.fork()
        if pid == 0:
            os.environ.update(for_all, RANK=str(rank), LOCAL_RANK=str(rank))
            code = 1
            try:
                layouts.main(layout, *folders)
                layouts.leave_process_group()
                code = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        ranks[pid] = rank
    failed = False
    while ranks:
        pid, status = os.wait()
        rank = ranks.pop(pid)
        if status and not failed:
            failed = True
            print(f"rank {rank} ended with {os.waitstatus_to_exitcode(status)}", file=sys.stderr)
            for other in ranks:
                os.kill(other, signal.SIGKILL)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
