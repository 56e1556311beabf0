"""The diffusion core: noise levels, sampler, guidance and condition.

Everything here speaks of a *denoiser*: any callable ``D(x, sigma)`` that takes a noisy state ``(batch, ...)`` and its
noise level (a 0-d tensor) and returns an estimate of the clean state, shaped like ``x``. The solvers and the two kinds
of guidance know nothing else, so each of them is a plain function of a denoiser. Import the modules by name; this file
imports nothing, so that looking at the package does not load torch.
"""
