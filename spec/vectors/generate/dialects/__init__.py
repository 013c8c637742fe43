"""One module per dialect. Each has

SOURCE                       which program says the variant and which the bucket
fixed_sets(name)             the committed parameter sets
random_set(rng, n)           one more
boundaries(params, variants) native buckets at which something changes
oracles(name, sets)          for each set a function from ids to (variant index or None, bucket)
"""

from . import eppo, flagd, flagd_3, growthbook, launchdarkly, optimizely, planout, split, splitway, statsig, unleash

DIALECTS = {
    "splitway": splitway,
    "growthbook_v1": growthbook,
    "growthbook_v2": growthbook,
    "optimizely": optimizely,
    "unleash": unleash,
    "launchdarkly": launchdarkly,
    "statsig": statsig,
    "split": split,
    "planout": planout,
    "eppo": eppo,
    "flagd": flagd,
    "flagd_3": flagd_3,
}
