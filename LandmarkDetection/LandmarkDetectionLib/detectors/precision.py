"""Where reduced precision pays: networks in bf16 on processors and GPUs that have it; positions never."""

from __future__ import annotations

import torch


def has_bfloat16(device: torch.device) -> bool:
    """Whether bf16 convolutions run in hardware on a device."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # torch asks the processor only through this function; versions that lack it run in full precision.
    asks_processor = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    return device.type == "cpu" and asks_processor is not None and asks_processor()


def network_dtype(device: torch.device) -> torch.dtype:
    """Number format of the networks' inputs, and of the weights of networks that are not trained any more.

    Autocast is not used in detection: it would round the products that place the patches, too.
    """
    return torch.bfloat16 if has_bfloat16(device) else torch.float32
