"""Debian's chromium, headless: a page as a user's browser draws it, and what a script in it finds."""
from __future__ import annotations

import html
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

NAMES = ("chromium", "chromium-browser", "google-chrome")
NEEDED = "POSE_DIFFUSION_NEEDS_BROWSER"  # set where a missing browser is a failure, not a test to skip
WINDOW = ("--window-size=1280,900",)
MILLISECONDS = 20_000  # of the page's own time; the browser jumps to its next timer
# So it hardly ever paints. This makes it "paint" every 20 ms of its own time.
STEADY_FRAMES = "<script>window.requestAnimationFrame = f => setTimeout(() => f(performance.now()), 20);</script>"
PROBE = """
<script>
"use strict";
{
const errors = [];
window.addEventListener("error", event => errors.push(event.message));
document.addEventListener("securitypolicyviolation", event => errors.push("refused: " + event.blockedURI));
const canvases = () => [...document.querySelectorAll("canvas")];
const ink = () => canvases().map(canvas => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let i = 3; i < data.length; i += 4) count += data[i] > 0;
  return count;
});
const boxes = () => canvases().map(canvas => {
  const {left, top, width, height} = canvas.getBoundingClientRect();
  return [left, top, width, height];
});
const wait = seconds => new Promise(done => setTimeout(done, 1000 * seconds));
const element = id => document.getElementById(id);
const frame = () => Number(element("scrub").value);
const press = (key, target = document.body) => target.dispatchEvent(
  new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
(async () => {
  let found = null;
  try {
    found = await (async () => { %s })();
  } catch (error) {
    errors.push(String(error));
  }
  const out = document.createElement("pre");
  out.id = "probe";
  out.textContent = JSON.stringify({found, errors, state: document.documentElement.dataset.state || null,
                                    trouble: element("trouble").textContent});
  document.body.append(out);
})();
}
</script>
"""


def browser() -> str:
    """The browser's path. Without one the test is skipped, or fails where `POSE_DIFFUSION_NEEDS_BROWSER` is set."""
    for name in NAMES:
        if path := shutil.which(name):
            return path
    if os.environ.get(NEEDED):
        pytest.fail(f"none of {', '.join(NAMES)} is installed")
    pytest.skip(f"needs one of {', '.join(NAMES)}: apt-get install chromium")


def ask(page: Path, script: str, *options: str, first: str = "") -> Any:
    """Open a page and run `script`, the body of an async function, in it; returns what that returns.

    `first` is HTML that is put before everything else in the page.

    In the script there are `ink()` (drawn pixels of each canvas), `boxes()`, `frame()`, `press(key)`, `element(id)` and
    `wait(seconds)`. The page must have drawn without an error.
    """
    probed = page.with_name(f"probed-{page.name}")
    text = page.read_text(encoding="utf-8")
    text = text.replace("<head>", "<head>" + first).replace("</body>", (PROBE % script) + "</body>")
    probed.write_text(text, encoding="utf-8")
    dom = _run(probed, "--dump-dom", f"--virtual-time-budget={MILLISECONDS}", *WINDOW, *options)
    match = re.search('<pre id="probe">(.*?)</pre>', dom, re.DOTALL)
    assert match, f"the script did not end: {dom[-2000:]}"
    answer = json.loads(html.unescape(match[1]))
    assert answer["errors"] == []
    assert answer["trouble"] == ""
    assert answer["state"] == "drawn"
    return answer["found"]


def screenshot(page: Path, *options: str) -> np.ndarray:
    """The page in a window of 1280 x 900 pixels, `(900, 1280, 3)` uint8, at rest."""
    picture = page.with_suffix(".png")
    _run(page, f"--screenshot={picture}", *WINDOW, "--hide-scrollbars", "--force-prefers-reduced-motion",
         "--virtual-time-budget=1000", *options)
    with Image.open(picture) as image:
        return np.asarray(image.convert("RGB"))


def _run(page: Path, *options: str) -> str:
    profile = page.parent / "browser-profile"
    # --no-sandbox: as root, and in containers, the browser's own sandbox cannot be set up.
    command = [browser(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
               "--disable-background-networking", f"--user-data-dir={profile}", *options, page.as_uri()]
    result = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return result.stdout.decode("utf-8")
