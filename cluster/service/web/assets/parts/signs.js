// Signs for invisible characters in a diff. Pure. The same rule as in cluster/text/signs.py: a sign is beside its character
// and never in its place, so that the text on the page, and what is copied from it, is the text of the prompts.
const SIGNS = { " ": "·", "\n": "↵", "\t": "→", "\r": "␍" };
const UNSEEN = /[\p{Cc}\p{Cf}\p{Zs}\p{Zl}\p{Zp}]/u;
// As Python's isspace has it.
const BLANK = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+$/u;

/** The parts of each piece: {text, sign}, a sign of "" for a run of plain text. */
export function signed(pieces) {
  const letters = pieces.map((piece) => [...piece.text]);
  return pieces.map((piece, place) => {
    const own = (other) => other.kind === "same" || piece.kind === "same" || other.kind === piece.kind;
    const before = letters[pieces.findLastIndex((other, at) => at < place && own(other))]?.at(-1) ?? "";
    const behind = letters[pieces.findIndex((other, at) => at > place && own(other))]?.[0] ?? "";
    return partsOf(letters[place], before, behind, piece.kind !== "same" && BLANK.test(piece.text));
  });
}

function partsOf(letters, before, behind, alone) {
  const parts = [];
  letters.forEach((letter, at) => {
    const sign = signOf(letter, at ? letters[at - 1] : before, at + 1 < letters.length ? letters[at + 1] : behind, alone);
    if (sign || !parts.length || parts.at(-1).sign) parts.push({ text: letter, sign });
    else parts.at(-1).text += letter;
  });
  return parts;
}

/** "" for a visible character. `alone`: only blanks were added or removed. */
function signOf(letter, left, right, alone) {
  if (letter === " ") return alone || !left || !right || BLANK.test(left) || BLANK.test(right) ? SIGNS[" "] : "";
  if (Object.hasOwn(SIGNS, letter)) return SIGNS[letter];
  return UNSEEN.test(letter) ? `U+${letter.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : "";
}
