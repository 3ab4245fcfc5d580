"""Everyday English words that are also names: masked only where they are written as names."""

from __future__ import annotations

_WORDS = """
    a an in is it be do go he me my no of on or so to up us we am as at by if
    all and any are art ash bay bell berry best bird black bliss blue bond bright brook brown bush cash chance chase
    christmas church clay close cook cross daisy dale day dean dear dawn drew early east easter fair faith field fine
    fish fisher flower fox frank free friend gale gene glad gold good grace grant gray green grey guy hall hand harm
    hay hazel heath heather hill hope hunt iris ivy jade jewel job joy june july august april may march just key kind
    king knight lake lane law lily little long love low lucky man mark marsh mercy mike mile mill miller moon moss
    north page park past patience peace pearl penny piper poppy pope porter power price pride prince queen rain ray
    reed rich ring rice river rob rock rose ruby rush sage sand sharp short sky small smart snow south spring star
    sterling stone storm strong summer sun sweet teal temple tide trinity true van vale violet wade walker wall ward
    water way weeks week well wells west white will win winter wise wolf wood woods worth young
"""

COMMON_WORDS: frozenset[str] = frozenset(_WORDS.split())
