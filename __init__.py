"""DreaMoving for ComfyUI. Importing this package does nothing; ComfyUI calls `comfy_entrypoint`."""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    from .nodes import DreaMovingExtension

    return DreaMovingExtension()
