"""YAML as people write it: of a key that stands twice in one mapping, YAML's own reader would
silently drop the first.
"""

from collections.abc import Hashable
from typing import Any

import yaml


class KeyStandsTwice(yaml.MarkedYAMLError):
    """`told`: which key, and where; `where`: in which lines, for whoever may not be shown the
    key.
    """

    def __init__(self, key: object, first: yaml.nodes.Node, second: yaml.nodes.Node) -> None:
        lines = (first.start_mark.line + 1, second.start_mark.line + 1)
        self.where = (
            f"in line {lines[0]}" if lines[0] == lines[1] else f"in lines {lines[0]} and {lines[1]}"
        )
        self.told = f"has the key {str(key)[:100]!r} twice, {self.where}; keep one of them"
        super().__init__(problem=self.told, problem_mark=second.start_mark)


class _Loader(yaml.SafeLoader):
    """Safe YAML without keys that stand twice.

    What a merge (<<) brings may be said again: that is what it is for.
    """

    def construct_mapping(
        self, node: yaml.nodes.MappingNode, deep: bool = False
    ) -> dict[Hashable, Any]:
        if isinstance(node, yaml.nodes.MappingNode):
            self._refuse_twice(node)
        return super().construct_mapping(node, deep=deep)

    def _refuse_twice(self, node: yaml.nodes.MappingNode) -> None:
        node_by_key: dict[Hashable, yaml.nodes.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # the reader itself refuses it
            if key in node_by_key:
                raise KeyStandsTwice(key, node_by_key[key], key_node)
            node_by_key[key] = key_node


def read_yaml(text: str) -> Any:
    """Return what a YAML document says.

    Raises yaml.YAMLError, of which KeyStandsTwice is one; RecursionError and ValueError for
    what is nested too deep or holds an odd value.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()
