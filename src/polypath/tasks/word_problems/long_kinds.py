"""The kinds of word problems that need a further step: three or four calculations. Slots: ``writing``."""

from polypath.tasks.word_problems.writing import Kind, Way

REST_OF_RATE = Kind(
    # a things have the amount b; of the amount d, what is left after c things?
    ranges=(range(2, 10), range(2, 31), range(2, 31), range(10, 61, 5)),
    long=True,
    ways=(
        Way(
            "one unit",
            (
                "One {thing} {verbs} [u = b / a] {unit}. So {c} {things} {verb} [t = u * c]. Then [x = d - t] are left.",
                "Find one {thing} first: [u = b / a]. Take {c} of them: [t = c * u]. The rest is [x = d - t].",
            ),
        ),
        Way(
            "scale up",
            (
                "The {things} grow by a factor: [k = c / a]. So do the {unit}: [t = k * b]. Then [x = d - t] are left.",
                "Make groups of {a} {things}: [k = c / a]. They {verb} [t = b * k] {unit}. The rest is [x = d - t].",
            ),
        ),
        Way(
            "cross product",
            (
                "Multiply first: [p = b * c]. Then divide by {a}: [t = p / a]. Then [x = d - t] are left.",
                "By proportion, the cross product is [p = c * b]. This gives [t = p / a]. The rest is [x = d - t].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {b} * {c} / {a} = {d}. Now [p = b * c]. This gives [t = p / a]. So x = [x = d - t].",
                "We solve {d} = x + {c} * {b} / {a}. Here [p = c * b], and [t = p / a]. So x = [x = d - t].",
            ),
        ),
    ),
)

GIFTS = Kind(
    # Of a things, b go to each of c, and d go elsewhere: how many are left?
    ranges=(range(20, 61), range(2, 8), range(2, 8), range(3, 19)),
    long=True,
    ways=(
        Way(
            "in order",
            (
                "The {friends} get [g = b * c] {things}. First [u = a - g] are left. Then [x = u - d] are left.",
                "Multiply: [g = c * b]. Take it away: [u = a - g]. Take away the {d}: [x = u - d].",
            ),
        ),
        Way(
            "last one first",
            (
                "Start with the last part: [u = a - d]. The {friends} get [g = b * c]. So [x = u - g] are left.",
                "Take away the {d}: [u = a - d]. Multiply: [g = c * b]. Take it away: [x = u - g].",
            ),
        ),
        Way(
            "together",
            (
                "The {friends} get [g = b * c] {things}. In all [s = g + d] are gone. So [x = a - s] are left.",
                "Multiply: [g = c * b]. Add what is gone: [s = d + g]. The rest is [x = a - s].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {b} * {c} + {d} = {a}. Now [g = b * c], and [s = g + d]. So x = [x = a - s].",
                "We solve {a} = x + {d} + {c} * {b}. Here [g = c * b], and [s = d + g]. So x = [x = a - s].",
            ),
        ),
    ),
)

SORTS = Kind(
    # Of a groups with b of one sort and c of another, d groups go: how many things are left?
    ranges=(range(4, 11), range(2, 9), range(2, 9), range(2, 9)),
    long=True,
    ways=(
        Way(
            "one group",
            (
                "There are [n = a - d] {groups} left. One {group} has [u = b + c] {things}. So [x = n * u] are left.",
                "Add in one {group}: [u = c + b]. Count {groups}: [n = a - d]. They have [x = u * n] {things}.",
            ),
        ),
        Way(
            "total minus part",
            (
                "One {group} has [u = b + c] {things}. All have [t = a * u]. Of these [g = d * u] go. So [x = t - g].",
                "Add in one {group}: [u = c + b]. Total minus part: [t = u * a] and [g = u * d], so [x = t - g].",
            ),
        ),
        Way(
            "sum of parts",
            (
                "There are [n = a - d] {groups} left. They have [p = n * b] and [q = n * c]. In all [x = p + q].",
                "Count {groups}: [n = a - d]. Count each sort: [p = b * n], and [q = c * n]. Together [x = q + p].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x / ({a} - {d}) = {b} + {c}. Now [n = a - d], and [u = b + c]. So x = [x = n * u].",
                "We solve x / ({a} - {d}) = {c} + {b}. Here [u = c + b], and [n = a - d]. So x = [x = u * n].",
            ),
        ),
    ),
)
