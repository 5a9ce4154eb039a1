"""DreaMoving-Tiny's files without training: every format and size is right, every picture is noise."""

from pathlib import Path

import torch


def export_untrained(folder: Path, *, seed: int = 0) -> None:
    """Write all files; small numbers replace the zeros that untrained networks hold, so that every part has a say."""
    from dreamoving.dreamoving_core.bridge.trainable import new_autoencoder
    from dreamoving.dreamoving_core.tiny.config import TinyConfig
    from dreamoving.dreamoving_core.training.export import export_tiny
    from dreamoving.dreamoving_core.training.networks import new_networks

    torch.manual_seed(seed)
    networks, (encoder, decoder) = new_networks(TinyConfig()), new_autoencoder()
    with torch.no_grad():
        for name, parameter in networks.named_parameters():
            if not parameter.any() and "token_embedding" not in name:
                parameter.normal_(std=0.02)
    parts = {"encoder": encoder, "decoder": decoder}
    autoencoder = {f"{name}.{k}": v for name, part in parts.items() for k, v in part.state_dict().items()}
    export_tiny(networks, autoencoder, folder, frames=16, steps=0)
