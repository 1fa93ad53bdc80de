"""Files for COPY ... (FORMAT binary), with multivectors straight from numpy arrays.

A field is its binary representation: bytes, or None for NULL.
"""
import os
import struct
import sys

# The package of clients/python knows the binary format of a multivector. It is imported from the source.
sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), 'clients', 'python', 'src'))
from colbert_pg import MultiVector


def int4(value):
    return struct.pack('!i', value)


def float8(value):
    return struct.pack('!d', value)


def text(value):
    return value.encode()


def multivector(tokens, element='float4'):
    """tokens: an array of shape (tokens, dims)."""
    return MultiVector(tokens, element).to_binary()


def tokens_of(value):
    """Return the array of shape (tokens, dims) in a multivector's binary form. It is read-only."""
    return MultiVector.from_binary(value).to_numpy()


class Writer:
    def __init__(self, path):
        self.file = open(path, 'wb')
        self.file.write(b'PGCOPY\n\xff\r\n\0' + struct.pack('!ii', 0, 0))

    def row(self, *fields):
        parts = [struct.pack('!h', len(fields))]
        for field in fields:
            parts += [struct.pack('!i', -1)] if field is None else [struct.pack('!i', len(field)), field]
        self.file.write(b''.join(parts))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.write(struct.pack('!h', -1))
        self.file.close()
