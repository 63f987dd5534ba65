"""The words of captions: names of instruments and patterns, adjectives, and sentence templates.

Every option of a list says the same thing: what is measured decides between lists, a generator seeded with the song
within them. In lists of names the first is the plain one and the most frequent. `caption_grammar.fill` reads templates.
"""

# Other names of an instrument; all keep a noun that names it. What is not listed is said as it is.
INSTRUMENT_NAMES = {
    "piano": ("piano", "acoustic piano"),
    "electric piano": ("electric piano", "Rhodes-like electric piano"),
    "clavinet": ("clavinet", "funky clavinet"),
    "music box": ("music box", "tinkling music box"),
    "dulcimer": ("dulcimer", "hammered dulcimer"),
    "drawbar organ": ("drawbar organ", "Hammond-like organ"),
    "church organ": ("church organ", "pipe organ"),
    "nylon-string guitar": ("nylon-string guitar", "acoustic guitar with nylon strings", "classical guitar"),
    "steel-string guitar": ("steel-string guitar", "acoustic guitar with steel strings"),
    "clean electric guitar": ("clean electric guitar", "electric guitar with a clean tone"),
    "distorted guitar": ("distorted guitar", "distorted electric guitar", "electric guitar with distortion"),
    "acoustic bass": ("acoustic bass", "double bass", "upright bass"),
    "electric bass": ("electric bass", "bass guitar"),
    "fretless bass": ("fretless bass", "fretless bass guitar"),
    "slap bass": ("slap bass", "slapped bass guitar"),
    "synth bass": ("synth bass", "synthesizer bass"),
    "cello": ("cello", "solo cello"),
    "violin": ("violin", "solo violin"),
    "harp": ("harp", "concert harp"),
    "pizzicato strings": ("pizzicato strings", "plucked strings"),
    "tremolo strings": ("tremolo strings", "trembling strings"),
    "string section": ("string section", "bowed string section", "string ensemble"),
    "synth strings": ("synth strings", "synthesizer strings"),
    "choir": ("choir", "wordless choir"),
    "muted trumpet": ("muted trumpet", "trumpet with a mute"),
    "brass section": ("brass section", "brass ensemble"),
    "soprano saxophone": ("soprano saxophone", "soprano sax"),
    "alto saxophone": ("alto saxophone", "alto sax"),
    "tenor saxophone": ("tenor saxophone", "tenor sax"),
    "pan flute": ("pan flute", "panpipe flute"),
    "bagpipe": ("bagpipe", "droning bagpipe"),
    "square-wave synth lead": ("square-wave synth lead", "square-wave synthesizer"),
    "sawtooth synth lead": ("sawtooth synth lead", "sawtooth synthesizer"),
    "warm synth pad": ("warm synth pad", "warm synthesizer pad"),
    "synth brass": ("synth brass", "synthesizer brass"),
    "drum kit": ("drum kit", "acoustic drum kit"),
    "power drum kit": ("power drum kit", "big-sounding drum kit"),
    "electronic drums": ("electronic drums", "electronic drum kit"),
    "brushed drums": ("brushed drums", "drums with brushes"),
}

# How a pattern is said, as noun phrases. What is not listed gets its article by rule, see `pattern_phrase`.
PATTERN_NAMES = {
    "arpeggios": ("arpeggios", "rising and falling arpeggios", "arpeggiated chords"),
    "sixteenth arpeggios": ("sixteenth-note arpeggios", "fast arpeggios"),
    "slow arpeggios": ("slow arpeggios", "slowly rising arpeggios"),
    "broken chords": ("broken chords", "chords broken note by note"),
    "block chords": ("block chords", "full block chords"),
    "driving chords": ("driving chords", "driving eighth-note chords"),
    "offbeat chords": ("offbeat chords", "short chords on the offbeat"),
    "strummed chords": ("strummed chords", "chords in a strumming rhythm"),
    "syncopated chords": ("syncopated chords", "syncopated chord hits"),
    "bossa chords": ("bossa nova chords", "syncopated bossa chords"),
    "montuno": ("a montuno", "a montuno figure"),
    "oom-pah chords": ("oom-pah chords", "an oom-pah accompaniment"),
    "tremolo chords": ("tremolo chords", "rapidly repeated chords"),
    "rolled chords": ("rolled chords", "long rolled chords"),
    "sustained chords": ("sustained chords", "long held chords"),
    "root notes": ("root notes", "the roots of the chords"),
    "long root notes": ("long root notes", "held root notes"),
    "root and fifth": ("roots and fifths", "alternating roots and fifths"),
    "octaves": ("octaves", "bouncing octaves"),
    "syncopated line": ("a syncopated line", "a syncopated bass line"),
    "walking line": ("a walking line", "a walking bass line"),
    "shuffle line": ("a shuffle line", "a shuffling bass line"),
    "bossa line": ("a bossa line", "a bossa nova bass line"),
    "tumbao line": ("a tumbao line", "a tumbao bass line"),
    "pulsing offbeats": ("pulsing offbeats", "offbeat pulses"),
    "pedal tone": ("a pedal tone", "long pedal tones"),
    "driving eighths": ("driving eighth notes", "steady eighth notes"),
    "written-out part": ("an accompaniment of chords and figures", "chords and figures"),
    "drone": ("a drone", "a long held note"),
}
DRUM_PATTERN_NAMES = {
    "driving eighths": ("a driving eighth-note beat", "driving eighth notes"),
    "four-on-the-floor": ("a four-on-the-floor beat", "a four-on-the-floor kick pattern"),
    "breakbeat": ("a breakbeat", "a breakbeat pattern"),
    "swing": ("a swing beat", "a swinging ride pattern"),
    "shuffle": ("a shuffle", "a shuffle beat"),
    "march": ("a march beat", "a marching beat"),
    "waltz": ("a waltz beat", "a waltz pattern"),
    "jazz waltz": ("a jazz waltz beat", "a jazz waltz pattern"),
    "build-up": ("a snare build-up", "a build-up of snare strokes"),
    "sparse kick and rim": ("a sparse kick and rim pattern", "a few kick and rim strokes"),
}
PLURAL_NOUNS = (
    "arpeggios",
    "chords",
    "notes",
    "octaves",
    "eighths",
    "offbeats",
    "fifths",
    "phrases",
    "fills",
    "strokes",
)
DRUM_NOUNS = ("beat", "breakbeat", "groove", "pattern", "shuffle", "fill", "fills", "strokes", "roll", "rolls")

GENRE_NAMES = {
    "film score": ("film-score", "cinematic film-score"),
    "world": ("world-music",),
    "electronic": ("electronic", "electronic dance"),
    "chiptune": ("chiptune", "video-game chiptune"),
    "ambient": ("ambient",),
    "classical": ("classical", "classical chamber"),
}

DYNAMICS = {
    "soft": ("soft", "quiet", "hushed"),
    "moderate": ("moderate in volume", "at a middle volume", "of medium volume"),
    "loud": ("loud", "forceful", "at full volume"),
}
DENSITY = {
    "sparse": ("sparse", "spacious", "thin in texture"),
    "moderate": ("moderately busy", "of medium density", "evenly filled"),
    "busy": ("busy", "dense", "full of notes"),
}
REGISTER = {
    "low": ("in a low register", "low down", "deep in the low range"),
    "middle": ("in the middle register", "in a comfortable middle range", "at medium height"),
    "high": ("in a high register", "high up", "in the upper range"),
}
MOTION = {
    "steps": ("moves mostly by step", "goes mainly stepwise", "keeps to small steps"),
    "leaps": ("leaps often", "moves in wide leaps", "makes many wide jumps"),
}
LENGTHS = {
    "long": ("in long notes", "in long-held notes"),
    "short": ("in short notes", "in quick notes"),
}
MANNER = {  # of the lead's pattern
    "legato line": ("in smooth legato", "with its notes joined smoothly"),
    "staccato line": ("in detached staccato notes", "with short, clipped notes"),
}
MOOD = {  # by mode and energy; the words of one bag may be paired
    ("major", "low"): ("tender", "peaceful", "warm", "calm", "dreamy"),
    ("major", "middle"): ("warm", "easygoing", "hopeful", "friendly", "content"),
    ("major", "high"): ("bright", "cheerful", "energetic", "uplifting", "confident"),
    ("minor", "low"): ("melancholic", "wistful", "pensive", "sombre", "lonely"),
    ("minor", "middle"): ("bittersweet", "longing", "serious", "moody", "reflective"),
    ("minor", "high"): ("driving", "tense", "dramatic", "urgent", "intense"),
}
TEMPO = {
    "slow": ("slow", "unhurried"),
    "moderate": ("moderate", "medium"),
    "lively": ("lively", "brisk"),
    "fast": ("fast", "rapid"),
}
METRE = {
    2: ("2/4 time",),
    3: ("3/4 time", "waltz time (3/4)"),
    5: ("5/4 time",),
    6: ("6/8 time counted in eighths", "6/8 time with every eighth counted"),
    7: ("7/4 time",),
}

OPENING = (
    "This {piece} in {a_genre} style runs at {a_tempo} {bpm} BPM in {key}{metre}.",
    "With {a_genre} feel, the {piece} moves at {a_tempo} {bpm} BPM in {key}{metre}.",
    "In {key} at {a_tempo} {bpm} BPM{metre}, this {piece} has {a_genre} feel.",
    "{A_tempo} {piece} in {key} at {bpm} BPM{metre}, in {a_genre} style.",
    "The key is {key}, the tempo {a_tempo} {bpm} BPM{metre}; the style is {genre}.",
)
PIECE = ("piece", "song", "track", "instrumental")
SCORING = (
    "It is scored for {who}.",
    "The instruments are {who}.",
    "Heard in the course of the piece are {who}.",
    "The arrangement uses {who}.",
    "{Who} {makes|make} up the arrangement.",
)
SCORING_SOLO = ("It is played by {who} alone.", "The only instrument is {who}.")
MOODS = ("The mood is {mood}.", "It feels {mood}.", "The character is {mood}.", "It comes across as {mood}.")
MAIN_LEAD = (
    "Most of the melody belongs to {who}.",
    "{Who} {has|have} the melody most of the time.",
    "The tune is mainly heard from {who}.",
)
HARMONY = (
    "The harmony of the {label} opens with {chords}.",
    "In the {label} the chords begin with {chords}.",
    "The {label} starts on the progression {chords}.",
)
STEADY = (
    "The volume stays {level} from start to end.",
    "It remains {level} throughout.",
    "There is little change of volume: it is {level} all the way.",
)
COURSE = (
    "It begins {first}, is {extreme} in the {label} and ends {last}.",
    "The volume starts out {first}, becomes {extreme} in the {label} and is {last} at the end.",
    "{First} at the start, {extreme} in the {label}, {last} at the close.",
)
COURSE_DIRECT = (
    "It begins {first} and ends {last}.",
    "The volume goes from {first} at the start to {last} at the end.",
    "{First} at first, it is {last} by the end.",
)

LEAD = (
    "{who} {carries|carry} the melody",
    "{who} {takes|take} the tune",
    "{who} {plays|play} the main line",
    "{who} {leads|lead} with the melody",
    "{who} {states|state} the melody",
    "the melody is played by {who}",
    "the tune lies with {who}",
)
LEAD_SHARED = ("{who} share the melody", "the melody is divided between {who}", "{who} take part in the melody")
LEAD_DOUBLED = ("{who} double each other on the melody", "{who} play the melody together")
WITH_SUPPORT = (
    "{Lead} over {support}.",
    "Over {support}, {lead}.",
    "{Lead}, with {support}.",
    "{Lead}, backed by {support}.",
    "With {support} behind, {lead}.",
    "{Lead}, accompanied by {support}.",
)
MORE_SUPPORT = ("Added to this: {support}.", "Besides, {support}.", "Further in the mix: {support}.")
WITHOUT_LEAD = (
    "No melody here: {support}.",
    "There is no lead melody, only {support}.",
    "Without a melody on top: {support}.",
    "Only accompaniment is heard: {support}.",
)
WITHOUT_MAIN = ("No main melody: {support}.", "In place of a main melody: {support}.")
FEW_NOTES = ("Mostly accompaniment: {support}.", "Hardly any melody, mainly {support}.")
SILENT = ("Hardly anything sounds here.", "It is almost silent.")
ONLY_HINTS = ("Only {support}.", "Nothing but {support}.")
HINT = ("a few melody notes on {who}", "a brief touch of melody from {who}")

SUPPORT = {
    "accompaniment": ("{pattern} on {who}", "{pattern} from {who}", "{who} playing {pattern}"),
    "drums": ("{pattern} on {who}", "{who} playing {pattern}", "{pattern} from {who}"),
    "bass": ("{pattern} on {who}", "{who} playing {pattern}", "{pattern} from {who}"),
    "counter-melody": (
        "a counter-melody on {who}",
        "{who} adding a counter-melody",
        "a second line from {who}",
    ),
    "slow counter-melody": (
        "a slow counter-melody on {who}",
        "{who} adding a second line in long notes",
        "a counter-melody in long notes from {who}",
    ),
    "pad": ("{pattern} from {who}", "{who} holding {pattern}", "{pattern} on {who}"),
}
TEXTURE = (
    "The playing is {dynamics} and {density}{rate}.",
    "It is {dynamics} and {density}{rate}.",
    "{Dynamics} and {density}{rate}.",
    "{Density}{rate} and {dynamics}.",
)
ONLY_DYNAMICS = ("The playing is {dynamics}.", "It is {dynamics}.", "{Dynamics}.", "All of it is {dynamics}.")
RATE = (" (about {rate} onsets a second)", " at around {rate} onsets per second", " with some {rate} onsets a second")
MELODY = ("The melody {motion} {register}{lengths}.", "The tune {motion} {register}{lengths}.")
REST_MOTION = ("lies", "sits", "stays")
NO_DRUMS = ("There are no drums.", "It goes without drums.", "No drums here.")
JOINS = ("{Who} {joins|join}.", "{Who} {enters|enter}.", "{Who} {comes|come} in.", "New here {is|are} {who}.")
LEAVES = ("{Who} {drops|drop} out.", "{Who} {falls|fall} silent.")
NEW_LEAD = ("The melody passes to {who}.", "{Who} {takes|take} over the melody.")
LOUDER = ("It is louder than before.", "The volume rises.")
SOFTER = ("It is softer than before.", "The volume falls.")
BUSIER = ("There are more notes than before.", "The texture thickens.")
SPARSER = ("There are fewer notes than before.", "The texture thins out.")

MAJOR_KEYS = ("C", "D-flat", "D", "E-flat", "E", "F", "F-sharp", "G", "A-flat", "A", "B-flat", "B")
MINOR_KEYS = ("C", "C-sharp", "D", "E-flat", "E", "F", "F-sharp", "G", "G-sharp", "A", "B-flat", "B")
SHARPS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
FLATS = ("C", "Db", "D", "Eb", "E", "F", "Gb", "G", "Ab", "A", "Bb", "B")
CHORD_SUFFIXES = {
    "maj": "",
    "min": "m",
    "dim": "dim",
    "aug": "aug",
    "7": "7",
    "maj7": "maj7",
    "min7": "m7",
    "dim7": "dim7",
    "hdim7": "m7b5",
    "maj6": "6",
    "min6": "m6",
    "sus2": "sus2",
    "sus4": "sus4",
    "7sus4": "7sus4",
}
