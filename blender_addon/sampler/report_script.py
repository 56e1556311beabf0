# SPDX-License-Identifier: GPL-3.0-or-later
"""What `interpreter.py` has a Python say about itself."""
from __future__ import annotations

MARK = "pose_diffusion report: "

# Given as text, and in what Python 2 and 3 have in common: old Pythons and empty ones must be able to run it, too.
SCRIPT = """
import sys
sys.path[:] = [folder for folder in sys.path if folder]  # not what lies in the folder where it happens to run
import json, os, platform
found = {"version": list(sys.version_info[:3]), "packages": {}, "errors": {}, "devices": [], "protocol": None,
         "system": platform.system(), "in_environment": sys.prefix != getattr(sys, "base_prefix", sys.prefix),
         "of_blender": os.path.isdir(os.path.join(os.path.dirname(sys.prefix), "scripts", "startup"))}

def attempt(name, work):
    try:
        return work()
    except BaseException as error:  # also SystemExit: whatever it is, it is to be told
        found["errors"][name] = " ".join((type(error).__name__ + ": " + str(error)).split())[:300]

def installation():
    import importlib.util, sysconfig
    found["managed"] = os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
    for name in ("pip", "ensurepip"):
        found[name] = importlib.util.find_spec(name) is not None

def package(name):
    from importlib import metadata
    found["packages"][name] = metadata.version(name)

def devices():
    import torch
    found["packages"]["torch"] = str(torch.__version__)
    found["devices"].append(["cpu", "", 0])
    for i in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(i)
        found["devices"].append(["cuda:%d" % i, properties.name, properties.total_memory])
    if torch.backends.mps.is_available():
        found["devices"].append(["mps", "Apple GPU", 0])

def worker():
    import pose_diffusion.files
    import pose_diffusion.worker
    found["packages"].setdefault("pose-diffusion", pose_diffusion.__version__)
    found["protocol"] = pose_diffusion.worker.PROTOCOL

attempt("installation", installation)
if sys.version_info >= (3, 8):
    attempt("version", lambda: package("pose-diffusion"))
    attempt("version", lambda: package("pose-format"))
    attempt("torch", devices)
    attempt("pose-diffusion", worker)
print("\\n" + "MARK" + json.dumps(found))
""".replace("MARK", MARK)
