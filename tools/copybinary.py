"""Files for COPY ... (FORMAT binary), with multivectors straight from numpy arrays.

A field is its binary representation: bytes, or None for NULL. doc/format-binary.md describes that of a multivector.
"""
import struct
import numpy as np

ELEMENTS = {'float4': (0, '<f4'), 'float2': (1, '<f2')}


def int4(value):
    return struct.pack('!i', value)


def text(value):
    return value.encode()


def multivector(tokens, element='float4'):
    """tokens: an array of shape (tokens, dims)."""
    code, dtype = ELEMENTS[element]
    ntokens, dim = tokens.shape
    return struct.pack('<BBHI', 1, code, dim, ntokens) + np.ascontiguousarray(tokens, dtype).tobytes()


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
