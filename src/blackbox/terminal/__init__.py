"""What a terminal shows, wherever it is shown: letters, glyphs, colours, the words for numbers, the bar of a GPU.

Standard library and the model alone, so that a plain command pays nothing for it.
"""
