"""An endless synthetic world: pictures of things whose looks are known, and the words to talk about them.

A picture is a pure function of (seed, index): nothing is stored. No torch is imported here.
"""
