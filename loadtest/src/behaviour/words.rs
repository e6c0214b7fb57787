//! The words of the generated catalogue: categories with their tags and the halves of titles.
//!
//! Owns only the words. Must not know how they are put together.

/// A category and its words.
pub(crate) struct Category {
    /// Its name.
    pub(crate) name: &'static str,
    /// Its common tags, the most common first.
    pub(crate) tags: [&'static str; 6],
    /// Who or what a title is about.
    pub(crate) subjects: [&'static str; 4],
    /// What happens in a title.
    pub(crate) actions: [&'static str; 4],
}

/// Put before a common tag they make the rare ones.
pub(crate) const TAG_PREFIXES: [&str; 24] = [
    "tiny", "slow", "vintage", "budget", "midnight", "street", "extreme", "cosy", "winter", "summer", "japanese",
    "italian", "solo", "family", "beginner", "pro", "weird", "silent", "rainy", "golden", "urban", "wild", "lazy",
    "retro",
];

/// Put behind a title.
pub(crate) const TITLE_ENDINGS: [&str; 12] = [
    "",
    "",
    "",
    "",
    " (part 2)",
    " in 30 seconds",
    ", again",
    " — wait for it",
    " on a Monday",
    " for the first time",
    " without trying",
    " at 3 am",
];

macro_rules! category {
    ($name:literal, $tags:expr, $subjects:expr, $actions:expr) => {
        Category {
            name: $name,
            tags: $tags,
            subjects: $subjects,
            actions: $actions,
        }
    };
}

/// All categories.
#[rustfmt::skip]
pub(crate) const CATEGORIES: [Category; 20] = [
    category!("pets", ["cat", "dog", "puppy", "kitten", "parrot", "rescue"],
        ["My cat", "A rescue puppy", "The neighbour's parrot", "Our oldest dog"],
        ["learns to open the fridge", "meets the new sofa", "refuses to go outside", "sings along to the radio"]),
    category!("cooking", ["recipe", "baking", "pasta", "sourdough", "spicy", "dessert"],
        ["Grandma's pasta", "A five-minute curry", "The crispiest bread", "One-pot noodles"],
        ["that never fails", "with three ingredients", "explained by a chef", "for a crowd of ten"]),
    category!("football", ["goal", "derby", "freekick", "goalkeeper", "highlights", "fans"],
        ["A goalkeeper", "The youngest striker", "An amateur team", "The whole stand"],
        ["scores from the halfway line", "saves three penalties", "celebrates too early", "turns the derby around"]),
    category!("dance", ["hiphop", "salsa", "choreography", "ballet", "challenge", "duet"],
        ["Two strangers", "A ballet class", "My grandfather", "The night shift"],
        ["try the new challenge", "nail the choreography", "dance in the rain", "battle at the station"]),
    category!("comedy", ["sketch", "standup", "prank", "office", "parody", "impression"],
        ["Every meeting", "My landlord", "A very honest waiter", "The group chat"],
        ["in one sketch", "reads the reviews aloud", "when nobody is watching", "gets out of hand"]),
    category!("travel", ["train", "backpacking", "island", "city", "hotel", "roadtrip"],
        ["A night train", "The emptiest beach", "A city of stairs", "Our campervan"],
        ["that costs nothing", "you have never heard of", "before the tourists come", "breaks down in the desert"]),
    category!("gaming", ["speedrun", "indie", "esports", "retrogame", "mod", "boss"],
        ["A speedrunner", "This indie game", "The last boss", "A team of five"],
        ["breaks the physics", "wins with one hit point", "was beaten by a toddler", "finds a hidden level"]),
    category!("music", ["guitar", "piano", "cover", "live", "synth", "drums"],
        ["A street pianist", "This bass line", "A choir of nurses", "My first synth"],
        ["covers a classic", "gives you goosebumps", "plays the whole subway", "goes wrong beautifully"]),
    category!("fashion", ["outfit", "thrift", "sneakers", "runway", "denim", "tailor"],
        ["A thrifted jacket", "One white shirt", "The tailor", "These sneakers"],
        ["styled seven ways", "from bin to runway", "fixes a wedding dress", "survived ten years"]),
    category!("beauty", ["skincare", "makeup", "nails", "hair", "routine", "sunscreen"],
        ["A barber", "This skincare routine", "Nail art", "A five-minute face"],
        ["that takes two steps", "transforms a stranger", "under the microscope", "for sensitive skin"]),
    category!("fitness", ["running", "yoga", "strength", "marathon", "mobility", "calisthenics"],
        ["A marathon runner", "Ten minutes of yoga", "The first pull-up", "A gym of grandmothers"],
        ["after two years", "that opens your hips", "shows perfect form", "beats the clock"]),
    category!("science", ["physics", "space", "experiment", "chemistry", "biology", "maths"],
        ["A drop of water", "The slowest experiment", "A black hole", "This pendulum"],
        ["explained with a sponge", "in slow motion", "that fooled everyone", "seen for the first time"]),
    category!("diy", ["woodworking", "repair", "upcycling", "3dprint", "electronics", "paint"],
        ["A broken chair", "An old radio", "The smallest workshop", "A bookshelf"],
        ["restored from scratch", "built without screws", "brought back to life", "made from pallets"]),
    category!("gardening", ["balcony", "tomatoes", "compost", "roses", "seeds", "harvest"],
        ["A balcony garden", "One tomato plant", "The compost heap", "Forgotten seeds"],
        ["from March to September", "feeds a family", "steams in winter", "sprout after decades"]),
    category!("cars", ["classic", "electric", "drift", "rally", "garage", "tuning"],
        ["A barn find", "The first electric van", "A rally driver", "This tiny garage"],
        ["starts after forty years", "climbs a mountain pass", "drifts around a roundabout", "hides three classics"]),
    category!("art", ["watercolour", "sculpture", "graffiti", "pottery", "sketchbook", "mural"],
        ["A wall", "One brush", "The potter's wheel", "A pavement artist"],
        ["becomes a mural overnight", "paints the sea", "collapses at the end", "draws what you cannot see"]),
    category!("parenting", ["toddler", "newborn", "school", "bedtime", "lunchbox", "twins"],
        ["My toddler", "The twins", "A bedtime story", "The lunchbox"],
        ["negotiate like lawyers", "explains the moon", "goes on for an hour", "comes back untouched"]),
    category!("history", ["rome", "medieval", "archaeology", "castle", "ww2", "maps"],
        ["A Roman road", "The oldest map", "A castle kitchen", "One forgotten letter"],
        ["still carries lorries", "changed a border", "fed two hundred", "found under the floor"]),
    category!("books", ["novel", "poetry", "fantasy", "library", "review", "comics"],
        ["One novel", "A night in the library", "The strangest bookshop", "This poem"],
        ["in a single breath", "that made me miss my stop", "on a boat", "read by the author"]),
    category!("nature", ["birds", "ocean", "forest", "mountain", "insects", "storm"],
        ["A kingfisher", "The old forest", "A storm cell", "Two foxes"],
        ["dives in slow motion", "wakes up at dawn", "rolls over the valley", "share a snack"]),
];
