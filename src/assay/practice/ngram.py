"""An n-gram language model with Witten-Bell interpolation.

    p(w | h) = (c(h w) + T(h) · p(w | h')) / (c(h) + T(h))

where c counts what was read, T(h) is the number of different tokens seen after the context h, and h' is h
without its first token; the empty context falls back on the uniform distribution. (Chen & Goodman, "An
empirical study of smoothing techniques for language modeling", 1998, section 2.4.) Every distribution sums to
1 over the vocabulary, and no token has probability 0.

The counts are a trie. A *state* is the longest known context that ends the text so far; `advance` moves from
one to the next along back-off links, so a token costs a few dictionary look-ups, however long the text.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence


class Node:
    """A token sequence that was read: a state of the model where something followed it."""

    __slots__ = ("best", "children", "count", "leave", "shorter")

    def __init__(self) -> None:
        self.children: dict[int, Node] = {}
        self.count: float = 0
        """Times read while counting; then its share: c(h w) / (c(h) + T(h))."""
        self.leave: float = 1.0
        """T(h) / (c(h) + T(h)): the weight of the shorter context."""
        self.shorter: Node | None = None
        self.best: int = -1
        """The most probable next token, once it has been asked for."""


class NGramModel:
    """Next-token probabilities over token ids below `size`, from n-grams up to length `order`."""

    def __init__(self, documents: Iterable[Sequence[int]], *, size: int, order: int, end: int) -> None:
        """Count `documents`; `end` stands before and after each of them."""
        self.start = Node()
        self._order = order
        for tokens in documents:
            self._count([end, *tokens, end])
        self._link()
        seen = self.start.children
        floor = self.start.leave / size
        self._base = [floor] * size
        for token, node in seen.items():
            self._base[token] += node.count
        self._ranking = sorted(range(size), key=lambda token: (-self._base[token], token))

    def _count(self, tokens: list[int]) -> None:
        order, last = self._order, len(tokens)
        for begin in range(last):
            node = self.start
            for token in tokens[begin : begin + order]:
                child = node.children.get(token)
                if child is None:
                    child = node.children[token] = Node()
                child.count += 1
                node = child
        self.start.children[tokens[0]].count -= 1  # the mark that begins a document was not predicted

    def _link(self) -> None:
        """Turn counts into shares and set the back-off links, shortest contexts first."""
        level = [self.start]
        while level:
            below: list[Node] = []
            for node in level:
                children = node.children
                weight = 1 / (sum([child.count for child in children.values()]) + len(children) or 1)
                node.leave = (len(children) or 1) * weight
                shorter = node.shorter
                for token, child in children.items():
                    child.count *= weight
                    if child.children:
                        child.shorter = node if shorter is None else shorter.children[token]
                        below.append(child)
            level = below

    def advance(self, state: Node, token: int) -> Node:
        """The state after `token`."""
        node: Node | None = state
        while node is not None:
            child = node.children.get(token)
            if child is not None and child.children:
                return child
            node = node.shorter
        return self.start

    def state_after(self, tokens: Sequence[int]) -> Node:
        """The state after `tokens`; only the last `order - 1` of them matter."""
        state = self.start
        for token in tokens[-(self._order - 1) :]:
            state = self.advance(state, token)
        return state

    def probability(self, state: Node, token: int) -> float:
        """p(token | state), greater than 0."""
        total, weight = 0.0, 1.0
        node = state
        while (shorter := node.shorter) is not None:
            child = node.children.get(token)
            if child is not None:
                total += weight * child.count
            weight *= node.leave
            node = shorter
        return total + weight * self._base[token]

    def distribution(self, state: Node) -> list[float]:
        """The probability of each token of the vocabulary; sums to 1."""
        known, weight = self._mixture(state)
        probabilities = [weight * base for base in self._base]
        for token, probability in known.items():
            probabilities[token] = probability
        return probabilities

    def best(self, state: Node) -> int:
        """The most probable next token; the smaller id where two are equal."""
        if state.best < 0:
            state.best = self.top(state, 1)[0][0]
        return state.best

    def top(self, state: Node, count: int) -> list[tuple[int, float]]:
        """The `count` most probable next tokens with their probabilities, best first."""
        known, weight = self._mixture(state)
        rest = 0
        for token in self._ranking:
            if rest == count:
                break
            if token not in known:
                known[token] = weight * self._base[token]
                rest += 1
        return heapq.nsmallest(count, known.items(), key=lambda item: (-item[1], item[0]))

    def _mixture(self, state: Node) -> tuple[dict[int, float], float]:
        """Probabilities of the tokens seen after a non-empty context; the weight of the base for all others.

        Sums in the same order as `probability`, so that both give the same float.
        """
        known: dict[int, float] = {}
        weight = 1.0
        node = state
        while (shorter := node.shorter) is not None:
            for token, child in node.children.items():
                known[token] = known.get(token, 0.0) + weight * child.count
            weight *= node.leave
            node = shorter
        base = self._base
        for token in known:
            known[token] += weight * base[token]
        return known, weight
