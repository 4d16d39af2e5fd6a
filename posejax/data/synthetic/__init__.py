"""Drawn people: a data set that needs no download, made from (version, split, seed, index) alone.

* `people.SyntheticPeople`: one person per picture, the default of every config.
* `scenes.SyntheticScenes`: several people in a larger picture, for detection.

Inside: `pose` samples joint angles, `figure` turns them into points in space, `outfit` dresses them,
`outline` makes convex outlines and decides what hides what, `background` and `occluders` draw the
world around, `render` puts the picture together.
"""
