// A small line in a table.

import { colour } from "./theme.js";

/** @param {HTMLCanvasElement} canvas @param {(number | null)[]} values */
export function spark(canvas, values, width = 112, height = 28) {
  const scale = devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const known = values.filter((value) => value !== null);
  if (known.length < 2) {
    context.strokeStyle = colour("line");
    context.setLineDash([2, 3]);
    context.beginPath();
    context.moveTo(0, height / 2);
    context.lineTo(width, height / 2);
    context.stroke();
    context.setLineDash([]);
    return;
  }
  const low = Math.min(...known);
  const high = Math.max(...known);
  const y = (value) => (high === low ? height / 2 : height - 3 - ((value - low) / (high - low)) * (height - 6));
  const x = (place) => 2 + (place / (values.length - 1)) * (width - 5);
  const isUp = known.at(-1) >= known[0];
  const ink = colour(isUp ? "pos" : "neg");
  // Where it began.
  context.strokeStyle = colour("line");
  context.beginPath();
  context.moveTo(0, Math.round(y(known[0])) + 0.5);
  context.lineTo(width, Math.round(y(known[0])) + 0.5);
  context.stroke();
  context.strokeStyle = ink;
  context.lineWidth = 1.4;
  context.lineJoin = "round";
  context.beginPath();
  let isDown = false;
  values.forEach((value, place) => {
    if (value === null) return;
    if (isDown) context.lineTo(x(place), y(value));
    else context.moveTo(x(place), y(value));
    isDown = true;
  });
  context.stroke();
  context.fillStyle = ink;
  context.beginPath();
  context.arc(x(values.length - 1), y(known.at(-1)), 1.9, 0, 7);
  context.fill();
}
