"""Procedural images whose objects and classes are known exactly.

Dead leaves (Lee, Mumford & Huang 2001, Occlusion models for natural images) with textures, shading and blur, places
with a sky and a ground, and pictures as microscopes make them.
"""

from training.scenes.microscopy import micrograph
from training.scenes.scene import Scene
from training.scenes.scenery import KINDS, make_scene, scenes
from training.scenes.world import Kind, World

__all__ = ["KINDS", "Kind", "Scene", "World", "make_scene", "micrograph", "scenes"]
