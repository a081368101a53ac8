"""The kinds of word problems that training shows: two or three calculations. Slots: ``writing``."""

from polypath.tasks.word_problems.writing import Kind, Way

RATE = Kind(
    # a things have the amount b: how much have c things?
    ranges=(range(2, 10), range(2, 31), range(2, 31)),
    ways=(
        Way(
            "one unit",
            (
                "One {thing} {verbs} [u = b / a] {unit}. So {c} {things} {verb} [x = u * c] {unit}.",
                "Find one {thing} first: [u = b / a]. Now take {c} of them: [x = c * u].",
                "The {c} {things} {verb} {c} times as much as one, which {verbs} [u = b / a]. So [x = u * c].",
            ),
        ),
        Way(
            "scale up",
            (
                "The {things} grow by a factor: [k = c / a]. So do the {unit}: [x = k * b].",
                "Make groups of {a} {things}: [k = c / a]. Each group {verbs} {b} {unit}, so [x = b * k].",
                "We have [k = c / a] times as many {things}. They {verb} [x = k * b] {unit}.",
            ),
        ),
        Way(
            "cross product",
            (
                "Multiply first: [p = b * c]. Then divide by {a}: [x = p / a].",
                "By proportion, the cross product is [p = c * b]. This gives [x = p / a] {unit}.",
                "Take {b} {unit} times {c}, which is [p = b * c]. Split it by {a} to get [x = p / a].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the {unit}. Then {a} * x = {c} * {b}. Now [p = b * c]. So x = [x = p / a].",
                "Call the {unit} x: x / {c} = {b} / {a}. As [p = c * b], we get x = [x = p / a].",
                "We solve {a} * x = {b} * {c}. Here [p = b * c], so x = [x = p / a].",
            ),
        ),
    ),
)

LEFT = Kind(
    # Of a things, b go and then c: how many are left?
    ranges=(range(15, 61), range(2, 21), range(2, 21)),
    ways=(
        Way(
            "in order",
            (
                "First [u = a - b] {things} are left. Then [x = u - c] {things} are left.",
                "Take away the {b}: [u = a - b]. Take away the {c}: [x = u - c].",
                "With {b} gone there are [u = a - b]. With {c} more gone there are [x = u - c].",
            ),
        ),
        Way(
            "last one first",
            (
                "Start with the last part: [u = a - c]. Then the first part: [x = u - b].",
                "The order is free. Without {c} there are [u = a - c] {things}, and then [x = u - b].",
                "Take away the {c}: [u = a - c]. Take away the {b}: [x = u - b].",
            ),
        ),
        Way(
            "together",
            (
                "In all [s = b + c] {things} are gone. So [x = a - s] are left.",
                "Add what is gone: [s = c + b]. The rest is [x = a - s].",
                "Total minus part: [s = b + c] {things} go. This leaves [x = a - s].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {b} + {c} = {a}. Now [s = b + c]. So x = [x = a - s].",
                "Call the rest x: {a} = x + {b} + {c}. As [s = b + c], we get x = [x = a - s].",
                "We solve x + {b} + {c} = {a}. Here [s = c + b], so x = [x = a - s].",
            ),
        ),
    ),
)

CHANGE = Kind(
    # Of a things b go, and c come: how many are there now?
    ranges=(range(10, 51), range(2, 21), range(2, 21)),
    ways=(
        Way(
            "in order",
            (
                "First [u = a - b] {things} stay. Then there are [x = u + c] {things}.",
                "Take away the {b}: [u = a - b]. Add the {c}: [x = u + c].",
                "With {b} gone there are [u = a - b]. With {c} new ones there are [x = c + u].",
            ),
        ),
        Way(
            "add first",
            (
                "Add the new {things} first: [u = a + c]. Then take away the {b}: [x = u - b].",
                "The order is free. With {c} more there are [u = a + c] {things}, and then [x = u - b].",
                "All {things} together are [u = c + a]. Of these {b} go: [x = u - b].",
            ),
        ),
        Way(
            "net gain",
            (
                "More come than go: [n = c - b] more. So there are [x = a + n] {things}.",
                "The gain is [n = c - b]. Add it to the start: [x = a + n].",
                "In the end [n = c - b] {things} are added, which makes [x = n + a].",
            ),
        ),
        Way(
            "net loss",
            (
                "More go than come: [n = b - c] fewer. So there are [x = a - n] {things}.",
                "The loss is [n = b - c]. Take it from the start: [x = a - n].",
                "In the end [n = b - c] {things} are lost, which leaves [x = a - n].",
            ),
        ),
    ),
)

BOXES = Kind(
    # Of a boxes with b things each, c boxes go: how many things are left?
    ranges=(range(4, 13), range(3, 13), range(2, 11)),
    ways=(
        Way(
            "count boxes",
            (
                "There are [u = a - c] {boxes} left. They hold [x = u * b] {things}.",
                "Count {boxes} first: [u = a - c]. Each has {b} {things}, so [x = b * u].",
                "Here [u = a - c] {boxes} stay, with {b} {things} each: [x = u * b].",
            ),
        ),
        Way(
            "total minus part",
            (
                "All {boxes} hold [t = a * b] {things}. Of these [g = c * b] are gone. So [x = t - g] are left.",
                "At the start there are [t = b * a] {things}. Take away [g = b * c] to get [x = t - g].",
                "Total minus part: [t = a * b] and [g = c * b], so [x = t - g] {things} are left.",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the rest. Then x + {c} * {b} = {a} * {b}. Now [g = c * b] and [t = a * b]. So x = [x = t - g].",
                "Call the rest x: {a} * {b} = x + {c} * {b}. As [t = a * b] and [g = c * b], we get x = [x = t - g].",
                "We solve x + {b} * {c} = {a} * {b}. Here [t = a * b], and [g = b * c]. So x = [x = t - g].",
            ),
        ),
    ),
)

SETS = Kind(
    # Each of a groups has b of one sort and c of another: how many in all?
    ranges=(range(3, 10), range(2, 12), range(2, 12)),
    ways=(
        Way(
            "one group",
            (
                "One {group} has [u = b + c] {things}. So {a} {groups} have [x = a * u].",
                "Add in one {group}: [u = c + b]. There are {a} of them, so [x = u * a].",
                "With [u = b + c] {things} in each {group} it is [x = u * a] in all.",
            ),
        ),
        Way(
            "sum of parts",
            (
                "There are [p = a * b] of one sort and [q = a * c] of the other. In all [x = p + q].",
                "Count each sort: [p = a * b], and [q = a * c]. Sum of parts: [x = p + q].",
                "The first sort has [p = b * a] {things}. The second has [q = c * a]. Together [x = q + p].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be the number. Then x / {a} = {b} + {c}. Now [u = b + c]. So x = [x = a * u].",
                "Call the total x: {b} + {c} = x / {a}. As [u = b + c], we get x = [x = u * a].",
                "We solve x / {a} = {c} + {b}. Here [u = c + b], so x = [x = a * u].",
            ),
        ),
    ),
)

PRICE = Kind(
    # a equal things and an extra of b make c: how much is one thing?
    ranges=(range(2, 10), range(2, 41), range(8, 61)),
    ways=(
        Way(
            "backwards",
            (
                "Go back from {c}: without the {extra} it is [u = c - b]. One {thing} is [x = u / a].",
                "The {things} alone make [u = c - b] {unit}. Share this by {a}: [x = u / a].",
                "Take off the {extra}: [u = c - b]. Then divide: [x = u / a].",
            ),
        ),
        Way(
            "divide first",
            (
                "Divide both parts by {a}: [p = c / a], and [q = b / a]. So one {thing} is [x = p - q].",
                "Per {thing} the total is [p = c / a] and the {extra} is [q = b / a]. This leaves [x = p - q].",
                "The share of the total is [p = c / a]. The share of the {extra} is [q = b / a]. So [x = p - q].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be one {thing}. Then {a} * x + {b} = {c}. Now [u = c - b]. So x = [x = u / a].",
                "Call one {thing} x: {c} = {b} + {a} * x. As [u = c - b], we get x = [x = u / a].",
                "We solve {a} * x + {b} = {c}. Here [u = c - b], so x = [x = u / a].",
            ),
        ),
    ),
)

SHARE = Kind(
    # a packs of b things are shared by c: how much does each get?
    ranges=(range(2, 13), range(3, 31), range(2, 13)),
    ways=(
        Way(
            "all things",
            (
                "There are [t = a * b] {things}. Each gets [x = t / c].",
                "Put all {things} together: [t = b * a]. Share them by {c}: [x = t / c].",
                "First multiply: [t = a * b]. Then divide: [x = t / c] {things} each.",
            ),
        ),
        Way(
            "share packs",
            (
                "Share the {packs}: each gets [k = a / c] of them. That is [x = k * b] {things}.",
                "This is [k = a / c] {packs} for each one, with {b} {things} in a {pack}: [x = b * k].",
                "Each takes [k = a / c] whole {packs}, which hold [x = k * b] {things}.",
            ),
        ),
        Way(
            "share each pack",
            (
                "From one {pack} each gets [k = b / c] {things}. From all {packs} it is [x = k * a].",
                "Open one {pack} and share it: [k = b / c]. Do this {a} times: [x = a * k].",
                "A {pack} gives each [k = b / c] {things}, so {a} {packs} give [x = a * k].",
            ),
        ),
        Way(
            "equation",
            (
                "Let x be one share. Then {c} * x = {a} * {b}. Now [t = a * b]. So x = [x = t / c].",
                "Call one share x: {a} * {b} = x * {c}. As [t = b * a], we get x = [x = t / c].",
                "We solve {c} * x = {b} * {a}. Here [t = a * b], so x = [x = t / c].",
            ),
        ),
    ),
)
