"""First names for tasks about people.

Some are made up, so that a model cannot rely on having seen a name.
"""

from random import Random

NAMES = (
    "Ada Adele Agnes Alan Alejandro Alexis Alfred Alice Alma Amberly Amir Andree Anna Antwan "
    "Arthur Asha Audrie Bella "
    "Bernita Bob Boris Carla Carmen Chloe Christie Claire Clara Conception Crista Dallas Daniel "
    "Delbert Delfina Diego Dora "
    "Edgar Elanor Elena Emil Emma Eric Esther Eva Felix Fidel Fiona Fletcher Frank Gina Grace "
    "Greta Gwenn Hana Hector "
    "Helene Hugo Ida Inga Iris Ivan Jamey James Jaymie Jerry Jim Joan Jonas Julia Ka Kandi Karl "
    "Kenji Kristian Lara Leda "
    "Leo Lorine Lucas Luis Magda Marco Maria Maybelle Mei Michael Michaela Millicent Millie Mona "
    "Nadia Nina Noah Olga Omar "
    "Oscar Osvaldo Otto Paula Pedro Phoebe Rashida Raymond Rita Rosa Ruth Ryan Sal Sara Shalonda "
    "Shaunda Shenna Sherrie "
    "Sima Simon Sofia Tamika Tara Teressa Theo Tom Ursula Vera Vernell Victor Vina Walter Willian "
    "Yoland Yusuf Zoe"
).split()


def draw_names(count: int, rng: Random) -> list[str]:
    """Return `count` different names; about one in twelve is made up."""
    names: list[str] = []
    while len(names) < count:
        name = rng.choice(NAMES) if rng.random() < 0.92 else _made_up(rng)
        if name not in names:
            names.append(name)
    return names


def _made_up(rng: Random) -> str:
    syllables = (
        rng.choice("bdfgklmnprstvz") + rng.choice("aeiou") for _ in range(rng.randint(2, 3))
    )
    return ("".join(syllables) + rng.choice(["", "n", "r", "l", "s"])).capitalize()
