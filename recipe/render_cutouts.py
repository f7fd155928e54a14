"""Cut-outs for the training renders: pictures of single objects with an alpha channel, inflated to meshes.

The pictures are Fluent Emoji's (Microsoft, MIT), as the npm package @lobehub/fluent-emoji-3d carries them: 256 px,
named by code point, shaded, and many more kinds of animals, shoes, pots and tools than the furniture catalogues hold.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_erosion, distance_transform_edt

from recipe.render_meshes import Mesh, rotation
from recipe.render_objects import Surface, Thing, colour_word
from recipe.render_textures import noise
from udp.errors import InvalidInput

SOURCE = "@lobehub/fluent-emoji-3d: Fluent Emoji, Microsoft Corporation, MIT"
GRID = 112  # cells a side of the mesh: about one a pixel of the render
TURNED = 22.0  # degrees, standard deviation: a cut-out shows one side, so the camera stays near its front

# Unicode names of what is rendered, "name" or "name=noun"; everything else (people, hands, faces of people, signs,
# flags, buildings with landscapes, religious symbols) is left out.
NAMES = """
closed umbrella=umbrella; umbrella; hot dog; taco; chestnut; evergreen tree=tree; deciduous tree=tree; palm tree;
cactus; hot pepper; tulip=flower; cherry blossom=flower; rose; hibiscus=flower; sunflower; blossom=flower;
ear of maize=corn cob; four leaf clover=leaf; maple leaf=leaf; mushroom; tomato; aubergine; grapes; melon; watermelon;
tangerine=orange; lemon; banana; pineapple; red apple=apple; green apple=apple; pear; peach; cherries; strawberry;
hamburger; slice of pizza=pizza; meat on bone=meat; poultry leg=meat; bread; french fries; soft ice cream=ice cream;
ice cream; doughnut; cookie; chocolate bar; candy; lollipop; custard; honey pot; shortcake=cake; pot of food=pot;
teacup without handle=cup; wine glass; cocktail glass=glass; beer mug=mug; baby bottle=bottle;
bottle with popping cork=bottle; popcorn; ribbon; wrapped present=present; birthday cake=cake; jack-o-lantern=pumpkin;
christmas tree; balloon; school satchel=backpack; studio microphone=microphone; microphone; carousel horse=horse;
movie camera=camera; headphone=headphones; top hat=hat; circus tent=tent; game die=dice; saxophone; guitar;
musical keyboard=keyboard; trumpet; violin; trophy; american football=ball; rugby football=ball; volleyball=ball;
racing motorcycle=motorbike; racing car=car; house building=house; house with garden=house; factory;
european castle=castle; amphora=vase; rat; mouse; ox=cow; water buffalo=cow; cow; tiger; leopard; rabbit; cat; dragon;
crocodile; whale; snail; snake; horse; ram=sheep; goat; sheep; monkey; rooster; chicken; dog; pig; boar=pig; elephant;
octopus; spiral shell=shell; bug; ant; honeybee=bee; lady beetle=beetle; fish; tropical fish=fish; blowfish=fish;
turtle; hatching chick=chick; baby chick=chick; front-facing baby chick=chick; bird; penguin; koala; poodle=dog;
dromedary camel=camel; bactrian camel=camel; dolphin; mouse face=mouse; cow face=cow; tiger face=tiger;
rabbit face=rabbit; cat face=cat; dragon face=dragon; spouting whale=whale; horse face=horse; monkey face=monkey;
dog face=dog; pig face=pig; frog face=frog; hamster face=hamster; wolf face=wolf; bear face=bear; panda face=panda;
chipmunk; crown; womans hat=hat; eyeglasses=glasses; necktie; t-shirt=shirt; jeans=trousers; dress; purse;
handbag; pouch; mans shoe=shoe; athletic shoe=sneaker; high-heeled shoe=shoe; womans sandal=sandal; womans boots=boot;
ghost; alien monster=monster; lipstick; ring; gem stone=gem; bouquet=flowers; blue heart=heart; green heart=heart;
yellow heart=heart; purple heart=heart; electric light bulb=light bulb; bomb; money bag=bag; seat;
personal computer=laptop; briefcase; floppy disk; pushpin; notebook; closed book=book; green book=book; blue book=book;
orange book=book; books; scroll; telephone receiver=phone; fax machine; satellite antenna; package=box;
closed mailbox with raised flag=mailbox; postbox=mailbox; mobile phone=phone; camera; video camera=camera; television;
radio; film projector=projector; battery; key; lock; open lock=lock; bell; electric torch=flashlight; wrench; hammer;
nut and bolt; hocho=knife; microscope; telescope; crystal ball=ball; large red circle=ball; large blue circle=ball;
large orange circle=ball; large yellow circle=ball; large green circle=ball; large purple circle=ball;
large red square=block; large blue square=block; large orange square=block; large green square=block; candle;
mantelpiece clock=clock; dark sunglasses=sunglasses; spider; joystick; lower left paintbrush=brush;
lower left crayon=crayon; desktop computer=computer; printer; three button mouse=computer mouse; trackball;
file cabinet=cabinet; wastebasket=basket; old key=key; grinning cat face with smiling eyes=cat;
smiling cat face with open mouth=cat; pouting cat face=cat; rocket; helicopter; steam locomotive=locomotive;
railway car=train; tram; bus; trolleybus=bus; minibus; ambulance; fire engine=truck; police car; taxi;
automobile=car; recreational vehicle=car; delivery truck=truck; articulated lorry=truck; tractor; monorail=train;
ship; speedboat=boat; vertical traffic light=traffic light; bicycle; toilet; bathtub; bellhop bell=bell;
bed; shopping trolley=trolley; hut; wheel; oil drum=drum; shield; motor boat=boat; small airplane=airplane;
satellite; scooter; motor scooter=scooter; canoe; sled; flying saucer; skateboard; auto rickshaw=car; pickup truck=truck;
roller skate; robot face=robot; drum with drumsticks=drum; tumbler glass=glass; boxing glove=glove; curling stone;
softball=ball; flying disc=disc; croissant; avocado; cucumber; potato; carrot; baguette bread=bread; egg;
glass of milk=glass; peanuts=peanut; kiwifruit; pancakes; dumpling; takeout box=box; bowl with spoon=bowl; cup with straw=cup;
coconut; broccoli; pie; pretzel; sandwich; canned food=can; leafy green=lettuce; mango; bagel; goggles;
hiking boot=boot; flat shoe=shoe; crab; lion face=lion; scorpion; turkey; unicorn face=unicorn; eagle; duck; bat; shark;
owl; fox face=fox; butterfly; deer; gorilla; lizard; rhinoceros; shrimp; squid; giraffe face=giraffe; zebra face=zebra;
hedgehog; sauropod=dinosaur; t-rex=dinosaur; cricket; kangaroo; llama; peacock; hippopotamus; parrot; raccoon; lobster;
badger; swan; mammoth; dodo; sloth; otter; orangutan; skunk; flamingo; beaver; bison; seal; guide dog=dog; bone;
manual wheelchair=wheelchair; cheese wedge=cheese; cupcake; salt shaker; beverage box=juice box; garlic; onion; waffle;
butter; ice cube; bubble tea=cup; billed cap=cap; scarf; gloves; coat; socks; jigsaw puzzle piece=puzzle piece;
compass; abacus; fire extinguisher; toolbox; brick; magnet; luggage=suitcase; lotion bottle=bottle;
spool of thread; ball of yarn; teddy bear; broom; basket; bar of soap=soap; sponge; ballet shoes=shoes; shorts;
thong sandal=sandal; yo-yo; kite; parachute; pinata; nesting dolls=doll; chair; axe; banjo; military helmet=helmet;
accordion; long drum=drum; coin; screwdriver; bucket; toothbrush; rock; mirror ball=ball; beetle; potted plant=plant;
wood=log; feather; lotus=flower; empty nest=nest; nest with eggs=nest; blueberries; bell pepper; olive; fondue=pot;
teapot; beans=bean; jar; watch; hourglass; alarm clock; stopwatch=watch; timer clock=clock; snowman; black telephone=phone;
black chess pawn=pawn; hot beverage=cup; gear; soccer ball=ball; baseball=ball; snowman without snow=snowman;
anchor; fountain; sailboat=boat; ice skate; tent; pencil; airplane; black scissors=scissors; envelope
"""
NOUNS = {
    name: noun or name
    for name, _, noun in (entry.strip().partition("=") for entry in NAMES.replace("\n", " ").split(";"))
}


@dataclass(frozen=True)
class Cutouts:
    """The cut-outs of one folder: (noun, file), each a picture (256, 256) with alpha."""

    entries: list[tuple[str, Path]]

    def thing(self, rng: np.random.Generator) -> Thing:
        """One of them as a mesh: of random thickness and gloss, a third of the time in other hues, turned a little."""
        noun, path = self.entries[int(rng.integers(len(self.entries)))]
        rgba = np.asarray(Image.open(path).convert("RGBA"))
        colours = recoloured(rgba[..., :3], rng)
        word = dominant_colour(colours, rgba[..., 3] > 128)
        if rng.random() < 0.25:  # a grain, so that not all is smooth: fur, cloth, rust
            grain = noise(rng, rgba.shape[0], first=int(2 ** rng.integers(1, 5)), octaves=4, decay=0.8)
            colours = (colours * (1 - rng.uniform(0.2, 0.6) * grain[..., None])).astype(np.uint8)
        mesh = inflated(rgba[..., 3] / 255, rng.uniform(0.12, 0.34))
        surface = Surface("plastic" if rng.random() < 0.4 else "matte", texture=bled(colours, rgba[..., 3] > 200))
        leaning = rotation("y", rng.normal(0, 6))
        turned = rotation("z", float(np.clip(rng.normal(0, TURNED), -55, 55)))
        words = f"{word} {noun}" if word and word != noun else noun
        return Thing(words, [(mesh.moved(turned @ leaning), surface)], SOURCE).normalised()


def open_cutouts(folder: Path) -> Cutouts:
    """Index the pictures named by one code point (and a variation selector). Raises InvalidInput for none usable."""
    entries = []
    for path in sorted(folder.glob("*.webp")):
        points = [int(part, 16) for part in path.stem.split("-") if part != "fe0f"]
        noun = NOUNS.get(unicodedata.name(chr(points[0]), "").lower()) if len(points) == 1 else None
        if noun:
            entries.append((noun, path))
    if not entries:
        raise InvalidInput(f"expected pictures named by code point, such as 1fad6.webp, in {folder}, got none")
    return Cutouts(entries)


def recoloured(colours: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 with the hues turned by one random angle a third of the time, and paler, darker or greyer."""
    hsv = np.asarray(Image.fromarray(colours).convert("HSV")).astype(int)
    if rng.random() < 0.35:
        hsv[..., 0] += int(rng.integers(256))
    hsv[..., 1] = hsv[..., 1] * rng.uniform(0.5, 1.0)
    hsv[..., 2] = hsv[..., 2] * rng.uniform(0.65, 1.0)
    bands = [Image.fromarray(band.astype(np.uint8)) for band in np.moveaxis(hsv % 256, -1, 0)]
    return np.asarray(Image.merge("HSV", bands).convert("RGB"))


def dominant_colour(colours: np.ndarray, inside: np.ndarray) -> str | None:
    """The colour word of at least 55 % of the pixels `inside` (H, W), or None."""
    pixels = colours[inside][::97]
    words = [colour_word(pixel / 255) for pixel in pixels]
    if not words:
        return None
    word = max(set(words), key=words.count)
    return word if words.count(word) >= 0.55 * len(words) else None


def bled(colours: np.ndarray, opaque: np.ndarray) -> np.ndarray:
    """(H, W, 3) with every pixel that is not `opaque` (H, W) in the colour of the nearest one that is."""
    rows, columns = distance_transform_edt(~opaque, return_distances=False, return_indices=True)
    return colours[rows, columns]


def inflated(alpha: np.ndarray, thickness: float) -> Mesh:
    """A pillow of the outline where `alpha` (H, W) exceeds a half, upright in the x-z plane, its front towards -y.

    `thickness` is its depth over the picture's side where it is thickest; front and back carry the same texture.
    """
    step = alpha.shape[0] / GRID
    places = (np.arange(GRID + 1) * step).clip(0, alpha.shape[0] - 1).astype(int)
    distance = distance_transform_edt(np.pad(alpha > 0.5, 1))[1:-1, 1:-1][np.ix_(places, places)]
    inside = distance > 0
    rim = inside & ~binary_erosion(inside, np.ones((3, 3)))  # front and back meet there
    ramp = np.clip(distance / max(0.6 * float(distance.max()), 1.0), 0, 1) * ~rim
    depth = thickness / 2 * np.sqrt(1 - (1 - ramp) ** 2)
    across, up = np.meshgrid(np.linspace(0, 1, GRID + 1), np.linspace(1, 0, GRID + 1))
    cell = inside[:-1, :-1] & inside[1:, :-1] & inside[:-1, 1:] & inside[1:, 1:]
    row, column = np.nonzero(cell)
    corner = row * (GRID + 1) + column
    right, below, across_below = corner + 1, corner + GRID + 1, corner + GRID + 2
    front = np.concatenate(
        [np.column_stack([corner, below, across_below]), np.column_stack([corner, across_below, right])]
    )
    count = (GRID + 1) ** 2
    uvs = np.column_stack([across.ravel(), up.ravel()])
    gradient_z, gradient_x = np.gradient(depth, 1 / GRID)
    sides = []
    for sign in (-1, 1):
        vertices = np.column_stack([across.ravel() - 0.5, sign * depth.ravel(), up.ravel()])
        normals = np.column_stack([-gradient_x.ravel(), np.full(count, sign), gradient_z.ravel()])
        sides.append((vertices, normals / np.linalg.norm(normals, axis=1, keepdims=True)))
    faces = np.concatenate([front, front[:, ::-1] + count])
    used = np.unique(faces)
    renumbered = np.zeros(2 * count, dtype=int)
    renumbered[used] = np.arange(len(used))
    vertices, normals = (np.concatenate(parts)[used] for parts in zip(*sides, strict=True))
    return Mesh(vertices, np.concatenate([uvs, uvs])[used], renumbered[faces], normals)
