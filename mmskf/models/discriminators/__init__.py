from .patch_discriminator import GlobalLocalDiscriminator, PatchDiscriminator
from .sa_discriminator import SADiscriminator

__all__ = ['GlobalLocalDiscriminator', 'PatchDiscriminator', 'SADiscriminator']
