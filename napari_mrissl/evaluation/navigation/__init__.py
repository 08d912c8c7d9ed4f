"""What slice navigation is worth: arms of equal budget, probes, rollouts, reports, a policy.

After the comparisons that arXiv:2605.06487 names in its abstract; every definition is ours
(inferred), since its method section was not at hand.
"""
