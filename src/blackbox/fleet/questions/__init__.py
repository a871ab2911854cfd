"""Questions about a fleet, and their answers (`blackbox.model.fleet`): each is a function of a `FleetReader`.

`cover` says how much of the fleet an answer is of; `at` has what was held at a time, `waste` what was held in vain,
`lives` where somebody's processes were, and every out-of-memory.
"""
