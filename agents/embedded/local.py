"""Local: a model in this very process, on the CPU or a GPU."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field

from ..beside import ModelName
from ..engine import BATCHES, Engine, Limits
from ..price import Price
from ..types import Device, Dtype, Precision, Settings, on_this_machine


class Local(Settings):
    """A model in this process, through transformers; it can be trained."""

    kind: Literal["local"] = "local"
    model: ModelName
    """A name that `moot models` lists, a folder, or a hub id."""
    dtype: Dtype = "auto"
    """`auto` is float32 on the CPU and bfloat16 on a GPU."""
    device: Device = "auto"
    """`auto` is the GPU where there is one."""
    quantized: bool = False
    """Whether the model's linear layers are held in 4 bits (NF4, by bitsandbytes)."""
    batch: int = Field(default=64, ge=1, le=4096)
    """The most completions generated together. Sums are rounded differently in another batch, so a
    rerun may differ where two tokens were nearly equally likely; with 1 it gives the same bytes."""
    limits: Limits = Limits()
    """How hard it may be driven, and how patiently."""
    price: Price | None = None
    """What its tokens cost; left out: nothing is said of cost."""

    @property
    def trains(self) -> str | None:
        """The model."""
        return self.model

    @property
    def precision(self) -> Precision:
        """As set, or what this machine comes to."""
        return "nf4" if self.quantized else on_this_machine(self.dtype, self.device)

    @property
    def deadline_s(self) -> float | None:
        """None, if it isn't set: what answers in this process can't be lost on the way."""
        return self.limits.deadline_s(None)

    @property
    def varies(self) -> str:
        """It doesn't where nothing is batched."""
        return "" if self.batch == 1 else BATCHES

    @asynccontextmanager
    async def open(self, logs: Path, adapters: int = 0) -> AsyncGenerator[Engine]:
        """Load the model and give the engine; it writes no logs."""
        from ..weights.models import locate
        from .batching import Batching
        from .voice import Voice

        loop = asyncio.get_running_loop()
        # One thread does all that touches the model, the loading included.
        with ThreadPoolExecutor(1, thread_name_prefix="moot-local") as thread:
            folder = await loop.run_in_executor(thread, locate, self.model)
            how = partial(Voice, folder, self.dtype, self.device, quantized=self.quantized)
            voice = await loop.run_in_executor(thread, how)
            engine = Batching(voice, thread, self.batch)
            serving = asyncio.create_task(engine.serve())
            try:
                yield engine
            finally:
                serving.cancel()
                await asyncio.gather(serving, return_exceptions=True)
