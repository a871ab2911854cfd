"""The machine code of `detour.s`, as reviewed bytes: nothing is assembled where Blackbox runs, and a test compares."""

CODE = bytes.fromhex("""
9c5053515256575541504151415241534154415541564157fc4889e5b80d0000
0031c90fa289d84829c44883e4c0488dbc240002000031c0b908000000f348ab
b8ffffffffbaffffffff480fae2424488bbd88000000488bb590000000ff9580
00000048c74424f800000000b8ffffffffbaffffffff480fae2c244889ec415f
415e415d415c415b415a415941585d5f5e5a595b589d488d642418c280005355
4883ec084889fbff1389c5488b7b18ff530889ef488b43104883c4085d5bffe0
""")
THREAD = 0x9E
"""Where the code of a new thread begins; the detour begins at 0."""
