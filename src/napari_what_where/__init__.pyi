from .activations.registry import list_backbones as list_backbones
from .activations.registry import load_backbone as load_backbone
from .activations.types import TokenActivations as TokenActivations
from .affinity.joint import joint_affinity as joint_affinity
from .embedding.spectral import spectral_embedding as spectral_embedding
from .pipeline import analyze as analyze
from .segments.objects.find import find_objects as find_objects
from .segments.tree import region_tree as region_tree
