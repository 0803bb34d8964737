"""match and isMatch: what micromatch 3 finds, as recorded from it, in linear time."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from carillon.handlebars import Engine, HelperFailed
from carillon.handlebars.runtime.globs import compile_glob

LIST = ["a.md", "b/c.txt", ".hid.md"]


@pytest.mark.parametrize(
    ("text", "pattern", "expected"),
    [
        ("a.md", "*.md", True),
        (".hid.md", "*.md", False),
        (".hid.md", ".*.md", True),
        ("a/b.md", "*.md", False),
        ("a", "!b", True),
        ("ab", "+(a|b)", True),
        ("b", "@(a|b)", True),
        ("ac", "a?(b)c", True),
        ("file1", "file[0-9]", True),
        ("filex", "file[!0-9]", True),
        ("abc", "a?c", True),
        ("axb", "a.b", False),
        ("3", "{1..5}", True),
        ("7", "{1..5}", False),
        ("img/x.png", "img/*.{png,jpg}", True),
        ("a{b", "a{b", True),
        ("x2y", "x{a,{1..3}}y", True),
        ("", "*", False),
        ("a/.b/c", "**", False),
        ("a/b/c", "**", True),
        ("a/b/", "a/*", True),
        ("./a", "a", True),
        ("foo/bar/baz", "foo/**", True),
        ("foo", "foo/**", False),
        ("a/c.js", "a/**/*.js", True),
        ("a/b/c.js", "a/**/*.js", True),
        ("a*c", "a\\*c", True),
        ("abc", "a\\*c", False),
    ],
)
def test_a_glob_describes_what_it_should(text: str, pattern: str, expected: bool) -> None:  # noqa: FBT001
    assert compile_glob(pattern)(text) is expected


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ('{{match l "*.md"}}', "a.md"),
        ('{{match l "**/*.txt"}}', "b/c.txt"),
        ('{{match l "*.md, **/*.txt, !a*"}}', "b/c.txt"),
        ('{{match l "!*.md"}}', "b/c.txt,.hid.md"),
        ('{{match l "*" dot=true}}', "a.md,.hid.md"),
        ('{{mm "a.md" "*.md"}}', "a.md"),
        ('{{isMatch "A.md" "*.MD" nocase=true}}', "true"),
        ('{{isMatch "a" (toRegex "^a$")}}', "true"),
    ],
)
def test_lists_are_filtered(template: str, text: str) -> None:
    assert Engine().compile(template).render({"l": LIST}) == text


@pytest.mark.parametrize(
    "template", ["{{match l}}", "{{isMatch}}", '{{isMatch "a" "!(b)"}}', '{{isMatch "a" ""}}']
)
def test_what_is_no_pattern_is_an_error(template: str) -> None:
    with pytest.raises(HelperFailed):
        Engine().compile(template).render({"l": LIST})


@pytest.mark.parametrize(
    "pattern", ["{a,b}" * 20, "{1..999999}", "*" * 5000, "{" * 1000, "+(" * 500 + "a", "[" * 1000]
)
def test_a_hostile_pattern_takes_no_time(pattern: str) -> None:
    start = time.process_time()
    with suppress(ValueError):
        compile_glob(pattern)("a" * 10_000)
    assert time.process_time() - start < 0.5


def test_repeated_stars_take_linear_time() -> None:
    start = time.process_time()
    assert not compile_glob("*a" * 50 + "b")("a" * 5000)
    assert time.process_time() - start < 0.5
