"""Error-correcting code of the marks: a checksum and a convolutional code, decoded by the Viterbi algorithm.

A payload of 32 bits gets a cyclic redundancy check of 16 bits, which says whether what was decoded can be trusted, and six
zeros that end the code. Rate 1/4, constraint length 7, generators 135, 135, 147, 163 (octal), with the largest free distance of
these lengths, 20: Larsen 1973, "Short convolutional codes with maximal free distance for rates 1/2, 1/3, and 1/4".
"""

from __future__ import annotations

import numpy as np

PAYLOAD_BITS = 32
CHECK_BITS = 16
GENERATORS = (0o135, 0o135, 0o147, 0o163)
_MEMORY = 6
_STATES = 1 << _MEMORY
_CRC = 0x1021  # CRC-16/CCITT

MESSAGE_BITS = PAYLOAD_BITS + CHECK_BITS
CODED_BITS = (MESSAGE_BITS + _MEMORY) * len(GENERATORS)


def bits_of(value: int, count: int) -> np.ndarray:
    """The lowest ``count`` bits, the highest of them first: uint8 ``[count]``."""
    return np.array([value >> i & 1 for i in reversed(range(count))], dtype=np.uint8)


def number_of(bits: np.ndarray) -> int:
    """The inverse of :func:`bits_of`."""
    return int("".join(str(int(bit)) for bit in bits), 2)


def checksum(bits: np.ndarray) -> int:
    """CRC-16 of a row of bits, started at ones so that leading zeros count."""
    register = 0xFFFF
    for bit in bits:
        top = register >> 15 ^ int(bit)
        register = (register << 1 & 0xFFFF) ^ (_CRC if top else 0)
    return register


def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Per new state and per one of its two predecessors: that predecessor, and the coded bits of the step as -1 or 1.

    The register holds the newest bit on top; a state is its upper six bits.
    """
    before = np.empty((_STATES, 2), dtype=np.int64)
    signs = np.empty((_STATES, 2, len(GENERATORS)))
    for state in range(_STATES):
        bit, rest = state >> (_MEMORY - 1), state & (_STATES // 2 - 1)
        for oldest in (0, 1):
            before[state, oldest] = rest << 1 | oldest
            register = bit << _MEMORY | before[state, oldest]
            for i, generator in enumerate(GENERATORS):
                signs[state, oldest, i] = 2 * (int(register & generator).bit_count() & 1) - 1
    return before, signs


_BEFORE, _SIGNS = _tables()


def encode(payload: int) -> np.ndarray:
    """Coded bits ``[CODED_BITS]`` of a payload in 0 .. 2^32 - 1, each as -1 or 1."""
    message = bits_of(payload, PAYLOAD_BITS)
    message = np.concatenate([message, bits_of(checksum(message), CHECK_BITS), np.zeros(_MEMORY, np.uint8)])
    state, rows = 0, []
    for bit in message:
        oldest = state & 1
        state = int(bit) << (_MEMORY - 1) | state >> 1
        rows.append(_SIGNS[state, oldest])
    return np.concatenate(rows)


def decode(soft: np.ndarray) -> int | None:
    """The payload whose code correlates best with ``soft`` (``[CODED_BITS]``, sign is the bit, size how sure); None if the
    checksum does not agree. Of unmarked data one in 2^16 agrees."""
    steps = soft.reshape(-1, len(GENERATORS))
    score = np.full(_STATES, -np.inf)
    score[0] = 0.0
    choices = np.empty((len(steps), _STATES), dtype=np.int64)
    for i, step in enumerate(steps):
        arriving = score[_BEFORE] + _SIGNS @ step
        choices[i] = arriving.argmax(1)
        score = arriving.max(1)
    state, found = 0, []  # the six zeros lead back to state 0
    for choice in choices[::-1]:
        found.append(state >> (_MEMORY - 1))
        state = int(_BEFORE[state, choice[state]])
    message = np.array(found[::-1][:MESSAGE_BITS], dtype=np.uint8)
    agrees = checksum(message[:PAYLOAD_BITS]) == number_of(message[PAYLOAD_BITS:])
    return number_of(message[:PAYLOAD_BITS]) if agrees else None
