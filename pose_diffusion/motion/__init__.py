"""Motion of bodies in 3D: reading it, skeletons and the way from one to another, other bodies from the few there are.

One frame of reference throughout, the *world*: metres, y up, right-handed. Cameras (`pose_diffusion.cameras`) look at
it with x to the right, y down and z away from the camera. Import the modules by name; this file imports nothing.
"""
