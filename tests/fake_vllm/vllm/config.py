"""The configuration that the scheduler and all workers of a server hold copies of."""

from types import SimpleNamespace


def make(instance: str = "1722000000", rank: int = 0, model: str = "tiny") -> SimpleNamespace:
    return SimpleNamespace(
        instance_id=instance,
        parallel_config=SimpleNamespace(data_parallel_index=rank),
        model_config=SimpleNamespace(served_model_name=[model, "alias"], model="/models/" + model),
    )
