"""A largest matching of a graph: which pairs of neighbours can share a double bond. Edmonds 1965."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence


def maximum_matching(neighbours: Sequence[Sequence[int]]) -> list[int]:
    """The partner of each vertex, -1 for none; as many pairs as there can be. Blossom algorithm, O(V^3)."""
    n = len(neighbours)
    mate = [-1] * n
    for i in range(n):  # a greedy start, which is nearly always the end
        if mate[i] < 0:
            for j in neighbours[i]:
                if mate[j] < 0:
                    mate[i], mate[j] = j, i
                    break
    for root in range(n):
        if mate[root] < 0:
            _augment(neighbours, mate, root)
    return mate


def _augment(neighbours: Sequence[Sequence[int]], mate: list[int], root: int) -> None:
    """Lengthen the matching by an alternating path from ``root``, if there is one."""
    n = len(neighbours)
    parent, base = [-1] * n, list(range(n))
    seen = [False] * n
    seen[root] = True
    queue = deque([root])

    def meeting(a: int, b: int) -> int:
        marked = set()
        while True:
            a = base[a]
            marked.add(a)
            if mate[a] < 0:
                break
            a = parent[mate[a]]
        while base[b] not in marked:
            b = parent[mate[base[b]]]
        return base[b]

    def mark(v: int, stop: int, child: int, blossom: set[int]) -> None:
        while base[v] != stop:
            blossom |= {base[v], base[mate[v]]}
            parent[v] = child
            child = mate[v]
            v = parent[mate[v]]

    while queue:
        v = queue.popleft()
        for w in neighbours[v]:
            if base[v] == base[w] or mate[v] == w:
                continue
            if w == root or (mate[w] >= 0 and parent[mate[w]] >= 0):
                stop = meeting(v, w)
                blossom: set[int] = set()
                mark(v, stop, w, blossom)
                mark(w, stop, v, blossom)
                for i in range(n):
                    if base[i] in blossom:
                        base[i] = stop
                        if not seen[i]:
                            seen[i] = True
                            queue.append(i)
            elif parent[w] < 0:
                parent[w] = v
                if mate[w] < 0:
                    while w >= 0:
                        before = parent[w]
                        following = mate[before]
                        mate[w], mate[before] = before, w
                        w = following
                    return
                seen[mate[w]] = True
                queue.append(mate[w])
