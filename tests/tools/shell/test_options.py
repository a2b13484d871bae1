"""Options of commands, as commons-cli takes them."""

import pytest
from hypothesis import given, strategies

from pyzk.tools.shell.options import CommandError, Option, Syntax, parse

SYNTAX = Syntax((Option("s"), Option("w"), Option("v", takes=True), Option("add", takes=True)))
ONE_OF = Syntax((Option("n", takes=True, summary="number"), Option("b", takes=True)), exclusive=True, required=True)


@pytest.mark.parametrize(
    ("line", "words", "options"),
    [
        ("ls -s /a", ["ls", "/a"], {"s": None}),
        ("ls /a -sw", ["ls", "/a"], {"s": None, "w": None}),
        ("set -v 3 /a x", ["set", "/a", "x"], {"v": "3"}),
        ("set -v -1 /a", ["set", "/a"], {"v": "-1"}),
        ("set -v3 /a", ["set", "/a"], {"v": "3"}),
        ("set -v=3 /a", ["set", "/a"], {"v": "3"}),
        ("set -sv3 /a", ["set", "/a"], {"s": None, "v": "3"}),
        ("set --add x /a", ["set", "/a"], {"add": "x"}),
        ("set -- -s /a", ["set", "-s", "/a"], {}),
        ("set - /a", ["set", "-", "/a"], {}),
        ("set -v 1 -v 2", ["set"], {"v": "1"}),
        ('set -v "3" /a', ["set", "/a"], {"v": "3"}),
    ],
)
def test_options_may_stand_anywhere_and_together(line, words, options):
    found = parse(SYNTAX, line.split())
    assert (found.words, found.options) == (words, options)


@pytest.mark.parametrize(
    ("syntax", "line", "complaint"),
    [
        (SYNTAX, "ls -q", "UnrecognizedOptionException: Unrecognized option: -q"),
        (SYNTAX, "ls -sq", "UnrecognizedOptionException: Unrecognized option: -sq"),
        (SYNTAX, "ls -s=1", "UnrecognizedOptionException: Unrecognized option: -s=1"),
        (SYNTAX, "ls -v", "MissingArgumentException: Missing argument for option: v"),
        (SYNTAX, "ls -v -s", "MissingArgumentException: Missing argument for option: v"),
        (ONE_OF, "q /a", "MissingOptionException: Missing required option: [-n number, -b ]"),
        (ONE_OF, "q -n 1 -b 2", "an option from this group has already been selected: 'n'"),
    ],
)
def test_complaints_are_those_of_commons_cli(syntax, line, complaint):
    with pytest.raises(CommandError) as raised:
        parse(syntax, line.split())
    assert complaint in str(raised.value)


@given(strategies.lists(strategies.text(alphabet='-=swvad"n1 /', max_size=6), max_size=6))
def test_any_words_are_taken_apart_or_refused(words):
    for syntax in (SYNTAX, ONE_OF):
        try:
            found = parse(syntax, words)
        except CommandError as error:
            assert error.exit_code == 1
        else:
            assert len(found.words) + len(found.options) <= 3 * sum(len(word) + 1 for word in words)
