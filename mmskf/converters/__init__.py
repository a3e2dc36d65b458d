"""Converts the authors' released weights to mmskf's."""
from .convert import Conversion, check_strictly, convert, find_parts, load_parts, save, source_files
from .tables import CONVERSIONS

__all__ = ['CONVERSIONS', 'Conversion', 'check_strictly', 'convert', 'find_parts', 'load_parts', 'save', 'source_files']
