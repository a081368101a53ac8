"""The stories of the word problems: each tells a kind of problem in its own setting and words."""

from collections.abc import Mapping
from dataclasses import dataclass

NAMES = ("Ana", "Ben", "Cleo", "Dan", "Eva", "Finn", "Gil", "Hana", "Ivo", "June", "Kim", "Leo")


@dataclass(frozen=True, slots=True)
class Story:
    """One story.

    Attributes:
        kind: key of ``KINDS``.
        text: the problem, with slots for the given numbers and a ``{name}``.
        words: what the slots of the kind's wordings are in this story.
        new: whether the story is kept for the split ``test_new_stories``.
    """

    kind: str
    text: str
    words: Mapping[str, str]
    new: bool = False


def _words(text: str) -> dict[str, str]:
    """Read ``slot=word`` pairs."""
    return dict(pair.split("=") for pair in text.split())


STORIES: dict[str, Story] = {
    # rate and rest_of_rate: thing, things, verb, verbs, unit
    "pens": Story(
        "rate",
        "{name} pays {b} dollars for {a} pens. How many dollars do {c} pens cost?",
        _words("thing=pen things=pens verb=cost verbs=costs unit=dollars"),
    ),
    "crates": Story(
        "rate",
        "In a yard {a} crates weigh {b} kilos. How many kilos do {c} such crates weigh?",
        _words("thing=crate things=crates verb=weigh verbs=weighs unit=kilos"),
    ),
    "cakes": Story(
        "rate",
        "{name} bakes {a} cakes with {b} eggs. How many eggs do {c} cakes need?",
        _words("thing=cake things=cakes verb=need verbs=needs unit=eggs"),
    ),
    "machines": Story(
        "rate",
        "In a plant {a} machines make {b} toys an hour. How many toys do {c} machines make?",
        _words("thing=machine things=machines verb=make verbs=makes unit=toys"),
    ),
    "cows": Story(
        "rate",
        "On a farm {a} cows eat {b} bales a week. How many bales do {c} cows eat?",
        _words("thing=cow things=cows verb=eat verbs=eats unit=bales"),
        new=True,
    ),
    # left: things
    "stickers": Story(
        "left",
        "{name} has {a} stickers, gives {b} to a friend and {c} to a sister. How many stickers are left?",
        _words("things=stickers"),
    ),
    "money": Story(
        "left",
        "{name} has {a} dollars and spends {b} on a book and {c} on a game. How many dollars are left?",
        _words("things=dollars"),
    ),
    "loaves": Story(
        "left",
        "A baker has {a} loaves and sells {b} before noon and {c} after noon. How many loaves are left?",
        _words("things=loaves"),
    ),
    "pages": Story(
        "left",
        "A book has {a} pages. {name} reads {b} today and {c} the next day. How many pages are left?",
        _words("things=pages"),
    ),
    "litres": Story(
        "left",
        "A tank holds {a} litres. {name} uses {b} to cook and {c} to wash. How many litres are left?",
        _words("things=litres"),
        new=True,
    ),
    # change: things
    "bus": Story(
        "change",
        "On a bus are {a} people. At a stop {b} get off and {c} get on. How many people are on the bus?",
        _words("things=people"),
    ),
    "library": Story(
        "change",
        "On a shelf are {a} books. {name} takes {b} and brings back {c}. How many books are there now?",
        _words("things=books"),
    ),
    "parking": Story(
        "change",
        "In a car park are {a} cars. Then {b} leave and {c} arrive. How many cars are there now?",
        _words("things=cars"),
    ),
    "marbles": Story(
        "change",
        "{name} has {a} marbles, loses {b} in a game and wins {c}. How many marbles are there now?",
        _words("things=marbles"),
    ),
    "ducks": Story(
        "change",
        "On a lake are {a} ducks. Then {b} fly away and {c} come. How many ducks are there now?",
        _words("things=ducks"),
        new=True,
    ),
    # boxes: boxes, things
    "pencils": Story(
        "boxes",
        "A shop has {a} boxes with {b} pencils each and sells {c} boxes. How many pencils are left?",
        _words("boxes=boxes things=pencils"),
    ),
    "rows": Story(
        "boxes",
        "A hall has {a} rows of {b} chairs. {name} takes {c} rows out. How many chairs are left?",
        _words("boxes=rows things=chairs"),
    ),
    "plates": Story(
        "boxes",
        "{name} bakes {a} plates of {b} buns and gives {c} plates away. How many buns are left?",
        _words("boxes=plates things=buns"),
    ),
    "bundles": Story(
        "boxes",
        "In a yard are {a} bundles of {b} poles. A truck takes {c} bundles. How many poles are left?",
        _words("boxes=bundles things=poles"),
    ),
    "nets": Story(
        "boxes",
        "{name} buys {a} nets of {b} lemons and {c} nets are bad. How many good lemons are left?",
        _words("boxes=nets things=lemons"),
        new=True,
    ),
    # sets and sorts: group, groups, things
    "tables": Story(
        "sets",
        "At each of {a} tables sit {b} girls and {c} boys. How many children sit there in all?",
        _words("group=table groups=tables things=children"),
    ),
    "bags": Story(
        "sets",
        "{name} fills {a} bags with {b} red and {c} blue beads each. How many beads are in the bags?",
        _words("group=bag groups=bags things=beads"),
    ),
    "days": Story(
        "sets",
        "{name} runs {b} laps each morning and {c} each night for {a} days. How many laps are run in all?",
        _words("group=day groups=days things=laps"),
    ),
    "vases": Story(
        "sets",
        "In each of {a} vases are {b} roses and {c} tulips. How many flowers are there in all?",
        _words("group=vase groups=vases things=flowers"),
    ),
    "trees": Story(
        "sets",
        "On each of {a} trees are {b} ripe and {c} green pears. How many pears are there in all?",
        _words("group=tree groups=trees things=pears"),
        new=True,
    ),
    # price: thing, things, extra, unit
    "books": Story(
        "price",
        "{name} buys {a} equal books and a bag for {b} dollars and pays {c}. What does one book cost?",
        _words("thing=book things=books extra=bag unit=dollars"),
    ),
    "taxi": Story(
        "price",
        "A ride of {a} miles costs {c} dollars with a tip of {b}. What does one mile cost?",
        _words("thing=mile things=miles extra=tip unit=dollars"),
    ),
    "load": Story(
        "price",
        "A cart of {b} kilos and {a} equal sacks weigh {c} kilos. What does one sack weigh?",
        _words("thing=sack things=sacks extra=cart unit=kilos"),
    ),
    "shows": Story(
        "price",
        "In {c} minutes {name} sees {a} equal shows and a break of {b} minutes. How long is one show?",
        _words("thing=show things=shows extra=break unit=minutes"),
    ),
    "fence": Story(
        "price",
        "A fence of {c} feet has {a} equal parts and a gate of {b} feet. How long is one part?",
        _words("thing=part things=parts extra=gate unit=feet"),
        new=True,
    ),
    # share: pack, packs, things
    "sweets": Story(
        "share",
        "At a party {c} children share {a} packs of {b} sweets. How many sweets does each child get?",
        _words("pack=pack packs=packs things=sweets"),
    ),
    "cards": Story(
        "share",
        "{name} deals {a} decks of {b} cards to {c} players. How many cards does each player get?",
        _words("pack=deck packs=decks things=cards"),
    ),
    "hay": Story(
        "share",
        "On a farm {c} barns get {a} carts of {b} logs in equal parts. How many logs does each barn get?",
        _words("pack=cart packs=carts things=logs"),
    ),
    "paper": Story(
        "share",
        "{name} gives {c} rooms {a} reams of {b} sheets in equal parts. How many sheets does a room get?",
        _words("pack=ream packs=reams things=sheets"),
    ),
    "seeds": Story(
        "share",
        "{name} plants {a} trays of {b} seeds in {c} equal beds. How many seeds does each bed get?",
        _words("pack=tray packs=trays things=seeds"),
        new=True,
    ),
    "stamps": Story(
        "rest_of_rate",
        "{name} has {d} dollars, and {a} stamps cost {b} dollars. How much is left after buying {c} stamps?",
        _words("thing=stamp things=stamps verb=cost verbs=costs unit=dollars"),
    ),
    "coats": Story(
        "rest_of_rate",
        "{name} has {d} buttons, and {a} coats need {b} buttons. How many are left after {c} coats?",
        _words("thing=coat things=coats verb=need verbs=needs unit=buttons"),
    ),
    # gifts: friends, things
    "shells": Story(
        "gifts",
        "{name} has {a} shells and gives {b} to each of {c} friends and {d} to a brother. How many are left?",
        _words("friends=friends things=shells"),
    ),
    "bricks": Story(
        "gifts",
        "Of {a} bricks {name} uses {b} for each of {c} steps and {d} for a wall. How many are left?",
        _words("friends=steps things=bricks"),
    ),
    "kits": Story(
        "sorts",
        "{name} packs {a} kits with {b} nuts and {c} bolts each and sells {d} kits. How many pieces are left?",
        _words("group=kit groups=kits things=pieces"),
    ),
    "ponds": Story(
        "sorts",
        "Each of {a} ponds has {b} carp and {c} trout. Then {d} ponds dry up. How many fish are left?",
        _words("group=pond groups=ponds things=fish"),
    ),
}
