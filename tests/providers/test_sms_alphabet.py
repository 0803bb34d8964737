"""Which texts fit into the alphabet of GSM, and how many SMS a text becomes."""

from __future__ import annotations

import json
import random
import subprocess
from typing import Final

import pytest

from carillon.providers.sms_alphabet import SmsParts, fits_gsm, sms_parts
from tests.neighbours.peers import NODE, with_peers


@pytest.mark.parametrize(
    "text",
    ["", "Your order left.\r\n", "à è é ì ò ù Ç ß ñ", "ΔΦΓΛΩΠΨΣΘΞ", "[€] {~} ^ \\ |", "@_¿¡"],
)
def test_the_alphabet_and_its_extension_fit(text: str) -> None:
    assert fits_gsm(text)


@pytest.mark.parametrize(
    "text", ["â", "ê", "ç", "`", "“quoted”", "no\u2019t", "ł", "😀", "שלום", "\t"]
)
def test_anything_else_does_not(text: str) -> None:
    assert not fits_gsm(f"Hello {text}")


def test_the_alphabet_has_128_places_of_which_one_is_the_escape() -> None:
    assert sum(fits_gsm(chr(code)) for code in range(0x10000)) == 127 + len("\f^{}\\[~]|€")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("", SmsParts("gsm", 0, 1)),
        ("a" * 160, SmsParts("gsm", 160, 1)),
        ("a" * 161, SmsParts("gsm", 161, 2)),
        ("a" * 306, SmsParts("gsm", 306, 2)),
        ("a" * 307, SmsParts("gsm", 307, 3)),
        ("€" * 80, SmsParts("gsm", 160, 1)),
        ("€" * 153, SmsParts("gsm", 306, 3)),  # 76 in a part: none is cut in two
        ("\u0107" * 70, SmsParts("ucs-2", 70, 1)),
        ("\u0107" * 71, SmsParts("ucs-2", 71, 2)),
        ("😀" * 35, SmsParts("ucs-2", 70, 1)),
        ("😀" * 67, SmsParts("ucs-2", 134, 3)),  # 33 in a part
    ],
)
def test_a_text_is_as_many_sms_as_it_needs(text: str, parts: SmsParts) -> None:
    assert sms_parts(text) == parts


CALCULATOR: Final = """
const { createRequire } = require("node:module");
const { SegmentedMessage } = createRequire(process.argv[1] + "/")("sms-segments-calculator");
const texts = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const told = texts.map((text) => {
  const message = new SegmentedMessage(text, "auto");
  return [message.encodingName, message.segmentsCount];
});
console.log(JSON.stringify(told));
"""
ALPHABETS: Final = ("ab \n@è", "a€[]", "a€ć", "😀a", "日本語a")


@pytest.mark.servers
@with_peers
def test_twilios_own_calculator_counts_alike() -> None:
    draw = random.Random(7)
    texts = [
        "".join(draw.choices(alphabet, k=draw.randrange(500)))
        for alphabet in ALPHABETS
        for _ in range(60)
    ]
    ran = subprocess.run(
        ["node", "-e", CALCULATOR, str(NODE)],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    ours = [sms_parts(text) for text in texts]
    names = {"gsm": "GSM-7", "ucs-2": "UCS-2"}
    assert json.loads(ran.stdout) == [[names[one.alphabet], one.parts] for one in ours]
