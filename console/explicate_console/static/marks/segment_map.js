// Segments of an image painted on a canvas, and told by their place.

const SHORTEST = 512; // pixels of the overlay's longer edge, so that lines are thin
const SIDES = [["left", "", "right"], ["upper", "", "lower"]];

/** Paint the segments of `items` on a canvas, the colours as strong as what they add. */
export function paintSegments(canvas, { width, height, places }, items, { opacity, pointed }) {
  const times = Math.max(1, Math.ceil(SHORTEST / Math.max(width, height)));
  if (canvas.width !== width * times) canvas.width = width * times;
  if (canvas.height !== height * times) canvas.height = height * times;
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, canvas.width, canvas.height);
  const most = items.reduce((size, { value }) => Math.max(size, Math.abs(value ?? 0)), 0) || 1;
  const style = getComputedStyle(canvas);
  const colours = items.map(({ value }) => (value > 0 ? style.getPropertyValue("--up") : style.getPropertyValue("--down")));
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width;) {
      const place = places[y * width + x];
      let end = x + 1;
      while (end < width && places[y * width + end] === place) end += 1;
      const item = items[place];
      if (item?.value) {
        context.globalAlpha = (Math.abs(item.value) / most) * opacity;
        context.fillStyle = colours[place];
        context.fillRect(x * times, y * times, (end - x) * times, times);
      }
      x = end;
    }
  }
  context.globalAlpha = 1;
  const borders = outlines({ width, height, places }, (one, other) => one !== other);
  stroke(context, borders, times, "rgb(150 150 150 / .75)", Math.max(1, times / 6));
  if (pointed !== null) {
    const around = outlines({ width, height, places }, (one, other) => (one === pointed) !== (other === pointed));
    stroke(context, around, times, "#fff", 5);
    stroke(context, around, times, "#000", 2.5);
  }
}

/** Edges between pixels that differ, as [x0, y0, x1, y1] on the map. */
export function outlines({ width, height, places }, differ) {
  const found = [];
  for (let y = 0; y < height; y += 1) {
    for (let x = 0; x < width; x += 1) {
      const here = places[y * width + x];
      if (x + 1 < width && differ(here, places[y * width + x + 1])) found.push([x + 1, y, x + 1, y + 1]);
      if (y + 1 < height && differ(here, places[(y + 1) * width + x])) found.push([x, y + 1, x + 1, y + 1]);
    }
  }
  return found;
}

function stroke(context, lines, times, colour, width) {
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  for (const [x0, y0, x1, y1] of lines) {
    context.moveTo(x0 * times, y0 * times);
    context.lineTo(x1 * times, y1 * times);
  }
  context.stroke();
}

/** Where a segment lies: "upper left". */
export function whereabouts({ segment }, { segmentMap }) {
  if (!segment || !segmentMap) return "";
  const centre = [(segment.left + segment.right) / 2 / segmentMap.width, (segment.top + segment.bottom) / 2 / segmentMap.height];
  const [across, down] = centre.map((share, side) => SIDES[side][Math.min(Math.floor(share * 3), 2)]);
  return [down, across].filter(Boolean).join(" ") || "middle";
}
