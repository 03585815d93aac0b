// Boxes on a picture, in pixels of the upright image; without a page.
export const SIDES = ["left", "top", "right", "bottom"];

const whole = (value) => Math.round(value);
const within = (value, most) => Math.min(Math.max(value, 0), most);

/** The box between two points, in whole pixels of an image of this size; null where it has no area. */
export function boxBetween([x0, y0], [x1, y1], { width, height }) {
  const box = {
    left: whole(within(Math.min(x0, x1), width)), top: whole(within(Math.min(y0, y1), height)),
    right: whole(within(Math.max(x0, x1), width)), bottom: whole(within(Math.max(y0, y1), height)),
  };
  return box.left < box.right && box.top < box.bottom ? box : null;
}

/** The box of four texts, or what is wrong with them: {box} or {problem}. size may be null where it is not known. */
export function boxOf(texts, size) {
  const values = SIDES.map((side) => (String(texts[side] ?? "").trim() === "" ? NaN : Number(texts[side])));
  if (values.some((value) => !Number.isFinite(value))) return { problem: "Draw a box on the picture, or give four numbers, in pixels." };
  const [left, top, right, bottom] = values;
  if (left >= right || top >= bottom) return { problem: "Left must be below right, and top below bottom." };
  if (size && (left >= size.width || top >= size.height || right <= 0 || bottom <= 0)) return { problem: `The box lies outside of the picture, which has ${size.width} × ${size.height} pixels.` };
  return { box: { left, top, right, bottom }, problem: "" };
}

/** A box in words. */
export const boxWords = ({ left, top, right, bottom }) => `${left}, ${top} to ${right}, ${bottom}`;
