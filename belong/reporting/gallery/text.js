// Text that is safe to look at, and numbers that are short enough to.

// A name may hold line breaks, and marks that turn what follows round: they are shown by number.
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;
const BREAKS = /[\u0000-\u001f\u007f\u0085\u2028\u2029]/g;

const numbered = (sign) => `\\u${sign.codePointAt(0).toString(16).padStart(4, "0")}`;
const visible = (text) => text.replace(UNSEEN, numbered);
const inOneLine = (text) => text.replace(BREAKS, numbered);

const plain = (value) => String(Number(value.toPrecision(6)));
const whole = (value) => value.toLocaleString("en");

function short(value, digits = 3) {
  if (value === null) return "–";
  const size = Math.abs(value);
  if (size >= 10 ** digits) return whole(Math.round(value));
  return size > 0 && size < 0.001 ? value.toExponential(digits - 2) : plain(Number(value.toPrecision(digits)));
}

function node(name, properties, ...inside) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...inside);
  return made;
}
