"""Eq. 1 as slow loops over chunks and frames, to hold the Content Guider's patches against."""

import torch


def slow_attention(q, k, v, heads):
    """Softmax attention, head by head, of one picture: `n d`, `m d`, `m d`."""
    width = q.shape[-1] // heads
    parts = []
    for head in range(heads):
        part = slice(head * width, (head + 1) * width)
        weights = torch.softmax(q[:, part] @ k[:, part].T / width**0.5, dim=-1)
        parts.append(weights @ v[:, part])
    return torch.cat(parts, dim=-1)


def triangle_resize(row_count, size):
    """The matrix (size, row_count) of an antialiased bilinear resize along one axis, from its definition."""
    scale = row_count / size
    reach = max(scale, 1.0)
    centres = (torch.arange(size) + 0.5) * scale
    distance = (torch.arange(row_count)[None] + 0.5 - centres[:, None]).abs() / reach
    weights = (1 - distance).clamp_min(0)
    return weights / weights.sum(dim=1, keepdim=True)


def frames_of(extra_options, num_frames):
    """Which frames of the whole clip a chunk holds."""
    window = extra_options.get("context_window")
    if window is None:
        return list(range(num_frames))
    anchor = getattr(window, "causal_anchor_index", None)
    frames = list(window.index_list)
    return [anchor, *frames] if len(frames) < num_frames else frames


class SlowEq1:
    """An attn2 patch. `tokens` is (positive, negative), each r n d; `alpha` a list over all frames; mask f h w.

    `positive` lists the values of cond_or_uncond that stand for the positive prompt.
    """

    def __init__(self, branch, n, tokens, *, alpha, mask=None, positive=(0,), sigmas=(float("inf"), 0.0)):
        layer = branch.ip_adapter[str(n)]
        self.pairs = [
            None if rows is None else (rows @ layer.to_k_ip.weight.T, rows @ layer.to_v_ip.weight.T)
            for rows in tokens
        ]
        self.alpha, self.mask, self.positive, self.sigmas = alpha, mask, positive, sigmas

    def __call__(self, q, k, v, extra_options):
        chunks, heads = extra_options["cond_or_uncond"], extra_options["n_heads"]
        num_frames = q.shape[0] // len(chunks)
        sigma = float(extra_options["sigmas"][0])
        out = torch.stack([slow_attention(q[i], k[i], v[i], heads) for i in range(q.shape[0])])
        if not self.sigmas[0] >= sigma >= self.sigmas[1]:
            return out
        for chunk, place in enumerate(chunks):
            pair = self.pairs[0 if place in self.positive else 1]
            if pair is None:
                continue
            for local, frame in enumerate(frames_of(extra_options, num_frames)):
                picture = chunk * num_frames + local
                row = min(frame, pair[0].shape[0] - 1)
                term = slow_attention(q[picture], pair[0][row], pair[1][row], heads)
                out[picture] += self.alpha[frame] * self.at(frame, extra_options) * term
        return out

    def at(self, frame, extra_options):
        if self.mask is None:
            return 1.0
        mask = self.mask[min(frame, self.mask.shape[0] - 1)]
        height, width = extra_options["activations_shape"][-2:]
        rows, columns = triangle_resize(mask.shape[0], height), triangle_resize(mask.shape[1], width)
        return (rows @ mask @ columns.T).reshape(-1, 1)


def with_slow_patches(model, guider, sites, name, tokens, **settings):
    """A clone of `model` under SlowEq1 in every cross-attention."""
    model = model.clone()
    for n, site in sites.items():
        model.set_model_attn2_replace(SlowEq1(guider.branch(name), n, tokens, **settings), *site.key)
    return model
