"""Takes away whitespace: `~`, and the lines on which a block, partial or comment stands alone.

A port of Handlebars.js 4.7's `compiler/whitespace-control.js`. Its regular expressions are done
with strip and find here, which are linear on long runs of blanks.
"""

from carillon.handlebars.syntax.lexer import WHITESPACE
from carillon.handlebars.syntax.nodes import (
    Block,
    Comment,
    Content,
    Decorator,
    Mustache,
    Partial,
    Program,
    Statement,
    Strip,
)

_BLANKS = " \t"


def strip_whitespace(program: Program) -> None:
    """Shorten the text nodes of a template in place."""
    _program(program, is_root=True)


def _program(program: Program, *, is_root: bool = False) -> None:
    body = program.body
    for index, node in enumerate(body):
        if isinstance(node, Block):
            _block_statement(body, index, node, is_root)
        elif isinstance(node, Mustache | Decorator):
            _tilde(body, index, node.strip)
        elif isinstance(node, Partial | Comment):
            _line_statement(body, index, node, is_root)


def _tilde(body: list[Statement], index: int, strip: Strip) -> None:
    if strip.close:
        _omit_right(body, index + 1, all_of_it=True)
    if strip.open:
        _omit_left(body, index - 1, all_of_it=True)


def _line_statement(
    body: list[Statement],
    index: int,
    node: Partial | Comment,
    is_root: bool,  # noqa: FBT001
) -> None:
    # Asked before anything is omitted, though the answers rest on the original text alone.
    alone = _ends_line(body, index, is_root) and _begins_line(body, index, is_root)
    _tilde(body, index, node.strip)
    if alone:
        _omit_right(body, index + 1)
        if _omit_left(body, index - 1) and isinstance(node, Partial):
            before = body[index - 1]
            if isinstance(before, Content):
                kept = before.original.rstrip(_BLANKS)
                node.indent = before.original[len(kept) :]


def _block_statement(
    body: list[Statement],
    index: int,
    block: Block,
    is_root: bool,  # noqa: FBT001
) -> None:
    open_alone, close_alone = _block(block)
    open_alone = open_alone and _ends_line(body, index, is_root)
    close_alone = close_alone and _begins_line(body, index, is_root)
    _tilde(body, index, Strip(block.open_strip.open, block.close_strip.close))
    first, last = block.program or block.inverse, block.inverse or block.program
    if open_alone and first:
        _omit_right(first.body, 0)
        _omit_left(body, index - 1)
    if close_alone and last:
        _omit_right(body, index + 1)
        _omit_left(last.body, len(last.body) - 1)


def _block(block: Block) -> tuple[bool, bool]:
    """Strip the inside of a block; tell whether its start and end may stand on their own."""
    if block.program:
        _program(block.program)
    if block.inverse:
        _program(block.inverse)
    program = block.program or block.inverse or Program(block.at, [])
    inverse = block.inverse if block.program else None
    first, last = _chain_ends(inverse)
    alone = (
        _begins_line(program.body, -1),
        _ends_line((first or program).body, len((first or program).body)),
    )
    if block.open_strip.close:
        _omit_right(program.body, 0, all_of_it=True)
    if first and last:
        _around_else(block, program, first, last)
    elif block.close_strip.open:
        _omit_left(program.body, len(program.body) - 1, all_of_it=True)
    return alone


def _chain_ends(inverse: Program | None) -> tuple[Program | None, Program | None]:
    """Find the first and the last body of an `else if` chain, as the reference does."""
    first = last = inverse
    if inverse and inverse.chained:
        first = _inner(inverse)
        while last and last.chained:
            last = _inner(last)
    return first, last


def _inner(chained: Program) -> Program | None:
    link = chained.body[-1]
    return link.program if isinstance(link, Block) else None


def _around_else(block: Block, program: Program, first: Program, last: Program) -> None:
    if block.inverse_strip.open:
        _omit_left(program.body, len(program.body) - 1, all_of_it=True)
    if block.inverse_strip.close:
        _omit_right(first.body, 0, all_of_it=True)
    if block.close_strip.open:
        _omit_left(last.body, len(last.body) - 1, all_of_it=True)
    if _ends_line(program.body, len(program.body)) and _begins_line(first.body, -1):
        _omit_left(program.body, len(program.body) - 1)
        _omit_right(first.body, 0)


def _ends_line(body: list[Statement], index: int, is_root: bool = False) -> bool:  # noqa: FBT001
    """Does a line end just before `index`, but for blanks?"""
    if index == 0:
        return is_root
    before = body[index - 1]
    if not isinstance(before, Content):
        return False
    kept = len(before.original.rstrip(WHITESPACE))
    if before.original.find("\n", kept) >= 0:
        return True
    return is_root and index == 1 and kept == 0


def _begins_line(body: list[Statement], index: int, is_root: bool = False) -> bool:  # noqa: FBT001
    """Does a line begin just after `index`, but for blanks?"""
    if index + 1 >= len(body):
        return is_root
    after = body[index + 1]
    if not isinstance(after, Content):
        return False
    blanks = len(after.original) - len(after.original.lstrip(WHITESPACE))
    if after.original.find("\n", 0, blanks) >= 0:
        return True
    return is_root and index + 2 == len(body) and blanks == len(after.original)


def _omit_right(body: list[Statement], index: int, *, all_of_it: bool = False) -> None:
    """Take the whitespace at the start of a text: all of it, or up to the end of its line."""
    node = body[index] if index < len(body) else None
    if not isinstance(node, Content) or (node.right_stripped and not all_of_it):
        return
    before = len(node.value)
    if all_of_it:
        node.value = node.value.lstrip(WHITESPACE)
    else:
        node.value = node.value.lstrip(_BLANKS).removeprefix("\r").removeprefix("\n")
    node.right_stripped = len(node.value) != before


def _omit_left(body: list[Statement], index: int, *, all_of_it: bool = False) -> bool:
    """Take the whitespace at the end of a text: all of it, or back to the start of its line."""
    node = body[index] if index >= 0 else None
    if not isinstance(node, Content) or (node.left_stripped and not all_of_it):
        return False
    before = len(node.value)
    node.value = node.value.rstrip(WHITESPACE if all_of_it else _BLANKS)
    node.left_stripped = len(node.value) != before
    return node.left_stripped
