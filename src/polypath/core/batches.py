"""How many prompts one generation takes."""

from polypath.errors import DataError


def check_enough_prompts(prompts: int, completions: int, group: int) -> None:
    """Check that there are prompts for one generation: the incomplete rest of an epoch is not trained on.

    Args:
        prompts: in the training data.
        completions: of one generation, by all processes.
        group: completions of one prompt.

    Raises:
        DataError: there are too few, so that nothing would be trained.
    """
    needed = completions // group
    if prompts < needed:
        raise DataError(
            f"The training data has {prompts} prompts, but one generation takes {needed} ({completions} "
            f"completions in groups of {group}), so nothing would be trained. Give more prompts, or lower "
            "per_device_train_batch_size, gradient_accumulation_steps or generation_batch_size."
        )
