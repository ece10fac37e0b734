"""YAML as people write it, with duplicate keys refused.

YAML's own reader would silently drop the first of two equal keys in a mapping.
"""

from collections.abc import Hashable
from typing import Any

import yaml


class YAMLFault(ValueError):
    """A text is not valid YAML, or has a duplicate key."""

    def __init__(self, fault: str, discreet: str) -> None:
        """Describe the fault.

        Args:
            fault: What is wrong and where, behind the name of the text.
            discreet: The same for people who may not see the text.
        """
        super().__init__(fault)
        self.fault = fault
        self.discreet = discreet


class DuplicateKey(YAMLFault):
    """A key occurs twice in one mapping."""

    def __init__(self, key: object, first: yaml.nodes.Node, second: yaml.nodes.Node) -> None:
        lines = (first.start_mark.line + 1, second.start_mark.line + 1)
        where = (
            f"in line {lines[0]}" if lines[0] == lines[1] else f"in lines {lines[0]} and {lines[1]}"
        )
        super().__init__(
            f"has the key {str(key)[:100]!r} twice, {where}; keep one of them",
            f"has a key twice, {where}; keep one of them",
        )


class _Loader(yaml.SafeLoader):
    """A loader of safe YAML without duplicate keys.

    A key that a merge (<<) brings may be given again: that is what a merge is for.
    """

    def construct_mapping(
        self, node: yaml.nodes.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        """Check the keys, then build the mapping."""
        node_by_key: dict[Hashable, yaml.nodes.Node] = {}
        for key_node, _ in node.value if isinstance(node, yaml.nodes.MappingNode) else ():
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                # YAML's own reader refuses it.
                continue
            if key in node_by_key:
                raise DuplicateKey(key, node_by_key[key], key_node)
            node_by_key[key] = key_node
        return super().construct_mapping(node, deep=deep)


def read_yaml(text: str) -> Any:
    """Return the content of a YAML document.

    Raises:
        YAMLFault: If it is not YAML, a key occurs twice, it is nested too deep, or it holds an odd
            value.
    """
    try:
        loader = _Loader(text)
        try:
            return loader.get_single_data()
        finally:
            loader.dispose()
    except YAMLFault:
        raise
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        what = getattr(problem, "problem", None)
        what_and_where = (f": {what}" if what else "") + (
            f" (line {mark.line + 1})" if mark else ""
        )
        place = f" (line {mark.line + 1}, column {mark.column + 1})" if mark else ""
        raise YAMLFault(f"is not YAML{what_and_where}", f"is not YAML{place}") from problem
    except (RecursionError, ValueError) as problem:
        raise YAMLFault(
            "cannot be read: it is nested too deep, or holds an odd value", "is not YAML"
        ) from problem
