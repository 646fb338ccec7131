"""Where reduced precision pays: bf16 autocast on processors and GPUs that have it."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Whether bf16 convolutions run in hardware on a device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # torch asks the processor only through this function; versions that lack it run in full precision.
    asks_processor = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and asks_processor is not None and asks_processor()


def network_dtype(device: torch.device) -> torch.dtype:
    """Number format of the networks' inputs, and of the weights of networks that are not trained any more."""
    return torch.bfloat16 if has_bfloat16(device) else torch.float32


def inference_precision(device: torch.device) -> AbstractContextManager:
    """Context in which networks run: bf16 autocast where it is in hardware, full precision elsewhere."""
    return torch.autocast(device.type, dtype=torch.bfloat16) if has_bfloat16(device) else nullcontext()
