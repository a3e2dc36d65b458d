from .sa_discriminator import SADiscriminator

__all__ = ['SADiscriminator']
