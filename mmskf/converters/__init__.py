"""Converts the authors' released weights to mmskf's."""
from .convert import Conversion, check_strictly, convert, load_parts, save
from .tables import CONVERSIONS

__all__ = ['CONVERSIONS', 'Conversion', 'check_strictly', 'convert', 'load_parts', 'save']
